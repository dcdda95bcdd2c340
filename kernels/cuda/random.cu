/* Ops that draw: each thread has four elements at a time, as many as a block of Philox has numbers, and draws
 * anew what it needs (base/philox.h). */
#include "kernels/cuda/pack.cuh"
#include "kernels/shape.h"

#include "base/philox.h"

constexpr int FOUR = 4;

/* ------------------------------------------------------------------ dropout */

struct dropout {
    hl_dropout_params params;
    float scale; /* 1/(1-p) */
};

/* words.v[j], by selection: registers have no index. */
static __device__ uint32_t word(const hl_philox &words, int j)
{
    return j < 2 ? (j ? words.v[1] : words.v[0]) : j == 2 ? words.v[2] : words.v[3];
}

/* Four elements, of which the first is number `at`. One block of Philox does for all of them when each has a
 * number of its own, and mostly when a group of neighbours shares one. */
template <class T>
static __device__ void drop(hl_pack<T, FOUR> *x, int64_t at, const hl_clock *clock, const dropout &d)
{
    const int64_t group = d.params.group;
    int64_t number = at / group, left = group - at % group; /* elements that still take this number */
    hl_philox words = hl_philox_block(clock->seed, clock->step, d.params.stream, (uint64_t)number / FOUR);
    for (int k = 0; k < FOUR; k++) {
        /* What is kept may be NaN or infinite; what is dropped is 0, whatever it was. */
        const bool keep = hl_uniform_float(word(words, (int)(number % FOUR))) >= d.params.p;
        x->at[k] = hl_store<T>(keep ? hl_load(x->at[k]) * d.scale : 0.0f);
        if (--left > 0)
            continue;
        left = group;
        if (++number % FOUR == 0 && k + 1 < FOUR)
            words = hl_philox_block(clock->seed, clock->step, d.params.stream, (uint64_t)number / FOUR);
    }
}

template <class T>
static __global__ void dropout_elements(T *y, const T *x, int64_t n, bool wide, const hl_clock *clock,
                                        dropout d)
{
    HL_GRID_STRIDE(i, (n + FOUR - 1) / FOUR)
    {
        const int64_t at = i * FOUR;
        const bool whole = wide && at + FOUR <= n;
        hl_pack<T, FOUR> v;
        if (whole)
            v = hl_pack_load<FOUR>(x + at);
        else
            for (int k = 0; k < FOUR; k++)
                v.at[k] = at + k < n ? x[at + k] : hl_store<T>(0.0f);
        drop(&v, at, clock, d);
        if (whole)
            hl_pack_store<FOUR>(y + at, v);
        else
            for (int k = 0; k < FOUR; k++)
                if (at + k < n)
                    y[at + k] = v.at[k];
    }
}

static hl_status dropout_run(const hl_call *c, hl_error *err)
{
    const hl_dropout_params *p = static_cast<const hl_dropout_params *>(c->params);
    const dropout d = {*p, (float)(1.0 / (1.0 - (double)p->p))};
    return hl_with_type(c->out[0].dtype, [&](auto type) {
        using T = decltype(type);
        const T *x = hl_data<T>(c->in[0]);
        T *y = hl_data<T>(c->out[0]);
        const int64_t n = c->out[0].count;
        const bool wide = hl_aligned(x, FOUR * sizeof(T)) && hl_aligned(y, FOUR * sizeof(T));
        return hl_launch(c, dropout_elements<T>, hl_grid(n, FOUR * HL_BLOCK), HL_BLOCK, 0, err, y, x, n, wide,
                         c->clock, d);
    });
}

HL_CUDA_KERNEL(dropout, hl_cuda_one_dtype, NULL, dropout_run)

/* ------------------------------------------------------------------ normal */

/* Box-Muller: two words, two numbers. */
static __device__ void normal_pair(uint32_t first, uint32_t second, float *pair)
{
    float sine, cosine, radius = sqrtf(-2.0f * hl_log_unit(hl_uniform_open(first)));
    hl_sincos_turns(hl_uniform_float(second), &sine, &cosine);
    pair[0] = radius * cosine;
    pair[1] = radius * sine;
}

static __global__ void normal_elements(float *y, int64_t n, bool wide, const hl_clock *clock, uint32_t stream)
{
    HL_GRID_STRIDE(i, (n + FOUR - 1) / FOUR)
    {
        const int64_t at = i * FOUR;
        const hl_philox words = hl_philox_block(clock->seed, clock->step, stream, (uint64_t)i);
        hl_pack<float, FOUR> v;
        normal_pair(words.v[0], words.v[1], v.at);
        normal_pair(words.v[2], words.v[3], v.at + 2);
        if (wide && at + FOUR <= n)
            hl_pack_store<FOUR>(y + at, v);
        else
            for (int k = 0; k < FOUR; k++)
                if (at + k < n)
                    y[at + k] = v.at[k];
    }
}

static hl_status normal_run(const hl_call *c, hl_error *err)
{
    const hl_normal_params *p = static_cast<const hl_normal_params *>(c->params);
    float *y = hl_data<float>(c->out[0]);
    const int64_t n = c->out[0].count;
    return hl_launch(c, normal_elements, hl_grid(n, FOUR * HL_BLOCK), HL_BLOCK, 0, err, y, n,
                     hl_aligned(y, 16), c->clock, p->stream);
}

HL_CUDA_KERNEL(normal, NULL, NULL, normal_run)
