/* The optimizer's ops, at the speed of memory. What concerns many tensors is one launch over the chunks of
 * all of them: a table of tensors is the kernel's argument, and a block finds the one that its chunk lies in.
 * A step whose loss or gradient is not finite changes nothing but a counter. */
#include "kernels/cuda/pack.cuh"
#include "kernels/shape.h"

#include "base/philox.h"

constexpr int64_t CHUNK = 16384; /* elements of a block */
constexpr int64_t PIECE = 4096;  /* chunks of a launch, about: what waits on another queue gets its turn */
constexpr int FOUR = 4;          /* that a thread has at a time; numbers of a Philox block */

/* Bytes of arguments that a kernel may have. */
#if CUDART_VERSION >= 12010
constexpr size_t ARGUMENTS = 32764;
#else
constexpr size_t ARGUMENTS = 4096;
#endif

/* Tensors whose chunks are counted through: those of tensor k begin at number tensor[k].first. None is empty.
 */
template <class T> struct table {
    static constexpr int most = (int)((ARGUMENTS - 64) / sizeof(T)); /* 64: for the other arguments */
    int n;
    int64_t chunks; /* of all */
    T tensor[most];
};

template <class T> static void append(table<T> *t, T tensor)
{
    if (!tensor.count)
        return;
    tensor.first = t->chunks;
    t->chunks += hl_pieces(tensor.count, CHUNK);
    t->tensor[t->n++] = tensor;
}

/* The last tensor whose chunks begin at or before this one. */
template <class T> static __device__ const T &tensor_of(const table<T> &t, int64_t chunk)
{
    int low = 0, high = t.n;
    while (high - low > 1) {
        const int middle = (low + high) / 2;
        if (t.tensor[middle].first <= chunk)
            low = middle;
        else
            high = middle;
    }
    return t.tensor[low];
}

/* ------------------------------------------------------------------ global norm */

struct summand {
    const float *x;
    int64_t count, first;
};

/* partial[i]: the sum of squares of chunk i. */
static __global__ void sum_squares(double *partial, const __grid_constant__ table<summand> t)
{
    __shared__ double scratch[HL_WARP];
    const summand &s = tensor_of(t, blockIdx.x);
    const int64_t begin = (blockIdx.x - s.first) * CHUNK, n = hl_min(CHUNK, s.count - begin);
    const float *x = s.x + begin;
    const int64_t packs = hl_aligned(x, 16) ? n / FOUR : 0;
    double sum = 0;
#pragma unroll 4
    for (int64_t i = threadIdx.x; i < packs; i += HL_BLOCK) {
        const hl_pack<float, FOUR> v = hl_pack_load<FOUR>(x + i * FOUR);
        for (int k = 0; k < FOUR; k++)
            sum += (double)v.at[k] * (double)v.at[k];
    }
    for (int64_t i = packs * FOUR + threadIdx.x; i < n; i += HL_BLOCK)
        sum += (double)x[i] * (double)x[i];
    sum = hl_block_sum(sum, scratch);
    if (threadIdx.x == 0)
        partial[blockIdx.x] = sum;
}

/* One block. */
static __global__ void root_of_sum(float *y, const double *partial, int64_t n)
{
    __shared__ double scratch[HL_WARP];
    double sum = 0;
    for (int64_t i = threadIdx.x; i < n; i += blockDim.x)
        sum += partial[i];
    sum = hl_block_sum(sum, scratch);
    if (threadIdx.x == 0)
        *y = (float)sqrt(sum);
}

static hl_status norm_prepare(hl_call *c, hl_error *)
{
    int64_t chunks = 0;
    for (int k = 0; k < c->n_in; k++)
        chunks += hl_pieces(c->in[k].count, CHUNK);
    c->workspace_bytes = (size_t)chunks * sizeof(double);
    return HL_OK;
}

