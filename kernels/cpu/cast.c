/* Conversion between storage types, by way of f32. */
#include "kernels/cpu/convert.h"

static bool any(const hl_call *c)
{
    (void)c;
    return true;
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
        hl_widen(x, at, n, tile);
        hl_narrow(y, at, n, tile);
    }
    return HL_OK;
}

const hl_kernel hl_cpu_cast = {.op = "cast", .name = "portable", .accepts = any, .run = cast_run};
