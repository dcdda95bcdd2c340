#include "kernels/cuda/epilogue.h"

/* Index: unsigned where it suffices, whose division is several times as fast. */
template <class From, class To, class Index>
static __global__ void add_and_activate(To *y, const From *x, const To *bias, Index n, Index inner,
                                        Index channels, hl_activation activation)
{
    HL_GRID_STRIDE(at, (int64_t)n)
    {
        Index i = (Index)at;
        float value = hl_load(x[i]);
        if (bias)
            value += hl_load(bias[i / inner % channels]);
        y[i] = hl_store<To>(hl_activation_of(activation, value));
    }
}

template <class From, class To, class Index>
static hl_status launch(const hl_call *call, const hl_epilogue_work *w, hl_error *err)
{
    To *y = hl_data<To>(*w->y);
    const From *x = static_cast<const From *>(w->x ? w->x : w->y->data);
    return hl_launch(call, add_and_activate<From, To, Index>, hl_grid(w->y->count, HL_BLOCK), HL_BLOCK, 0,
                     err, y, x, static_cast<const To *>(w->bias), w->y->count, w->inner, w->channels,
                     w->activation);
}

hl_status hl_cuda_epilogue(const hl_call *call, const hl_epilogue_work *w, hl_error *err)
{
    bool converts = w->x && w->x_type != w->y->dtype;
    if (!w->y->count || (!w->x && !w->bias && w->activation == HL_ACT_NONE))
        return HL_OK;
    return hl_with_types(converts ? w->x_type : w->y->dtype, w->y->dtype, [&](auto from, auto to) {
        using From = decltype(from);
        using To = decltype(to);
        return w->y->count <= INT32_MAX ? launch<From, To, uint32_t>(call, w, err)
                                        : launch<From, To, int64_t>(call, w, err);
    });
}
