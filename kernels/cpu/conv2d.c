/* Convolutions as products of matrices: of the weights, the patches (im2col.h) and the image of
 * gradients.  A task makes its stretch of the patches in its thread's workspace and multiplies it while
 * it is in the cache.  What a task sums into belongs to it alone and is summed in a fixed order, so
 * results do not depend on the number of threads. */
#include "kernels/cpu/common.h"
#include "kernels/cpu/conv_relu.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/im2col.h"
#include "kernels/cpu/math.h"
#include "kernels/cpu/threads.h"

#include "base/error.h"
#include "base/memory.h"

#include <string.h>

/* How a call is cut into tasks, and its workspace: one shared part, then one per thread. */
typedef struct cut {
    hl_conv_sizes s;
    int threads;
    int64_t stretch; /* positions per task or step */
    int64_t group;   /* backward_data: channels of x per task; backward_filter: patch elements */
    int64_t groups;
    size_t shared;    /* bytes: packed weights */
    size_t packed;    /* bytes: of a thread's packed operand, before its other buffer */
    size_t of_thread; /* bytes: all that is a thread's */
} cut;

/* Floats of one operand that should stay in the second-level cache. */
enum { CACHED = 1 << 16 };

static int64_t ceil_div(int64_t a, int64_t b)
{
    return a / b + (a % b != 0);
}

static int64_t clamp(int64_t x, int64_t low, int64_t high)
{
    return x < low ? low : x > high ? high : x;
}

/* As many positions as keep a matrix of `depth` rows in the cache, a multiple of 32 (the register tile). */
static int64_t stretch_for(const hl_conv_sizes *s, int64_t depth)
{
    return clamp(CACHED / (depth ? depth : 1), 32, clamp(ceil_div(s->positions, 32) * 32, 32, 512)) / 32 * 32;
}

static int threads_for(const hl_conv_sizes *s)
{
    double weights = (double)s->O * (double)s->patch;
    return hl_threads_for((double)s->B * (double)s->positions * weights, sizeof(float) * weights);
}

/* Keeps a cut that has its bytes; sizes that overflow are an error. */
static hl_status keep(hl_call *c, const cut *k, bool fits, hl_error *err)
{
    size_t bytes;
    fits = fits && hl_size_mul(k->of_thread, (size_t)k->threads, &bytes) &&
           hl_size_add(bytes, k->shared, &c->workspace_bytes);
    if (!fits)
        return hl_fail(err, HL_ERR_MEMORY,
                       "the workspace of a convolution with %lld-element patches overflows",
                       (long long)k->s.patch);
    cut *kept = hl_alloc(1, sizeof *kept);
    if (!kept)
        return hl_fail(err, HL_ERR_MEMORY, "no memory for the state of a convolution");
    *kept = *k;
    c->state = kept;
    return HL_OK;
}

static void release(hl_call *c)
{
    hl_free(c->state);
    c->state = NULL;
}

/* Bytes of rows x columns floats, rounded up to whole cache lines. */
static bool matrix_bytes(int64_t rows, int64_t columns, size_t *bytes)
{
    if (!hl_size_mul((size_t)rows, (size_t)columns, bytes) || !hl_size_mul(*bytes, sizeof(float), bytes) ||
        *bytes > SIZE_MAX - 64)
        return false;
    *bytes = hl_size_align(*bytes, 64);
    return true;
}

static float *shared_part(const hl_call *c)
{
    return (float *)c->workspace;
}

/* The calling thread's packed operand, and its other buffer. */
static float *thread_packed(const hl_call *c, const cut *k)
{
    return (float *)((char *)c->workspace + k->shared + (size_t)omp_get_thread_num() * k->of_thread);
}

static float *thread_buffer(const hl_call *c, const cut *k)
{
    return (float *)((char *)thread_packed(c, k) + k->packed);
}

/* ------------------------------------------------------------------ y = w patches + b
 * A task is a stretch of positions of one image. */

enum { X, W, BIAS };

