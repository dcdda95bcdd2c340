#include "kernels/cuda/integers.h"

#include "base/memory.h"
#include "kernels/cuda/pack.cuh"

/* ------------------------------------------------------------------ quantizing */

static __global__ void quantize(const float *x, int64_t n, const float *given, int8_t *q, float *step)
{
    __shared__ int32_t largest[HL_BLOCK / HL_WARP];
    const float *row = x + (int64_t)blockIdx.x * n;
    int32_t most = 0;
    for (int64_t i = threadIdx.x; i < n; i += HL_BLOCK)
        most = hl_magnitude(row[i]) > most ? hl_magnitude(row[i]) : most;
    most = hl_warp_max(most);
    if (threadIdx.x % HL_WARP == 0)
        largest[threadIdx.x / HL_WARP] = most;
    __syncthreads();
    for (int warp = 0; warp < HL_BLOCK / HL_WARP; warp++)
        most = largest[warp] > most ? largest[warp] : most;
    const float s = hl_quantize_step(most, given);
    if (threadIdx.x == 0)
        step[blockIdx.x] = s;
    for (int64_t i = threadIdx.x; i < n; i += HL_BLOCK)
        q[(int64_t)blockIdx.x * n + i] = (int8_t)hl_quantize(row[i], s);
}

hl_status hl_quantize_rows(const hl_call *c, const float *x, int64_t rows, int64_t n, const float *given, int8_t *q,
                           float *step, hl_error *err)
{
    return hl_launch(c, quantize, (unsigned)rows, HL_BLOCK, 0, err, x, n, given, q, step);
}

/* ------------------------------------------------------------------ sums */

/* Plain, for what the library does not do: a thread for a sum. */
template <int W> static __global__ void multiply(const int8_t *a, const int8_t *b, int64_t M, int64_t N, int64_t K, int32_t *sums)
{
    HL_GRID_STRIDE(at, M * N)
    {
        const int8_t *x = a + at / N * K, *y = b + at % N * K;
        int32_t sum = 0;
        for (int64_t k = 0; k < K; k += W) {
            if constexpr (W == 4)
                sum = __dp4a(*reinterpret_cast<const int *>(x + k), *reinterpret_cast<const int *>(y + k), sum);
            else
                sum += x[k] * y[k];
        }
        sums[at] = sum;
    }
}

static hl_status by_threads(const hl_integer_product *p, hl_error *err)
{
    const int8_t *a = hl_data<const int8_t>(p->in[HL_MATMUL_A]), *b = hl_data<const int8_t>(p->in[HL_MATMUL_B]);
    const hl_product *size = &p->product;
    bool fours = size->K % 4 == 0 && hl_aligned(a, 4) && hl_aligned(b, 4);
    return hl_launch(&p->call, fours ? multiply<4> : multiply<1>, hl_grid(size->M * size->N, HL_BLOCK), HL_BLOCK, 0,
                     err, a, b, size->M, size->N, size->K, hl_data<int32_t>(p->call.out[0]));
}

static hl_view matrix(int64_t rows, int64_t columns)
{
    return {.dtype = HL_I8, .shape = {2, {rows, columns}}, .count = rows * columns};
}

size_t hl_integers_prepare(hl_integer_product *p, int64_t M, int64_t N, int64_t K)
{
    p->params.transpose_b = true;
    p->params.out = HL_I8; /* of operands that are integers: their sums in 32 bits */
    p->in[HL_MATMUL_A] = matrix(M, K);
    p->in[HL_MATMUL_B] = matrix(N, K);
    p->call.params = &p->params;
    p->call.in = p->in;
    p->call.n_in = 4;
    p->call.n_out = 1;
    p->call.out[0] = matrix(M, N);
    p->product.M = M;
    p->product.N = N;
    p->product.K = K;
    bool fits = K && N % HL_INTEGERS_IN_FOURS == 0 && K % HL_INTEGERS_IN_FOURS == 0;
    p->product.path = fits ? HL_BY_LIBRARY : HL_BY_TILES;
    return fits ? hl_product_scratch(&p->product) + HL_SCRATCH_ALIGN : 0;
}

hl_status hl_integers_run(const hl_call *c, hl_integer_product *p, const int8_t *a, const int8_t *b, int32_t *sums,
                          void *scratch, hl_error *err)
{
    hl_status status = HL_OK;
    p->call.kernel = c->kernel;
    p->call.queue = c->queue;
    p->call.workspace = scratch;
    p->in[HL_MATMUL_A].data = const_cast<int8_t *>(a);
    p->in[HL_MATMUL_B].data = const_cast<int8_t *>(b);
    p->call.out[0].data = sums;
    if (!hl_aligned(a, HL_INTEGERS_IN_FOURS) || !hl_aligned(b, HL_INTEGERS_IN_FOURS))
        p->product.path = HL_BY_TILES;
    if (p->product.path == HL_BY_LIBRARY && !p->product.chosen)
        status = hl_product_choose(&p->call, &p->product, err);
    if (status != HL_OK)
        return status;
    return p->product.path == HL_BY_LIBRARY ? hl_product_by_library(&p->call, &p->product, err) : by_threads(p, err);
}

void hl_integers_release(hl_integer_product *p)
{
    hl_product_release(&p->product);
}

/* ------------------------------------------------------------------ workspace */

size_t hl_parts_add(hl_parts *parts, int64_t rows, int64_t columns, size_t size)
{
    size_t at = parts->bytes, bytes;
    if (!hl_size_mul((size_t)rows, (size_t)columns, &bytes) || !hl_size_mul(bytes, size, &bytes) ||
        !hl_size_add(bytes, HL_SCRATCH_ALIGN, &bytes) ||
        !hl_size_add(at, bytes / HL_SCRATCH_ALIGN * HL_SCRATCH_ALIGN, &parts->bytes))
        parts->overflows = true;
    return at;
}
