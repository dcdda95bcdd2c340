/* Pooled patches: what a convolution reads at each position, averaged over the cells of an adaptive pool. */
#include "kernels/cuda/pooled.cuh"

typedef struct sizes {
    hl_pooled_dim rows, columns;
    int64_t C, taps;
} sizes;

static sizes sizes_of(const hl_call *c, hl_shape x)
{
    const hl_patch_params *p = static_cast<const hl_patch_params *>(c->params);
    return sizes{hl_pooled_dim_of(x.dim[2], p->kernel_h, p->stride, p->padding, p->pool_h),
                 hl_pooled_dim_of(x.dim[3], p->kernel_w, p->stride, p->padding, p->pool_w), x.dim[1],
                 p->kernel_h * p->kernel_w};
}

static bool fits(const hl_call *c, hl_shape x)
{
    const int64_t most = INT32_MAX / 2;
    const sizes s = sizes_of(c, x);
    return hl_pooled_fits(s.rows) && hl_pooled_fits(s.columns) && x.dim[2] * x.dim[3] <= most &&
           s.taps <= most && s.C <= most / s.taps;
}

/* ------------------------------------------------------------------ forward */

/* x [B,C,H,W] -> y [places,C,kh,kw]. A block takes one place, which is a cell of an image, and a piece of
 * its patch. */
template <class T>
static __global__ void patch_mean(const T *x, T *y, const __grid_constant__ sizes s, int64_t places)
{
    const int H = (int)s.rows.size, W = (int)s.columns.size, stride = (int)s.rows.stride;
    const int padding = (int)s.rows.padding, kw = (int)s.columns.kernel, taps = (int)s.taps;
    const int64_t patch = s.C * taps;
    for (int64_t place = blockIdx.x; place < places; place += gridDim.x) {
        const int64_t line = place / s.columns.cells, sample = line / s.rows.cells;
        const hl_cell rows = hl_cell_at((int)(line - sample * s.rows.cells), (int)s.rows.positions,
                                        (int)s.rows.cells);
        const hl_cell columns = hl_cell_at((int)(place - line * s.columns.cells), (int)s.columns.positions,
                                           (int)s.columns.cells);
        const float area = (float)(rows.end - rows.begin) * (float)(columns.end - columns.begin);
        for (int64_t e = (int64_t)blockIdx.y * HL_BLOCK + threadIdx.x; e < patch; e += gridDim.y * HL_BLOCK) {
            const int c = (int)e / taps, tap = (int)e - c * taps, up = tap / kw, across = tap - up * kw;
            const T *plane = x + (sample * s.C + c) * H * W;
            double sum = 0;
            for (int r = rows.begin; r < rows.end; r++) {
                const int row = r * stride - padding + up;
                float of_row = 0;
                for (int k = columns.begin; k < columns.end && row >= 0 && row < H; k++) {
                    const int column = k * stride - padding + across;
                    if (column >= 0 && column < W)
                        of_row += hl_load(plane[row * W + column]);
                }
                sum += (double)of_row;
            }
            y[place * patch + e] = hl_store<T>((float)sum / area);
        }
    }
}

template <class T> static hl_status patch_mean_launch(const hl_call *c, hl_error *err)
{
    const sizes s = sizes_of(c, c->in[0].shape);
    const int64_t places = c->in[0].shape.dim[0] * s.rows.cells * s.columns.cells;
    const dim3 grid((unsigned)hl_min(places, INT32_MAX),
                    (unsigned)hl_min(hl_pieces(s.C * s.taps, HL_BLOCK), 64));
    return hl_launch(c, patch_mean<T>, grid, HL_BLOCK, 0, err, hl_data<T>(c->in[0]), hl_data<T>(c->out[0]), s,
                     places);
}

static bool patch_mean_accepts(const hl_call *c)
{
    return hl_cuda_one_dtype(c) && fits(c, c->in[0].shape);
}

static hl_status patch_mean_run(const hl_call *c, hl_error *err)
{
    return hl_with_type(c->in[0].dtype, [&](auto type) { return patch_mean_launch<decltype(type)>(c, err); });
}

HL_CUDA_KERNEL(patch_mean, patch_mean_accepts, NULL, patch_mean_run)

/* ------------------------------------------------------------------ backward */

static hl_spread spread_of(const hl_call *c)
{
    const sizes s = sizes_of(c, c->out[0].shape);
    const int64_t patch = s.C * s.taps;
    return hl_spread{.dim = {s.rows, s.columns},
                     .cell_step = {s.columns.cells * patch, patch},
                     .tap_step = {s.columns.kernel, 1},
                     .channels = s.C,
                     .sample_step = s.rows.cells * s.columns.cells * patch,
                     .channel_step = s.taps,
                     .planes = c->out[0].shape.dim[0] * s.C};
}

static bool backward_accepts(const hl_call *c)
{
    return hl_cuda_one_dtype(c) && fits(c, c->out[0].shape);
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

HL_CUDA_KERNEL(patch_mean_backward, backward_accepts, backward_prepare, backward_run)