static hl_status forward_prepare(hl_call *c, hl_error *err)
{
    cut k = {.s = hl_conv_sizes_of(c->params, c->in[X].shape, c->in[W].shape, c->out[0].shape)};
    size_t line;
    k.threads = threads_for(&k.s);
    k.stretch = stretch_for(&k.s, k.s.patch);
    int64_t fair = ceil_div(ceil_div(k.s.B * k.s.positions, k.threads), 32) * 32;
    k.stretch = clamp(k.stretch, 32, fair > 32 ? fair : 32);
    bool fits = hl_gemm_left_bytes(k.s.O, k.s.patch, &k.shared) &&
                hl_gemm_right_bytes(k.s.patch, k.stretch, &k.packed) && matrix_bytes(1, k.stretch, &line) &&
                hl_size_add(k.packed, line, &k.of_thread);
    return keep(c, &k, fits, err);
}

static void forward_task(const hl_call *c, const cut *k, int64_t image, int64_t begin, int64_t end)
{
    const hl_conv_sizes *s = &k->s;
    const hl_conv_params *p = c->params;
    const float *x = hl_in(c, X) + image * s->I * s->H * s->W, *bias = hl_in(c, BIAS);
    float *patches = thread_packed(c, k), *line = thread_buffer(c, k);
    float *y = hl_out(c, 0) + image * s->O * s->positions + begin;
    int64_t n = end - begin;
    for (int64_t row = 0; row < s->patch; row++) {
        hl_im2col(s, x, row, begin, end, line);
        hl_gemm_pack_right_row(s->patch, n, row, line, patches);
    }
    hl_gemm_packed(s->O, n, s->patch, shared_part(c), patches, y, s->positions, false);
    for (int64_t o = 0; o < s->O; o++, y += s->positions) {
        for (int64_t i = 0; bias && i < n; i++)
            y[i] += bias[o];
        if (p->activation != HL_ACT_RELU) /* that one comes last */
            hl_activate(y, n, p->activation);
    }
}

static hl_status forward_run(const hl_call *c, hl_error *err)
{
    (void)err;
    const cut *k = c->state;
    const hl_conv_sizes *s = &k->s;
    int64_t stretches = ceil_div(s->positions, k->stretch);
    hl_gemm_pack_left(false, s->O, s->patch, hl_in(c, W), s->patch, shared_part(c));
#pragma omp parallel for schedule(static) num_threads(k->threads)
    for (int64_t t = 0; t < s->B * stretches; t++) {
        int64_t begin = t % stretches * k->stretch;
        forward_task(c, k, t / stretches, begin, clamp(begin + k->stretch, 0, s->positions));
    }
    if (((const hl_conv_params *)c->params)->activation == HL_ACT_RELU)
        hl_conv_relu(c);
    return HL_OK;
}

const hl_kernel hl_cpu_conv2d = {
    .op = "conv2d", .name = "portable", .prepare = forward_prepare, .run = forward_run, .release = release};

/* ------------------------------------------------------------------ dx = transposed patches of (w^T dy)
 * A task is a group of channels of one image of dx. */

enum { DATA_DY, DATA_W };

static hl_status data_prepare(hl_call *c, hl_error *err)
{
    cut k = {.s = hl_conv_sizes_of(c->params, c->out[0].shape, c->in[DATA_W].shape, c->in[DATA_DY].shape)};
    int64_t taps = k.s.kh * k.s.kw;
    size_t columns;
    k.threads = threads_for(&k.s);
    k.group = clamp(96 / taps, 1, k.s.I); /* rows that fill the blocks of the product */
    k.groups = ceil_div(k.s.I, k.group);
    k.stretch = stretch_for(&k.s, k.s.O > k.group * taps ? k.s.O : k.group * taps);
    bool fits = hl_gemm_left_bytes(k.group * taps, k.s.O, &k.shared) &&
                hl_size_mul(k.shared, (size_t)k.groups, &k.shared) &&
                hl_gemm_right_bytes(k.s.O, k.stretch, &k.packed) &&
                matrix_bytes(k.group * taps, k.stretch, &columns) &&
                hl_size_add(k.packed, columns, &k.of_thread);
    return keep(c, &k, fits, err);
}

/* Packed w^T of one group of channels. */
static float *group_weights(const hl_call *c, const cut *k, int64_t group)
{
    return (float *)((char *)c->workspace + k->shared / (size_t)k->groups * (size_t)group);
}

static void pack_groups(const hl_call *c, const cut *k)
{
    const hl_conv_sizes *s = &k->s;
    int64_t taps = s->kh * s->kw;
    for (int64_t q = 0; q < k->groups; q++) {
        int64_t first = q * k->group, n = clamp(s->I - first, 0, k->group);
        hl_gemm_pack_left(true, n * taps, s->O, hl_in(c, DATA_W) + first * taps, s->patch,
                          group_weights(c, k, q));
    }
}

