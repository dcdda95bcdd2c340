/* What a library leaves to do about a product or a convolution: bias, activation, conversion to f32. */
#ifndef HL_KERNELS_CUDA_EPILOGUE_H
#define HL_KERNELS_CUDA_EPILOGUE_H

#include "kernels/cuda/common.cuh"

/* y = act(x + bias): `count` elements x of dtype x_type, as they lie or (x NULL) in y itself; bias [channels]
 * or NULL is of the dtype of y, and element i is of channel i / inner % channels. */
typedef struct hl_epilogue_work {
    const hl_view *y;
    const void *x;
    hl_dtype x_type;
    const void *bias;
    int64_t inner, channels;
    hl_activation activation;
} hl_epilogue_work;

hl_status hl_cuda_epilogue(const hl_call *call, const hl_epilogue_work *work, hl_error *err);

/* Calls f with values of the storage types of operands and result; the result is of their dtype or f32. */
template <class F> hl_status hl_with_types(hl_dtype operands, hl_dtype result, F f)
{
    return hl_with_type(operands, [&](auto x) { return result == HL_F32 ? f(x, float{}) : f(x, x); });
}

/* Whether operands first and second share a dtype, and the others and the result have theirs or f32. */
inline bool hl_mixed_dtypes(const hl_call *call, hl_dtype out)
{
    hl_dtype operands = call->in[0].dtype;
    bool fits = call->in[1].dtype == operands && call->out[0].dtype == out &&
                (out == operands || out == HL_F32);
    for (int k = 2; k < call->n_in; k++)
        fits = fits && (!call->in[k].count || call->in[k].dtype == out);
    return fits;
}

/* Libraries want their scratch at a multiple of 256 bytes, a call's is at one of 64. */
enum { HL_SCRATCH_ALIGN = 256 };

inline void *hl_scratch(const hl_call *call)
{
    uintptr_t at = reinterpret_cast<uintptr_t>(call->workspace);
    return reinterpret_cast<void *>((at + HL_SCRATCH_ALIGN - 1) / HL_SCRATCH_ALIGN * HL_SCRATCH_ALIGN);
}

#endif
