/* What CUDA device code uses, for a host compiler: included before every .cu file, which is compiled as C++.
 * The threads of a block are fibers of one OS thread. They change only where they wait for each other: at
 * __syncthreads, __syncwarp and shuffles. Blocks run one after the other.
 *
 * HL_EMULATOR_ORDER=forward (default), reverse or shuffle: in which order threads run between barriers, and
 * blocks, and streams (see runtime.h). A kernel that is right gives the same result in each. */
#ifndef HL_CUDA_EMULATOR_H
#define HL_CUDA_EMULATOR_H

#include <cuda_runtime.h>

#include "tests/cuda_emulator/sanitizers.h"

#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <type_traits>
#include <vector>

/* ------------------------------------------------------------------ launching */

/* A launch: body runs one thread. */
struct hl_emulated_kernel {
    std::function<void()> body;
    std::vector<const void *> pointers; /* those among the arguments */
    const void *function;
    dim3 grid, block;
    size_t shared;
};

/* Checks it as the runtime does and queues it; what is wrong is cudaGetLastError's to tell. */
void hl_emulated_submit(hl_emulated_kernel kernel, cudaStream_t stream);

template <class... P>
void hl_emulated_launch(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared, cudaStream_t stream,
                        std::type_identity_t<P>... arguments)
{
    std::vector<const void *> pointers;
    auto note = [&pointers](const auto &argument) {
        if constexpr (std::is_pointer_v<std::decay_t<decltype(argument)>>)
            pointers.push_back(reinterpret_cast<const void *>(argument));
    };
    (note(arguments), ...);
    hl_emulated_submit({[kernel, arguments...] { kernel(arguments...); }, pointers,
                        reinterpret_cast<const void *>(kernel), grid, block, shared},
                       stream);
}

/* As cuda_runtime.h has it for nvcc. */
template <class... P>
cudaError_t cudaFuncSetAttribute(void (*kernel)(P...), cudaFuncAttribute attribute, int value)
{
    return cudaFuncSetAttribute(reinterpret_cast<const void *>(kernel), attribute, value);
}

/* ------------------------------------------------------------------ the running thread */

struct hl_emulated_indices {
    uint3 thread, block;
    dim3 block_size, grid_size;
};
extern hl_emulated_indices hl_emulated;

#define threadIdx hl_emulated.thread
#define blockIdx  hl_emulated.block
#define blockDim  hl_emulated.block_size
#define gridDim   hl_emulated.grid_size
inline constexpr int warpSize = 32;

/* Static storage, kept together by shared.ld: NaN when a block starts. AddressSanitizer puts space between
 * variables instead, which shows what lies beyond them. */
#undef __shared__
#if defined(__SANITIZE_ADDRESS__)
#define __shared__ static
#elif defined(__clang__)
#define __shared__ static __attribute__((section(".bss.hl_shared")))
#else
#define __shared__ static __attribute__((noinit))
#endif
#define __launch_bounds__(...)

/* The block's dynamic shared memory: NaN when the block starts. */
void *hl_emulated_shared();

/* Where in the source a thread waits. */
struct hl_emulated_site {
    const char *what, *file;
    int line;
};

void hl_emulated_block_barrier(hl_emulated_site site);
/* Gives bytes (at most 16) of value to the other lanes, waits for them, and returns what they gave: 32 places
 * of 16 bytes, valid until the thread waits the next time. Lanes that have ended gave NaN. */
const unsigned char *hl_emulated_exchange(unsigned mask, const void *value, size_t bytes,
                                          hl_emulated_site site);
int hl_emulated_lane();

#define HL_EMULATED_SITE const char *file = __builtin_FILE(), int line = __builtin_LINE()

inline void __syncthreads(HL_EMULATED_SITE)
{
    hl_emulated_block_barrier({"__syncthreads", file, line});
}

inline void __syncwarp(unsigned mask = 0xffffffffu, HL_EMULATED_SITE)
{
    hl_emulated_exchange(mask, nullptr, 0, {"__syncwarp", file, line});
}

/* The value of lane `source`, or one's own where source is outside the lane's group of `width`. */
template <class T>
T hl_emulated_shuffle(unsigned mask, T value, int source, int first, int last, hl_emulated_site site)
{
    static_assert(std::is_arithmetic_v<T> && sizeof(T) <= 16);
    const unsigned char *given = hl_emulated_exchange(mask, &value, sizeof value, site);
    if (source < first || source > last)
        source = hl_emulated_lane();
    std::memcpy(&value, given + 16 * source, sizeof value);
    return value;
}

template <class T> T __shfl_sync(unsigned mask, T value, int lane, int width = 32, HL_EMULATED_SITE)
{
    const int first = hl_emulated_lane() / width * width;
    return hl_emulated_shuffle(mask, value, first + (lane & (width - 1)), first, first + width - 1,
                               {"__shfl_sync", file, line});
}

