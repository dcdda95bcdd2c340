#include "io/safetensors.h"

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "safetensors keeps numbers as they lie in memory, which must be little-endian"
#endif

enum { LENGTH = 8 }; /* bytes of the length of the header */

/* ------------------------------------------------------------------ the header */

/* The largest power of two that divides the size of a tensor, up to HL_ALIGN. */
static size_t alignment(const hl_safetensor *t)
{
    size_t unit = HL_ALIGN;
    while (t->bytes % unit)
        unit /= 2;
    return unit;
}

/* Sizes before a tensor are multiples of its alignment, so it begins at one. */
static int by_alignment(const void *a, const void *b)
{
    const hl_safetensor *x = a, *y = b;
    const size_t p = alignment(x), q = alignment(y);
    return p != q ? (p < q) - (p > q) : strcmp(x->name, y->name);
}

/* Takes value. Refuses a key that is there, and what is no UTF-8. */
static hl_status add(json_t *object, const char *path, const char *key, json_t *value, hl_error *err)
{
    if (json_object_get(object, key)) {
        json_decref(value);
        return hl_fail(err, HL_ERR_USAGE, "%s: '%s' is there twice; a name is given once", path,
                       hl_long_excerpt_of(key).text);
    }
    if (json_object_set_new(object, key, value) != 0)
        return hl_fail(err, HL_ERR_USAGE, "%s: '%s' and what it is set to must be UTF-8", path,
                       hl_long_excerpt_of(key).text);
    return HL_OK;
}

static json_t *entry_of(const hl_safetensor *t, size_t begin)
{
    json_t *shape = json_array();
    for (int i = 0; i < t->shape.rank; i++)
        if (json_array_append_new(shape, json_integer(t->shape.dim[i])) != 0) {
            json_decref(shape);
            return NULL;
        }
    return json_pack("{s:s, s:o, s:[I,I]}", "dtype", t->type, "shape", shape, "data_offsets",
                     (json_int_t)begin, (json_int_t)(begin + t->bytes));
}

static hl_status fill_header(json_t *header, const char *path, int n, const hl_safetensor *tensors,
                             int n_metadata, const hl_safetensors_text *metadata, hl_error *err)
{
    json_t *texts = json_object();
    hl_status status = HL_OK;
    size_t begin = 0;
    for (int i = 0; i < n_metadata && status == HL_OK; i++)
        status = add(texts, path, metadata[i].key, json_string(metadata[i].value), err);
    if (status == HL_OK && n_metadata)
        status = add(header, path, "__metadata__", json_incref(texts), err);
    json_decref(texts);
    for (int i = 0; i < n && status == HL_OK; begin += tensors[i++].bytes) {
        if (!strcmp(tensors[i].name, "__metadata__"))
            status = hl_fail(err, HL_ERR_USAGE, "%s: a tensor cannot be named __metadata__", path);
        else
            status = add(header, path, tensors[i].name, entry_of(&tensors[i], begin), err);
    }
    return status;
}

/* Its length and the JSON, with spaces up to a multiple of HL_ALIGN. */
static hl_status print_header(const json_t *header, const char *path, hl_text *text, hl_error *err)
{
    hl_text_append_bytes(text, "\0\0\0\0\0\0\0", LENGTH);
    hl_json_append(text, header, HL_JSON_COMPACT);
    while (!text->failed && text->size % HL_ALIGN)
        hl_text_append(text, " ");
    if (text->failed)
        return hl_fail(err, HL_ERR_MEMORY, "%s: no memory for its header", path);
    if (text->size - LENGTH > HL_SAFETENSORS_HEADER)
        return hl_fail(err, HL_ERR_UNSUPPORTED,
                       "%s: its names and metadata take %zu bytes, the format allows %d", path,
                       text->size - LENGTH, HL_SAFETENSORS_HEADER);
    for (int i = 0; i < LENGTH; i++)
        text->at[i] = (char)((text->size - LENGTH) >> 8 * i & 255);
    return HL_OK;
}

/* ------------------------------------------------------------------ the file */

static hl_status read_back(const char *path, int n, const hl_safetensor *tensors, hl_error *err)
{
    hl_safetensors *f = hl_safetensors_open(path, err);
    hl_status status = f ? HL_OK : err->status;
    for (int i = 0; i < n && status == HL_OK; i++) {
        int index = hl_safetensors_find(f, tensors[i].name);
        hl_safetensor t = index < 0 ? (hl_safetensor){0} : hl_safetensors_at(f, index);
        if (index < 0 || t.bytes != tensors[i].bytes ||
            (t.bytes && memcmp(t.data, tensors[i].data, t.bytes) != 0))
            status = hl_fail(err, HL_ERR_DATA, "%s: tensor '%s' is not what was written", path,
                             hl_long_excerpt_of(tensors[i].name).text);
    }
    hl_safetensors_close(f);
    return status;
}

static hl_status put_on_disk(const char *path, const hl_text *header, int n, const hl_safetensor *tensors,
                             hl_safetensors_look *check, void *context, hl_error *err)
{
    hl_file *file;
    hl_status status = hl_file_replace(path, &file, err);
    if (status != HL_OK)
        return status;
    status = hl_file_write(file, header->at, header->size, err);
    for (int i = 0; i < n && status == HL_OK; i++)
        status = hl_file_write(file, tensors[i].data, tensors[i].bytes, err);
    if (status == HL_OK)
        status = hl_file_sync(file, err);
    if (status == HL_OK) {
        status = read_back(hl_file_written_path(file), n, tensors, err);
        if (status == HL_OK && check)
            status = check(hl_file_written_path(file), context, err);
        if (status != HL_OK)
            (void)hl_fail_prefix(err, "%s: what was written does not read back", path);
    }
    if (status == HL_OK)
        return hl_file_commit(file, err);
    hl_file_abort(file);
    return status;
}

hl_status hl_safetensors_write_checked(const char *path, int n, const hl_safetensor *tensors, int n_metadata,
                                       const hl_safetensors_text *metadata, hl_safetensors_look *check,
                                       void *context, hl_error *err)
{
    hl_error own = {0};
    err = err ? err : &own; /* what is read back tells by it whether it is good */
    hl_text text = {0};
    json_t *header = json_object();
    hl_safetensor *sorted = hl_alloc((size_t)n, sizeof *sorted);
    hl_status status = HL_OK;
    if (!header || !sorted)
        status = hl_fail(err, HL_ERR_MEMORY, "%s: no memory to write it", path);
    if (status == HL_OK) {
        for (int i = 0; i < n; i++)
            sorted[i] = tensors[i];
        qsort(sorted, (size_t)n, sizeof *sorted, by_alignment);
        status = fill_header(header, path, n, sorted, n_metadata, metadata, err);
    }
    if (status == HL_OK)
        status = print_header(header, path, &text, err);
    if (status == HL_OK)
        status = put_on_disk(path, &text, n, sorted, check, context, err);
    hl_text_free(&text);
    json_decref(header);
    hl_free(sorted);
    return status;
}

hl_status hl_safetensors_write(const char *path, int n, const hl_safetensor *tensors, int n_metadata,
                               const hl_safetensors_text *metadata, hl_error *err)
{
    return hl_safetensors_write_checked(path, n, tensors, n_metadata, metadata, NULL, NULL, err);
}
