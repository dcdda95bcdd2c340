/* Convolutions with weights of eight bits, by strips of a few rows of the result. What a strip reads is
 * quantized into an image that products read as it lies (hl_pair_image): no patches are made, and a thread
 * finds in its cache what it made. Positions lie along the vector. */
#include "kernels/cpu/common.h"
#include "kernels/cpu/integers.h"
#include "kernels/cpu/math.h"
#include "kernels/cpu/pair_image.h"
#include "kernels/cpu/quantize.h"
#include "kernels/cpu/threads.h"
#include "kernels/shape.h"

#include "base/error.h"
#include "base/memory.h"

enum {
    X = HL_QUANTIZED_X,
    W = HL_QUANTIZED_W,
    FILTERS = 6, /* in a tile, */
    VECTORS = 2, /* and vectors of positions, */
    TAPS = 96,   /* and taps at a time: the part of the image that they read stays in the first cache */
    SUMS = FILTERS * VECTORS * INTS,
    STRIP = 1 << 16, /* lanes of a strip at most, if more than one row of the result has to fit */
    STRIPS = 8,      /* for each thread at least: one that wakes late, or is held up, gets fewer */
    ALIGN = 64
};

/* What a call is cut into, and its workspace: the step of every sample; for each thread a strip of the image,
 * the scratch of making it and the sums of a tile of all filters; and filters that are not kept. */
typedef struct cut {
    hl_conv_sizes s;
    hl_pair_image image;
    int threads;
    int64_t high, strips; /* rows of the result in a strip, strips in a sample */
    int64_t blocks;       /* of FILTERS filters */
    int64_t across;       /* vectors in a row of the result */
    size_t steps_bytes, thread_bytes, threads_bytes, filters_bytes;
    int64_t *taps; /* [image.taps]: where each lies beside a position */
} cut;

static int64_t ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static bool bytes_of(int64_t a, int64_t b, size_t *bytes)
{
    bool fits = hl_size_mul((size_t)a, (size_t)b, bytes) && hl_size_mul(*bytes, sizeof(int32_t), bytes) &&
                *bytes <= SIZE_MAX / 2;
    *bytes = fits ? hl_size_align(*bytes, ALIGN) : 0;
    return fits;
}

static bool lay_out(hl_call *c, cut *k)
{
    size_t strip, sums, bytes;
    if (!bytes_of(k->s.B, 1, &k->steps_bytes) || !bytes_of(k->image.lanes, 1, &strip) ||
        !bytes_of(hl_max(k->image.line, k->blocks * SUMS), 1, &sums) ||
        !hl_size_add(strip, sums, &k->thread_bytes) ||
        !hl_size_mul(k->thread_bytes, (size_t)k->threads, &k->threads_bytes) ||
        !bytes_of(k->blocks * FILTERS, k->image.taps, &k->filters_bytes) ||
        !hl_size_add(k->steps_bytes, k->threads_bytes, &bytes))
        return false;
    if (!c->in[W].constant)
        return hl_size_add(bytes, k->filters_bytes, &c->workspace_bytes);
    c->workspace_bytes = bytes;
    c->pack_input = W;
    c->pack_bytes = k->filters_bytes;
    return true;
}

/* As high as fits the cache, and enough strips for all threads. */
static bool cut_strips(cut *k)
{
    k->across = ceil_div(k->s.OW, INTS);
    if (!hl_pair_image_of(&k->s, 1, k->across * INTS, &k->image))
        return false;
    int64_t rows = STRIP / hl_max(1, k->image.planes * k->image.row);
    int64_t high = rows > k->s.kh ? (rows - k->s.kh) / k->s.stride + 1 : 1;
    k->high = hl_max(1, hl_min(high, k->s.B * k->s.OH / (STRIPS * k->threads)));
    k->high = hl_min(k->high, k->s.OH);
    k->strips = ceil_div(k->s.OH, k->high);
    return hl_pair_image_of(&k->s, k->high, k->across * INTS, &k->image);
}

