#include "kernels/cpu/halves.h"
#include "kernels/cpu/skinny_tiles.h"

#include "base/error.h"

#include <string.h>

/* ---- forward, y = x w^T ----
 * The batch lies along the vector: the panel p[k][m] is x transposed, w is read as it lies, one
 * broadcast per weight, and sums[r][m] is y transposed until the end. */

/* sums [rows][lds] += w[rows][depth] p[depth][vecs*V], depth at most a run */
VEC_INLINE void nt_tile(const int rows, const int vecs, const float *w, size_t ldw, const float *p,
                        size_t depth, const float *next, double *sums, size_t lds)
{
    vec acc[12][4];
    VEC_UNROLL
    for (int r = 0; r < rows; r++) {
        VEC_UNROLL
        for (int v = 0; v < vecs; v++)
            acc[r][v] = vec_splat(0);
    }
    for (size_t k0 = 0; k0 < depth; k0 += LINE) {
        size_t k1 = smaller(k0 + LINE, depth);
        if (next != NULL) {
            VEC_UNROLL
            for (int r = 0; r < rows; r++)
                __builtin_prefetch(next + (size_t)r * ldw + k0, 0, 3);
        }
        for (size_t k = k0; k < k1; k++) {
            const float *q = p + k * (size_t)(vecs * V);
            if (rows < vecs) { /* hold the smaller operand */
                vec a[4];
                VEC_UNROLL
                for (int r = 0; r < rows; r++) {
                    a[r] = vec_splat(w[(size_t)r * ldw + k]);
                    VEC_HOLD(a[r]);
                }
                VEC_UNROLL
                for (int v = 0; v < vecs; v++) {
                    vec b = vec_load(q + v * V);
                    VEC_HOLD(b);
                    VEC_UNROLL
                    for (int r = 0; r < rows; r++)
                        acc[r][v] = vec_fma(a[r], b, acc[r][v]);
                }
            } else {
                vec b[4];
                VEC_UNROLL
                for (int v = 0; v < vecs; v++) {
                    b[v] = vec_load(q + v * V);
                    VEC_HOLD(b[v]);
                }
                VEC_UNROLL
                for (int r = 0; r < rows; r++) {
                    vec a = vec_splat(w[(size_t)r * ldw + k]);
                    VEC_HOLD(a);
                    VEC_UNROLL
                    for (int v = 0; v < vecs; v++)
                        acc[r][v] = vec_fma(a, b[v], acc[r][v]);
                }
            }
        }
    }
    VEC_UNROLL
    for (int r = 0; r < rows; r++) {
        VEC_UNROLL
        for (int v = 0; v < vecs; v++)
            vec_add_to(sums + (size_t)r * lds + v * V, acc[r][v]);
    }
}

#define NT_CASE(rows, vecs)                                                                                  \
    static void nt_tile_##vecs(size_t n, const float *w, size_t ldw, const float *p, size_t depth,           \
                               const float *next, double *sums, size_t lds)                                  \
    {                                                                                                        \
        for (size_t k = 0; k < depth; k += RUN) {                                                            \
            size_t run = smaller(RUN, depth - k);                                                            \
            const float *panel = p + k * (vecs)*V;                                                           \
            if (n == (rows))                                                                                 \
                nt_tile(rows, vecs, w + k, ldw, panel, run, next ? next + k : NULL, sums, lds);              \
            else                                                                                             \
                for (size_t r = 0; r < n; r++)                                                               \
                    nt_tile(1, vecs, w + r * ldw + k, ldw, panel, run, NULL, sums + r * lds, lds);           \
        }                                                                                                    \
    }
NT_CASE(NT_ROWS_1, 1)
NT_CASE(NT_ROWS_2, 2)
NT_CASE(NT_ROWS_3, 3)
NT_CASE(NT_ROWS_4, 4)

typedef void nt_tile_fn(size_t n, const float *w, size_t ldw, const float *p, size_t depth, const float *next,
                        double *sums, size_t lds);
static nt_tile_fn *const nt_tiles[5] = {NULL, nt_tile_1, nt_tile_2, nt_tile_3, nt_tile_4};
static const size_t nt_rows[5] = {0, NT_ROWS_1, NT_ROWS_2, NT_ROWS_3, NT_ROWS_4};

