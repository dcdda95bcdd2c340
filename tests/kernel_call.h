/* For tests that call kernels as a plan does: operands, and memory whose overrun is seen. */
#ifndef HL_TESTS_KERNEL_CALL_H
#define HL_TESTS_KERNEL_CALL_H

#include "run/backend.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { GUARD = 64 }; /* bytes */

/* n numbers in [-0.5,0.5), the same for the same seed; to be freed. */
static inline float *fill(int64_t n, uint32_t seed)
{
    float *p = malloc((size_t)n * sizeof *p + 1);
    assert_non_null(p);
    for (int64_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        p[i] = (float)(seed >> 8) / (1 << 24) - 0.5f;
    }
    return p;
}

/* 64-byte aligned, full of NaN, with a guard zone after it; to be freed. */
static inline void *guarded(size_t bytes)
{
    size_t size = (bytes + GUARD + 63) / 64 * 64;
    void *p = aligned_alloc(64, size);
    assert_non_null(p);
    return memset(p, 0xff, size);
}

static inline void assert_guard(const void *p, size_t bytes)
{
    for (size_t i = 0; i < GUARD; i++)
        assert_int_equal(((const unsigned char *)p)[bytes + i], 0xff);
}

static inline const hl_kernel *choose(const hl_backend *backend, const char *op, const hl_call *c)
{
    const hl_kernel *k = hl_kernel_for(backend, op, c);
    if (!k)
        fail_msg("%s has no %s", backend->name, op);
    return k;
}

#endif
