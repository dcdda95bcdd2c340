/* Wide accesses: neighbours that move together. */
#ifndef HL_KERNELS_CUDA_PACK_CUH
#define HL_KERNELS_CUDA_PACK_CUH

#include "kernels/cuda/common.cuh"

/* W neighbours, read or written at once; up to 16 bytes. */
template <class T, int W> struct alignas(sizeof(T) * W) hl_pack {
    T at[W];
};

/* How many make 16 bytes. */
template <class T> constexpr int hl_pack_width = 16 / (int)sizeof(T);

template <int W, class T> __device__ inline hl_pack<T, W> hl_pack_load(const T *x)
{
    return *reinterpret_cast<const hl_pack<T, W> *>(x);
}

template <int W, class T> __device__ inline void hl_pack_store(T *y, const hl_pack<T, W> &pack)
{
    *reinterpret_cast<hl_pack<T, W> *>(y) = pack;
}

/* Views begin at any element: whether packs of this many bytes may. */
__host__ __device__ inline bool hl_aligned(const void *p, size_t bytes)
{
    return reinterpret_cast<uintptr_t>(p) % bytes == 0;
}

#endif
