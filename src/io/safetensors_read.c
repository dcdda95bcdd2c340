/* Nothing of a file is believed: every number is checked before it is used, in arithmetic that cannot
 * overflow. */
#include "io/safetensors.h"

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/shape.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { LENGTH = 8 }; /* bytes of the length of the header */

struct hl_safetensors {
    void *map; /* NULL: the bytes are the caller's */
    size_t map_size;
    json_t *header; /* names and texts live in it */
    hl_safetensor *tensors;
    int n;
};

typedef struct parser {
    const char *path;
    const unsigned char *data; /* behind the header */
    size_t size;
    hl_error *err;
} parser;

/* "PATH: tensor 'NAME': " and the sentence that was just failed with. */
static hl_status of_tensor(const parser *p, const char *name)
{
    return hl_fail_prefix(p->err, "%s: tensor '%s'", p->path, hl_long_excerpt_of(name).text);
}

static const char *kind_of(const json_t *value)
{
    switch (value ? json_typeof(value) : JSON_NULL) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a text";
    case JSON_INTEGER:
        return "a number";
    case JSON_REAL:
        return "a number with a fraction or exponent";
    case JSON_TRUE:
    case JSON_FALSE:
        return "true or false";
    default:
        return "nothing";
    }
}

/* ------------------------------------------------------------------ one tensor */

static hl_status read_type(const json_t *entry, hl_safetensor *t, hl_error *err)
{
    const json_t *type = json_object_get(entry, "dtype");
    if (!json_is_string(type))
        return hl_fail(err, HL_ERR_DATA, "found %s as 'dtype', expected a text", kind_of(type));
    t->type = json_string_value(type);
    if (!hl_safetensor_type_size(t->type))
        return hl_fail(err, HL_ERR_DATA,
                       "found dtype '%s', expected BOOL, U8, I8, F8_E5M2, F8_E4M3, I16, U16, F16, BF16, I32, "
                       "U32, F32, F64, I64 or U64",
                       hl_excerpt_of(t->type).text);
    for (int d = 0; d < HL_DTYPES && !t->known; d++) {
        t->dtype = (hl_dtype)d;
        t->known = !strcmp(t->type, hl_safetensor_make("", t->dtype, (hl_shape){0}, NULL).type);
    }
    return HL_OK;
}

/* A whole number of 0 or more. */
static hl_status read_number(const json_t *value, const char *what, size_t *out, hl_error *err)
{
    if (!json_is_integer(value))
        return hl_fail(err, HL_ERR_DATA, "found %s in '%s', expected whole numbers", kind_of(value), what);
    if (json_integer_value(value) < 0)
        return hl_fail(err, HL_ERR_DATA, "found %lld in '%s', expected numbers of 0 or more",
                       (long long)json_integer_value(value), what);
    *out = (size_t)json_integer_value(value);
    return HL_OK;
}

static hl_status read_shape(const json_t *entry, hl_safetensor *t, hl_error *err)
{
    const json_t *shape = json_object_get(entry, "shape");
    size_t rank = json_array_size(shape), count = 1;
    bool fits = true;
    if (!json_is_array(shape))
        return hl_fail(err, HL_ERR_DATA, "found %s as 'shape', expected an array", kind_of(shape));
    if (rank > HL_MAX_RANK)
        return hl_fail(err, HL_ERR_UNSUPPORTED, "has %zu dimensions, this hl holds up to %d", rank,
                       HL_MAX_RANK);
    t->shape.rank = (int)rank;
    for (size_t i = 0; i < rank; i++) {
        size_t dim;
        hl_status status = read_number(json_array_get(shape, i), "shape", &dim, err);
        if (status != HL_OK)
            return status;
        t->shape.dim[i] = (int64_t)dim;
        fits = fits && hl_size_mul(count, dim, &count);
    }
    fits = fits && hl_size_mul(count, hl_safetensor_type_size(t->type), &t->bytes) && t->bytes <= INT64_MAX;
    if (!fits)
        return hl_fail(err, HL_ERR_DATA, "the size of %s %s overflows, no memory holds it", t->type,
                       hl_shape_print(t->shape).text);
    t->count = (int64_t)count;
    return HL_OK;
}