template <class T> T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, HL_EMULATED_SITE)
{
    const int lane = hl_emulated_lane(), first = lane / width * width;
    return hl_emulated_shuffle(mask, value, lane - (int)delta, first, 31, {"__shfl_up_sync", file, line});
}

template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, HL_EMULATED_SITE)
{
    const int lane = hl_emulated_lane(), first = lane / width * width;
    return hl_emulated_shuffle(mask, value, lane + (int)delta, 0, first + width - 1,
                               {"__shfl_down_sync", file, line});
}

/* A lane may read from groups before its own, not from those after. */
template <class T> T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32, HL_EMULATED_SITE)
{
    const int lane = hl_emulated_lane(), first = lane / width * width;
    return hl_emulated_shuffle(mask, value, lane ^ bits, 0, first + width - 1,
                               {"__shfl_xor_sync", file, line});
}

inline unsigned hl_emulated_ballot(unsigned mask, bool value, hl_emulated_site site)
{
    const unsigned char mine = value ? 1 : 2; /* a lane that has ended gives neither */
    const unsigned char *given = hl_emulated_exchange(mask, &mine, 1, site);
    unsigned bits = 0;
    for (int lane = 0; lane < 32; lane++)
        bits |= (unsigned)(given[16 * lane] == 1) << lane;
    return bits;
}

inline unsigned __ballot_sync(unsigned mask, int value, HL_EMULATED_SITE)
{
    return hl_emulated_ballot(mask, value, {"__ballot_sync", file, line});
}

inline int __any_sync(unsigned mask, int value, HL_EMULATED_SITE)
{
    return hl_emulated_ballot(mask, value, {"__any_sync", file, line}) != 0;
}

inline int __all_sync(unsigned mask, int value, HL_EMULATED_SITE)
{
    return hl_emulated_ballot(mask, !value, {"__all_sync", file, line}) == 0;
}

/* ------------------------------------------------------------------ functions that only devices have */

inline void __threadfence()
{
}
inline void __threadfence_block()
{
}

template <class T> T __ldg(const T *p)
{
    return *p;
}
template <class T> T __ldcs(const T *p)
{
    return *p;
}
template <class T> T __ldcg(const T *p)
{
    return *p;
}
template <class T> void __stcs(T *p, T value)
{
    *p = value;
}
template <class T> void __stcg(T *p, T value)
{
    *p = value;
}

template <class To, class From> To hl_emulated_bits(From x)
{
    static_assert(sizeof(To) == sizeof(From));
    To y;
    std::memcpy(&y, &x, sizeof y);
    return y;
}
inline unsigned __float_as_uint(float x)
{
    return hl_emulated_bits<unsigned>(x);
}
inline int __float_as_int(float x)
{
    return hl_emulated_bits<int>(x);
}
inline float __uint_as_float(unsigned x)
{
    return hl_emulated_bits<float>(x);
}
inline float __int_as_float(int x)
{
    return hl_emulated_bits<float>(x);
}

inline unsigned __umulhi(unsigned a, unsigned b)
{
    return (unsigned)((uint64_t)a * b >> 32);
}
/* c and the four products of the bytes of a and b */
inline int __dp4a(int a, int b, int c)
{
    for (int i = 0; i < 4; i++)
        c += (int8_t)(a >> 8 * i) * (int8_t)(b >> 8 * i);
    return c;
}

inline int __popc(unsigned x)
{
    return __builtin_popcount(x);
}
inline int __clz(int x)
{
    return x ? __builtin_clz((unsigned)x) : 32;
}
inline int __ffs(int x)
{
    return __builtin_ffs(x);
}

inline float rsqrtf(float x)
{
    return (float)(1.0 / std::sqrt((double)x));
}
inline double rsqrt(double x)
{
    return 1.0 / std::sqrt(x);
}
inline float __expf(float x)
{
    return std::exp(x);
}
inline float __logf(float x)
{
    return std::log(x);
}
inline float __fdividef(float a, float b)
{
    return a / b;
}
inline float __fmaf_rn(float a, float b, float c)
{
    return std::fma(a, b, c);
}
inline float __fmul_rn(float a, float b)
{
    return a * b;
}
inline float __fadd_rn(float a, float b)
{
    return a + b;
}
inline float __fdiv_rn(float a, float b)
{
    return a / b;
}
inline float __fsqrt_rn(float a)
{
    return std::sqrt(a);
}
inline float __saturatef(float x)
{
    return x >= 0 ? (x > 1 ? 1.0f : x) : 0.0f;
}

template <class T>
requires std::is_arithmetic_v<T>
constexpr T min(T a, T b)
{
    return b < a ? b : a;
}
template <class T>
requires std::is_arithmetic_v<T>
constexpr T max(T a, T b)
{
    return a < b ? b : a;
}

#endif
