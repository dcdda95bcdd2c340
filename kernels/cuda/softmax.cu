/* Softmax over the last dimension. A result may lie on an operand: a thread writes what it alone reads. */
#include "kernels/cuda/row.cuh"
#include "kernels/shape.h"

static __global__ void softmax(const float *x, float *y, int64_t rows, int64_t C)
{
    const int64_t row = hl_row(), at = row * C;
    if (row >= rows)
        return;
    float most = -INFINITY;
    double sum = 0;
    HL_ROW_STRIDE(i, C, 1)
    {
        const float value = x[at + i];
        most = value > most ? value : most;
    }
    most = hl_row_max(most);
    HL_ROW_STRIDE(i, C, 1)
    {
        const float e = hl_expf(x[at + i] - most);
        sum += (double)e;
        y[at + i] = e;
    }
    const float scale = (float)(1.0 / hl_row_sum(sum));
    HL_ROW_STRIDE(i, C, 1)
    {
        y[at + i] *= scale;
    }
}

/* dx = y (dy - <dy, y>) */
static __global__ void softmax_backward(const float *dy, const float *y, float *dx, int64_t rows, int64_t C)
{
    const int64_t row = hl_row(), at = row * C;
    if (row >= rows)
        return;
    double dot = 0;
    HL_ROW_STRIDE(i, C, 1)
    {
        dot += (double)dy[at + i] * (double)y[at + i];
    }
    const float product = (float)hl_row_sum(dot);
    HL_ROW_STRIDE(i, C, 1)
    {
        dx[at + i] = y[at + i] * (dy[at + i] - product);
    }
}

/* Length of the last dim, and how many rows there are: none where they are empty. */
static int64_t rows_of(const hl_call *c, int64_t *C)
{
    const hl_shape s = c->out[0].shape;
    *C = s.dim[s.rank - 1];
    return *C ? hl_span(s, 0, s.rank - 1) : 0;
}

static hl_status softmax_run(const hl_call *c, hl_error *err)
{
    int64_t C, rows = rows_of(c, &C);
    return hl_launch(c, softmax, hl_row_grid(rows, C), hl_row_block(C), 0, err, hl_data<float>(c->in[0]),
                     hl_data<float>(c->out[0]), rows, C);
}

static hl_status softmax_backward_run(const hl_call *c, hl_error *err)
{
    int64_t C, rows = rows_of(c, &C);
    return hl_launch(c, softmax_backward, hl_row_grid(rows, C), hl_row_block(C), 0, err,
                     hl_data<float>(c->in[0]), hl_data<float>(c->in[1]), hl_data<float>(c->out[0]), rows, C);
}

HL_CUDA_KERNEL(softmax, NULL, NULL, softmax_run)
HL_CUDA_KERNEL(softmax_backward, NULL, NULL, softmax_backward_run)
