/* libhdf5 lays the file out in memory (io/hdf5_image.h) without the tensors' bytes; we then write it from
 * front to back: block, structure, and the tensors straight from the store. */
#include "io/checkpoint.h"

#include "base/crc32c.h"
#include "base/error.h"
#include "base/file.h"
#include "base/half.h"
#include "io/checkpoint_frame.h"
#include "io/checkpoint_layout.h"

#include <stdlib.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "checkpoints keep floats as they lie in memory, which must be little-endian"
#endif

enum { CHUNK = 64 * 1024 };

typedef struct writer {
    const char *path;
    const hl_checkpoint_meta *meta;
    int n;
    hl_layout_tensor *tensors; /* parameters, then state; once laid out, by rising offset */
    hl_image *image;
    hl_frame frame;
    unsigned char chunk[CHUNK];
} writer;

/* ------------------------------------------------------------------ what goes in */

static hl_status collect(writer *w, const hl_snapshot *params, hl_checkpoint_flags flags, hl_error *err)
{
    int all = hl_snapshot_count(params);
    w->tensors = hl_alloc((size_t)all, sizeof *w->tensors);
    if (!w->tensors)
        return hl_fail(err, HL_ERR_MEMORY, "%s: no memory to list %d tensors", w->path, all);
    for (int role = HL_PARAMETER; role < HL_ROLES; role++)
        for (int i = 0; i < all; i++) {
            hl_param_info info = hl_snapshot_at(params, i);
            if ((int)info.role != role || (role != HL_PARAMETER && flags & HL_CHECKPOINT_PARAMETERS_ONLY))
                continue;
            if (!info.bytes)
                return hl_fail(
                    err, HL_ERR_USAGE,
                    "%s: '%s' has no values to write; materialise the store, or write from the session "
                    "that trains",
                    w->path, info.name);
            if (info.dtype == HL_I8)
                return hl_fail(err, HL_ERR_UNSUPPORTED,
                               "%s: '%s' is i8, and checkpoints hold floats: they are of models that can be "
                               "trained",
                               w->path, info.name);
            w->tensors[w->n++] = (hl_layout_tensor){.info = info};
        }
    return HL_OK;
}

static size_t data_bytes(const hl_layout_tensor *t)
{
    return (size_t)t->info.count * sizeof(float);
}

/* The next bytes of a tensor as the file has them, from byte `at` on: at the tensor itself, or widened into
 * the chunk. *part tells how many. */
static const void *file_bytes(writer *w, const hl_layout_tensor *t, size_t at, size_t *part)
{
    const size_t left = data_bytes(t) - at;
    if (t->info.dtype == HL_F32) {
        *part = left;
        return (const char *)t->info.bytes + at;
    }
    const uint16_t *from = (const uint16_t *)t->info.bytes + at / sizeof(float);
    *part = left < CHUNK ? left : CHUNK;
    for (size_t i = 0; i < *part / sizeof(float); i++) {
        float x = t->info.dtype == HL_BF16 ? hl_bf16_to_float(from[i]) : hl_f16_to_float(from[i]);
        memcpy(w->chunk + i * sizeof x, &x, sizeof x);
    }
    return w->chunk;
}

static void checksum(writer *w)
{
    for (int i = 0; i < w->n; i++) {
        hl_layout_tensor *t = &w->tensors[i];
        t->crc32c = 0;
        for (size_t at = 0, part; at < data_bytes(t); at += part) {
            const void *bytes = file_bytes(w, t, at, &part);
            t->crc32c = hl_crc32c(t->crc32c, bytes, part);
        }
    }
}

static hl_status write_tensor(writer *w, const hl_layout_tensor *t, hl_file *file, hl_error *err)
{
    hl_status status = HL_OK;
    for (size_t at = 0, part; at < data_bytes(t) && status == HL_OK; at += part) {
        const void *bytes = file_bytes(w, t, at, &part);
        status = hl_file_write(file, bytes, part, err);
    }
    return status;
}

/* ------------------------------------------------------------------ layout */

static int by_offset(const void *a, const void *b)
{
    uint64_t x = ((const hl_layout_tensor *)a)->offset, y = ((const hl_layout_tensor *)b)->offset;
    return (x > y) - (x < y);
}

static hl_status lay_out(writer *w, hl_error *err)
{
    w->frame.block = hl_frame_block((uint64_t)w->n);
    w->image = hl_image_new();
    if (!w->frame.block || !w->image)
        return hl_fail(err, HL_ERR_MEMORY, "%s: no memory to lay it out", w->path);
    return hl_checkpoint_lay_out(w->path, w->meta, w->frame.block, w->n, w->tensors, w->image, err);
}

/* Bytes of gap i, under *crc32c and, if there is one, to a file. */
static hl_status pass_gap(writer *w, uint64_t i, uint32_t *crc32c, hl_file *file, hl_error *err)
{
    uint64_t offset, bytes;
    hl_status status = HL_OK;
    hl_frame_gap(&w->frame, i, &offset, &bytes);
    for (size_t part; bytes && status == HL_OK; bytes -= part, offset += part) {
        part = bytes < CHUNK ? (size_t)bytes : CHUNK;
        hl_image_read(w->image, offset, w->chunk, part);
        *crc32c = hl_crc32c(*crc32c, w->chunk, part);
        if (file)
            status = hl_file_write(file, w->chunk, part, err);
    }
    return status;
}

