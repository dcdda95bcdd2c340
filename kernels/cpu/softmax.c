/* Softmax over the last dimension; rows are shared by the threads. */
#include "kernels/cpu/math.h"
#include "kernels/cpu/sum.h"

static void softmax_row(const float *x, float *y, int64_t n)
{
    const float most = hl_largest(x, n);
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        y[i] = hl_expf(x[i] - most);
    const float scale = (float)(1.0 / hl_sum_plain(y, n));
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        y[i] *= scale;
}

static void backward_row(const float *dy, const float *y, float *dx, int64_t n)
{
    const float dot = (float)hl_sum_products(dy, y, n);
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        dx[i] = y[i] * (dy[i] - dot);
}

/* Length of the last dim, and how many rows there are. */
static int64_t rows_of(const hl_call *c, int64_t *n)
{
    hl_shape s = c->out[0].shape;
    *n = s.dim[s.rank - 1];
    return hl_span(s, 0, s.rank - 1);
}

static hl_status softmax_run(const hl_call *c, hl_error *err)
{
    int64_t n, rows = rows_of(c, &n);
    (void)err;
    HL_PARALLEL_FOR(rows * n)
    for (int64_t r = 0; r < rows; r++)
        softmax_row(hl_in(c, 0) + r * n, hl_out(c, 0) + r * n, n);
    return HL_OK;
}

static hl_status softmax_backward_run(const hl_call *c, hl_error *err)
{
    int64_t n, rows = rows_of(c, &n);
    (void)err;
    HL_PARALLEL_FOR(rows * n)
    for (int64_t r = 0; r < rows; r++)
        backward_row(hl_in(c, 0) + r * n, hl_in(c, 1) + r * n, hl_out(c, 0) + r * n, n);
    return HL_OK;
}

const hl_kernel hl_cpu_softmax = {.op = "softmax", .name = "portable", .run = softmax_run};
const hl_kernel hl_cpu_softmax_backward = {
    .op = "softmax_backward", .name = "portable", .run = softmax_backward_run};
