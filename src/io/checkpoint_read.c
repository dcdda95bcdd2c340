/* Reading trusts nothing before its checksum: first the user block, then the structure, which only then
 * libhdf5 gets to see, then the tensors, straight into the store. */
#include "io/checkpoint.h"

#include "base/crc32c.h"
#include "base/error.h"
#include "base/file.h"
#include "base/half.h"
#include "base/shape.h"
#include "io/checkpoint_frame.h"
#include "io/checkpoint_parse.h"
#include "run/params.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { CHUNK = 1 << 20 }; /* fits in cache, so that the checksum reads what pread just wrote */

struct hl_checkpoint {
    int fd;
    char *path;
    hl_arena *arena;
    hl_frame frame;
    hl_parsed parsed;
};

/* ------------------------------------------------------------------ opening */

/* Reads the structure into the image and checks it. */
static hl_status read_structure(const hl_checkpoint *c, hl_image *image, hl_error *err)
{
    uint32_t crc32c = 0;
    hl_status status = HL_OK;
    unsigned char *chunk = hl_alloc(CHUNK, 1);
    if (!chunk)
        return hl_fail(err, HL_ERR_MEMORY, "%s: no memory to read it", c->path);
    for (uint64_t i = 0; i <= c->frame.n && status == HL_OK; i++) {
        uint64_t offset, bytes;
        hl_frame_gap(&c->frame, i, &offset, &bytes);
        for (size_t part; bytes && status == HL_OK; bytes -= part, offset += part) {
            part = bytes < CHUNK ? (size_t)bytes : CHUNK;
            status = hl_file_read(c->fd, c->path, offset, chunk, part, err);
            if (status != HL_OK)
                break;
            crc32c = hl_crc32c(crc32c, chunk, part);
            if (!hl_image_write(image, offset, chunk, part))
                status = hl_fail(err, HL_ERR_MEMORY, "%s: no memory for its structure", c->path);
        }
    }
    hl_free(chunk);
    hl_image_set_length(image, c->frame.length);
    if (status == HL_OK && crc32c != c->frame.structure_crc32c)
        status = hl_fail(err, HL_ERR_DATA,
                         "%s: the checkpoint is damaged (the checksum of its structure); use an older one",
                         c->path);
    return status;
}

/* Structure and user block must tell the same of every tensor. */
static hl_status match_extents(const hl_checkpoint *c, hl_error *err)
{
    uint64_t full = 0;
    for (int i = 0; i < c->parsed.n; i++) {
        const hl_checkpoint_tensor *t = &c->parsed.tensors[i];
        if (!t->count)
            continue;
        const hl_extent *e = hl_frame_find(&c->frame, t->offset);
        if (!e || e->bytes != (uint64_t)t->count * sizeof(float) || e->crc32c != t->crc32c)
            return hl_fail(err, HL_ERR_DATA,
                           "%s: tensor '%s' is not where its header says; was the file edited?", c->path,
                           t->name);
        full++;
    }
    if (full != c->frame.n)
        return hl_fail(err, HL_ERR_DATA,
                       "%s: its header lists %llu tensors, its structure %llu; was the file edited?", c->path,
                       (unsigned long long)c->frame.n, (unsigned long long)full);
    return HL_OK;
}

static hl_status open_parts(hl_checkpoint *c, const char *path, hl_error *err)
{
    uint64_t length;
    c->path = hl_strdup(path);
    c->arena = hl_arena_new();
    hl_image *image = hl_image_new();
    hl_status status = HL_OK;
    if (!c->path || !c->arena || !image)
        status = hl_fail(err, HL_ERR_MEMORY, "%s: no memory to open it", path);
    if (status == HL_OK)
        status = hl_file_open(path, &c->fd, &length, err);
    if (status == HL_OK)
        status = hl_frame_read(c->fd, path, length, &c->frame, err);
    if (status == HL_OK)
        status = read_structure(c, image, err);
    if (status == HL_OK)
        status = hl_checkpoint_parse(path, image, c->arena, &c->parsed, err);
    if (status == HL_OK)
        status = match_extents(c, err);
    hl_image_free(image);
    return status;
}

