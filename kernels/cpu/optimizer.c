/* The global norm, and what decides from it. */
#include "kernels/cpu/sum.h"

#include <math.h>

/* ------------------------------------------------------------------ global norm */

static int64_t norm_pieces(const hl_call *c)
{
    int64_t pieces = 0;
    for (int k = 0; k < c->n_in; k++)
        pieces += hl_pieces(c->in[k].count, HL_SUM_PIECE);
    return pieces;
}

/* Workspace: a partial sum per piece, then where each operand's pieces begin. */
static hl_status norm_prepare(hl_call *c, hl_error *err)
{
    return hl_want_partials(c, norm_pieces(c) + c->n_in + 1, 1, err);
}

/* The operand that piece i lies in: the last one that begins at or before it. */
static int operand_of(const int64_t *begin, int n, int64_t i)
{
    int low = 0, high = n;
    while (high - low > 1) {
        int middle = (low + high) / 2;
        if (begin[middle] <= i)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static hl_status norm_run(const hl_call *c, hl_error *err)
{
    const int64_t pieces = norm_pieces(c);
    double *partial = c->workspace;
    int64_t *begin = (int64_t *)(void *)(partial + pieces);
    (void)err;
    begin[0] = 0;
    for (int k = 0; k < c->n_in; k++)
        begin[k + 1] = begin[k] + hl_pieces(c->in[k].count, HL_SUM_PIECE);
    HL_PARALLEL_FOR(pieces * HL_SUM_PIECE)
    for (int64_t i = 0; i < pieces; i++) {
        int k = operand_of(begin, c->n_in, i);
        int64_t at = (i - begin[k]) * HL_SUM_PIECE;
        partial[i] = hl_sum_squares(hl_in(c, k) + at, hl_min(HL_SUM_PIECE, c->in[k].count - at));
    }
    hl_out(c, 0)[0] = (float)sqrt(hl_sum_partial(partial, pieces, 1));
    return HL_OK;
}

const hl_kernel hl_cpu_global_norm = {
    .op = "global_norm", .name = "portable", .prepare = norm_prepare, .run = norm_run};

/* ------------------------------------------------------------------ gate */

static hl_status gate_run(const hl_call *c, hl_error *err)
{
    const hl_gate_params *p = c->params;
    const float count = *hl_in(c, 0), skipped = *hl_in(c, 1), norm = *hl_in(c, 2), loss = *hl_in(c, 3);
    const double loss_scale = c->in[4].data ? (double)*hl_in(c, 4) : 1;
    const bool counts = isfinite(norm) && isfinite(loss);
    const double factor = p->clip > 0 ? (double)p->clip / ((double)norm + 1e-6) : 1;
    (void)err;
    *hl_out(c, 0) = count + (counts ? 1.0f : 0.0f);
    *hl_out(c, 1) = skipped + (counts ? 0.0f : 1.0f);
    *hl_out(c, 2) = counts ? (float)((factor < 1 ? factor : 1) / loss_scale) : -1.0f;
    return HL_OK;
}

static hl_status loss_scale_run(const hl_call *c, hl_error *err)
{
    const float interval = ((const hl_loss_scale_params *)c->params)->interval;
    const bool skipped = *hl_in(c, 2) < 0;
    float scale = *hl_in(c, 0), good = *hl_in(c, 1) + 1;
    (void)err;
    if (skipped)
        scale = scale > 2 ? scale / 2 : 1;
    else if (good >= interval)
        scale = scale < 8388608.0f ? scale * 2 : 16777216.0f;
    *hl_out(c, 0) = scale;
    *hl_out(c, 1) = skipped || good >= interval ? 0 : good;
    return HL_OK;
}

const hl_kernel hl_cpu_loss_scale = {.op = "loss_scale", .name = "portable", .run = loss_scale_run};

const hl_kernel hl_cpu_update_gate = {.op = "update_gate", .name = "portable", .run = gate_run};
