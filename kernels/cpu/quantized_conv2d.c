/* Convolutions with weights of eight bits: every sample is quantized, then a task makes its stretch of the
 * patches (im2col.h) as pairs of integers and multiplies it by all filters while it is in the cache.
 * Positions lie along the vector. */
#include "kernels/cpu/common.h"
#include "kernels/cpu/im2col.h"
#include "kernels/cpu/integers.h"
#include "kernels/cpu/math.h"
#include "kernels/cpu/quantize.h"
#include "kernels/cpu/threads.h"
#include "kernels/shape.h"

#include "base/error.h"
#include "base/memory.h"

enum {
    X = HL_QUANTIZED_X,
    W = HL_QUANTIZED_W,
    FILTERS = 6,      /* in a tile, */
    WIDTH = 2 * INTS, /* and positions */
    CACHED = 1 << 17, /* integers of a stretch that should stay in the second-level cache */
    LONGEST = 512,    /* positions of a stretch */
    ALIGN = 64
};

/* How a call is cut into tasks, and its workspace: what all share, then a part per thread. */
typedef struct cut {
    hl_conv_sizes s;
    int threads;
    int64_t pairs;   /* of patch elements; of an odd number the last one is zeros */
    int64_t blocks;  /* of FILTERS filters */
    int64_t stretch; /* positions of a task, a multiple of WIDTH */
    size_t q, step, weights, shared, of_thread; /* bytes */
} cut;

static int64_t ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static bool bytes_of(int64_t a, int64_t b, size_t size, size_t *bytes)
{
    bool fits = hl_size_mul((size_t)a, (size_t)b, bytes) && hl_size_mul(*bytes, size, bytes) &&
                *bytes <= SIZE_MAX / 2;
    *bytes = fits ? hl_size_align(*bytes, ALIGN) : 0;
    return fits;
}

static bool lay_out(cut *k)
{
    const hl_conv_sizes *s = &k->s;
    size_t lines;
    return bytes_of(s->B, s->I * s->H * s->W, sizeof(int16_t), &k->q) &&
           bytes_of(s->B, 1, sizeof(float), &k->step) &&
           bytes_of(k->blocks * FILTERS, 2 * k->pairs, sizeof(int16_t), &k->weights) &&
           bytes_of(k->stretch, 2 * k->pairs, sizeof(int16_t), &k->of_thread) &&
           bytes_of(k->stretch, 2, sizeof(int16_t), &lines) &&
           hl_size_add(k->of_thread, lines, &k->of_thread) && hl_size_add(k->q, k->step, &k->shared) &&
           hl_size_add(k->shared, k->weights, &k->shared);
}

static hl_status prepare(hl_call *c, hl_error *err)
{
    cut k = {.s = hl_conv_sizes_of(c->params, c->in[X].shape, c->in[W].shape, c->out[0].shape)};
    if (!c->out[0].count)
        return HL_OK;
    size_t bytes;
    double work = (double)c->out[0].count * (double)k.s.patch;
    k.threads = work < 1 << 18 ? 1 : omp_get_max_threads();
    k.pairs = ceil_div(k.s.patch, 2);
    k.blocks = ceil_div(k.s.O, FILTERS);
    int64_t most = hl_min(ceil_div(k.s.positions, WIDTH) * WIDTH, LONGEST);
    int64_t held = CACHED / (2 * k.pairs) / WIDTH * WIDTH;
    k.stretch = held < WIDTH ? WIDTH : hl_min(held, most);
    cut *kept = c->state = hl_alloc(1, sizeof *kept);
    if (!kept)
        return hl_fail(err, HL_ERR_MEMORY, "no memory for the state of a convolution");
    if (!lay_out(&k) || !hl_size_mul(k.of_thread, (size_t)k.threads, &bytes) ||
        !hl_size_add(bytes, k.shared, &c->workspace_bytes))
        return hl_fail(err, HL_ERR_MEMORY,
                       "the workspace of a convolution with %lld-element patches overflows",
                       (long long)k.s.patch);
    *kept = k;
    return HL_OK;
}

static void release(hl_call *c)
{
    hl_free(c->state);
    c->state = NULL;
}

/* Filters by blocks: [blocks][pairs][FILTERS][2], zeros past the last filter and the last element. */
static void pack_filters(const cut *k, const int8_t *w, int16_t *packed)
{
    const hl_conv_sizes *s = &k->s;
    memset(packed, 0, k->weights);
    for (int64_t o = 0; o < s->O; o++)
        for (int64_t e = 0; e < s->patch; e++)
            packed[(((o / FILTERS) * k->pairs + e / 2) * FILTERS + o % FILTERS) * 2 + e % 2] =
                w[o * s->patch + e];
}

/* Patches of positions [begin, end) by tiles: [tiles][pairs][WIDTH][2]; lines: scratch. Columns past the end
 * hold anything. */
