#include "io/memory_viz.h"

#include "base/error.h"
#include "base/memory.h"
#include "io/json_stream.h"

#include <stdlib.h>

/* An address is that of the segment and an offset. The arena is segment HL_MEM_KINDS. */
typedef struct picture {
    const hl_memory_map *map;
    const hl_piece **by_offset; /* all pieces */
    size_t address[HL_MEM_KINDS + 1], bytes[HL_MEM_KINDS + 1];
    hl_json_stream to;
} picture;

static int segment_of(const hl_piece *p)
{
    return p->in_arena ? HL_MEM_KINDS : (int)p->kind;
}

/* Inputs and outputs lie where they do from step to step, as what is not in the arena. */
static bool stays(const hl_piece *p)
{
    return !p->in_arena || p->kind == HL_MEM_IO;
}

/* Up to where the next block may begin. */
static size_t size_of(const hl_piece *p)
{
    return hl_size_align(p->bytes, HL_ALIGN);
}

static void lay_out(picture *p)
{
    size_t address = (size_t)1 << 32; /* addresses stay exact in a double */
    for (int i = 0; i < p->map->n; i++) {
        const hl_piece *piece = &p->map->pieces[i];
        size_t *bytes = &p->bytes[segment_of(piece)], end = piece->offset + size_of(piece);
        *bytes = end > *bytes ? end : *bytes;
    }
    p->bytes[HL_MEM_KINDS] = p->map->memory.arena;
    for (int k = 0; k <= HL_MEM_KINDS; k++) {
        p->address[k] = address;
        address += hl_size_align(p->bytes[k] + 1, (size_t)1 << 21);
    }
}

/* ------------------------------------------------------------------ segments */

static json_t *frame(const char *what, int call, const char *name)
{
    return json_pack("{s:s, s:i, s:s}", "filename", what, "line", call, "name", name);
}

/* The page prints a frame as filename:line:name. */
static json_t *frames_of(const hl_piece *p)
{
    const char *section = p->section[0] ? p->section : "no section";
    return json_pack("[o, o]", frame(hl_memory_kind_name(p->kind), p->first, p->name),
                     frame(section, p->first, stays(p) ? "always" : hl_phase_name(p->phase)));
}

static bool append(json_t *list, json_t *value)
{
    return json_array_append_new(list, value) == 0;
}

static bool append_unused(json_t *blocks, size_t bytes)
{
    return !bytes || append(blocks, json_pack("{s:I, s:i, s:s, s:[]}", "size", (json_int_t)bytes,
                                              "requested_size", 0, "state", "inactive", "frames"));
}

/* Blocks fill their segment. *used: bytes of those that stay. NULL: no memory. */
static json_t *blocks_of(const picture *p, int segment, size_t *used)
{
    json_t *blocks = json_array();
    size_t at = 0;
    bool ok = blocks != NULL;
    *used = 0;
    for (int i = 0; i < p->map->n && ok; i++) {
        const hl_piece *piece = p->by_offset[i];
        if (segment_of(piece) != segment || !stays(piece) || !piece->bytes)
            continue;
        ok = append_unused(blocks, piece->offset - at) &&
             append(blocks, json_pack("{s:I, s:I, s:s, s:o}", "size", (json_int_t)size_of(piece),
                                      "requested_size", (json_int_t)piece->bytes, "state", "active_allocated",
                                      "frames", frames_of(piece)));
        at = piece->offset + size_of(piece);
        *used += size_of(piece);
    }
    if (ok && append_unused(blocks, p->bytes[segment] - at))
        return blocks;
    json_decref(blocks);
    return NULL;
}

static void put_segment(picture *p, int segment)
{
    size_t used;
    const char *name = segment < HL_MEM_KINDS ? hl_memory_kind_name((hl_memory_kind)segment) : "arena";
    json_t *blocks = blocks_of(p, segment, &used);
    hl_json_stream_put(&p->to, json_pack("{s:i, s:I, s:I, s:I, s:I, s:i, s:s, s:[o], s:o}", "device", 0,
                                         "address", (json_int_t)p->address[segment], "total_size",
                                         (json_int_t)p->bytes[segment], "allocated_size", (json_int_t)used,
                                         "active_size", (json_int_t)used, "stream", 0, "segment_type",
                                         "large", "frames", frame(name, 0, "segment"), "blocks", blocks));
}

/* ------------------------------------------------------------------ a step's allocations */

static void put_event(picture *p, const char *action, const hl_piece *piece)
{
    const size_t address = p->address[segment_of(piece)] + piece->offset;
    hl_json_stream_put(&p->to, json_pack("{s:s, s:I, s:I, s:i, s:o}", "action", action, "addr",
                                         (json_int_t)address, "size", (json_int_t)size_of(piece), "stream", 0,
                                         "frames", frames_of(piece)));
}

static void put_call(picture *p, int call)
{
    for (int i = 0; i < p->map->n; i++) {
        const hl_piece *piece = p->by_offset[i];
        if (!stays(piece) && piece->bytes && piece->first == call)
            put_event(p, "alloc", piece);
    }
    for (int i = 0; i < p->map->n; i++) {
        const hl_piece *piece = p->by_offset[i];
        if (stays(piece) || !piece->bytes || piece->last != call)
            continue;
        put_event(p, "free_requested", piece);
        put_event(p, "free_completed", piece);
    }
}

/* ------------------------------------------------------------------ the file */

static int compare_offsets(const void *a, const void *b)
{
    const hl_piece *x = *(const hl_piece *const *)a, *y = *(const hl_piece *const *)b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static hl_status write_picture(picture *p, hl_error *err)
{
    hl_json_stream_open(&p->to, "{\"segments\": [\n");
    for (int k = 0; k <= HL_MEM_KINDS; k++)
        if (p->bytes[k])
            put_segment(p, k);
    hl_json_stream_open(&p->to, "],\n\"device_traces\": [[\n");
    for (int call = 0; call < p->map->n_calls; call++)
        put_call(p, call);
    return hl_json_stream_end(&p->to, "]]}\n", err);
}

hl_status hl_memory_viz_save(const char *path, const hl_memory_map *map, hl_error *err)
{
    picture p = {.map = map, .by_offset = hl_alloc((size_t)map->n + 1, sizeof *p.by_offset)};
    if (!p.by_offset)
        return hl_fail(err, HL_ERR_MEMORY, "%s: no memory to tell of %d blocks", path, map->n);
    for (int i = 0; i < map->n; i++)
        p.by_offset[i] = &map->pieces[i];
    qsort((void *)p.by_offset, (size_t)map->n, sizeof *p.by_offset, compare_offsets);
    lay_out(&p);
    hl_status status = hl_file_replace(path, &p.to.file, err);
    if (status == HL_OK && (status = write_picture(&p, err)) != HL_OK)
        hl_file_abort(p.to.file);
    else if (status == HL_OK)
        status = hl_file_commit(p.to.file, err);
    hl_free((void *)p.by_offset);
    return status;
}