static hl_status read_place(const parser *p, const json_t *entry, hl_safetensor *t)
{
    const json_t *offsets = json_object_get(entry, "data_offsets");
    size_t begin = 0, end = 0;
    if (json_array_size(offsets) != 2)
        return hl_fail(p->err, HL_ERR_DATA, "found %s as 'data_offsets', expected an array of two numbers",
                       json_is_array(offsets) ? "an array of another length" : kind_of(offsets));
    hl_status status = read_number(json_array_get(offsets, 0), "data_offsets", &begin, p->err);
    if (status == HL_OK)
        status = read_number(json_array_get(offsets, 1), "data_offsets", &end, p->err);
    if (status != HL_OK)
        return status;
    if (end < begin)
        return hl_fail(p->err, HL_ERR_DATA, "found data_offsets [%zu,%zu], expected an end behind the begin",
                       begin, end);
    if (end > p->size)
        return hl_fail(p->err, HL_ERR_DATA,
                       "ends at byte %zu of the data, of which the file has %zu; is it truncated?", end,
                       p->size);
    if (end - begin != t->bytes)
        return hl_fail(p->err, HL_ERR_DATA,
                       "found %zu bytes (data_offsets [%zu,%zu]), expected %zu for %s %s", end - begin, begin,
                       end, t->bytes, t->type, hl_shape_print(t->shape).text);
    t->data = p->data + begin;
    return HL_OK;
}

/* Keys that the format does not have are ignored, as the format's own library does. */
static hl_status read_entry(const parser *p, const json_t *entry, hl_safetensor *t)
{
    hl_status status = HL_OK;
    if (!json_is_object(entry))
        status = hl_fail(p->err, HL_ERR_DATA, "found %s, expected an object", kind_of(entry));
    if (status == HL_OK)
        status = read_type(entry, t, p->err);
    if (status == HL_OK)
        status = read_shape(entry, t, p->err);
    if (status == HL_OK)
        status = read_place(p, entry, t);
    return status == HL_OK ? HL_OK : of_tensor(p, t->name);
}

/* ------------------------------------------------------------------ the header */

static int by_place(const void *a, const void *b)
{
    const hl_safetensor *x = a, *y = b;
    if (x->data != y->data)
        return (const char *)x->data < (const char *)y->data ? -1 : 1;
    return (x->bytes > y->bytes) - (x->bytes < y->bytes); /* empty ones before what begins there */
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const hl_safetensor *)a)->name, ((const hl_safetensor *)b)->name);
}

/* Tensors must lie end to end, from the first byte of the data to the last. */
static hl_status check_places(const parser *p, hl_safetensors *f)
{
    size_t at = 0;
    qsort(f->tensors, (size_t)f->n, sizeof *f->tensors, by_place);
    for (int i = 0; i < f->n; i++) {
        const hl_safetensor *t = &f->tensors[i];
        const size_t begin = (size_t)((const unsigned char *)t->data - p->data);
        if (begin != at) {
            if (i)
                hl_fail(p->err, HL_ERR_DATA, "begins at byte %zu of the data, expected %zu, where '%s' ends",
                        begin, at, hl_long_excerpt_of(t[-1].name).text);
            else
                hl_fail(p->err, HL_ERR_DATA,
                        "begins at byte %zu of the data, expected 0: none lies before it", begin);
            return of_tensor(p, t->name);
        }
        at = begin + t->bytes;
    }
    if (at != p->size)
        return hl_fail(p->err, HL_ERR_DATA,
                       "%s: its tensors end at byte %zu of the data, the file has %zu; was it extended?",
                       p->path, at, p->size);
    qsort(f->tensors, (size_t)f->n, sizeof *f->tensors, by_name);
    return HL_OK;
}

static hl_status check_metadata(const parser *p, json_t *metadata)
{
    const char *key;
    json_t *value;
    if (!json_is_object(metadata))
        return hl_fail(p->err, HL_ERR_DATA, "%s: __metadata__: found %s, expected an object", p->path,
                       kind_of(metadata));
    json_object_foreach(metadata, key, value)
    {
        if (!json_is_string(value))
            return hl_fail(p->err, HL_ERR_DATA, "%s: __metadata__: '%s': found %s, expected a text", p->path,
                           hl_long_excerpt_of(key).text, kind_of(value));
    }
    return HL_OK;
}

static hl_status read_header(const parser *p, hl_safetensors *f)
{
    const char *key;
    json_t *value;
    hl_status status = HL_OK;
    f->tensors = hl_alloc(json_object_size(f->header), sizeof *f->tensors);
    if (!f->tensors)
        return hl_fail(p->err, HL_ERR_MEMORY, "%s: no memory to list its tensors", p->path);
    json_object_foreach(f->header, key, value)
    {
        if (!strcmp(key, "__metadata__")) {
            status = check_metadata(p, value);
        } else {
            hl_safetensor *t = &f->tensors[f->n++];
            t->name = key;
            status = read_entry(p, value, t);
        }
        if (status != HL_OK)
            return status;
    }
    return check_places(p, f);
}

