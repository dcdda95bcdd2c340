/* Adaptive average pool; a task is a plane (one channel of one image). */
#include "kernels/cpu/cell.h"
#include "kernels/cpu/common.h"

#include "base/error.h"
#include "base/memory.h"

#include <string.h>

enum { FEW = 8 /* elements: in fewer there is nothing for vectors */ };

static float row_sum(const float *x, int64_t n)
{
    float sum = 0;
    if (n < FEW) {
        for (int64_t i = 0; i < n; i++)
            sum += x[i];
        return sum;
    }
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++)
        sum += x[i];
    return sum;
}

/* Rows are summed in float, since they are short, and the rows of a cell in double. */
static float cell_mean(const float *x, int64_t W, hl_cell rows, hl_cell columns)
{
    double sum = 0;
    for (int64_t r = rows.begin; r < rows.end; r++)
        sum += (double)row_sum(x + r * W + columns.begin, hl_cell_size(columns));
    return (float)(sum / (double)(hl_cell_size(rows) * hl_cell_size(columns)));
}

/* Where the columns of cells are is found once for all rows and planes: dividing would take longer than
 * adding. */
static hl_status avg_pool_prepare(hl_call *c, hl_error *err)
{
    if (!hl_size_mul((size_t)c->out[0].shape.dim[3], sizeof(hl_cell), &c->workspace_bytes))
        return hl_fail(err, HL_ERR_MEMORY, "the workspace of a pool of %lld columns overflows",
                       (long long)c->out[0].shape.dim[3]);
    return HL_OK;
}

static hl_status avg_pool_run(const hl_call *c, hl_error *err)
{
    (void)err;
    hl_shape in = c->in[0].shape, out = c->out[0].shape;
    int64_t planes = in.dim[0] * in.dim[1], H = in.dim[2], W = in.dim[3], h = out.dim[2], w = out.dim[3];
    hl_cell *columns = c->workspace;
    for (int64_t j = 0; j < w; j++)
        columns[j] = hl_cell_at(j, W, w);
    HL_PARALLEL_FOR(c->in[0].count + c->out[0].count)
    for (int64_t p = 0; p < planes; p++)
        for (int64_t i = 0; i < h; i++) {
            const hl_cell rows = hl_cell_at(i, H, h);
            for (int64_t j = 0; j < w; j++)
                hl_out(c, 0)[(p * h + i) * w + j] = cell_mean(hl_in(c, 0) + p * H * W, W, rows, columns[j]);
        }
    return HL_OK;
}

static void cell_spread(float *x, int64_t W, hl_cell rows, hl_cell columns, float gradient)
{
    float share = gradient / (float)(hl_cell_size(rows) * hl_cell_size(columns));
    for (int64_t r = rows.begin; r < rows.end; r++)
        for (int64_t s = columns.begin; s < columns.end; s++)
            x[r * W + s] += share;
}

static hl_status avg_pool_backward_run(const hl_call *c, hl_error *err)
{
    (void)err;
    hl_shape in = c->in[0].shape, out = c->out[0].shape;
    int64_t planes = in.dim[0] * in.dim[1], H = out.dim[2], W = out.dim[3], h = in.dim[2], w = in.dim[3];
    HL_PARALLEL_FOR(c->in[0].count + c->out[0].count)
    for (int64_t p = 0; p < planes; p++) {
        float *dx = hl_out(c, 0) + p * H * W;
        memset(dx, 0, (size_t)(H * W) * sizeof *dx);
        for (int64_t i = 0; i < h; i++)
            for (int64_t j = 0; j < w; j++)
                cell_spread(dx, W, hl_cell_at(i, H, h), hl_cell_at(j, W, w),
                            hl_in(c, 0)[(p * h + i) * w + j]);
    }
    return HL_OK;
}

const hl_kernel hl_cpu_avg_pool = {
    .op = "avg_pool", .name = "portable", .prepare = avg_pool_prepare, .run = avg_pool_run};
const hl_kernel hl_cpu_avg_pool_backward = {
    .op = "avg_pool_backward", .name = "portable", .run = avg_pool_backward_run};
