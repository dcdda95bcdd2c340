#include "kernels/cpu/skinny_tiles.h"

#include <string.h>

/* ---- gradient of the weights, dw = dy^T x ----
 * dy is packed as [group of o][m][TN_ROWS], x as [strip of i][m][TN_STRIP]. */

VEC_INLINE void tn_tile(const float *a, const float *b, size_t depth, vec acc[TN_ROWS][TN_VECS])
{
    VEC_UNROLL
    for (int r = 0; r < TN_ROWS; r++) {
        VEC_UNROLL
        for (int v = 0; v < TN_VECS; v++)
            acc[r][v] = vec_splat(0);
    }
    for (size_t k = 0; k < depth; k++) {
        vec x[TN_VECS];
        VEC_UNROLL
        for (int v = 0; v < TN_VECS; v++) {
            x[v] = vec_load(b + k * TN_STRIP + v * V);
            VEC_HOLD(x[v]);
        }
        VEC_UNROLL
        for (int r = 0; r < TN_ROWS; r++) {
            vec y = vec_splat(a[k * TN_ROWS + (size_t)r]);
            VEC_HOLD(y);
            VEC_UNROLL
            for (int v = 0; v < TN_VECS; v++)
                acc[r][v] = vec_fma(y, x[v], acc[r][v]);
        }
    }
}

/* One whole tile of dw at c. */
static void tn_whole(const float *a, const float *b, size_t depth, float *c, size_t ldc, bool add)
{
    vec acc[TN_ROWS][TN_VECS];
    tn_tile(a, b, depth, acc);
    VEC_UNROLL
    for (int r = 0; r < TN_ROWS; r++) {
        VEC_UNROLL
        for (int v = 0; v < TN_VECS; v++) {
            float *out = c + (size_t)r * ldc + v * V;
            vec_store(out, add ? vec_load(out) + acc[r][v] : acc[r][v]);
        }
    }
}

/* A tile at the edge: rows x cols of it exist. */
static void tn_edge(const float *a, const float *b, size_t depth, float *c, size_t ldc, size_t rows,
                    size_t cols, bool add)
{
    vec acc[TN_ROWS][TN_VECS];
    float out[TN_ROWS][TN_STRIP];
    tn_tile(a, b, depth, acc);
    memcpy(out, acc, sizeof out);
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < cols; i++)
            c[r * ldc + i] = add ? c[r * ldc + i] + out[r][i] : out[r][i];
}

/* src[m][begin .. end) in strips of width columns -> dst[strip][m][width], absent columns zero. */
static void tn_pack(const float *src, size_t m, size_t ld, size_t begin, size_t end, size_t width, float *dst)
{
    for (size_t i = begin; i < end; i += width) {
        float *d = dst + i * m;
        for (size_t k = 0; k < m; k++)
            for (size_t j = 0; j < width; j++)
                d[k * width + j] = i + j < ld ? src[k * ld + i + j] : 0;
    }
}

static void tn_rows(const hl_skinny *s, const float *a, const float *b, size_t o, size_t begin, size_t end,
                    bool add, float *dw)
{
    size_t rows = smaller(TN_ROWS, s->n_out - o);
    for (size_t i = begin; i < end; i += TN_STRIP) {
        float *c = dw + o * s->n_in + i;
        if (rows < TN_ROWS || i + TN_STRIP > s->n_in) {
            tn_edge(a, b + i * s->m, s->m, c, s->n_in, rows, smaller(TN_STRIP, s->n_in - i), add);
            continue;
        }
        if (i + TN_AHEAD + TN_STRIP <= s->n_in)
            for (size_t r = 0; r < TN_ROWS; r++)
                __builtin_prefetch(c + r * s->n_in + TN_AHEAD, 1, 3);
        tn_whole(a, b + i * s->m, s->m, c, s->n_in, add);
    }
}

void hl_skinny_tn(const hl_skinny *s, const float *dy, const float *x, bool accumulate, float *dw, void *work)
{
    float *a = work, *b = a + round_up(round_up(s->n_out, TN_ROWS) * s->m, LINE);
#pragma omp parallel num_threads(team(s))
    {
        int id = omp_get_thread_num(), count = omp_get_num_threads();
        size_t begin, end;
        split(s->n_in, TN_STRIP, id, count, &begin, &end);
        tn_pack(x, s->m, s->n_in, begin, end, TN_STRIP, b);
        split(s->n_out, TN_ROWS, id, count, &begin, &end);
        tn_pack(dy, s->m, s->n_out, begin, end, TN_ROWS, a);
#pragma omp barrier
        for (size_t i = 0; i < s->n_in; i += TN_BLOCK)
            for (size_t o = begin; o < end; o += TN_ROWS)
                tn_rows(s, a + o * s->m, b, o, i, smaller(i + TN_BLOCK, s->n_in), accumulate, dw);
    }
}