static hl_status norm_run(const hl_call *c, hl_error *err)
{
    double *const partial = static_cast<double *>(c->workspace);
    table<summand> t;
    int64_t done = 0;
    for (int k = 0; k < c->n_in;) {
        t.n = 0, t.chunks = 0;
        for (; k < c->n_in && t.n < t.most; k++)
            append(&t, {hl_data<const float>(c->in[k]), c->in[k].count, 0});
        const hl_status status = hl_launch(c, sum_squares, (unsigned)t.chunks, HL_BLOCK, 0, err,
                                           partial + done, t);
        if (status != HL_OK)
            return status;
        done += t.chunks;
    }
    return hl_launch(c, root_of_sum, 1, 1024, 0, err, hl_data<float>(c->out[0]), partial, done);
}

HL_CUDA_KERNEL(global_norm, NULL, norm_prepare, norm_run)

/* ------------------------------------------------------------------ gate and loss scale: one thread */

struct gate {
    const float *count, *skipped, *norm, *loss, *loss_scale; /* the last NULL: 1 */
    float *count_next, *skipped_next, *factor;
    float clip;
};

static __global__ void decide(gate g)
{
    const float count = *g.count, skipped = *g.skipped, norm = *g.norm;
    const bool counts = isfinite(norm) && isfinite(*g.loss);
    const double loss_scale = g.loss_scale ? *g.loss_scale : 1;
    const double factor = g.clip > 0 ? (double)g.clip / ((double)norm + 1e-6) : 1;
    *g.count_next = count + (counts ? 1.0f : 0.0f);
    *g.skipped_next = skipped + (counts ? 0.0f : 1.0f);
    *g.factor = counts ? (float)((factor < 1 ? factor : 1) / loss_scale) : -1.0f;
}

static hl_status gate_run(const hl_call *c, hl_error *err)
{
    const hl_gate_params *p = static_cast<const hl_gate_params *>(c->params);
    const gate g = {hl_data<float>(c->in[0]),  hl_data<float>(c->in[1]),  hl_data<float>(c->in[2]),
                    hl_data<float>(c->in[3]),  hl_data<float>(c->in[4]),  hl_data<float>(c->out[0]),
                    hl_data<float>(c->out[1]), hl_data<float>(c->out[2]), p->clip};
    return hl_launch(c, decide, 1, 1, 0, err, g);
}

HL_CUDA_KERNEL(update_gate, NULL, NULL, gate_run)

static __global__ void rescale(float *scale_next, float *good_next, const float *scale, const float *good,
                               const float *factor, float interval)
{
    const bool skipped = !(*factor >= 0.0f), full = *good + 1.0f >= interval;
    const float now = *scale;
    *good_next = skipped || full ? 0.0f : *good + 1.0f;
    *scale_next = skipped ? fmaxf(now * 0.5f, 1.0f) : full ? fminf(now * 2.0f, 16777216.0f) : now;
}

static hl_status loss_scale_run(const hl_call *c, hl_error *err)
{
    const hl_loss_scale_params *p = static_cast<const hl_loss_scale_params *>(c->params);
    return hl_launch(c, rescale, 1, 1, 0, err, hl_data<float>(c->out[0]), hl_data<float>(c->out[1]),
                     hl_data<const float>(c->in[0]), hl_data<const float>(c->in[1]),
                     hl_data<const float>(c->in[2]), p->interval);
}

HL_CUDA_KERNEL(loss_scale, NULL, NULL, loss_scale_run)

/* ------------------------------------------------------------------ AdamW */

enum { P, M, V, LOW, GRADIENT, FACTOR, RATE, COUNT };

/* A call. Results, named `next`, may lie on the operands. */
struct parameter {
    const float *p, *gradient;
    const void *m, *v, *low;
    float *p_next;
    void *m_next, *v_next, *low_next;
    const float *factor, *rate, *steps;
    int64_t count, first, covered; /* covered: elements of the gradient, 0 if there is none */
    hl_adamw_params params;
    hl_dtype moments, copy; /* copy: of low */
};

/* The numbers of one step. */
struct step {
    float factor, beta1, beta2, eps;
    float rest1, rest2; /* 1 - beta */
    float rate;         /* lr / (1 - beta1^t) */
    float inverse2;     /* 1 / (1 - beta2^t) */
    float decay;        /* lr * weight_decay */
};

