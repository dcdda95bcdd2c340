#include "kernels/cpu/skinny_tiles.h"

#include <string.h>

/* ---- gradient of the input, dx = dy w ----
 * The columns lie along the vector. dy is packed as [chunk of o][group of rows][o][NN_ROWS]; a strip of
 * w is copied to the stack before use, since its rows, a large power of two apart, share one set of
 * the first cache; dx grows in scratch, [strip][row][NN_STRIP], for the same reason. */

/* c[NN_ROWS][NN_STRIP] += a[depth][NN_ROWS]^T b[depth][NN_STRIP] */
static void nn_tile(const float *a, const float *b, size_t depth, double *c)
{
    vec acc[NN_ROWS][NN_VECS];
    VEC_UNROLL
    for (int r = 0; r < NN_ROWS; r++) {
        VEC_UNROLL
        for (int v = 0; v < NN_VECS; v++)
            acc[r][v] = vec_splat(0);
    }
    for (size_t k = 0; k < depth; k++) {
        vec w[NN_VECS];
        VEC_UNROLL
        for (int v = 0; v < NN_VECS; v++) {
            w[v] = vec_load(b + k * NN_STRIP + v * V);
            VEC_HOLD(w[v]);
        }
        VEC_UNROLL
        for (int r = 0; r < NN_ROWS; r++) {
            vec x = vec_splat(a[k * NN_ROWS + (size_t)r]);
            VEC_HOLD(x);
            VEC_UNROLL
            for (int v = 0; v < NN_VECS; v++)
                acc[r][v] = vec_fma(x, w[v], acc[r][v]);
        }
    }
    VEC_UNROLL
    for (int r = 0; r < NN_ROWS; r++) {
        VEC_UNROLL
        for (int v = 0; v < NN_VECS; v++)
            vec_add_to(c + r * NN_STRIP + v * V, acc[r][v]);
    }
}

/* dy[:, o0 .. o0+depth) -> a[group][depth][NN_ROWS] */
static void nn_pack(const hl_skinny *s, const float *dy, size_t o0, size_t depth, float *a)
{
    for (size_t g = 0; g < s->m; g += NN_ROWS)
        for (size_t r = 0; r < NN_ROWS; r++) {
            float *out = a + g * depth + r;
            for (size_t k = 0; k < depth; k++)
                out[k * NN_ROWS] = g + r < s->m ? dy[(g + r) * s->n_out + o0 + k] : 0;
        }
}

/* depth rows of w, NN_STRIP columns of which cols exist, -> b[depth][NN_STRIP] */
static void nn_strip(const float *w, size_t ldw, size_t cols, size_t depth, float *b)
{
    if (cols >= NN_STRIP) {
        for (size_t k = 0; k < depth; k++) {
            VEC_UNROLL
            for (int v = 0; v < NN_VECS; v++)
                vec_store(b + k * NN_STRIP + v * V, vec_load(w + k * ldw + v * V));
        }
    } else {
        memset(b, 0, depth * NN_STRIP * sizeof(float));
        for (size_t k = 0; k < depth; k++)
            memcpy(b + k * NN_STRIP, w + k * ldw, cols * sizeof(float));
    }
}

/* Rows [k0, k1) of the strip NN_AHEAD columns on. */
static void nn_ahead(const float *w, size_t ldw, size_t k0, size_t k1)
{
    for (size_t k = k0; k < k1; k++) {
        __builtin_prefetch(w + k * ldw + NN_AHEAD, 0, 3);
        __builtin_prefetch(w + k * ldw + NN_AHEAD + NN_STRIP - 1, 0, 3);
    }
}

/* sums[strip][row][NN_STRIP] of the columns [begin, end) gain depth rows of w */
static void nn_rows(const hl_skinny *s, const float *a, const float *w, size_t begin, size_t end,
                    size_t depth, double *sums)
{
    float b[NN_DEPTH * NN_STRIP] __attribute__((aligned(64)));
    size_t rows = round_up(s->m, NN_ROWS), groups = rows / NN_ROWS, share = (depth + groups - 1) / groups;
    for (size_t i = begin; i < end; i += NN_STRIP) {
        bool more = i + NN_AHEAD + NN_STRIP <= s->n_in;
        nn_strip(w + i, s->n_in, s->n_in - i, depth, b);
        for (size_t g = 0; g < groups; g++) {
            if (more) /* spread over the groups: only so many misses can be under way */
                nn_ahead(w + i, s->n_in, smaller(g * share, depth), smaller((g + 1) * share, depth));
            nn_tile(a + g * NN_ROWS * depth, b, depth, sums + (i - begin) * rows + g * NN_ROWS * NN_STRIP);
        }
    }
}

static void nn_finish(const hl_skinny *s, const double *sums, size_t begin, size_t end, bool accumulate,
                      float *dx)
{
    size_t rows = round_up(s->m, NN_ROWS);
    for (size_t i = begin; i < end; i += NN_STRIP) {
        size_t cols = smaller(NN_STRIP, end - i);
        for (size_t r = 0; r < s->m; r++) {
            const double *from = sums + (i - begin) * rows + r * NN_STRIP;
            float *to = dx + r * s->n_in + i;
            for (size_t j = 0; j < cols; j++)
                to[j] = (float)(accumulate ? from[j] + (double)to[j] : from[j]);
        }
    }
}

void hl_skinny_nn(const hl_skinny *s, const float *dy, const float *w, bool accumulate, float *dx, void *work)
{
    size_t rows = round_up(s->m, NN_ROWS);
    float *packed = work;
    double *all_sums = (double *)(void *)(packed + round_up(s->n_out * rows, LINE));
#pragma omp parallel num_threads(team(s))
    {
        int id = omp_get_thread_num(), count = omp_get_num_threads();
        size_t begin, end;
        double *sums = all_sums + (size_t)id * NN_BLOCK * rows;
        split(s->n_out, NN_DEPTH, id, count, &begin, &end);
        for (size_t o = begin; o < end; o += NN_DEPTH)
            nn_pack(s, dy, o, smaller(NN_DEPTH, end - o), packed + o * rows);
#pragma omp barrier
        split(s->n_in, NN_STRIP, id, count, &begin, &end);
        size_t blocks = (end - begin + NN_BLOCK - 1) / NN_BLOCK;
        size_t block = blocks ? round_up((end - begin + blocks - 1) / blocks, NN_STRIP) : 1;
        for (size_t i = begin; i < end; i += block) {
            size_t stop = smaller(i + block, end);
            memset(sums, 0, round_up(stop - i, NN_STRIP) * rows * sizeof *sums);
            for (size_t o = 0; o < s->n_out; o += NN_DEPTH)
                nn_rows(s, packed + o * rows, w + o * s->n_in, i, stop, smaller(NN_DEPTH, s->n_out - o),
                        sums);
            nn_finish(s, sums, i, stop, accumulate, dx);
        }
    }
}