static void pack_patches(const cut *k, const int16_t *image, int64_t begin, int64_t end, int16_t *lines,
                         int16_t *packed)
{
    const hl_conv_sizes *s = &k->s;
    int16_t *first = lines, *second = lines + k->stretch;
    for (int64_t pair = 0; pair < k->pairs; pair++) {
        hl_im2col_integers(s, image, 2 * pair, begin, end, first);
        if (2 * pair + 1 < s->patch)
            hl_im2col_integers(s, image, 2 * pair + 1, begin, end, second);
        else
            memset(second, 0, (size_t)(end - begin) * sizeof *second);
        for (int64_t at = 0; at < end - begin; at += WIDTH) {
            int16_t *to = packed + (at / WIDTH * k->pairs + pair) * WIDTH * 2;
            for (int64_t i = 0; i < WIDTH; i++) {
                to[2 * i] = first[at + i];
                to[2 * i + 1] = second[at + i];
            }
        }
    }
}

/* sums [FILTERS][WIDTH] of one block and one tile. */
static void multiply(int64_t pairs, const int16_t *filters, const int16_t *patches, int32_t *sums)
{
    ints acc[FILTERS][2];
    VEC_UNROLL
    for (int f = 0; f < FILTERS; f++)
        acc[f][0] = acc[f][1] = (ints){0};
    for (int64_t p = 0; p < pairs; p++, filters += 2 * FILTERS, patches += 2 * WIDTH) {
        shorts a = shorts_load(patches), b = shorts_load(patches + SHORTS);
        VEC_UNROLL
        for (int f = 0; f < FILTERS; f++) {
            shorts w = shorts_splat_pair(filters + 2 * f);
            acc[f][0] = ints_add_products(acc[f][0], w, a);
            acc[f][1] = ints_add_products(acc[f][1], w, b);
        }
    }
    VEC_UNROLL
    for (int f = 0; f < FILTERS; f++) {
        *(ints_any *)(sums + f * WIDTH) = (ints_any)acc[f][0];
        *(ints_any *)(sums + f * WIDTH + INTS) = (ints_any)acc[f][1];
    }
}

/* Positions [begin, begin + n) of one sample, of a block of filters: y = act(sum step w_scale + bias). */
static void scale(const hl_call *c, const cut *k, const int32_t *sums, float step, int64_t sample,
                  int64_t block, int64_t begin, int64_t n)
{
    const hl_conv_params *p = c->params;
    const float *bias = hl_in(c, HL_QUANTIZED_CONV_BIAS), *w_scale = hl_in(c, HL_QUANTIZED_W_SCALE);
    for (int64_t o = block * FILTERS; o < hl_min(k->s.O, (block + 1) * FILTERS); o++, sums += WIDTH) {
        float *y = hl_out(c, 0) + (sample * k->s.O + o) * k->s.positions + begin;
        for (int64_t i = 0; i < n; i++)
            y[i] = (float)sums[i] * (step * w_scale[o]) + (bias ? bias[o] : 0);
        hl_activate(y, n, p->activation);
    }
}

static void task(const hl_call *c, const cut *k, const int16_t *q, float step, const int16_t *filters,
                 int16_t *scratch, int64_t sample, int64_t begin)
{
    int64_t end = hl_min(begin + k->stretch, k->s.positions), inputs = k->s.I * k->s.H * k->s.W;
    int32_t sums[FILTERS * WIDTH];
    int16_t *patches = scratch + 2 * k->stretch;
    pack_patches(k, q + sample * inputs, begin, end, scratch, patches);
    for (int64_t at = begin; at < end; at += WIDTH) {
        for (int64_t block = 0; block < k->blocks; block++) {
            multiply(k->pairs, filters + block * k->pairs * FILTERS * 2,
                     patches + (at - begin) * k->pairs * 2, sums);
            scale(c, k, sums, step, sample, block, at, hl_min(WIDTH, end - at));
        }
    }
}

static hl_status run(const hl_call *c, hl_error *err)
{
    (void)err;
    const cut *k = c->state;
    if (!c->out[0].count)
        return HL_OK;
    int16_t *q = c->workspace;
    float *step = (float *)(void *)((char *)q + k->q);
    int16_t *filters = (int16_t *)(void *)((char *)step + k->step);
    int64_t stretches = ceil_div(k->s.positions, k->stretch), inputs = k->s.I * k->s.H * k->s.W;
    hl_quantize_rows(hl_in(c, X), k->s.B, inputs, hl_in(c, HL_QUANTIZED_CONV_X_SCALE), inputs, q, step);
    pack_filters(k, c->in[W].data, filters);
#pragma omp parallel for schedule(static) num_threads(k->threads)
    for (int64_t t = 0; t < k->s.B * stretches; t++) {
        char *own = (char *)c->workspace + k->shared + (size_t)omp_get_thread_num() * k->of_thread;
        task(c, k, q, step[t / stretches], filters, (int16_t *)(void *)own, t / stretches,
             t % stretches * k->stretch);
    }
    return HL_OK;
}

const hl_kernel hl_cpu_quantized_conv2d = {.op = "quantized_conv2d",
                                           .name = "portable",
                                           .accepts = hl_quantized_accepts,
                                           .prepare = prepare,
                                           .run = run,
                                           .release = release};
