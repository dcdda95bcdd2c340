/* Layer normalisation. Means and sums in double: a row may lie far from zero, and have thousands of terms. */
#include "kernels/cuda/pack.cuh"
#include "kernels/cuda/row.cuh"
#include "kernels/shape.h"

enum { WIDTH = 4 }; /* elements that move together: 16 bytes of f32, 8 of the others */

static bool wide(const hl_view &v)
{
    return hl_aligned(v.data, WIDTH * hl_element_size(v.dtype));
}

/* y may lie on x: a thread writes what it alone reads. */
template <int W, class T>
static __global__ void normalise(const T *x, const float *gain, const float *bias, T *y, float *means,
                                 float *rstds, int64_t rows, int64_t C, float eps, hl_activation activation)
{
    const int64_t row = hl_row(), at = row * C;
    if (row >= rows)
        return;
    double sum = 0, squares = 0;
    HL_ROW_STRIDE(i, C, W)
    {
        const hl_pack<T, W> u = hl_pack_load<W>(x + at + i);
        for (int k = 0; k < W; k++)
            sum += (double)hl_load(u.at[k]);
    }
    const double mean = hl_row_sum(sum) / (double)C;
    HL_ROW_STRIDE(i, C, W)
    {
        const hl_pack<T, W> u = hl_pack_load<W>(x + at + i);
        for (int k = 0; k < W; k++) {
            const double d = (double)hl_load(u.at[k]) - mean;
            squares += d * d;
        }
    }
    const double rstd = 1.0 / sqrt(hl_row_sum(squares) / (double)C + (double)eps);
    /* The mean in two floats: one alone would cost a row far from zero its precision. */
    const float high = (float)mean, low = (float)(mean - (double)high), scale = (float)rstd;
    HL_ROW_STRIDE(i, C, W)
    {
        hl_pack<T, W> u = hl_pack_load<W>(x + at + i);
        const hl_pack<float, W> g = hl_pack_load<W>(gain + i), b = hl_pack_load<W>(bias + i);
        for (int k = 0; k < W; k++) {
            const float h = ((hl_load(u.at[k]) - high) - low) * scale;
            u.at[k] = hl_store<T>(hl_activation_of(activation, h * g.at[k] + b.at[k]));
        }
        hl_pack_store<W>(y + at + i, u);
    }
    if (threadIdx.x == 0) {
        means[row] = high;
        rstds[row] = scale;
    }
}

/* ------------------------------------------------------------------ forward */

static bool layer_norm_accepts(const hl_call *c)
{
    enum { X, GAIN, BIAS };
    return c->out[0].dtype == c->in[X].dtype && c->in[GAIN].dtype == HL_F32 && c->in[BIAS].dtype == HL_F32;
}

template <class T> static hl_status layer_norm_launch(const hl_call *c, hl_error *err)
{
    enum { X, GAIN, BIAS };
    const hl_norm_params *p = static_cast<const hl_norm_params *>(c->params);
    const hl_view &x = c->in[X], &gain = c->in[GAIN], &bias = c->in[BIAS], &y = c->out[0];
    const int64_t C = gain.count, rows = c->out[1].count;
    const bool packs = C % WIDTH == 0 && wide(x) && wide(gain) && wide(bias) && wide(y);
    return hl_launch(c, packs ? normalise<WIDTH, T> : normalise<1, T>, hl_row_grid(rows, C), hl_row_block(C),
                     0, err, hl_data<T>(x), hl_data<float>(gain), hl_data<float>(bias), hl_data<T>(y),
                     hl_data<float>(c->out[1]), hl_data<float>(c->out[2]), rows, C, p->eps, p->activation);
}

static hl_status layer_norm_run(const hl_call *c, hl_error *err)
{
    return hl_with_type(c->in[0].dtype, [&](auto type) { return layer_norm_launch<decltype(type)>(c, err); });
}

HL_CUDA_KERNEL(layer_norm, layer_norm_accepts, NULL, layer_norm_run)

/* ------------------------------------------------------------------ backward */

enum { DY, X, GAIN, MEAN, RSTD };
enum { DX, DGAIN, DBIAS };

/* With h = (x - mean) rstd and d = dy gain: dx = rstd (d - <d> - h <d h>), <> the mean of a row. */
template <int W, class T>
static __global__ void normalise_backward(const T *dy, const T *x, const float *gain, const float *means,
                                          const float *rstds, T *dx, int64_t rows, int64_t C)
{
    const int64_t row = hl_row(), at = row * C;
    if (row >= rows)
        return;
    const float mean = means[row], rstd = rstds[row];
    double d = 0, dh = 0;
    HL_ROW_STRIDE(i, C, W)
    {
        const hl_pack<T, W> v = hl_pack_load<W>(dy + at + i), u = hl_pack_load<W>(x + at + i);
        const hl_pack<float, W> g = hl_pack_load<W>(gain + i);
        for (int k = 0; k < W; k++) {
            const double term = (double)hl_load(v.at[k]) * (double)g.at[k];
            d += term;
            dh += term * (double)((hl_load(u.at[k]) - mean) * rstd);
        }
    }
    const float mean_d = (float)(hl_row_sum(d) / (double)C), mean_dh = (float)(hl_row_sum(dh) / (double)C);
    HL_ROW_STRIDE(i, C, W)
    {
        hl_pack<T, W> v = hl_pack_load<W>(dy + at + i);
        const hl_pack<T, W> u = hl_pack_load<W>(x + at + i);
        const hl_pack<float, W> g = hl_pack_load<W>(gain + i);
        for (int k = 0; k < W; k++) {
            const float h = (hl_load(u.at[k]) - mean) * rstd;
            v.at[k] = hl_store<T>(rstd * (hl_load(v.at[k]) * g.at[k] - mean_d - h * mean_dh));
        }
        hl_pack_store<W>(dx + at + i, v);
    }
}

