/* Adaptive average pool. */
#include "kernels/cuda/pooled.cuh"

typedef struct sizes {
    hl_pooled_dim rows, columns;
} sizes;

/* x [B,C,H,W], y [B,C,h,w] */
static sizes sizes_of(hl_shape x, hl_shape y)
{
    return sizes{hl_pooled_dim_of(x.dim[2], 1, 1, 0, y.dim[2]),
                 hl_pooled_dim_of(x.dim[3], 1, 1, 0, y.dim[3])};
}

static bool fits(hl_shape x, hl_shape y)
{
    const sizes s = sizes_of(x, y);
    return hl_pooled_fits(s.rows) && hl_pooled_fits(s.columns) && x.dim[2] * x.dim[3] <= INT32_MAX / 2 &&
           y.dim[2] * y.dim[3] <= INT32_MAX / 2;
}

/* ------------------------------------------------------------------ forward */

/* A cell is the work of `LANES` threads: of one, or of a warp. */
template <int LANES, class T>
static __global__ void avg_pool(const T *x, T *y, int H, int W, int h, int w, int64_t planes)
{
    const int lane = threadIdx.x % LANES, cells = h * w, groups = HL_BLOCK / LANES;
    for (int64_t o = (int64_t)blockIdx.x * groups + threadIdx.x / LANES; o < planes * cells;
         o += (int64_t)gridDim.x * groups) {
        const int64_t plane = o / cells;
        const int cell = (int)(o - plane * cells);
        const hl_cell rows = hl_cell_at(cell / w, H, h), columns = hl_cell_at(cell % w, W, w);
        const int width = columns.end - columns.begin, area = (rows.end - rows.begin) * width;
        const T *from = x + plane * H * W + rows.begin * W + columns.begin;
        double sum = 0;
        for (int at = lane; at < area; at += LANES)
            sum += (double)hl_load(from[at / width * W + at % width]);
        if (LANES == HL_WARP)
            sum = hl_warp_sum(sum);
        if (lane == 0)
            y[o] = hl_store<T>((float)(sum / area));
    }
}

template <class T> static hl_status avg_pool_launch(const hl_call *c, hl_error *err)
{
    const hl_shape x = c->in[0].shape, y = c->out[0].shape;
    const int H = (int)x.dim[2], W = (int)x.dim[3], h = (int)y.dim[2], w = (int)y.dim[3];
    const bool large = (int64_t)H * W >= 16 * (int64_t)h * w; /* cells that keep a warp busy */
    return hl_launch(c, large ? avg_pool<HL_WARP, T> : avg_pool<1, T>,
                     hl_grid(c->out[0].count, large ? HL_BLOCK / HL_WARP : HL_BLOCK), HL_BLOCK, 0, err,
                     hl_data<T>(c->in[0]), hl_data<T>(c->out[0]), H, W, h, w, x.dim[0] * x.dim[1]);
}

static bool avg_pool_accepts(const hl_call *c)
{
    return hl_cuda_one_dtype(c) && fits(c->in[0].shape, c->out[0].shape);
}

static hl_status avg_pool_run(const hl_call *c, hl_error *err)
{
    return hl_with_type(c->in[0].dtype, [&](auto type) { return avg_pool_launch<decltype(type)>(c, err); });
}

HL_CUDA_KERNEL(avg_pool, avg_pool_accepts, NULL, avg_pool_run)

/* ------------------------------------------------------------------ backward */

static hl_spread spread_of(const hl_call *c)
{
    const hl_shape dy = c->in[0].shape, dx = c->out[0].shape;
    const sizes s = sizes_of(dx, dy);
    const int64_t cells = dy.dim[2] * dy.dim[3];
    return hl_spread{.dim = {s.rows, s.columns},
                     .cell_step = {dy.dim[3], 1},
                     .tap_step = {0, 0},
                     .channels = dy.dim[1],
                     .sample_step = dy.dim[1] * cells,
                     .channel_step = cells,
                     .planes = dy.dim[0] * dy.dim[1]};
}

static bool backward_accepts(const hl_call *c)
{
    return hl_cuda_one_dtype(c) && fits(c->out[0].shape, c->in[0].shape);
}

static hl_status backward_prepare(hl_call *c, hl_error *err)
{
    (void)err;
    c->workspace_bytes = hl_spread_workspace(spread_of(c));
    return HL_OK;
}

static hl_status backward_run(const hl_call *c, hl_error *err)
{
    return hl_with_type(c->in[0].dtype,
                        [&](auto type) { return hl_spread_run<decltype(type)>(c, spread_of(c), err); });
}

HL_CUDA_KERNEL(avg_pool_backward, backward_accepts, backward_prepare, backward_run)