static hl_status prepare(hl_call *c, hl_error *err)
{
    if (!c->out[0].count)
        return HL_OK;
    cut *k = c->state = hl_alloc(1, sizeof *k);
    if (!k)
        return hl_fail(err, HL_ERR_MEMORY, "no memory for the state of a convolution");
    k->s = hl_conv_sizes_of(c->params, c->in[X].shape, c->in[W].shape, c->out[0].shape);
    double weights = (double)k->s.O * (double)k->s.patch;
    k->threads = hl_threads_for((double)k->s.B * (double)k->s.positions * weights, weights);
    k->blocks = ceil_div(k->s.O, FILTERS);
    if (!cut_strips(k) || !lay_out(c, k))
        return hl_fail(err, HL_ERR_MEMORY,
                       "the workspace of a convolution with %lld-element patches overflows",
                       (long long)k->s.patch);
    if (!(k->taps = hl_alloc((size_t)k->image.taps, sizeof *k->taps)))
        return hl_fail(err, HL_ERR_MEMORY, "no memory for the %lld taps of a convolution",
                       (long long)k->image.taps);
    hl_pair_image_taps(&k->s, &k->image, k->taps);
    return HL_OK;
}

static void release(hl_call *c)
{
    const cut *k = c->state;
    if (k)
        hl_free(k->taps);
    hl_free(c->state);
    c->state = NULL;
}

/* Filters by blocks: [blocks][taps][FILTERS] pairs, zeros past the last. */
static void pack_filters(const cut *k, const int8_t *w, int32_t *packed)
{
    memset(packed, 0, k->filters_bytes);
    for (int64_t o = 0; o < k->s.O; o++) {
        int32_t *to = packed + o / FILTERS * k->image.taps * FILTERS + o % FILTERS;
        for (int64_t tap = 0; tap < k->image.taps; tap++)
            to[tap * FILTERS] = hl_pair_of_filter(&k->s, &k->image, w + o * k->s.patch, tap);
    }
}

static hl_status pack(const hl_call *c, const void *source, void *packed, hl_error *err)
{
    (void)err;
    pack_filters(c->state, source, packed);
    return HL_OK;
}

VEC_INLINE shorts load(const int32_t *pairs)
{
    return shorts_load((const int16_t *)(const void *)pairs);
}

/* sums [n][VECTORS][INTS] = or += those of n filters of a block, at positions that begin at a and b. */
VEC_INLINE void multiply(const int n, const int32_t *filters, const int64_t *taps, int64_t count, bool add,
                         const int32_t *a, const int32_t *b, int32_t *sums)
{
    ints acc[FILTERS][VECTORS];
    VEC_UNROLL
    for (int f = 0; f < n; f++) {
        VEC_UNROLL
        for (int v = 0; v < VECTORS; v++)
            acc[f][v] = add ? (ints) * (ints_any *)(sums + (f * VECTORS + v) * INTS) : (ints){0};
    }
    for (int64_t t = 0; t < count; t++, filters += FILTERS) {
        shorts x = load(a + taps[t]), y = load(b + taps[t]);
        VEC_UNROLL
        for (int f = 0; f < n; f++) {
            shorts w = shorts_splat_pair((const int16_t *)(const void *)(filters + f));
            acc[f][0] = ints_add_products(acc[f][0], w, x);
            acc[f][1] = ints_add_products(acc[f][1], w, y);
        }
    }
    VEC_UNROLL
    for (int f = 0; f < n; f++) {
        VEC_UNROLL
        for (int v = 0; v < VECTORS; v++)
            *(ints_any *)(sums + (f * VECTORS + v) * INTS) = (ints_any)acc[f][v];
    }
}

/* sums [O][VECTORS][INTS] = or += those of some taps. */
static void add_taps(const cut *k, const int32_t *filters, int64_t begin, const int32_t *a, const int32_t *b,
                     int32_t *sums)
{
    const int64_t *taps = k->taps + begin, count = hl_min(TAPS, k->image.taps - begin);
    const bool add = begin > 0;
    filters += begin * FILTERS;
    for (int64_t o = 0; o < k->s.O; o += FILTERS, filters += k->image.taps * FILTERS, sums += SUMS) {
        if (k->s.O - o > 4)
            multiply(FILTERS, filters, taps, count, add, a, b, sums);
        else if (k->s.O - o > 2)
            multiply(4, filters, taps, count, add, a, b, sums);
        else
            multiply(2, filters, taps, count, add, a, b, sums);
    }
}

/* y [n] = act(sums factor + bias); n at most INTS, of which all are computed. */
VEC_INLINE void scale(const int32_t *sums, int64_t n, float factor, float bias, hl_activation activation,
                      float *y)
{
    float value[INTS];
    for (int i = 0; i < INTS; i++)
        value[i] = (float)sums[i] * factor + bias;
    hl_activate(value, INTS, activation);
    for (int64_t i = 0; i < n; i++)
        y[i] = value[i];
}