/* dgain and dbias: sums over the rows, cut into pieces. A block sums HL_WARP columns of one piece. */
enum { LINES = HL_BLOCK / HL_WARP, PIECE = 64, MOST_PIECES = 128 };

static int64_t pieces_of(const hl_call *c)
{
    const int64_t pieces = hl_pieces(c->in[MEAN].count, PIECE);
    return pieces < 1 ? 1 : hl_min(pieces, MOST_PIECES);
}

/* dgain += dy h, dbias += dy. One piece: the result; more: partial [pieces,2,C]. */
template <class T>
static __global__ void sum_columns(const T *dy, const T *x, const float *means, const float *rstds,
                                   double *partial, float *dgain, float *dbias, int64_t rows, int64_t piece,
                                   int64_t C)
{
    __shared__ double gain[LINES][HL_WARP], bias[LINES][HL_WARP];
    const int64_t i = (int64_t)blockIdx.x * HL_WARP + threadIdx.x;
    const int64_t end = hl_min(rows, (blockIdx.y + 1) * piece);
    double g = 0, b = 0;
    for (int64_t row = blockIdx.y * piece + threadIdx.y; i < C && row < end; row += LINES) {
        const float d = hl_load(dy[row * C + i]);
        g += (double)d * (double)((hl_load(x[row * C + i]) - means[row]) * rstds[row]);
        b += (double)d;
    }
    gain[threadIdx.y][threadIdx.x] = g;
    bias[threadIdx.y][threadIdx.x] = b;
    __syncthreads();
    if (threadIdx.y > 0 || i >= C)
        return;
    for (int line = 1; line < LINES; line++) {
        g += gain[line][threadIdx.x];
        b += bias[line][threadIdx.x];
    }
    if (gridDim.y == 1) {
        dgain[i] = (float)g;
        dbias[i] = (float)b;
    } else {
        partial[2 * blockIdx.y * C + i] = g;
        partial[(2 * blockIdx.y + 1) * C + i] = b;
    }
}

static __global__ void sum_pieces(const double *partial, int64_t pieces, float *dgain, float *dbias,
                                  int64_t C)
{
    HL_GRID_STRIDE(i, 2 * C)
    {
        double sum = 0;
        for (int64_t piece = 0; piece < pieces; piece++)
            sum += partial[2 * piece * C + i];
        if (i < C)
            dgain[i] = (float)sum;
        else
            dbias[i - C] = (float)sum;
    }
}

static bool backward_accepts(const hl_call *c)
{
    return c->in[DY].dtype == c->in[X].dtype && c->out[DX].dtype == c->in[X].dtype &&
           c->in[GAIN].dtype == HL_F32;
}

static hl_status backward_prepare(hl_call *c, hl_error *err)
{
    const int64_t pieces = pieces_of(c);
    (void)err;
    c->workspace_bytes = pieces > 1 ? (size_t)(pieces * 2 * c->in[GAIN].count) * sizeof(double) : 0;
    return HL_OK;
}

template <class T> static hl_status backward_affine(const hl_call *c, hl_error *err)
{
    const int64_t C = c->in[GAIN].count, rows = c->in[MEAN].count, pieces = pieces_of(c);
    double *partial = static_cast<double *>(c->workspace);
    float *dgain = hl_data<float>(c->out[DGAIN]), *dbias = hl_data<float>(c->out[DBIAS]);
    hl_status status = hl_launch(c, sum_columns<T>, dim3((unsigned)hl_pieces(C, HL_WARP), (unsigned)pieces),
                                 dim3(HL_WARP, LINES), 0, err, hl_data<T>(c->in[DY]), hl_data<T>(c->in[X]),
                                 hl_data<float>(c->in[MEAN]), hl_data<float>(c->in[RSTD]), partial, dgain,
                                 dbias, rows, hl_pieces(rows, pieces), C);
    if (status != HL_OK || pieces == 1)
        return status;
    return hl_launch(c, sum_pieces, hl_grid(2 * C, HL_WARP), HL_WARP, 0, err, partial, pieces, dgain, dbias,
                     C);
}

template <class T> static hl_status backward_launch(const hl_call *c, hl_error *err)
{
    const hl_view &dy = c->in[DY], &x = c->in[X], &gain = c->in[GAIN], &dx = c->out[DX];
    const int64_t C = gain.count, rows = c->in[MEAN].count;
    const bool packs = C % WIDTH == 0 && wide(dy) && wide(x) && wide(gain) && wide(dx);
    hl_status status = backward_affine<T>(c, err); /* first: dx may be written over dy */
    if (status != HL_OK)
        return status;
    return hl_launch(c, packs ? normalise_backward<WIDTH, T> : normalise_backward<1, T>, hl_row_grid(rows, C),
                     hl_row_block(C), 0, err, hl_data<T>(dy), hl_data<T>(x), hl_data<float>(gain),
                     hl_data<float>(c->in[MEAN]), hl_data<float>(c->in[RSTD]), hl_data<T>(dx), rows, C);
}

static hl_status backward_run(const hl_call *c, hl_error *err)
{
    return hl_with_type(c->in[DY].dtype, [&](auto type) { return backward_launch<decltype(type)>(c, err); });
}

HL_CUDA_KERNEL(layer_norm_backward, backward_accepts, backward_prepare, backward_run)
