/* Ops that move elements, whatever they mean: in units of 16 bytes where all fits, else one by one. */
#include "kernels/cuda/pack.cuh"
#include "kernels/shape.h"

typedef hl_pack<uint32_t, 4> wide_unit;

/* Calls f with a unit of this many bytes. */
template <class F> static hl_status with_unit(size_t bytes, F f)
{
    if (bytes == sizeof(wide_unit))
        return f(wide_unit{});
    if (bytes == 4)
        return f(uint32_t{});
    return f(uint16_t{});
}

static size_t element(const hl_call *c)
{
    return hl_element_size(c->out[0].dtype);
}

/* ------------------------------------------------------------------ bands: slice, concat, pad */

/* Row r of the result begins at y[r * to]: `width` elements, of which [begin, begin + length) are
 * x[r * from], ... and the others 0. */
struct band {
    int64_t rows, width, to, from, begin, length;
};

template <class U> static __global__ void copy_band(U *y, const U *x, const band b)
{
    HL_GRID_STRIDE(i, b.rows * b.width)
    {
        int64_t row = i / b.width, at = i - row * b.width, k = at - b.begin;
        y[row * b.to + at] = k >= 0 && k < b.length ? x[row * b.from + k] : U{};
    }
}

/* y and x: the band begins at these elements of the result and the operand. */
static hl_status run_band(const hl_call *c, int64_t y, const hl_view *in, int64_t x, band b, hl_error *err)
{
    char *const to = hl_data<char>(c->out[0]) + y * (int64_t)element(c);
    const char *const from = hl_data<const char>(*in) + x * (int64_t)element(c);
    const int64_t wide = (int64_t)(sizeof(wide_unit) / element(c));
    const bool fits = hl_aligned(to, sizeof(wide_unit)) && hl_aligned(from, sizeof(wide_unit)) &&
                      (b.width | b.to | b.from | b.begin | b.length) % wide == 0;
    if (fits)
        b = {b.rows, b.width / wide, b.to / wide, b.from / wide, b.begin / wide, b.length / wide};
    return with_unit(fits ? sizeof(wide_unit) : element(c), [&](auto unit) {
        using U = decltype(unit);
        return hl_launch(c, copy_band<U>, hl_grid(b.rows * b.width, HL_BLOCK), HL_BLOCK, 0, err,
                         reinterpret_cast<U *>(to), reinterpret_cast<const U *>(from), b);
    });
}

static hl_status slice_run(const hl_call *c, hl_error *err)
{
    const hl_slice_params *p = static_cast<const hl_slice_params *>(c->params);
    const hl_shape in = c->in[0].shape;
    const int64_t inner = hl_span(in, p->axis + 1, in.rank), width = (p->end - p->begin) * inner;
    const band b = {hl_span(in, 0, p->axis), width, width, in.dim[p->axis] * inner, 0, width};
    return run_band(c, 0, &c->in[0], p->begin * inner, b, err);
}

static hl_status concat_run(const hl_call *c, hl_error *err)
{
    const hl_concat_params *p = static_cast<const hl_concat_params *>(c->params);
    const hl_shape out = c->out[0].shape;
    const int64_t row = hl_span(out, p->axis, out.rank);
    hl_status status = HL_OK;
    for (int64_t k = 0, at = 0; k < c->n_in && status == HL_OK; k++) {
        const int64_t part = hl_span(c->in[k].shape, p->axis, out.rank);
        const band b = {hl_span(out, 0, p->axis), part, row, part, 0, part};
        status = run_band(c, at, &c->in[k], 0, b, err);
        at += part;
    }
    return status;
}

/* Zeros are zero bits in every type. */
static hl_status pad_run(const hl_call *c, hl_error *err)
{
    const hl_pad_params *p = static_cast<const hl_pad_params *>(c->params);
    const hl_shape in = c->in[0].shape, out = c->out[0].shape;
    const int64_t inner = hl_span(in, p->axis + 1, in.rank), width = out.dim[p->axis] * inner;
    const int64_t from = in.dim[p->axis] * inner;
    const band b = {hl_span(in, 0, p->axis), width, width, from, p->before * inner, from};
    return run_band(c, 0, &c->in[0], 0, b, err);
}

/* ------------------------------------------------------------------ gather: expand, moved rows */

/* The result in its order, from an operand that lies under it by the strides w.stride[0]. */
template <class U>
static __global__ void gather(U *y, const U *x, const __grid_constant__ hl_broadcast w, int64_t n)
{
    const int last = w.rank - 1;
    const int64_t inner = w.dim[last], step = w.stride[0][last];
    HL_GRID_STRIDE(i, n)
    {
        int64_t row = last ? i / inner : 0;
        y[i] = x[hl_broadcast_row(&w, 0, row) + (i - row * inner) * step];
    }
}

/* w in units of `wide` elements; false, and as it was, if a row is no whole number of them. */
static bool widen(hl_broadcast *w, int64_t wide)
{
    const int last = w->rank - 1;
    if (w->stride[0][last] != 1 || w->dim[last] % wide)
        return false;
    for (int i = 0; i < last; i++)
        if (w->stride[0][i] % wide)
            return false;
    w->dim[last] /= wide;
    for (int i = 0; i < last; i++)
        w->stride[0][i] /= wide;
    return true;
}

