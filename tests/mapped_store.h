/* The small model with its weights in read-only memory, as a mapped file has them. */
#ifndef HL_TESTS_MAPPED_STORE_H
#define HL_TESTS_MAPPED_STORE_H

#include "base/half.h"
#include "base/memory.h"
#include "graph/graph.h"
#include "run/params.h"
#include "tests/small_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

typedef struct mapped_store {
    hl_params *params;
    size_t bytes, used;    /* used: by values */
    unsigned char *memory; /* no page of it can be written */
} mapped_store;

static inline hl_graph *acting_graph(hl_params *params, int64_t batch)
{
    hl_model_options o = small_model(HL_HYBRID);
    hl_graph *g = hl_graph_new();
    hl_output(g, "action", hl_model_build(g, params, &o, &(hl_model_mode){.batch = batch}).action);
    return g;
}

/* The weights that the mapped store has, in memory of the store's own: rounded to a dtype, if it is of 16
 * bits. */
static inline hl_params *plain_store(hl_dtype dtype)
{
    hl_error err = {0};
    hl_params *params = hl_params_new(5);
    hl_graph_free(acting_graph(params, 1));
    assert_int_equal(hl_params_materialize(params, &err), HL_OK);
    for (int i = 0; i < hl_params_count(params); i++) {
        hl_param_info p = hl_params_at(params, i);
        for (int64_t k = 0; k < p.count && dtype != HL_F32; k++)
            p.data[k] = dtype == HL_BF16 ? hl_bf16_to_float(hl_float_to_bf16(p.data[k]))
                                         : hl_f16_to_float(hl_float_to_f16(p.data[k]));
        hl_params_touch(params, i);
    }
    return params;
}

static inline void put(void *to, hl_dtype dtype, const float *from, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (dtype == HL_F32)
            memcpy((float *)to + i, from + i, sizeof *from);
        else
            ((uint16_t *)to)[i] = dtype == HL_BF16 ? hl_float_to_bf16(from[i]) : hl_float_to_f16(from[i]);
}

/* Values follow each other from the second element on: aligned to the dtype, and to nothing more. */
static inline mapped_store mapped_small_model(hl_dtype dtype)
{
    hl_error err = {0};
    hl_params *from = plain_store(dtype);
    mapped_store m = {.params = hl_params_new(6), .bytes = (size_t)4 << 20};
    m.memory = mmap(NULL, m.bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(m.memory, MAP_FAILED);
    unsigned char *at = m.memory + hl_dtype_size(dtype);
    for (int i = 0; i < hl_params_count(from); i++) {
        int index;
        const hl_param_info p = hl_params_at(from, i);
        const size_t bytes = (size_t)p.count * hl_dtype_size(dtype);
        m.used += bytes;
        assert_true(m.used + 64 < m.bytes);
        put(at, dtype, p.data, p.count);
        assert_int_equal(hl_params_map(m.params, p.name, dtype, p.shape, at, &index, &err), HL_OK);
        at += bytes;
    }
    assert_int_equal(mprotect(m.memory, m.bytes, PROT_READ), 0);
    hl_params_free(from);
    return m;
}

static inline void free_mapped(mapped_store *m)
{
    hl_params_free(m->params);
    munmap(m->memory, m->bytes);
}

#endif
