/* The recurrence of an LSTM, a launch per step. A block has 32 hidden units (one to a lane) of some samples,
 * and makes the sums of their gates and all that follows from them. */
#include "kernels/cuda/common.cuh"
#include "kernels/shape.h"

constexpr int WARPS = HL_BLOCK / HL_WARP;
constexpr int SAMPLES = WARPS; /* of a block: each warp finishes one */
constexpr int TERMS = 256;     /* of the samples' rows, held at once */

typedef struct sizes {
    int64_t B, T, H;
} sizes;

/* Steps in the order of time: this one and its neighbours, -1 where there is none. */
typedef struct step {
    int64_t now, before, after;
} step;

static step step_of(const hl_call *c, int64_t index, int64_t T)
{
    const bool reverse = static_cast<const hl_lstm_params *>(c->params)->reverse;
    const int64_t now = reverse ? T - 1 - index : index, past = reverse ? now + 1 : now - 1;
    return step{now, index == 0 ? -1 : past, index == T - 1 ? -1 : 2 * now - past};
}

static dim3 grid_of(const sizes &s)
{
    return dim3((unsigned)(hl_pieces(s.H, HL_WARP) * hl_pieces(s.B, SAMPLES)));
}

/* The hidden unit and the sample that a thread finishes, and the first sample of its block. */
typedef struct place {
    int64_t unit, sample, first;
} place;

static __device__ place place_of(const sizes &s)
{
    const int64_t tiles = (s.H + HL_WARP - 1) / HL_WARP, first = blockIdx.x / tiles * SAMPLES;
    return place{blockIdx.x % tiles * HL_WARP + threadIdx.x, first + threadIdx.y, first};
}

/* sum[g] = sum over k < n of row[k] w[k][g][unit], for the sample and unit of this thread. The rows lie
 * `stride` apart, w is [n,COLUMNS,H]. Each warp takes a share of k for all samples; the shares are added in
 * order. */
template <int COLUMNS>
static __device__ void products(const float *rows, int64_t stride, const float *w, int64_t n, const place &p,
                                const sizes &s, float *sum)
{
    alignas(16) __shared__ float term[TERMS][SAMPLES]; /* read four at a time */
    __shared__ float share[WARPS][SAMPLES][COLUMNS][HL_WARP];
    float part[SAMPLES][COLUMNS] = {};
    for (int64_t at = 0; at < n; at += TERMS) {
        const int terms = (int)hl_min(TERMS, n - at);
        for (int i = threadIdx.y * HL_WARP + threadIdx.x; i < SAMPLES * TERMS; i += HL_BLOCK) {
            const int k = i % TERMS, sample = i / TERMS;
            const bool there = k < terms && p.first + sample < s.B;
            term[k][sample] = there ? rows[(p.first + sample) * stride + at + k] : 0.0f;
        }
        __syncthreads();
#pragma unroll 4
        for (int k = threadIdx.y; k < terms && p.unit < s.H; k += WARPS)
            for (int g = 0; g < COLUMNS; g++) {
                const float weight = w[((at + k) * COLUMNS + g) * s.H + p.unit];
                for (int b = 0; b < SAMPLES; b++)
                    part[b][g] += weight * term[k][b];
            }
        __syncthreads();
    }
    for (int b = 0; b < SAMPLES; b++)
        for (int g = 0; g < COLUMNS; g++)
            share[threadIdx.y][b][g][threadIdx.x] = part[b][g];
    __syncthreads();
    for (int g = 0; g < COLUMNS; g++) {
        sum[g] = 0;
        for (int warp = 0; warp < WARPS; warp++)
            sum[g] += share[warp][threadIdx.y][g][threadIdx.x];
    }
}

static __device__ float sigmoid(float x)
{
    return 1.0f / (1.0f + hl_expf(-x));
}

/* ------------------------------------------------------------------ forward */

enum { X, W };
enum { H_OUT, C_OUT, GATES };
enum { I, F, G, O, ALL };

/* w [4,H,H] -> [H,4,H], so that neighbouring units lie side by side. */
static __global__ void turn(const float *w, float *turned, int64_t H)
{
    __shared__ float tile[HL_WARP][HL_WARP + 1];
    const int64_t tiles = (H + HL_WARP - 1) / HL_WARP;
    const int64_t row = blockIdx.x / tiles * HL_WARP, column = blockIdx.x % tiles * HL_WARP;
    for (int i = threadIdx.y; i < HL_WARP; i += WARPS)
        if (row + i < ALL * H && column + threadIdx.x < H)
            tile[i][threadIdx.x] = w[(row + i) * H + column + threadIdx.x];
    __syncthreads();
    for (int i = threadIdx.y; i < HL_WARP; i += WARPS)
        if (column + i < H && row + threadIdx.x < ALL * H)
            turned[(column + i) * ALL * H + row + threadIdx.x] = tile[threadIdx.x][i];
}