static hl_status frame_up(writer *w, hl_error *err)
{
    hl_frame *f = &w->frame;
    f->length = hl_image_length(w->image);
    f->extents = hl_alloc((size_t)w->n, sizeof *f->extents);
    if (!f->extents)
        return hl_fail(err, HL_ERR_MEMORY, "%s: no memory for its table of tensors", w->path);
    qsort(w->tensors, (size_t)w->n, sizeof *w->tensors, by_offset); /* empty ones, at 0, come first */
    uint64_t end = f->block;
    for (int i = 0; i < w->n; i++) {
        const hl_layout_tensor *t = &w->tensors[i];
        if (!t->info.count)
            continue;
        HL_ASSERT(t->offset >= end);
        end = t->offset + data_bytes(t);
        f->extents[f->n++] = (hl_extent){t->offset, data_bytes(t), t->crc32c};
    }
    HL_ASSERT(end <= f->length);
    for (uint64_t i = 0; i <= f->n; i++)
        (void)pass_gap(w, i, &f->structure_crc32c, NULL, err); /* without a file nothing can fail */
    return HL_OK;
}

/* ------------------------------------------------------------------ the file */

static hl_status write_all(writer *w, hl_file *file, hl_error *err)
{
    uint32_t crc32c = 0;
    unsigned char *block = hl_frame_encode(&w->frame);
    if (!block)
        return hl_fail(err, HL_ERR_MEMORY, "%s: no memory for its header", w->path);
    hl_status status = hl_file_write(file, block, (size_t)w->frame.block, err);
    hl_free(block);
    int t = w->n - (int)w->frame.n; /* behind the empty ones */
    for (uint64_t i = 0; i <= w->frame.n && status == HL_OK; i++) {
        status = pass_gap(w, i, &crc32c, file, err);
        if (status == HL_OK && i < w->frame.n) {
            status = write_tensor(w, &w->tensors[t], file, err);
            t++;
        }
    }
    return status;
}

static hl_status put_on_disk(writer *w, hl_error *err)
{
    hl_file *file;
    hl_status status = hl_file_replace(w->path, &file, err);
    if (status != HL_OK)
        return status;
    status = write_all(w, file, err);
    if (status == HL_OK)
        status = hl_file_sync(file, err);
    if (status == HL_OK) {
        status = hl_checkpoint_verify(hl_file_written_path(file), err);
        if (status != HL_OK)
            (void)hl_fail_prefix(err, "%s: what was written does not read back", w->path);
    }
    if (status == HL_OK)
        return hl_file_commit(file, err);
    hl_file_abort(file);
    return status;
}

static hl_status check_name(const char *path, const char *name, hl_error *err)
{
    if (!name || !*name || strchr(name, '/') || !strcmp(name, "."))
        return hl_fail(err, HL_ERR_USAGE,
                       "%s: '%s' cannot name an array or a value; use letters, digits, '_' and '.'", path,
                       name ? name : "(null)");
    return HL_OK;
}

static hl_status check_meta(const char *path, const hl_checkpoint_meta *meta, hl_error *err)
{
    hl_status status = HL_OK;
    HL_ASSERT(meta->n_loader >= 0 && meta->n_loader <= HL_CHECKPOINT_LOADER);
    for (int i = 0; i < meta->n_arrays && status == HL_OK; i++)
        status = check_name(path, meta->arrays[i].name, err);
    for (int i = 0; i < meta->n_values && status == HL_OK; i++)
        status = check_name(path, meta->values[i].name, err);
    return status;
}

hl_status hl_checkpoint_write_snapshot(const char *path, const hl_snapshot *params,
                                       const hl_checkpoint_meta *meta, hl_checkpoint_flags flags,
                                       hl_error *err)
{
    hl_status status = check_meta(path, meta, err);
    if (status != HL_OK)
        return status;
    writer *w = hl_alloc(1, sizeof *w);
    if (!w)
        return hl_fail(err, HL_ERR_MEMORY, "%s: no memory to write it", path);
    w->path = path;
    w->meta = meta;
    status = collect(w, params, flags, err);
    if (status == HL_OK) {
        checksum(w);
        status = lay_out(w, err);
    }
    if (status == HL_OK)
        status = frame_up(w, err);
    if (status == HL_OK)
        status = put_on_disk(w, err);
    hl_frame_free(&w->frame);
    hl_image_free(w->image);
    hl_free(w->tensors);
    hl_free(w);
    return status;
}

hl_status hl_checkpoint_write(const char *path, hl_params *params, const hl_checkpoint_meta *meta,
                              hl_checkpoint_flags flags, hl_error *err)
{
    hl_snapshot *now = hl_snapshot_take(params, err);
    if (!now)
        return hl_fail_prefix(err, "%s", path);
    hl_status status = hl_checkpoint_write_snapshot(path, now, meta, flags, err);
    hl_snapshot_free(now);
    return status;
}
