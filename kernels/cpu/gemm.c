#include "kernels/cpu/gemm.h"

#include "base/memory.h"
#include "kernels/cpu/threads.h"

#include <string.h>

/* The register tile: ROWS x 2 vectors of sums, which with two vectors of b and one of a fill the
 * register file (16 vectors, 32 with AVX-512). */
#if defined(__AVX512F__)
enum { LANES = 16, ROWS = 12 };
#elif defined(__AVX__)
enum { LANES = 8, ROWS = 6 };
#else
enum { LANES = 4, ROWS = 6 };
#endif
enum { COLUMNS = 2 * LANES };

/* Cache blocks: a row panel of b (DEPTH x COLUMNS) stays in the first level while the panels of a
 * (BLOCK_M x DEPTH) pass by from the second. */
enum { DEPTH = 256, BLOCK_M = 96, BLOCK_N = 192 };

typedef float lanes __attribute__((vector_size(4 * LANES), may_alias));
typedef float loose_lanes __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

static int64_t min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t panels_of(int64_t n, int64_t unit)
{
    return n / unit + (n % unit != 0);
}

/* ------------------------------------------------------------------ packing
 * A panel holds `width` rows of a (or columns of b) side by side: for each k, width numbers that lie
 * together.  Rows that the matrix does not have are zeros, so that the tile needs no edges. */

/* Element (i, k) is x[i * ld + k]. */
static inline void pack_across(int width, int64_t n, int64_t K, const float *restrict x, int64_t ld,
                               float *restrict panel)
{
    if (n < width)
        memset(panel, 0, (size_t)(K * width) * sizeof *panel);
    if (n == width) {
        for (int64_t k = 0; k < K; k++)
            for (int i = 0; i < width; i++)
                panel[k * width + i] = x[i * ld + k];
        return;
    }
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < K; k++)
            panel[k * width + i] = x[i * ld + k];
}

/* Element (i, k) is x[k * ld + i]. */
static inline void pack_along(int width, int64_t n, int64_t K, const float *restrict x, int64_t ld,
                              float *restrict panel)
{
    if (n == width) {
        for (int64_t k = 0; k < K; k++)
            for (int i = 0; i < width; i++)
                panel[k * width + i] = x[k * ld + i];
        return;
    }
    memset(panel, 0, (size_t)(K * width) * sizeof *panel);
    for (int64_t k = 0; k < K; k++)
        for (int64_t i = 0; i < n; i++)
            panel[k * width + i] = x[k * ld + i];
}

void hl_gemm_pack_left(bool transpose, int64_t M, int64_t K, const float *a, int64_t lda, float *packed)
{
    for (int64_t i = 0; i < M; i += ROWS, packed += K * ROWS) {
        if (transpose)
            pack_along(ROWS, min64(ROWS, M - i), K, a + i, lda, packed);
        else
            pack_across(ROWS, min64(ROWS, M - i), K, a + i * lda, lda, packed);
    }
}

void hl_gemm_pack_right(bool transpose, int64_t K, int64_t N, const float *b, int64_t ldb, float *packed)
{
    for (int64_t j = 0; j < N; j += COLUMNS, packed += K * COLUMNS) {
        if (transpose)
            pack_across(COLUMNS, min64(COLUMNS, N - j), K, b + j * ldb, ldb, packed);
        else
            pack_along(COLUMNS, min64(COLUMNS, N - j), K, b + j, ldb, packed);
    }
}

void hl_gemm_pack_right_row(int64_t K, int64_t N, int64_t k, const float *row, float *packed)
{
    float *to = packed + k * COLUMNS;
    int64_t j = 0;
    for (; j + COLUMNS <= N; j += COLUMNS, to += K * COLUMNS)
        memcpy(to, row + j, COLUMNS * sizeof *to);
    if (j < N) {
        memset(to, 0, COLUMNS * sizeof *to);
        memcpy(to, row + j, (size_t)(N - j) * sizeof *to);
    }
}

static bool packed_bytes(int64_t n, int64_t unit, int64_t K, size_t *bytes)
{
    size_t size;
    if (!hl_size_mul((size_t)panels_of(n, unit), (size_t)unit * sizeof(float), &size) ||
        !hl_size_mul(size, (size_t)K, &size) || size > SIZE_MAX - 64)
        return false;
    *bytes = hl_size_align(size, 64);
    return true;
}

bool hl_gemm_left_bytes(int64_t M, int64_t K, size_t *bytes)
{
    return packed_bytes(M, ROWS, K, bytes);
}

bool hl_gemm_right_bytes(int64_t K, int64_t N, size_t *bytes)
{
    return packed_bytes(N, COLUMNS, K, bytes);
}

/* ------------------------------------------------------------------ the product of panels */

/* Rows m < ROWS or columns n < COLUMNS of a tile of sums. */
static void store_edge(int64_t m, int64_t n, const float *sum, float *c, int64_t ldc, bool accumulate)
{
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++)
            c[i * ldc + j] = accumulate ? c[i * ldc + j] + sum[i * COLUMNS + j] : sum[i * COLUMNS + j];
}

