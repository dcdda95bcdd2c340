/* Conversion between storage types, by way of f32. */
#include "kernels/cpu/shape.h"

#include "base/half.h"

#include <string.h>

static bool any(const hl_call *c)
{
    (void)c;
    return true;
}

/* n elements from `at` on as f32. */
static void widen(const hl_view *x, int64_t at, int64_t n, float *out)
{
    const uint16_t *half = (const uint16_t *)x->data + at;
    if (x->dtype == HL_F32)
        memcpy(out, (const float *)x->data + at, (size_t)n * sizeof *out);
    else if (x->dtype == HL_F16)
        for (int64_t i = 0; i < n; i++)
            out[i] = hl_f16_to_float(half[i]);
    else
        for (int64_t i = 0; i < n; i++)
            out[i] = hl_bf16_to_float(half[i]);
}

static void narrow(const hl_view *y, int64_t at, int64_t n, const float *x)
{
    uint16_t *half = (uint16_t *)y->data + at;
    if (y->dtype == HL_F32)
        memcpy((float *)y->data + at, x, (size_t)n * sizeof *x);
    else if (y->dtype == HL_F16)
        for (int64_t i = 0; i < n; i++)
            half[i] = hl_float_to_f16(x[i]);
    else
        for (int64_t i = 0; i < n; i++)
            half[i] = hl_float_to_bf16(x[i]);
}

static hl_status cast_run(const hl_call *c, hl_error *err)
{
    enum { TILE = 512 };
    const hl_view *x = &c->in[0], *y = &c->out[0];
    (void)err;
    HL_PARALLEL_FOR(y->count)
    for (int64_t at = 0; at < y->count; at += TILE) {
        float tile[TILE];
        int64_t n = hl_min(TILE, y->count - at);
        widen(x, at, n, tile);
        narrow(y, at, n, tile);
    }
    return HL_OK;
}

const hl_kernel hl_cpu_cast = {.op = "cast", .name = "portable", .accepts = any, .run = cast_run};
