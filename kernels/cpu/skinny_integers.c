#include "kernels/cpu/skinny_integers.h"

#include "base/error.h"
#include "base/memory.h"
#include "kernels/cpu/integers.h"
#include "kernels/cpu/math.h"
#include "kernels/cpu/quantize.h"
#include "kernels/cpu/skinny_tiles.h"

/* Tile shapes: rows of w beside 1 to 4 rows of the batch, as many sums as there are registers for. */
#if defined(__AVX512BW__) || defined(__aarch64__)
enum { ROWS_1 = 4, ROWS_2 = 4, ROWS_3 = 4, ROWS_4 = 4 };
#else
enum { ROWS_1 = 4, ROWS_2 = 4, ROWS_3 = 3, ROWS_4 = 3 };
#endif

enum {
    TOGETHER = 4,         /* rows of the batch in a tile at most */
    GROUP = 48,           /* weight rows whose sums a thread holds, */
    LONG = 512,           /* and where the batch is one tile: these, */
    LONG_BYTES = 1 << 19, /* or as many as have so many bytes */
    AHEAD = 256,          /* bytes of a stream that are fetched before they are read */
    BYTES = 64,           /* in a cache line */
    SHALLOW = 1024 /* k per tile where the batch is more than one tile: its rows stay in the first caches */
};

/* Sums that a thread holds at a batch of up to m. */
static size_t sums_of(size_t m)
{
    size_t few = LONG * smaller(m, TOGETHER);
    return GROUP * m > few ? GROUP * m : few;
}

bool hl_skinny_integers_prepare(hl_skinny_integers *plan, size_t m, size_t n_out, size_t n_in, int threads)
{
    HL_ASSERT(m >= 1 && m <= HL_SKINNY_MAX && n_out >= 1 && threads >= 1);
    size_t width = round_up(n_in, SHORTS), q, each = sums_of(m) * sizeof(int32_t), bytes;
    if (!hl_size_mul(width, m * sizeof(int16_t), &q) || !hl_size_mul(each, (size_t)threads, &bytes) ||
        !hl_size_add(bytes, q, &bytes) || !hl_size_add(bytes, 2 * BYTES + m * sizeof(float), &bytes))
        return false;
    *plan = (hl_skinny_integers){m, n_out, n_in, width, threads, bytes};
    return true;
}

/* The sums of a tile. */
typedef struct tile_sums {
    ints at[4][TOGETHER];
} tile_sums;

/* acc [rows][columns] += w [rows][n] q [columns][SHORTS] */
VEC_INLINE void step(const int rows, const int columns, tile_sums *acc, const int8_t *w, size_t ldw,
                     const int16_t *q, size_t n)
{
    shorts a[4];
    VEC_UNROLL
    for (int r = 0; r < rows; r++)
        a[r] = n == SHORTS ? shorts_widen(w + (size_t)r * ldw) : shorts_widen_part(w + (size_t)r * ldw, n);
    VEC_UNROLL
    for (int c = 0; c < columns; c++) {
        shorts b = shorts_load(q + c * SHORTS);
        VEC_UNROLL
        for (int r = 0; r < rows; r++)
            acc->at[r][c] = ints_add_products(acc->at[r][c], a[r], b);
    }
}

/* sums [rows][lds] += w [rows][depth] q [depth / SHORTS][columns][SHORTS] */
VEC_INLINE void tile(const int rows, const int columns, const int8_t *w, size_t ldw, const int16_t *q,
                     size_t depth, const int8_t *next, int32_t *sums, size_t lds)
{
    tile_sums acc;
    VEC_UNROLL
    for (int r = 0; r < rows; r++) {
        VEC_UNROLL
        for (int c = 0; c < columns; c++)
            acc.at[r][c] = (ints){0};
    }
    size_t k = 0, whole = depth / SHORTS * SHORTS;
    while (k < whole) {
        size_t end = smaller(k + BYTES, whole);
        VEC_UNROLL
        for (int r = 0; r < rows; r++)
            __builtin_prefetch(next + (size_t)r * ldw + k, 0, 3);
        for (; k < end; k += SHORTS, q += columns * SHORTS)
            step(rows, columns, &acc, w + k, ldw, q, SHORTS);
    }
    if (k < depth)
        step(rows, columns, &acc, w + k, ldw, q, depth - k);
    VEC_UNROLL
    for (int r = 0; r < rows; r++) {
        VEC_UNROLL
        for (int c = 0; c < columns; c++)
            sums[(size_t)r * lds + (size_t)c] += ints_sum(acc.at[r][c]);
    }
}

#define TILE(rows, columns)                                                                                  \
    static void tile_##columns(size_t n, const int8_t *w, size_t ldw, const int16_t *q, size_t depth,        \
                               const int8_t *next, int32_t *sums, size_t lds)                                \
    {                                                                                                        \
        if (n == (rows))                                                                                     \
            tile(rows, columns, w, ldw, q, depth, next, sums, lds);                                          \
        else                                                                                                 \
            for (size_t r = 0; r < n; r++)                                                                   \
                tile(1, columns, w + r * ldw, ldw, q, depth, next, sums + r * lds, lds);                     \
    }
TILE(ROWS_1, 1)
TILE(ROWS_2, 2)
TILE(ROWS_3, 3)
TILE(ROWS_4, 4)