static hl_status run_gather(const hl_call *c, hl_broadcast w, hl_error *err)
{
    const hl_view *y = &c->out[0], *x = &c->in[0];
    const int64_t wide = (int64_t)(sizeof(wide_unit) / element(c));
    const bool fits = hl_aligned(y->data, sizeof(wide_unit)) && hl_aligned(x->data, sizeof(wide_unit)) &&
                      widen(&w, wide);
    const int64_t n = fits ? y->count / wide : y->count;
    return with_unit(fits ? sizeof(wide_unit) : element(c), [&](auto unit) {
        using U = decltype(unit);
        return hl_launch(c, gather<U>, hl_grid(n, HL_BLOCK), HL_BLOCK, 0, err, hl_data<U>(*y),
                         hl_data<const U>(*x), w, n);
    });
}

static hl_status expand_run(const hl_call *c, hl_error *err)
{
    return run_gather(c, hl_broadcast_of(c->out[0].shape, c->in[0].shape, c->in[0].shape), err);
}

/* ------------------------------------------------------------------ transpose */

/* Dims of the result, with the stride of each in the operand as stride[0] and in the result as stride[1].
 * Dims of 1 are gone; neighbours that stay neighbours are one dim. */
static hl_broadcast moves_of(const hl_call *c)
{
    const hl_transpose_params *p = static_cast<const hl_transpose_params *>(c->params);
    const hl_shape in = c->in[0].shape, out = c->out[0].shape;
    hl_broadcast w = {.rank = 0};
    for (int i = 0; i < in.rank; i++) {
        const int64_t size = out.dim[i], from = hl_span(in, p->order[i] + 1, in.rank);
        if (size == 1)
            continue;
        const bool merge = w.rank && w.stride[0][w.rank - 1] == from * size;
        const int at = merge ? w.rank - 1 : w.rank++;
        w.dim[at] = merge ? w.dim[at] * size : size;
        w.stride[0][at] = from;
        w.stride[1][at] = hl_span(out, i + 1, out.rank);
    }
    if (!w.rank) {
        w.rank = 1;
        w.dim[0] = w.stride[0][0] = w.stride[1][0] = 1;
    }
    return w;
}

/* Matrices to transpose: y[i * to + j] = x[i + j * from], i < rows, j < columns. Row o of `outer` (whose last
 * dim is a dummy) says where matrix o begins: operand 0 of it in x, 1 in y. */
struct matrices {
    hl_broadcast outer;
    int64_t rows, columns, to, from;
    int64_t down, across; /* tiles */
};

constexpr int TILE = 32, TILE_ROWS = 8;

/* A block moves one tile, by way of shared memory: reads and writes both run along memory. */
template <class U> static __global__ void transpose_tile(U *y, const U *x, const __grid_constant__ matrices m)
{
    __shared__ U tile[TILE][TILE + 1]; /* one more, so that a column lies in different banks */
    const int64_t matrix = blockIdx.x / (m.down * m.across);
    const int64_t i0 = blockIdx.x / m.across % m.down * TILE, j0 = blockIdx.x % m.across * TILE;
    const int lane = threadIdx.x;
    x += hl_broadcast_row(&m.outer, 0, matrix);
    y += hl_broadcast_row(&m.outer, 1, matrix);
    for (int j = threadIdx.y; j < TILE; j += TILE_ROWS)
        if (i0 + lane < m.rows && j0 + j < m.columns)
            tile[j][lane] = x[i0 + lane + (j0 + j) * m.from];
    __syncthreads();
    for (int i = threadIdx.y; i < TILE; i += TILE_ROWS)
        if (i0 + i < m.rows && j0 + lane < m.columns)
            y[(i0 + i) * m.to + j0 + lane] = tile[lane][i];
}

/* Dim `fast` is contiguous in the operand, the last one in the result. */
static matrices matrices_of(const hl_broadcast *w, int fast)
{
    const int last = w->rank - 1;
    matrices m = {.outer = {.rank = 0},
                  .rows = w->dim[fast],
                  .columns = w->dim[last],
                  .to = w->stride[1][fast],
                  .from = w->stride[0][last],
                  .down = hl_pieces(w->dim[fast], TILE),
                  .across = hl_pieces(w->dim[last], TILE)};
    for (int i = 0; i < last; i++) {
        if (i == fast)
            continue;
        m.outer.dim[m.outer.rank] = w->dim[i];
        m.outer.stride[0][m.outer.rank] = w->stride[0][i];
        m.outer.stride[1][m.outer.rank++] = w->stride[1][i];
    }
    m.outer.dim[m.outer.rank++] = 1;
    return m;
}

template <class U> static hl_status run_tiles(const hl_call *c, const matrices &m, hl_error *err)
{
    const int64_t blocks = c->out[0].count / (m.rows * m.columns) * m.down * m.across;
    return hl_launch(c, transpose_tile<U>, (unsigned)blocks, dim3(TILE, TILE_ROWS), 0, err,
                     hl_data<U>(c->out[0]), hl_data<const U>(c->in[0]), m);
}

static hl_status transpose_run(const hl_call *c, hl_error *err)
{
    if (!c->out[0].count)
        return HL_OK;
    const hl_broadcast w = moves_of(c);
    if (w.stride[0][w.rank - 1] == 1)
        return run_gather(c, w, err);
    int fast = 0;
    while (w.stride[0][fast] != 1)
        fast++;
    const matrices m = matrices_of(&w, fast);
    return element(c) == 4 ? run_tiles<uint32_t>(c, m, err) : run_tiles<uint16_t>(c, m, err);
}

HL_CUDA_KERNEL(transpose, hl_cuda_one_dtype, NULL, transpose_run)
HL_CUDA_KERNEL(slice, hl_cuda_one_dtype, NULL, slice_run)
HL_CUDA_KERNEL(concat, hl_cuda_one_dtype, NULL, concat_run)
HL_CUDA_KERNEL(pad, hl_cuda_one_dtype, NULL, pad_run)
HL_CUDA_KERNEL(expand, hl_cuda_one_dtype, NULL, expand_run)
