/* Elementwise ops. A result may lie on an operand: each thread reads what it overwrites, first. */
#include "kernels/cuda/pack.cuh"
#include "kernels/shape.h"

/* ------------------------------------------------------------------ formulas */

/* An op is a function of two numbers; those of one take the first, and the read of the second is dropped by
 * the compiler. */
#define HL_BINARY(id, expression)                                                                            \
    struct id##_of {                                                                                         \
        __device__ float operator()(float u, float w) const                                                  \
        {                                                                                                    \
            return expression;                                                                               \
        }                                                                                                    \
    };
#define HL_UNARY(id, expression)                                                                             \
    struct id##_of {                                                                                         \
        __device__ float operator()(float x, float) const                                                    \
        {                                                                                                    \
            return expression;                                                                               \
        }                                                                                                    \
    };
#include "kernels/elementwise.def"
#undef HL_BINARY
#undef HL_UNARY

struct affine_of {
    float factor, offset;
    __device__ float operator()(float x, float) const
    {
        return x * factor + offset;
    }
};

struct fill_of {
    float value;
    __device__ float operator()(float, float) const
    {
        return value;
    }
};

/* ------------------------------------------------------------------ the kernel */

/* W neighbours, or W times the same number. */
template <int W, class T> static __device__ hl_pack<T, W> load(const T *x, int64_t step)
{
    if (step)
        return hl_pack_load<W>(x);
    hl_pack<T, W> same;
    for (int k = 0; k < W; k++)
        same.at[k] = *x;
    return same;
}

/* W elements at a time. A last dim that is no multiple of W must be the only one. */
template <int W, class T, class F>
static __global__ void elementwise(T *y, const T *a, const T *b, const __grid_constant__ hl_broadcast w,
                                   int64_t n, F f)
{
    const int last = w.rank - 1;
    const int64_t inner = w.dim[last] / W, a_step = w.stride[0][last], b_step = w.stride[1][last];
    HL_GRID_STRIDE(i, n / W)
    {
        int64_t row = last ? i / inner : 0, at = (i - row * inner) * W;
        hl_pack<T, W> u = load<W>(a + hl_broadcast_row(&w, 0, row) + at * a_step, a_step);
        hl_pack<T, W> v = load<W>(b + hl_broadcast_row(&w, 1, row) + at * b_step, b_step);
        for (int k = 0; k < W; k++)
            u.at[k] = hl_store<T>(f(hl_load(u.at[k]), hl_load(v.at[k])));
        hl_pack_store<W>(y + i * W, u);
    }
    HL_GRID_STRIDE(i, n % W)
    {
        int64_t at = n - n % W + i;
        y[at] = hl_store<T>(f(hl_load(a[at * a_step]), hl_load(b[at * b_step])));
    }
}

/* Packs of `width` elements lie aligned in the operand, wherever a row of it begins. */
static bool packs_of(const hl_broadcast *w, int operand, const void *data, int width)
{
    const int last = w->rank - 1;
    if (!w->stride[operand][last])
        return true;
    for (int i = 0; i < last; i++)
        if (w->stride[operand][i] % width)
            return false;
    return hl_aligned(data, 16);
}

/* An operand that is absent is given as the result, and not used. */
template <class T, class F>
static hl_status launch(const hl_call *c, const hl_view *a, const hl_view *b, F f, hl_error *err)
{
    constexpr int W = hl_pack_width<T>;
    const hl_view *y = &c->out[0];
    const hl_broadcast w = hl_broadcast_of(y->shape, a->shape, b->shape);
    const bool wide = (w.rank == 1 || w.dim[w.rank - 1] % W == 0) && hl_aligned(y->data, 16) &&
                      packs_of(&w, 0, a->data, W) && packs_of(&w, 1, b->data, W);
    return hl_launch(c, wide ? elementwise<W, T, F> : elementwise<1, T, F>,
                     hl_grid(y->count, HL_BLOCK * (wide ? W : 1)), HL_BLOCK, 0, err, hl_data<T>(*y),
                     hl_data<T>(*a), hl_data<T>(*b), w, y->count, f);
}

template <class F> static hl_status run_binary(const hl_call *c, F f, hl_error *err)
{
    return hl_with_type(c->out[0].dtype,
                        [&](auto type) { return launch<decltype(type)>(c, &c->in[0], &c->in[1], f, err); });
}

template <class F> static hl_status run_unary(const hl_call *c, F f, hl_error *err)
{
    return hl_with_type(c->out[0].dtype,
                        [&](auto type) { return launch<decltype(type)>(c, &c->in[0], &c->in[0], f, err); });
}

/* ------------------------------------------------------------------ ops */

#define ELEMENTWISE_KERNEL(id, run_)                                                                         \
    static hl_status id##_run(const hl_call *c, hl_error *err)                                               \
    {                                                                                                        \
        return run_(c, id##_of{}, err);                                                                      \
    }                                                                                                        \
    HL_CUDA_KERNEL(id, hl_cuda_one_dtype, NULL, id##_run)
#define HL_BINARY(id, expression) ELEMENTWISE_KERNEL(id, run_binary)
#define HL_UNARY(id, expression)  ELEMENTWISE_KERNEL(id, run_unary)
#include "kernels/elementwise.def"

static hl_status affine_run(const hl_call *c, hl_error *err)
{
    const hl_affine_params *p = static_cast<const hl_affine_params *>(c->params);
    return run_unary(c, affine_of{p->factor, p->offset}, err);
}

HL_CUDA_KERNEL(affine, hl_cuda_one_dtype, NULL, affine_run)

static hl_status fill_run(const hl_call *c, hl_error *err)
{
    const hl_fill_params *p = static_cast<const hl_fill_params *>(c->params);
    return launch<float>(c, &c->out[0], &c->out[0], fill_of{p->value}, err);
}

HL_CUDA_KERNEL(fill, NULL, NULL, fill_run)
