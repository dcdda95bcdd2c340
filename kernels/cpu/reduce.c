/* Sums over axes, in double: see sum.h. */
#include "kernels/cpu/sum.h"

#include "base/error.h"
#include "base/memory.h"

hl_status hl_want_partials(hl_call *call, int64_t a, int64_t b, hl_error *err)
{
    size_t n;
    if (!hl_size_mul((size_t)a, (size_t)b, &n) || !hl_size_mul(n, sizeof(double), &call->workspace_bytes))
        return hl_fail(err, HL_ERR_MEMORY, "%s: %lld x %lld partial sums are too many", call->kernel->op,
                       (long long)a, (long long)b);
    return HL_OK;
}

/* x [outer, count, inner] -> [outer, inner] */
typedef struct sizes {
    int64_t outer, count, inner;
    int64_t piece, pieces; /* `count` is cut into these */
} sizes;

enum { ROWS = 256 };    /* rows of a piece when columns are summed */
enum { COLUMNS = 128 }; /* columns that are summed side by side */

static sizes sizes_of(const hl_call *c)
{
    const hl_reduce_params *p = c->params;
    hl_shape in = c->in[0].shape;
    sizes z = {.outer = hl_span(in, 0, p->begin), .count = hl_span(in, p->begin, p->end)};
    z.inner = hl_span(in, p->end, in.rank);
    z.piece = z.inner == 1 ? HL_SUM_PIECE : ROWS;
    z.pieces = z.count > 0 ? hl_pieces(z.count, z.piece) : 1;
    return z;
}

static hl_status reduce_prepare(hl_call *c, hl_error *err)
{
    sizes z = sizes_of(c);
    return z.pieces > 1 ? hl_want_partials(c, z.pieces, c->out[0].count, err) : HL_OK;
}

/* Contiguous terms: one sum per piece. */
static void sum_rows(const sizes *z, const float *x, double scale, double *partial, float *y)
{
    HL_PARALLEL_FOR(z->outer * z->count)
    for (int64_t task = 0; task < z->outer * z->pieces; task++) {
        int64_t o = task / z->pieces, at = task % z->pieces * z->piece;
        double sum = hl_sum_plain(x + o * z->count + at, hl_min(z->piece, z->count - at));
        if (z->pieces > 1)
            partial[task] = sum;
        else
            y[o] = (float)(sum * scale);
    }
    if (z->pieces > 1)
        for (int64_t o = 0; o < z->outer; o++)
            y[o] = (float)(hl_sum_partial(partial + o * z->pieces, z->pieces, 1) * scale);
}

/* Sums of `width` neighbouring columns over `rows` rows of length `stride`. */
static void sum_block(const float *x, int64_t stride, int64_t rows, int64_t width, double *sum)
{
    for (int64_t i = 0; i < COLUMNS; i++)
        sum[i] = 0;
    for (int64_t r = 0; r < rows; r++)
#pragma omp simd
        for (int64_t i = 0; i < width; i++)
            sum[i] += (double)x[r * stride + i];
}

static void sum_columns(const sizes *z, const float *x, double scale, double *partial, float *y)
{
    const int64_t blocks = hl_pieces(z->inner, COLUMNS), outputs = z->outer * z->inner;
    HL_PARALLEL_FOR(outputs * z->count)
    for (int64_t task = 0; task < z->outer * z->pieces * blocks; task++) {
        double sum[COLUMNS];
        int64_t i = task % blocks * COLUMNS, piece = task / blocks % z->pieces, o = task / blocks / z->pieces;
        int64_t row = piece * z->piece, width = hl_min(COLUMNS, z->inner - i);
        sum_block(x + (o * z->count + row) * z->inner + i, z->inner, hl_min(z->piece, z->count - row), width,
                  sum);
        for (int64_t k = 0; k < width; k++) {
            if (z->pieces > 1)
                partial[piece * outputs + o * z->inner + i + k] = sum[k];
            else
                y[o * z->inner + i + k] = (float)(sum[k] * scale);
        }
    }
    if (z->pieces == 1)
        return;
    HL_PARALLEL_FOR(outputs * z->pieces)
    for (int64_t i = 0; i < outputs; i++)
        y[i] = (float)(hl_sum_partial(partial + i, z->pieces, outputs) * scale);
}

static hl_status reduce_run(const hl_call *c, hl_error *err)
{
    const hl_reduce_params *p = c->params;
    const sizes z = sizes_of(c);
    (void)err;
    if (z.inner == 1)
        sum_rows(&z, hl_in(c, 0), p->scale, c->workspace, hl_out(c, 0));
    else
        sum_columns(&z, hl_in(c, 0), p->scale, c->workspace, hl_out(c, 0));
    return HL_OK;
}

const hl_kernel hl_cpu_reduce = {
    .op = "reduce", .name = "portable", .prepare = reduce_prepare, .run = reduce_run};

/* ------------------------------------------------------------------ mse */

static hl_status mse_prepare(hl_call *c, hl_error *err)
{
    return hl_want_partials(c, hl_pieces(c->in[0].count, HL_SUM_PIECE), 1, err);
}

static hl_status mse_run(const hl_call *c, hl_error *err)
{
    const int64_t n = c->in[0].count, pieces = hl_pieces(n, HL_SUM_PIECE);
    const float *a = hl_in(c, 0), *b = hl_in(c, 1);
    double *partial = c->workspace;
    (void)err;
    HL_PARALLEL_FOR(n)
    for (int64_t i = 0; i < pieces; i++) {
        int64_t at = i * HL_SUM_PIECE;
        partial[i] = hl_sum_squared_difference(a + at, b + at, hl_min(HL_SUM_PIECE, n - at));
    }
    hl_out(c, 0)[0] = (float)(hl_sum_partial(partial, pieces, 1) / (double)n);
    return HL_OK;
}

const hl_kernel hl_cpu_mse = {.op = "mse", .name = "portable", .prepare = mse_prepare, .run = mse_run};