typedef void tile_fn(size_t n, const int8_t *w, size_t ldw, const int16_t *q, size_t depth,
                     const int8_t *next, int32_t *sums, size_t lds);
static tile_fn *const tiles[TOGETHER + 1] = {NULL, tile_1, tile_2, tile_3, tile_4};
static const size_t rows_of[TOGETHER + 1] = {0, ROWS_1, ROWS_2, ROWS_3, ROWS_4};

/* Columns [k, k + depth) of w [rows] by rows [i, i + columns) of the batch. The rows of a tile lie far apart:
 * so memory is read as a few long streams, each of rows that follow each other, which is faster than row by
 * row. */
static void stripe(const hl_skinny_integers *p, size_t m, const int8_t *w, size_t rows, const int16_t *q,
                   size_t k, size_t depth, size_t i, size_t columns, int32_t *sums)
{
    const size_t step = rows_of[columns], apart = rows / step, ahead = depth < p->n_in ? p->n_in : AHEAD;
    q += i * p->width + k * columns;
    w += k;
    sums += i;
    for (size_t r = 0; r < apart; r++) {
        const int8_t *at = w + r * p->n_in;
        /* The first over a tile brings in what comes next, which may be of another thread or past the end. */
        tiles[columns](step, at, apart * p->n_in, q, depth, i == 0 ? at + ahead : at, sums + r * m,
                       apart * m);
    }
    for (size_t r = step * apart; r < rows; r++) {
        const int8_t *at = w + r * p->n_in;
        tiles[columns](1, at, p->n_in, q, depth, at, sums + r * m, m);
    }
}

/* The batch in tiles as even as they come: tile t has its rows [*i, *i + the result). */
static size_t columns_of(size_t m, size_t t, size_t *i)
{
    size_t count = (m + TOGETHER - 1) / TOGETHER, each = m / count, more = m % count;
    *i = t * each + smaller(t, more);
    return *i < m ? each + (t < more ? 1 : 0) : 0;
}

/* sums [rows][m] */
static void sum_group(const hl_skinny_integers *p, size_t m, const int8_t *w, size_t rows, const int16_t *q,
                      int32_t *sums)
{
    size_t most = m > TOGETHER ? SHALLOW : p->n_in, columns, i;
    memset(sums, 0, rows * m * sizeof *sums);
    for (size_t k = 0; k < p->n_in; k += most)
        for (size_t t = 0; (columns = columns_of(m, t, &i)) > 0; t++)
            stripe(p, m, w, rows, q, k, smaller(most, p->n_in - k), i, columns, sums);
}

/* x [m,n_in] -> q, for each tile [width / SHORTS][columns][SHORTS], and step [m]. */
static void quantize(const hl_skinny_integers *p, size_t m, const float *x, const float *x_scale, int16_t *q,
                     float *step)
{
    size_t columns, i;
    for (size_t t = 0; (columns = columns_of(m, t, &i)) > 0; t++)
        hl_quantize_rows(x + i * p->n_in, (int64_t)columns, (int64_t)p->n_in, x_scale, SHORTS,
                         q + i * p->width, step + i);
}

/* sums [rows][m] -> y [:, o .. o+rows) */
static void scale_group(const hl_skinny_integers *p, size_t m, const int32_t *sums, size_t o, size_t rows,
                        const float *step, const hl_scaling *s)
{
    for (size_t i = 0; i < m; i++) {
        float *y = s->y + i * p->n_out + o;
        const float *addend = s->addend ? s->addend + i * p->n_out + o : NULL;
        for (size_t r = 0; r < rows; r++) {
            float value = (float)sums[r * m + i] * (step[i] * s->w_scale[o + r]);
            value += s->bias ? s->bias[o + r] : 0;
            y[r] = addend ? value + addend[r] : value;
        }
        hl_activate(y, (int64_t)rows, s->activation);
    }
}

/* Rows of the weights that a thread takes at a time: one that wakes late, or is held up, takes them less
 * often. The same for any number of threads, since where a group ends may change how an activation is
 * rounded. */
static size_t group_of(const hl_skinny_integers *p, size_t m)
{
    if (m > TOGETHER)
        return GROUP;
    return smaller(LONG, round_up(LONG_BYTES / (p->n_in + 1) + 1, ROWS_1));
}

void hl_skinny_integers_run(const hl_skinny_integers *p, size_t m, const float *x, const float *x_scale,
                            const int8_t *w, const hl_scaling *scaling, void *work)
{
    int16_t *q = work;
    float *step = (float *)(void *)((char *)work + round_up(m * p->width * sizeof *q, BYTES));
    int32_t *all_sums = (int32_t *)(void *)((char *)step + round_up(m * sizeof *step, BYTES));
    int now = omp_get_max_threads(), threads = now < p->threads ? now : p->threads;
    const size_t group = group_of(p, m);
    quantize(p, m, x, x_scale, q, step);
#pragma omp parallel for schedule(dynamic) num_threads(threads)
    for (size_t o = 0; o < p->n_out; o += group) {
        int32_t *sums = all_sums + (size_t)omp_get_thread_num() * sums_of(m);
        size_t rows = smaller(group, p->n_out - o);
        sum_group(p, m, w + o * p->n_in, rows, q, sums);
        scale_group(p, m, sums, o, rows, step, scaling);
    }
}