/* One tile: c [m,n] (+)= sum over k of a[k][ROWS] b[k][COLUMNS]. */
static void tile(int64_t K, const float *restrict a, const float *restrict b, int64_t m, int64_t n,
                 float *restrict c, int64_t ldc, bool accumulate)
{
    lanes sum[ROWS][2] = {0};
    for (int64_t k = 0; k < K; k++, a += ROWS, b += COLUMNS) {
        lanes left = *(const lanes *)b, right = *(const lanes *)(b + LANES);
        for (int i = 0; i < ROWS; i++) {
            sum[i][0] += a[i] * left;
            sum[i][1] += a[i] * right;
        }
    }
    if (m < ROWS || n < COLUMNS) {
        lanes spilled[ROWS][2];
        memcpy(spilled, sum, sizeof sum);
        store_edge(m, n, (const float *)spilled, c, ldc, accumulate);
        return;
    }
    for (int i = 0; i < ROWS; i++, c += ldc) {
        loose_lanes *to = (loose_lanes *)c;
        for (int h = 0; h < 2; h++) {
            if (accumulate)
                to[h] += sum[i][h];
            else
                to[h] = sum[i][h];
        }
    }
}

/* k in [begin, begin + depth) of panels that are K deep. */
static void multiply(int64_t M, int64_t N, int64_t K, int64_t begin, int64_t depth, const float *left,
                     const float *right, float *c, int64_t ldc, bool accumulate)
{
    for (int64_t j = 0; j < N; j += COLUMNS)
        for (int64_t i = 0; i < M; i += ROWS)
            tile(depth, left + i * K + begin * ROWS, right + j * K + begin * COLUMNS, min64(ROWS, M - i),
                 min64(COLUMNS, N - j), c + i * ldc + j, ldc, accumulate);
}

static void clear(int64_t M, int64_t N, float *c, int64_t ldc)
{
    for (int64_t i = 0; i < M; i++)
        memset(c + i * ldc, 0, (size_t)N * sizeof *c);
}

void hl_gemm_packed(int64_t M, int64_t N, int64_t K, const float *left, const float *right, float *c,
                    int64_t ldc, bool accumulate)
{
    if (K == 0 && !accumulate)
        clear(M, N, c, ldc);
    for (int64_t i = 0; i < M; i += BLOCK_M)
        for (int64_t k = 0; k < K; k += DEPTH)
            multiply(min64(BLOCK_M, M - i), N, K, k, min64(DEPTH, K - k), left + i * K, right, c + i * ldc,
                     ldc, accumulate || k > 0);
}

/* ------------------------------------------------------------------ operands as they lie */

typedef struct product {
    bool transpose_a, transpose_b;
    int64_t M, N, K;
    const float *a, *b;
    int64_t lda, ldb;
    float *c;
    int64_t ldc;
    bool accumulate;
} product;

/* Rows [i, i+m), m <= BLOCK_M, and columns [j, j+n), n <= BLOCK_N, of c. */
static void block(const product *p, int64_t i, int64_t m, int64_t j, int64_t n)
{
    _Alignas(64) float left[BLOCK_M * DEPTH], right[BLOCK_N * DEPTH];
    float *c = p->c + i * p->ldc + j;
    if (p->K == 0 && !p->accumulate)
        clear(m, n, c, p->ldc);
    for (int64_t k = 0; k < p->K; k += DEPTH) {
        int64_t depth = min64(DEPTH, p->K - k);
        hl_gemm_pack_left(p->transpose_a, m, depth,
                          p->transpose_a ? p->a + k * p->lda + i : p->a + i * p->lda + k, p->lda, left);
        hl_gemm_pack_right(p->transpose_b, depth, n,
                           p->transpose_b ? p->b + j * p->ldb + k : p->b + k * p->ldb + j, p->ldb, right);
        multiply(m, n, depth, 0, depth, left, right, c, p->ldc, p->accumulate || k > 0);
    }
}

/* Blocks of c, none empty, as many as keep `threads` busy where c is large enough. */
static void run(const product *p, int threads)
{
    int64_t high = BLOCK_M, wide = BLOCK_N;
    while (wide > 2 * COLUMNS && panels_of(p->M, high) * panels_of(p->N, wide) < 2 * (int64_t)threads)
        wide -= COLUMNS;
    int64_t down = panels_of(p->M, high), across = panels_of(p->N, wide);
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (int64_t t = 0; t < down * across; t++) {
        int64_t i = t / across * high, j = t % across * wide;
        block(p, i, min64(high, p->M - i), j, min64(wide, p->N - j));
    }
}

void hl_gemm_serial(bool transpose_a, bool transpose_b, int64_t M, int64_t N, int64_t K, const float *a,
                    int64_t lda, const float *b, int64_t ldb, float *c, int64_t ldc, bool accumulate)
{
    product p = {transpose_a, transpose_b, M, N, K, a, b, lda, ldb, c, ldc, accumulate};
    run(&p, 1);
}

void hl_gemm(bool transpose_a, bool transpose_b, int64_t M, int64_t N, int64_t K, const float *a, int64_t lda,
             const float *b, int64_t ldb, float *c, int64_t ldc, bool accumulate)
{
    product p = {transpose_a, transpose_b, M, N, K, a, b, lda, ldb, c, ldc, accumulate};
    run(&p, hl_threads_for((double)M * (double)N * (double)K,
                           sizeof *b * ((double)M * (double)K + (double)K * (double)N)));
}