hl_status hl_checkpoint_open(const char *path, hl_checkpoint **checkpoint, hl_error *err)
{
    *checkpoint = NULL;
    hl_checkpoint *c = hl_alloc(1, sizeof *c);
    if (!c)
        return hl_fail(err, HL_ERR_MEMORY, "%s: no memory to open it", path);
    c->fd = -1;
    hl_status status = open_parts(c, path, err);
    if (status == HL_OK)
        *checkpoint = c;
    else
        hl_checkpoint_close(c);
    return status;
}

void hl_checkpoint_close(hl_checkpoint *c)
{
    if (!c)
        return;
    if (c->fd >= 0)
        (void)close(c->fd);
    hl_frame_free(&c->frame);
    hl_arena_free(c->arena);
    hl_free(c->path);
    hl_free(c);
}

const hl_checkpoint_meta *hl_checkpoint_meta_of(const hl_checkpoint *c)
{
    return &c->parsed.meta;
}

int hl_checkpoint_count(const hl_checkpoint *c)
{
    return c->parsed.n;
}

const hl_checkpoint_tensor *hl_checkpoint_at(const hl_checkpoint *c, int index)
{
    HL_ASSERT(index >= 0 && index < c->parsed.n);
    return &c->parsed.tensors[index];
}

const hl_checkpoint_array *hl_checkpoint_find_array(const hl_checkpoint_meta *meta, const char *name)
{
    for (int i = 0; i < meta->n_arrays; i++)
        if (!strcmp(meta->arrays[i].name, name))
            return &meta->arrays[i];
    return NULL;
}

const hl_checkpoint_value *hl_checkpoint_find_value(const hl_checkpoint_meta *meta, const char *name)
{
    for (int i = 0; i < meta->n_values; i++)
        if (!strcmp(meta->values[i].name, name))
            return &meta->values[i];
    return NULL;
}

/* ------------------------------------------------------------------ tensors */

static const char *folder(hl_role role)
{
    return role == HL_PARAMETER ? "parameters" : "optimizer";
}

/* The bytes of one tensor, through chunk or, if to is not NULL, into it; and their checksum. */
static hl_status read_tensor(const hl_checkpoint *c, const hl_checkpoint_tensor *t, unsigned char *chunk,
                             void *to, hl_error *err)
{
    uint64_t offset = t->offset, bytes = (uint64_t)t->count * sizeof(float);
    uint32_t crc32c = 0;
    for (size_t part; bytes; bytes -= part, offset += part) {
        part = bytes < CHUNK ? (size_t)bytes : CHUNK;
        unsigned char *at = to ? (unsigned char *)to + (offset - t->offset) : chunk;
        hl_status status = hl_file_read(c->fd, c->path, offset, at, part, err);
        if (status != HL_OK)
            return status;
        crc32c = hl_crc32c(crc32c, at, part);
    }
    if (crc32c != t->crc32c)
        return hl_fail(err, HL_ERR_DATA,
                       "%s: /%s/%s: the checkpoint is damaged (CRC32C %08x, expected %08x); use an older one",
                       c->path, folder(t->role), t->name, crc32c, t->crc32c);
    return HL_OK;
}

hl_status hl_checkpoint_check(hl_checkpoint *c, hl_error *err)
{
    hl_status status = HL_OK;
    unsigned char *chunk = hl_alloc(CHUNK, 1);
    if (!chunk)
        return hl_fail(err, HL_ERR_MEMORY, "%s: no memory to check it", c->path);
    for (int i = 0; i < c->parsed.n && status == HL_OK; i++)
        status = read_tensor(c, &c->parsed.tensors[i], chunk, NULL, err);
    hl_free(chunk);
    return status;
}

static bool wanted(hl_role role, hl_checkpoint_flags flags)
{
    return role == HL_PARAMETER || !(flags & HL_CHECKPOINT_PARAMETERS_ONLY);
}

