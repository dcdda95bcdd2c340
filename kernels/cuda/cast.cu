/* Conversion between storage types, by way of f32. */
#include "kernels/cuda/pack.cuh"

template <int W, class From, class To> static __global__ void cast(To *y, const From *x, int64_t n)
{
    HL_GRID_STRIDE(i, n / W)
    {
        hl_pack<From, W> from = hl_pack_load<W>(x + i * W);
        hl_pack<To, W> to;
        for (int k = 0; k < W; k++)
            to.at[k] = hl_store<To>(hl_load(from.at[k]));
        hl_pack_store<W>(y + i * W, to);
    }
    HL_GRID_STRIDE(i, n % W)
    {
        y[n - n % W + i] = hl_store<To>(hl_load(x[n - n % W + i]));
    }
}

template <class From, class To> static hl_status launch(const hl_call *c, hl_error *err)
{
    constexpr int W = 4;
    const From *x = hl_data<From>(c->in[0]);
    To *y = hl_data<To>(c->out[0]);
    const int64_t n = c->out[0].count;
    const bool wide = hl_aligned(x, W * sizeof(From)) && hl_aligned(y, W * sizeof(To));
    return hl_launch(c, wide ? cast<W, From, To> : cast<1, From, To>, hl_grid(n, HL_BLOCK * (wide ? W : 1)),
                     HL_BLOCK, 0, err, y, x, n);
}

static hl_status cast_run(const hl_call *c, hl_error *err)
{
    return hl_with_type(c->in[0].dtype, [&](auto from) {
        return hl_with_type(c->out[0].dtype,
                            [&](auto to) { return launch<decltype(from), decltype(to)>(c, err); });
    });
}

static bool accepts(const hl_call *)
{
    return true;
}

HL_CUDA_KERNEL(cast, accepts, NULL, cast_run)