/* Vector v of the positions of a strip, of all filters; y is where the strip begins. */
static void finish(const hl_call *c, const cut *k, const int32_t *sums, float step, int64_t v, float *y)
{
    const hl_conv_params *p = c->params;
    const float *bias = hl_in(c, HL_QUANTIZED_CONV_BIAS), *w_scale = hl_in(c, HL_QUANTIZED_W_SCALE);
    int64_t left = v % k->across * INTS, width = hl_min(INTS, k->s.OW - left);
    y += v / k->across * k->s.OW + left;
    for (int64_t o = 0; o < k->s.O; o++, sums += VECTORS * INTS, y += k->s.positions) {
        float factor = step * w_scale[o], b = bias ? bias[o] : 0;
        if (width == INTS)
            scale(sums, INTS, factor, b, p->activation, y);
        else
            scale(sums, width, factor, b, p->activation, y);
    }
}

/* Where the first position of a vector reads the first tap. */
static const int32_t *begin_of(const cut *k, const int32_t *strip, int64_t v)
{
    return strip + v / k->across * k->s.stride * k->image.row + v % k->across * INTS;
}

/* Vectors v and v + 1 of the positions of a strip, of all filters; without a second the first is computed
 * twice. */
static void tile(const hl_call *c, const cut *k, const int32_t *filters, const int32_t *strip, float step,
                 int64_t v, int64_t vectors, int32_t *sums, float *y)
{
    int64_t second = hl_min(v + 1, vectors - 1);
    const int32_t *a = begin_of(k, strip, v), *b = begin_of(k, strip, second);
    for (int64_t t = 0; t < k->image.taps; t += TAPS)
        add_taps(k, filters, t, a, b, sums);
    finish(c, k, sums, step, v, y);
    finish(c, k, sums + INTS, step, second, y);
}

/* Rows [top, top + k->high) of the result of one sample, as far as there are; own: what the thread has. */
static void convolve(const hl_call *c, const cut *k, const float *x, float step, const int32_t *filters,
                     int64_t top, void *own, float *y)
{
    int32_t *strip = own, *sums = strip + hl_size_align((size_t)k->image.lanes, ALIGN / sizeof *strip);
    int64_t high = hl_min(k->high, k->s.OH - top), vectors = high * k->across;
    hl_pair_image_make(&k->s, &k->image, x, step, top, high, sums, strip);
    for (int64_t v = 0; v < vectors; v += VECTORS)
        tile(c, k, filters, strip, step, v, vectors, sums, y + top * k->s.OW);
}

/* step [B] */
static void find_steps(const hl_call *c, const cut *k, float *step)
{
    const float *x = hl_in(c, X), *given = hl_in(c, HL_QUANTIZED_CONV_X_SCALE);
    int64_t n = k->s.I * k->s.H * k->s.W;
#pragma omp parallel for schedule(static) if (k->s.B > 1 && (double)(k->s.B * n) > hl_cpu_grain.elements)
    for (int64_t b = 0; b < k->s.B; b++)
        step[b] = hl_quantize_step(hl_largest_magnitude(x + b * n, n), given);
}

static hl_status run(const hl_call *c, hl_error *err)
{
    const cut *k = c->state;
    (void)err;
    if (!c->out[0].count)
        return HL_OK;
    float *step = c->workspace;
    char *scratch = (char *)step + k->steps_bytes;
    int32_t *filters = c->packed;
    if (!filters)
        pack_filters(k, c->in[W].data, filters = (int32_t *)(void *)(scratch + k->threads_bytes));
    find_steps(c, k, step);
#pragma omp parallel for schedule(dynamic) num_threads(k->threads)
    for (int64_t i = 0; i < k->s.B * k->strips; i++) {
        int64_t b = i / k->strips, top = i % k->strips * k->high;
        convolve(c, k, hl_in(c, X) + b * k->s.I * k->s.H * k->s.W, step[b], filters, top,
                 scratch + (size_t)omp_get_thread_num() * k->thread_bytes,
                 hl_out(c, 0) + b * k->s.O * k->s.positions);
    }
    return HL_OK;
}

const hl_kernel hl_cpu_quantized_conv2d = {.op = "quantized_conv2d",
                                           .name = "portable",
                                           .accepts = hl_quantized_accepts,
                                           .prepare = prepare,
                                           .pack = pack,
                                           .run = run,
                                           .release = release};