static __device__ step step_of(const parameter &a)
{
    const double lr = *a.rate, t = *a.steps, beta1 = a.params.beta1, beta2 = a.params.beta2;
    return {*a.factor,
            a.params.beta1,
            a.params.beta2,
            a.params.eps,
            (float)(1 - beta1),
            (float)(1 - beta2),
            (float)(lr / (1 - pow(beta1, t))),
            (float)(1 / (1 - pow(beta2, t))),
            (float)(lr * (double)a.params.weight_decay)};
}

/* Elements [from, to) of four. */
template <class T> static __device__ hl_pack<T, FOUR> load(const T *x, int from, int to)
{
    if (from == 0 && to == FOUR && hl_aligned(x, FOUR * sizeof(T)))
        return hl_pack_load<FOUR>(x);
    hl_pack<T, FOUR> v;
    for (int k = 0; k < FOUR; k++)
        v.at[k] = k >= from && k < to ? x[k] : hl_store<T>(0.0f);
    return v;
}

template <class T> static __device__ void store(T *y, const hl_pack<T, FOUR> &v, int from, int to)
{
    if (from == 0 && to == FOUR && hl_aligned(y, FOUR * sizeof(T)))
        hl_pack_store<FOUR>(y, v);
    else
        for (int k = 0; k < FOUR; k++)
            if (k >= from && k < to)
                y[k] = v.at[k];
}

template <class T> static __device__ void keep(T *next, const T *now, int n)
{
    if (next != now)
        store(next, load(now, 0, n), 0, n);
}

static __device__ void round_moment(float *m, float x, uint32_t)
{
    *m = x;
}

static __device__ void round_moment(__nv_bfloat16 *m, float x, uint32_t random16)
{
    *m = __ushort_as_bfloat16(hl_float_to_bf16_stochastic(x, random16));
}

/* Elements i .. i + n - 1, n <= 4, where they lie in the results already. */
template <class T, class L>
static __device__ void update(const parameter &a, const step &s, const hl_clock *clock, int64_t i, int n)
{
    T *const m_at = static_cast<T *>(a.m_next) + i, *const v_at = static_cast<T *>(a.v_next) + i;
    L *const low_at = a.low_next ? static_cast<L *>(a.low_next) + i : NULL;
    /* Elements from .. to - 1 have a gradient. */
    const int64_t behind = a.params.offset - i;
    const int from = (int)hl_min(behind > 0 ? behind : 0, n);
    const int to = behind + a.covered > from ? (int)hl_min(behind + a.covered, n) : from;
    const bool moves = from < to || s.decay != 0;
    if (!moves && !low_at)
        return;
    hl_pack<float, FOUR> p = load(a.p_next + i, 0, n);
    if (from < to) {
        hl_pack<T, FOUR> m = load(m_at, from, to), v = load(v_at, from, to);
        const hl_pack<float, FOUR> g = load(a.gradient - behind, from, to);
        hl_philox random = {};
        if (sizeof(T) == 2)
            random = hl_philox_block(clock->seed, clock->step, a.params.stream, (uint64_t)i / FOUR);
        for (int k = 0; k < FOUR; k++) {
            const float gradient = g.at[k] * s.factor;
            const float first = s.beta1 * hl_load(m.at[k]) + s.rest1 * gradient;
            const float second = s.beta2 * hl_load(v.at[k]) + s.rest2 * gradient * gradient;
            const float along = s.rate * first / (sqrtf(second * s.inverse2) + s.eps);
            /* The change is summed first: as a factor, 1 - decay would round most of the decay away. */
            p.at[k] -= s.decay * p.at[k] + (k >= from && k < to ? along : 0.0f);
            round_moment(&m.at[k], first, random.v[k] & 0xffffu);
            round_moment(&v.at[k], second, random.v[k] >> 16);
        }
        store(m_at, m, from, to);
        store(v_at, v, from, to);
    } else if (moves)
        for (int k = 0; k < FOUR; k++)
            p.at[k] -= s.decay * p.at[k];
    if (moves)
        store(a.p_next + i, p, 0, n);
    if (!low_at)
        return;
    hl_pack<L, FOUR> low;
    for (int k = 0; k < FOUR; k++)
        low.at[k] = hl_store<L>(p.at[k]);
    store(low_at, low, 0, n);
}