/* The batch in blocks of at most four vectors, as even as they come. */
typedef struct {
    size_t count;
    size_t row[HL_SKINNY_MAX / 4], vecs[HL_SKINNY_MAX / 4];
    size_t padded; /* rows with padding */
} nt_blocks;

static void nt_block(nt_blocks *b, size_t m)
{
    size_t vecs = (m + V - 1) / V, row = 0;
    b->count = (vecs + 3) / 4;
    b->padded = vecs * V;
    for (size_t i = 0; i < b->count; i++) {
        b->row[i] = row;
        b->vecs[i] = vecs / b->count + (i < vecs % b->count ? 1 : 0);
        row += b->vecs[i] * V;
    }
}

/* Panels of the k in [k0, k1): for each block its [k][vecs*V] with absent rows zero. */
static void nt_pack(const hl_skinny *s, const nt_blocks *b, const float *x, size_t k0, size_t k1,
                    float *panel)
{
    for (size_t i = 0; i < b->count; i++) {
        size_t width = b->vecs[i] * V;
        float *p = panel + b->row[i] * s->n_in;
        for (size_t r = 0; r < width; r++) {
            size_t row = b->row[i] + r;
            if (row < s->m)
                for (size_t k = k0; k < k1; k++)
                    p[k * width + r] = x[row * s->n_in + k];
            else
                for (size_t k = k0; k < k1; k++)
                    p[k * width + r] = 0;
        }
    }
}

/* The weights: [n_out][ld], of any float type. */
typedef struct nt_weights {
    const void *data;
    hl_dtype type;
    size_t ld;
} nt_weights;

/* A tile of weights as floats. */
typedef struct nt_floats {
    const float *data;
    size_t ld;
} nt_floats;

/* n rows of 16 bits as floats, to [n][NT_DEPTH]; the `after` rows that follow them are fetched meanwhile. */
VEC_INLINE void nt_widen(vec load(const uint16_t *), float one(uint16_t), const uint16_t *w, size_t ld,
                         size_t n, size_t depth, size_t after, float *to)
{
    const size_t whole = depth / V * V;
    for (size_t r = 0; r < n; r++, w += ld, to += NT_DEPTH) {
        for (size_t k = 0; r < after && k < depth; k += 2 * LINE)
            __builtin_prefetch(w + n * ld + k, 0, 3);
        for (size_t k = 0; k < whole; k += V)
            vec_store(to + k, load(w + k));
        for (size_t k = whole; k < depth; k++)
            to[k] = one(w[k]);
    }
}

/* Rows [r, r + n) of columns [k, k + depth): where they lie, or widened into the buffer. */
static nt_floats nt_read(const nt_weights *w, size_t r, size_t n, size_t k, size_t depth, size_t after,
                         float *buffer)
{
    const uint16_t *low = (const uint16_t *)w->data + r * w->ld + k;
    if (w->type == HL_F32)
        return (nt_floats){(const float *)w->data + r * w->ld + k, w->ld};
    if (w->type == HL_BF16)
        nt_widen(vec_from_bf16, hl_bf16_to_float, low, w->ld, n, depth, after, buffer);
    else
        nt_widen(vec_from_f16, hl_f16_to_float, low, w->ld, n, depth, after, buffer);
    return (nt_floats){buffer, NT_DEPTH};
}

/* sums [rows][padded] of rows [o, o + rows) of w */
static void nt_group(const hl_skinny *s, const nt_blocks *b, const nt_weights *w, size_t o, size_t rows,
                     const float *panel, double *sums)
{
    float buffer[NT_ROWS_1 * NT_DEPTH]; /* most rows of a tile */
    memset(sums, 0, rows * b->padded * sizeof *sums);
    for (size_t k = 0; k < s->n_in; k += NT_DEPTH) {
        size_t depth = smaller(NT_DEPTH, s->n_in - k);
        for (size_t i = 0; i < b->count; i++) {
            size_t step = nt_rows[b->vecs[i]], width = b->vecs[i] * V;
            const float *p = panel + b->row[i] * s->n_in + k * width;
            for (size_t r = 0; r < rows; r += step) {
                size_t n = smaller(step, rows - r), after = smaller(step, rows - r - n);
                const nt_floats tile = nt_read(w, o + r, n, k, depth, i == 0 ? after : 0, buffer);
                const float *next = NULL;
                const bool first = i == 0 && w->type == HL_F32; /* brings in the next tile */
                if (first && r + 2 * step <= rows)
                    next = tile.data + step * tile.ld;
                else if (first && k + 2 * NT_DEPTH <= s->n_in && step <= rows)
                    next = (const float *)w->data + o * w->ld + k + NT_DEPTH;
                nt_tiles[b->vecs[i]](n, tile.data, tile.ld, p, depth, next, sums + r * b->padded + b->row[i],
                                     b->padded);
            }
        }
    }
}