/* ------------------------------------------------------------------ the file */

static hl_status parse(hl_safetensors *f, const unsigned char *bytes, size_t n, const char *path,
                       hl_error *err)
{
    uint64_t header = 0;
    if (n < LENGTH)
        return hl_fail(err, HL_ERR_DATA,
                       "%s: has %zu bytes, a safetensors file at least %d; is it truncated?", path, n,
                       LENGTH);
    for (int i = 0; i < LENGTH; i++)
        header |= (uint64_t)bytes[i] << 8 * i;
    if (header > HL_SAFETENSORS_HEADER)
        return hl_fail(err, HL_ERR_DATA,
                       "%s: its header has %llu bytes, expected at most %d; is it a safetensors file?", path,
                       (unsigned long long)header, HL_SAFETENSORS_HEADER);
    if (header > n - LENGTH)
        return hl_fail(err, HL_ERR_DATA,
                       "%s: its header ends at byte %llu, the file at %zu; is it truncated?", path,
                       (unsigned long long)header + LENGTH, n);
    if (!header || bytes[LENGTH] != '{')
        return hl_fail(err, HL_ERR_DATA, "%s: its header does not begin with '{'; is it a safetensors file?",
                       path);
    f->header = hl_json_parse((const char *)bytes + LENGTH, (size_t)header, "header", err);
    if (!f->header)
        return hl_fail_prefix(err, "%s", path);
    const parser p = {path, bytes + LENGTH + header, n - LENGTH - (size_t)header, err};
    return read_header(&p, f);
}

hl_safetensors *hl_safetensors_parse(const void *bytes, size_t n, const char *name, hl_error *err)
{
    hl_safetensors *f = hl_alloc(1, sizeof *f);
    if (!f) {
        hl_fail(err, HL_ERR_MEMORY, "%s: no memory to open it", name);
        return NULL;
    }
    if (parse(f, bytes, n, name, err) == HL_OK)
        return f;
    hl_safetensors_close(f);
    return NULL;
}

static hl_status map_file(const char *path, void **map, size_t *size, hl_error *err)
{
    int fd;
    uint64_t bytes;
    hl_status status = hl_file_open(path, &fd, &bytes, err);
    if (status != HL_OK)
        return status;
    *map = NULL;
    *size = (size_t)bytes;
    if (bytes > PTRDIFF_MAX)
        status = hl_file_fail(err, path, "map it into memory", ENOMEM);
    else if (bytes) /* nothing cannot be mapped, and is refused by who parses it */
        *map = mmap(NULL, *size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (*map == MAP_FAILED)
        status = hl_file_fail(err, path, "map it into memory", errno);
    (void)close(fd);
    return status;
}

hl_safetensors *hl_safetensors_open(const char *path, hl_error *err)
{
    void *map;
    size_t size;
    if (map_file(path, &map, &size, err) != HL_OK)
        return NULL;
    hl_safetensors *f = hl_safetensors_parse(map, size, path, err);
    if (f) {
        f->map = map;
        f->map_size = size;
    } else if (map) {
        (void)munmap(map, size);
    }
    return f;
}

void hl_safetensors_close(hl_safetensors *f)
{
    if (!f)
        return;
    json_decref(f->header);
    hl_free(f->tensors);
    if (f->map)
        (void)munmap(f->map, f->map_size);
    hl_free(f);
}

int hl_safetensors_count(const hl_safetensors *f)
{
    return f->n;
}

hl_safetensor hl_safetensors_at(const hl_safetensors *f, int index)
{
    HL_ASSERT(index >= 0 && index < f->n);
    return f->tensors[index];
}

int hl_safetensors_find(const hl_safetensors *f, const char *name)
{
    const hl_safetensor key = {.name = name};
    const hl_safetensor *t = bsearch(&key, f->tensors, (size_t)f->n, sizeof *f->tensors, by_name);
    return t ? (int)(t - f->tensors) : -1;
}

const char *hl_safetensors_metadata(const hl_safetensors *f, const char *key)
{
    return json_string_value(json_object_get(json_object_get(f->header, "__metadata__"), key));
}
