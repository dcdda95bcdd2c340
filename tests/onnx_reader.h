/* A small reader of ONNX models, which knows of protobuf what the specification says and trusts no length. */
#ifndef HL_TESTS_ONNX_READER_H
#define HL_TESTS_ONNX_READER_H

#include "tests/temporary.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

typedef struct bytes {
    const unsigned char *at;
    size_t n;
} bytes;

/* A field of a message: a number, or bytes. */
typedef struct field {
    uint64_t key, number;
    bytes value;
} field;

static inline uint64_t read_varint(bytes *from)
{
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        assert_true(from->n > 0);
        unsigned char byte = *from->at++;
        from->n--;
        value |= (uint64_t)(byte & 127) << shift;
        if (byte < 128)
            return value;
    }
    fail_msg("a number of more than ten bytes");
    return 0;
}

/* The next field of a message, which is shortened by it; false at the end. */
static inline bool next_field(bytes *message, field *f)
{
    *f = (field){0};
    if (message->n == 0)
        return false;
    uint64_t key = read_varint(message), wire = key & 7;
    f->key = key >> 3;
    assert_true(wire == 0 || wire == 2 || wire == 5);
    if (wire == 0) {
        f->number = read_varint(message);
        return true;
    }
    size_t n = wire == 5 ? 4 : (size_t)read_varint(message);
    assert_true(n <= message->n);
    f->value = (bytes){message->at, n};
    message->at += n;
    message->n -= n;
    return true;
}

/* The k-th field of a number in a message; false if there are fewer. */
static inline bool find_field(bytes message, uint64_t key, int k, field *f)
{
    while (next_field(&message, f))
        if (f->key == key && k-- == 0)
            return true;
    return false;
}

static inline bytes get_bytes(bytes message, uint64_t key, int k)
{
    field f;
    if (!find_field(message, key, k, &f))
        fail_msg("there is no field %d", (int)key);
    return f.value;
}

static inline uint64_t get_number(bytes message, uint64_t key, int k)
{
    field f;
    if (!find_field(message, key, k, &f))
        fail_msg("there is no field %d", (int)key);
    return f.number;
}

static inline int count_fields(bytes message, uint64_t key)
{
    field f;
    int n = 0;
    while (next_field(&message, &f))
        n += f.key == key;
    return n;
}

/* All fields of a number, in order; returns how many there are, and writes at most max. */
static inline int all_bytes(bytes message, uint64_t key, bytes *out, int max)
{
    field f;
    int n = 0;
    while (next_field(&message, &f))
        if (f.key == key && n++ < max)
            out[n - 1] = f.value;
    return n;
}

static inline bool is_text(bytes b, const char *text)
{
    return b.n == strlen(text) && !memcmp(b.at, text, b.n);
}

static inline bool is_same(bytes a, bytes b)
{
    return a.n == b.n && !memcmp(a.at, b.at, a.n);
}

/* A whole file; the caller frees .at. */
static inline bytes read_whole(const char *path)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    long size = ftell(file);
    assert_true(size >= 0);
    rewind(file);
    unsigned char *at = malloc((size_t)size + 1);
    assert_non_null(at);
    assert_int_equal(fread(at, 1, (size_t)size, file), size);
    fclose(file);
    return (bytes){at, (size_t)size};
}

enum { MODEL_GRAPH = 7, GRAPH_NODE = 1, GRAPH_INITIALIZER = 5, GRAPH_INPUT = 11, GRAPH_OUTPUT = 12 };
enum { NODE_INPUT = 1, NODE_OUTPUT = 2, NODE_TYPE = 4, TENSOR_TYPE = 2, TENSOR_NAME = 8, TENSOR_RAW = 9 };

/* The initializer of a name, or {NULL}. */
static inline bytes find_initializer(bytes graph, const char *name)
{
    field f;
    while (next_field(&graph, &f))
        if (f.key == GRAPH_INITIALIZER && is_text(get_bytes(f.value, TENSOR_NAME, 0), name))
            return f.value;
    return (bytes){NULL, 0};
}

/* Dim k of an input or output: "3", "batch". */
static inline const char *dim_of(bytes value, int k)
{
    static char text[32];
    field f;
    bytes shape = get_bytes(get_bytes(get_bytes(value, 2, 0), 1, 0), 2, 0);
    if (!find_field(shape, 1, k, &f))
        return "";
    bytes dim = f.value;
    if (find_field(dim, 2, 0, &f))
        snprintf(text, sizeof text, "%.*s", (int)f.value.n, (const char *)f.value.at);
    else
        snprintf(text, sizeof text, "%d", (int)get_number(dim, 1, 0));
    return text;
}

#endif