/* sums [rows][padded] -> y[:, o0 .. o0+rows) */
static void nt_finish(const hl_skinny *s, const double *sums, size_t padded, size_t o0, size_t rows,
                      const float *bias, const float *addend, float *y)
{
    for (size_t m = 0; m < s->m; m++) {
        size_t at = m * s->n_out + o0;
        for (size_t r = 0; r < rows; r++) {
            double sum = sums[r * padded + m] + (double)(bias ? bias[o0 + r] : 0);
            y[at + r] = (float)(addend ? sum + (double)addend[at + r] : sum);
        }
    }
}

/* One row of the batch: four dot products at a time, four streams of w per thread. */
static void nt_single(const hl_skinny *s, const float *x, const float *w, const float *bias,
                      const float *addend, float *y, size_t o0, size_t o1)
{
    size_t n = s->n_in, whole = n / (2 * V) * (2 * V);
    for (size_t o = o0; o < o1; o += 4) {
        size_t rows = smaller(4, o1 - o);
        const float *row[4];
        vec acc[4][2];
        VEC_UNROLL
        for (int r = 0; r < 4; r++) {
            row[r] = w + (o + smaller((size_t)r, rows - 1)) * n;
            acc[r][0] = acc[r][1] = vec_splat(0);
        }
        for (size_t k = 0; k < whole; k += 2 * V) {
            vec a = vec_load(x + k), b = vec_load(x + k + V);
            VEC_UNROLL
            for (int r = 0; r < 4; r++) {
                acc[r][0] = vec_fma(a, vec_load(row[r] + k), acc[r][0]);
                acc[r][1] = vec_fma(b, vec_load(row[r] + k + V), acc[r][1]);
            }
        }
        for (size_t r = 0; r < rows; r++) {
            float sum = vec_sum(acc[r][0] + acc[r][1]);
            for (size_t k = whole; k < n; k++)
                sum += x[k] * row[r][k];
            sum += bias ? bias[o + r] : 0;
            y[o + r] = addend ? sum + addend[o + r] : sum;
        }
    }
}

/* Every thread its part of the rows of w, against panels that all of them have packed. */
static void nt_batch(const hl_skinny *s, const float *x, const nt_weights *w, const float *bias,
                     const float *addend, float *y, float *panel)
{
    nt_blocks b;
    nt_block(&b, s->m);
    double *all_sums = (double *)(void *)(panel + round_up(b.padded * s->n_in, LINE));
#pragma omp parallel num_threads(team(s))
    {
        int id = omp_get_thread_num(), count = omp_get_num_threads();
        double *sums = all_sums + (size_t)id * NT_SUMS;
        size_t begin, end;
        split(s->n_in, LINE, id, count, &begin, &end);
        for (size_t k = begin; k < end; k += LINE)
            nt_pack(s, &b, x, k, smaller(k + LINE, end), panel);
#pragma omp barrier
        split(s->n_out, nt_rows[b.vecs[0]], id, count, &begin, &end);
        for (size_t o = begin; o < end; o += NT_GROUP) {
            size_t rows = smaller(NT_GROUP, end - o);
            nt_group(s, &b, w, o, rows, panel, sums);
            nt_finish(s, sums, b.padded, o, rows, bias, addend, y);
        }
    }
}

void hl_skinny_nt(const hl_skinny *s, const float *x, const void *w, hl_dtype w_type, const float *bias,
                  const float *addend, float *y, void *work)
{
    const nt_weights weights = {w, w_type, s->n_in};
    HL_ASSERT(w_type == HL_F32 || s->m > 1);
    if (s->m > 1) {
        nt_batch(s, x, &weights, bias, addend, y, work);
        return;
    }
#pragma omp parallel num_threads(team(s))
    {
        size_t begin, end;
        split(s->n_out, 4, omp_get_thread_num(), omp_get_num_threads(), &begin, &end);
        nt_single(s, x, w, bias, addend, y, begin, end);
    }
}