static void data_task(const hl_call *c, const cut *k, int64_t image, int64_t group)
{
    const hl_conv_sizes *s = &k->s;
    int64_t taps = s->kh * s->kw, first = group * k->group, channels = clamp(s->I - first, 0, k->group);
    const float *dy = hl_in(c, DATA_DY) + image * s->O * s->positions;
    float *dx = hl_out(c, 0) + (image * s->I + first) * s->H * s->W;
    float *packed = thread_packed(c, k), *columns = thread_buffer(c, k);
    memset(dx, 0, (size_t)(channels * s->H * s->W) * sizeof *dx);
    for (int64_t begin = 0; begin < s->positions; begin += k->stretch) {
        int64_t end = clamp(begin + k->stretch, 0, s->positions), n = end - begin;
        hl_gemm_pack_right(false, s->O, n, dy + begin, s->positions, packed);
        hl_gemm_packed(channels * taps, n, s->O, group_weights(c, k, group), packed, columns, n, false);
        for (int64_t row = 0; row < channels * taps; row++)
            hl_col2im(s, columns + row * n, row, begin, end, dx);
    }
}

static hl_status data_run(const hl_call *c, hl_error *err)
{
    (void)err;
    const cut *k = c->state;
    pack_groups(c, k);
#pragma omp parallel for schedule(static) num_threads(k->threads)
    for (int64_t t = 0; t < k->s.B * k->groups; t++)
        data_task(c, k, t / k->groups, t % k->groups);
    return HL_OK;
}

const hl_kernel hl_cpu_conv2d_backward_data = {.op = "conv2d_backward_data",
                                               .name = "portable",
                                               .prepare = data_prepare,
                                               .run = data_run,
                                               .release = release};

/* ------------------------------------------------------------------ dw = dy patches^T
 * A task is a group of patch elements, over all images. */

enum { FILTER_X, FILTER_DY };

/* Positions that one product sums over: fixed, since it decides the order of the sum. */
enum { SUMMED = 256 };

static hl_status filter_prepare(hl_call *c, hl_error *err)
{
    cut k = {
        .s = hl_conv_sizes_of(c->params, c->in[FILTER_X].shape, c->out[0].shape, c->in[FILTER_DY].shape)};
    k.threads = threads_for(&k.s);
    k.stretch = SUMMED;
    k.group = clamp(ceil_div(ceil_div(k.s.patch, k.threads), 16) * 16, 16, 192);
    k.groups = ceil_div(k.s.patch, k.group);
    return keep(c, &k, matrix_bytes(k.group, k.stretch, &k.of_thread), err);
}

static void filter_task(const hl_call *c, const cut *k, int64_t group)
{
    const hl_conv_sizes *s = &k->s;
    int64_t first = group * k->group, rows = clamp(s->patch - first, 0, k->group);
    float *patches = thread_buffer(c, k), *dw = hl_out(c, 0) + first;
    for (int64_t b = 0; b < s->B; b++) {
        const float *x = hl_in(c, FILTER_X) + b * s->I * s->H * s->W;
        const float *dy = hl_in(c, FILTER_DY) + b * s->O * s->positions;
        for (int64_t begin = 0; begin < s->positions; begin += k->stretch) {
            int64_t end = clamp(begin + k->stretch, 0, s->positions), n = end - begin;
            for (int64_t row = 0; row < rows; row++)
                hl_im2col(s, x, first + row, begin, end, patches + row * n);
            hl_gemm_serial(false, true, s->O, rows, n, dy + begin, s->positions, patches, n, dw, s->patch,
                           b > 0 || begin > 0);
        }
    }
}

static hl_status filter_run(const hl_call *c, hl_error *err)
{
    (void)err;
    const cut *k = c->state;
    if (k->s.B == 0) {
        memset(hl_out(c, 0), 0, (size_t)c->out[0].count * sizeof(float));
        return HL_OK;
    }
#pragma omp parallel for schedule(static) num_threads(k->threads)
    for (int64_t t = 0; t < k->groups; t++)
        filter_task(c, k, t);
    return HL_OK;
}

const hl_kernel hl_cpu_conv2d_backward_filter = {.op = "conv2d_backward_filter",
                                                 .name = "portable",
                                                 .prepare = filter_prepare,
                                                 .run = filter_run,
                                                 .release = release};