/* Elements [begin, end). A factor below 0, or NaN: the step does not count. */
template <class T, class L>
static __device__ void update_chunk(const parameter &a, const step &s, const hl_clock *clock, int64_t begin,
                                    int64_t end)
{
    const bool counts = s.factor >= 0.0f;
    for (int64_t i = begin + FOUR * threadIdx.x; i < end; i += FOUR * HL_BLOCK) {
        const int n = (int)hl_min(FOUR, end - i);
        keep(a.p_next + i, a.p + i, n);
        keep(static_cast<T *>(a.m_next) + i, static_cast<const T *>(a.m) + i, n);
        keep(static_cast<T *>(a.v_next) + i, static_cast<const T *>(a.v) + i, n);
        if (counts)
            update<T, L>(a, s, clock, i, n);
        else if (a.low_next)
            keep(static_cast<L *>(a.low_next) + i, static_cast<const L *>(a.low) + i, n);
    }
}

static __global__ void update_parameters(const hl_clock *clock, const __grid_constant__ table<parameter> t)
{
    __shared__ step s;
    const parameter &a = tensor_of(t, blockIdx.x);
    const int64_t begin = (blockIdx.x - a.first) * CHUNK, end = hl_min(begin + CHUNK, a.count);
    if (threadIdx.x == 0)
        s = step_of(a);
    __syncthreads();
    if (a.moments == HL_F32 && a.copy == HL_F16)
        update_chunk<float, __half>(a, s, clock, begin, end);
    else if (a.moments == HL_F32)
        update_chunk<float, __nv_bfloat16>(a, s, clock, begin, end);
    else if (a.copy == HL_F16)
        update_chunk<__nv_bfloat16, __half>(a, s, clock, begin, end);
    else
        update_chunk<__nv_bfloat16, __nv_bfloat16>(a, s, clock, begin, end);
}

static parameter parameter_of(const hl_call *c)
{
    const hl_view *gradient = &c->in[GRADIENT], *in = c->in, *out = c->out;
    const bool low = c->n_out > LOW;
    return {.p = hl_data<float>(in[P]),
            .gradient = hl_data<float>(*gradient),
            .m = in[M].data,
            .v = in[V].data,
            .low = low ? in[LOW].data : NULL,
            .p_next = hl_data<float>(out[P]),
            .m_next = out[M].data,
            .v_next = out[V].data,
            .low_next = low ? out[LOW].data : NULL,
            .factor = hl_data<float>(in[FACTOR]),
            .rate = hl_data<float>(in[RATE]),
            .steps = hl_data<float>(in[COUNT]),
            .count = out[P].count,
            .first = 0,
            .covered = gradient->data ? gradient->count : 0,
            .params = *static_cast<const hl_adamw_params *>(c->params),
            .moments = in[M].dtype,
            .copy = low ? in[LOW].dtype : HL_BF16};
}

static hl_status adamw_run_many(const hl_call *calls, int n, hl_error *err)
{
    table<parameter> t;
    hl_status status = HL_OK;
    for (int k = 0; k < n && status == HL_OK;) {
        t.n = 0, t.chunks = 0;
        for (; k < n && t.n < t.most && t.chunks < PIECE; k++)
            append(&t, parameter_of(&calls[k]));
        status = hl_launch(calls, update_parameters, (unsigned)t.chunks, HL_BLOCK, 0, err, calls->clock, t);
    }
    return status;
}

static hl_status adamw_run(const hl_call *c, hl_error *err)
{
    return adamw_run_many(c, 1, err);
}

static bool adamw_accepts(const hl_call *c)
{
    const hl_dtype moments = c->in[M].dtype;
    bool others = true;
    for (int k = 0; k < c->n_in; k++)
        others = others && (k == M || k == V || k == LOW || c->in[k].dtype == HL_F32);
    return others && moments == c->in[V].dtype && moments != HL_F16 &&
           (c->n_out <= LOW || c->in[LOW].dtype != HL_F32);
}

extern "C" {
extern const hl_kernel hl_cuda_adamw;
const hl_kernel hl_cuda_adamw = {
    .op = "adamw", .name = "cuda", .accepts = adamw_accepts, .run = adamw_run, .run_many = adamw_run_many};
}
