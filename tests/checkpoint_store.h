/* For the tests of checkpoints: a store with every kind of tensor, and files as bytes. */
#ifndef HL_TESTS_CHECKPOINT_STORE_H
#define HL_TESTS_CHECKPOINT_STORE_H

#include "base/error.h"
#include "graph/graph.h"
#include "io/checkpoint.h"
#include "run/params.h"

#include "tests/temporary.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static inline void add(hl_params *params, const char *name, hl_role role, int rank, const int64_t *dim)
{
    int index;
    hl_error err = {0};
    assert_int_equal(hl_params_declare(params, name, role, HL_F32, hl_shape_make(rank, dim),
                                       (hl_init_rule){role == HL_PARAMETER ? HL_NORMAL : HL_ZEROS, 0, 0},
                                       &index, &err),
                     HL_OK);
}

static inline hl_params *declared(uint64_t seed)
{
    hl_params *params = hl_params_new(seed);
    add(params, "net.0.weight", HL_PARAMETER, 2, (int64_t[]){17, 3});
    add(params, "adamw.step", HL_OPTIMIZER, 0, NULL); /* between parameters: the file sorts by role */
    add(params, "net.0.bias", HL_PARAMETER, 1, (int64_t[]){17});
    add(params, "scale", HL_PARAMETER, 0, NULL);
    add(params, "one", HL_PARAMETER, 6, (int64_t[]){1, 1, 1, 1, 1, 1});
    add(params, "empty", HL_PARAMETER, 2, (int64_t[]){0, 5});
    add(params, "page", HL_PARAMETER, 3, (int64_t[]){4, 16, 16});
    add(params, "adamw.m.net.0.weight", HL_OPTIMIZER, 2, (int64_t[]){17, 3});
    return params;
}

static inline hl_params *filled(uint64_t seed)
{
    hl_error err = {0};
    hl_params *params = declared(seed);
    assert_int_equal(hl_params_materialize(params, &err), HL_OK);
    float *w = hl_params_at(params, 0).data;
    w[0] = NAN;
    w[1] = -0.0f;
    w[2] = -INFINITY;
    w[3] = 1e-42f; /* subnormal */
    hl_params_at(params, 1).data[0] = (float)seed;
    return params;
}

static inline void assert_same_values(const hl_params *a, const hl_params *b)
{
    for (int i = 0; i < hl_params_count(a); i++) {
        hl_param_info x = hl_params_at(a, i), y = hl_params_at(b, hl_params_find(b, x.name));
        assert_non_null(y.data);
        assert_memory_equal(x.data, y.data, (size_t)x.count * sizeof(float));
    }
}

static const float means[] = {1.5f, -2.5f, NAN};

static const hl_checkpoint_array one_array[] = {{"proprioceptive.mean", 3, means}};

static inline hl_checkpoint_meta small_meta(uint64_t step)
{
    return (hl_checkpoint_meta){
        .step = step, .config = "train:\n  steps: 5\n", .n_arrays = 1, .arrays = one_array};
}

static inline void write_small(const char *path, hl_params *params)
{
    hl_error err = {0};
    hl_checkpoint_meta meta = small_meta(1);
    assert_int_equal(hl_checkpoint_write(path, params, &meta, HL_CHECKPOINT_ALL, &err), HL_OK);
}

static inline unsigned char *slurp(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    *size = (size_t)ftell(f);
    rewind(f);
    unsigned char *bytes = malloc(*size + 1);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, *size, f), *size);
    fclose(f);
    return bytes;
}

static inline void spill(const char *path, const void *bytes, size_t size)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, size, f), size);
    assert_int_equal(fclose(f), 0);
}

static inline void assert_says(const hl_error *err, hl_status status, const char *a, const char *b)
{
    assert_int_equal(err->status, status);
    if (!strstr(err->message, a) || !strstr(err->message, b))
        fail_msg("'%s' does not say '%s' and '%s'", err->message, a, b);
}

static uint32_t random_state = 12345;

static inline uint32_t next_random(void)
{
    random_state = random_state * 1664525u + 1013904223u;
    return random_state >> 8;
}

#endif