/* x, gates [B,T,4H], h, c [B,T,H] */
static __global__ void forward_step(const float *x, const float *turned, float *h, float *c, float *gates,
                                    sizes s, step t)
{
    const place p = place_of(s);
    const int64_t row = p.sample * s.T + t.now, past = p.sample * s.T + t.before;
    float sum[ALL] = {};
    if (t.before >= 0)
        products<ALL>(h + t.before * s.H, s.T * s.H, turned, s.H, p, s, sum);
    if (p.unit >= s.H || p.sample >= s.B)
        return;
    for (int g = 0; g < ALL; g++) {
        sum[g] += x[(row * ALL + g) * s.H + p.unit];
        sum[g] = g == G ? tanhf(sum[g]) : sigmoid(sum[g]);
        gates[(row * ALL + g) * s.H + p.unit] = sum[g];
    }
    const float kept = t.before >= 0 ? sum[F] * c[past * s.H + p.unit] : 0.0f;
    const float cell = kept + sum[I] * sum[G];
    c[row * s.H + p.unit] = cell;
    h[row * s.H + p.unit] = sum[O] * tanhf(cell);
}

static hl_status forward_prepare(hl_call *c, hl_error *err)
{
    (void)err;
    c->workspace_bytes = (size_t)c->in[W].count * sizeof(float);
    return HL_OK;
}

static hl_status forward_run(const hl_call *c, hl_error *err)
{
    const hl_shape shape = c->out[H_OUT].shape;
    const sizes s = {shape.dim[0], shape.dim[1], shape.dim[2]};
    const dim3 block(HL_WARP, WARPS);
    float *turned = static_cast<float *>(c->workspace);
    hl_status status = HL_OK;
    if (s.B && s.T > 1)
        status = hl_launch(c, turn, (unsigned)(hl_pieces(ALL * s.H, HL_WARP) * hl_pieces(s.H, HL_WARP)),
                           block, 0, err, hl_data<float>(c->in[W]), turned, s.H);
    for (int64_t i = 0; i < s.T && status == HL_OK; i++)
        status = hl_launch(c, forward_step, grid_of(s), block, 0, err, hl_data<float>(c->in[X]), turned,
                           hl_data<float>(c->out[H_OUT]), hl_data<float>(c->out[C_OUT]),
                           hl_data<float>(c->out[GATES]), s, step_of(c, i, s.T));
    return status;
}

HL_CUDA_KERNEL(lstm, NULL, forward_prepare, forward_run)

/* ------------------------------------------------------------------ backward */

enum { DH, BACK_W, BACK_C, BACK_GATES };

/* dx [B,T,4H]. carried [B,H]: f dc, which the step before takes over. */
static __global__ void backward_step(const float *dh, const float *w, const float *c, const float *gates,
                                     float *dx, float *carried, sizes s, step t)
{
    const place p = place_of(s);
    const int64_t row = p.sample * s.T + t.now, past = p.sample * s.T + t.before;
    float later = 0;
    if (t.after >= 0)
        products<1>(dx + t.after * ALL * s.H, s.T * ALL * s.H, w, ALL * s.H, p, s, &later);
    if (p.unit >= s.H || p.sample >= s.B)
        return;
    const float *gate = gates + row * ALL * s.H + p.unit;
    const float i = gate[I * s.H], f = gate[F * s.H], g = gate[G * s.H], o = gate[O * s.H];
    const float squashed = tanhf(c[row * s.H + p.unit]);
    const float of_h = dh[row * s.H + p.unit] + later;
    const float of_c = (t.after >= 0 ? carried[p.sample * s.H + p.unit] : 0.0f) +
                       of_h * o * (1.0f - squashed * squashed);
    float *d = dx + row * ALL * s.H + p.unit;
    d[I * s.H] = of_c * g * i * (1.0f - i);
    d[F * s.H] = t.before >= 0 ? of_c * c[past * s.H + p.unit] * f * (1.0f - f) : 0.0f;
    d[G * s.H] = of_c * i * (1.0f - g * g);
    d[O * s.H] = of_h * squashed * o * (1.0f - o);
    carried[p.sample * s.H + p.unit] = of_c * f;
}

static hl_status backward_prepare(hl_call *c, hl_error *err)
{
    const hl_shape shape = c->in[BACK_C].shape;
    (void)err;
    c->workspace_bytes = (size_t)(shape.dim[0] * shape.dim[2]) * sizeof(float);
    return HL_OK;
}

static hl_status backward_run(const hl_call *c, hl_error *err)
{
    const hl_shape shape = c->in[BACK_C].shape;
    const sizes s = {shape.dim[0], shape.dim[1], shape.dim[2]};
    hl_status status = HL_OK;
    for (int64_t i = s.T - 1; i >= 0 && status == HL_OK; i--)
        status = hl_launch(
            c, backward_step, grid_of(s), dim3(HL_WARP, WARPS), 0, err, hl_data<float>(c->in[DH]),
            hl_data<float>(c->in[BACK_W]), hl_data<float>(c->in[BACK_C]), hl_data<float>(c->in[BACK_GATES]),
            hl_data<float>(c->out[0]), static_cast<float *>(c->workspace), s, step_of(c, i, s.T));
    return status;
}

HL_CUDA_KERNEL(lstm_backward, NULL, backward_prepare, backward_run)
