/* What the CUDA kernels share: storage types, launching, errors. */
#ifndef HL_KERNELS_CUDA_COMMON_CUH
#define HL_KERNELS_CUDA_COMMON_CUH

#include "base/error.h"
#include "kernels/cuda/queue.h"
#include "kernels/formulas.h"
#include "run/backend.h"

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

/* ------------------------------------------------------------------ storage types */

template <class T> __host__ __device__ inline float hl_load(T x)
{
    return (float)x;
}
template <> __host__ __device__ inline float hl_load<__half>(__half x)
{
    return __half2float(x);
}
template <> __host__ __device__ inline float hl_load<__nv_bfloat16>(__nv_bfloat16 x)
{
    return __bfloat162float(x);
}

template <class T> __host__ __device__ inline T hl_store(float x)
{
    return (T)x;
}
template <> __host__ __device__ inline __half hl_store<__half>(float x)
{
    return __float2half_rn(x);
}
template <> __host__ __device__ inline __nv_bfloat16 hl_store<__nv_bfloat16>(float x)
{
    return __float2bfloat16_rn(x);
}

/* Calls f with a value of the storage type of dtype: f(float{}), f(__half{}) or f(__nv_bfloat16{}). */
template <class F> hl_status hl_with_type(hl_dtype dtype, F f)
{
    if (dtype == HL_F16)
        return f(__half{});
    if (dtype == HL_BF16)
        return f(__nv_bfloat16{});
    return f(float{});
}

template <class T> T *hl_data(const hl_view &v)
{
    return static_cast<T *>(v.data);
}

/* All operands that are there and all results have one dtype. */
bool hl_cuda_one_dtype(const hl_call *call);

/* ------------------------------------------------------------------ launching */

enum { HL_WARP = 32, HL_BLOCK = 256 };

inline int64_t hl_pieces(int64_t n, int64_t piece)
{
    return (n + piece - 1) / piece;
}

/* Blocks for n independent elements, several per thread when there are many: kernels stride by the grid. */
inline unsigned hl_grid(int64_t n, int64_t per_block)
{
    const int64_t most = 132 * 16;
    int64_t blocks = hl_pieces(n, per_block);
    return (unsigned)(blocks < most ? blocks : most);
}

#define HL_GRID_STRIDE(i, n)                                                                                 \
    for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < (n); i += (int64_t)gridDim.x * blockDim.x)

/* HL_OK, or HL_ERR_DEVICE (HL_ERR_MEMORY if it was that) with "what: CUDA's reason". */
hl_status hl_cuda_check(cudaError_t code, const char *what, hl_error *err);

/* Hands kernel<<<grid, block, shared>>>(arguments...) to the call's queue. A grid of no blocks does nothing. */
template <class... P, class... A>
hl_status hl_launch(const hl_call *call, void (*kernel)(P...), dim3 grid, dim3 block, size_t shared, hl_error *err,
                    A... arguments)
{
    if (!grid.x || !grid.y || !grid.z)
        return HL_OK;
#ifdef HL_CUDA_EMULATED
    hl_emulated_launch(kernel, grid, block, shared, hl_cuda_stream(call->queue), P(arguments)...);
#else
    kernel<<<grid, block, shared, hl_cuda_stream(call->queue)>>>(P(arguments)...);
#endif
    return hl_cuda_check(cudaGetLastError(), call->kernel->op, err);
}

/* Memory of a block whose size the launch decides: T *name, 16-byte aligned. */
#ifdef HL_CUDA_EMULATED
#define HL_SHARED(T, name) T *name = static_cast<T *>(hl_emulated_shared())
#else
#define HL_SHARED(T, name)                                                                                   \
    extern __shared__ __align__(16) unsigned char hl_shared_bytes[];                                         \
    T *name = reinterpret_cast<T *>(hl_shared_bytes)
#endif

/* ------------------------------------------------------------------ reductions */

/* The sum over a warp, at every lane, always in the same order. */
template <class T> __device__ inline T hl_warp_sum(T x)
{
    for (int lane = HL_WARP / 2; lane; lane /= 2)
        x += __shfl_xor_sync(0xffffffffu, x, lane);
    return x;
}

template <class T> __device__ inline T hl_warp_max(T x)
{
    for (int lane = HL_WARP / 2; lane; lane /= 2) {
        T other = __shfl_xor_sync(0xffffffffu, x, lane);
        x = other > x ? other : x;
    }
    return x;
}

/* The sum over a block of whole warps, at every thread; `scratch` holds 32 values. The block may use scratch
 * again at once. */
template <class T> __device__ inline T hl_block_sum(T x, T *scratch)
{
    const int lane = threadIdx.x % HL_WARP, warp = threadIdx.x / HL_WARP, warps = blockDim.x / HL_WARP;
    x = hl_warp_sum(x);
    if (lane == 0)
        scratch[warp] = x;
    __syncthreads();
    x = hl_warp_sum(lane < warps ? scratch[lane] : T(0));
    __syncthreads();
    return x;
}

/* HL_CUDA_KERNEL(add, accepts, prepare, run): the kernel table's entry hl_cuda_add. */
#define HL_CUDA_KERNEL(id, accepts_, prepare_, run_)                                                         \
    extern "C" {                                                                                             \
    extern const hl_kernel hl_cuda_##id;                                                                     \
    const hl_kernel hl_cuda_##id = {.op = #id, .name = "cuda", .accepts = accepts_, .prepare = prepare_, .run = run_}; \
    }

#endif