/* Pairs tensor t with its entry: place[t] is the index in the store, seen[index] is set. */
static hl_status pair(const hl_checkpoint *c, const hl_checkpoint_tensor *t, const hl_params *params,
                      bool *seen, int *place, hl_error *err)
{
    *place = hl_params_find(params, t->name);
    hl_param_info info = {0};
    if (*place >= 0)
        info = hl_params_at(params, *place);
    if (*place < 0 || info.role != t->role)
        return hl_fail(
            err, HL_ERR_DATA,
            "%s: /%s/%s: found %s, but the model has no such tensor; is it of another configuration?",
            c->path, folder(t->role), t->name, hl_shape_print(t->shape).text);
    if (!hl_shape_equal(info.shape, t->shape))
        return hl_fail(err, HL_ERR_DATA,
                       "%s: /%s/%s: found shape %s, expected %s; is it of another configuration?", c->path,
                       folder(t->role), t->name, hl_shape_print(t->shape).text,
                       hl_shape_print(info.shape).text);
    if (info.dtype == HL_I8)
        return hl_fail(err, HL_ERR_DATA, "%s: /%s/%s: found f32, expected i8: the model is of integers",
                       c->path, folder(t->role), t->name);
    seen[*place] = true;
    return HL_OK;
}

/* Pairs all, so that nothing is read into a model that does not fit. place[t] is -1 for what is not wanted.
 */
static hl_status pair_all(const hl_checkpoint *c, const hl_params *params, hl_checkpoint_flags flags,
                          bool *seen, int *place, hl_error *err)
{
    for (int i = 0; i < c->parsed.n; i++) {
        place[i] = -1;
        if (!wanted(c->parsed.tensors[i].role, flags))
            continue;
        hl_status status = pair(c, &c->parsed.tensors[i], params, seen, &place[i], err);
        if (status != HL_OK)
            return status;
    }
    for (int i = 0; i < hl_params_count(params); i++) {
        hl_param_info info = hl_params_at(params, i);
        if (wanted(info.role, flags) && !seen[i])
            return hl_fail(err, HL_ERR_DATA,
                           "%s: /%s/%s: is missing, expected shape %s; is it of another configuration?",
                           c->path, folder(info.role), info.name, hl_shape_print(info.shape).text);
    }
    return HL_OK;
}

/* The file has f32; an entry of 16 bits takes the nearest. */
static hl_status read_into(hl_checkpoint *c, const hl_checkpoint_tensor *t, hl_param_info to, hl_error *err)
{
    if (to.dtype == HL_F32)
        return read_tensor(c, t, NULL, to.data, err);
    float *wide = hl_alloc((size_t)to.count, sizeof *wide);
    if (!wide)
        return hl_fail(err, HL_ERR_MEMORY, "%s: no memory to read %s", c->path, t->name);
    hl_status status = read_tensor(c, t, NULL, wide, err);
    uint16_t *half = to.bytes;
    for (int64_t i = 0; i < to.count && status == HL_OK; i++)
        half[i] = to.dtype == HL_BF16 ? hl_float_to_bf16(wide[i]) : hl_float_to_f16(wide[i]);
    hl_free(wide);
    return status;
}

hl_status hl_checkpoint_load(hl_checkpoint *c, hl_params *params, hl_checkpoint_flags flags, hl_error *err)
{
    bool *seen = hl_alloc((size_t)hl_params_count(params), sizeof *seen);
    int *place = hl_alloc((size_t)c->parsed.n, sizeof *place);
    hl_status status = HL_OK;
    if (!seen || !place)
        status = hl_fail(err, HL_ERR_MEMORY, "%s: no memory to read it", c->path);
    if (status == HL_OK)
        status = pair_all(c, params, flags, seen, place, err);
    for (int i = 0; i < c->parsed.n && status == HL_OK; i++) {
        if (place[i] < 0)
            continue;
        status = hl_params_allocate(params, place[i], err);
        if (status == HL_OK)
            status = read_into(c, &c->parsed.tensors[i], hl_params_at(params, place[i]), err);
    }
    hl_free(place);
    hl_free(seen);
    return status;
}

hl_status hl_checkpoint_read(const char *path, hl_params *params, hl_checkpoint_flags flags, hl_error *err)
{
    hl_checkpoint *c;
    hl_status status = hl_checkpoint_open(path, &c, err);
    if (status == HL_OK)
        status = hl_checkpoint_load(c, params, flags, err);
    hl_checkpoint_close(c);
    return status;
}

hl_status hl_checkpoint_verify(const char *path, hl_error *err)
{
    hl_checkpoint *c;
    hl_status status = hl_checkpoint_open(path, &c, err);
    if (status == HL_OK)
        status = hl_checkpoint_check(c, err);
    hl_checkpoint_close(c);
    return status;
}
