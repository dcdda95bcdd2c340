/* The product of matrices in plain C: every shape of edge, operands as they lie, threads. */
#include "kernels/cpu/gemm.h"

#include "base/memory.h"
#include "kernels/cpu/threads.h"

#include <math.h>
#include <omp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { GAP = 3 }; /* floats between rows, which must stay as they are */

typedef struct matrix {
    int64_t rows, columns, ld;
    float *data;
} matrix;

static float value(uint64_t i)
{
    i = (i + 1) * 0x9E3779B97F4A7C15u;
    i ^= i >> 31;
    i *= 0xBF58476D1CE4E5B9u;
    return (float)(i >> 40) * 0x1p-23f - 1.0f;
}

static matrix make(int64_t rows, int64_t columns, uint64_t seed)
{
    matrix m = {rows, columns, columns + GAP, NULL};
    size_t n = (size_t)(rows * m.ld) + 1;
    m.data = malloc(n * sizeof *m.data);
    assert_non_null(m.data);
    for (size_t i = 0; i < n; i++)
        m.data[i] = value(seed * 1000003u + i);
    return m;
}

static matrix copy(matrix m)
{
    matrix other = make(m.rows, m.columns, 0);
    memcpy(other.data, m.data, ((size_t)(m.rows * m.ld) + 1) * sizeof *m.data);
    return other;
}

static void assert_same(matrix a, matrix b)
{
    assert_memory_equal(a.data, b.data, ((size_t)(a.rows * a.ld) + 1) * sizeof *a.data);
}

/* c is what `before` becomes, in double; the gaps have not changed. */
static void assert_product(matrix a, bool ta, matrix b, bool tb, int64_t K, matrix before, bool accumulate,
                           matrix c)
{
    for (int64_t i = 0; i < c.rows; i++) {
        for (int64_t j = 0; j < c.ld; j++) {
            int64_t at = i * c.ld + j;
            double sum = accumulate ? before.data[at] : 0, size = fabs(sum);
            if (j >= c.columns) {
                assert_true(c.data[at] == before.data[at]);
                continue;
            }
            for (int64_t k = 0; k < K; k++) {
                double part = (double)a.data[ta ? k * a.ld + i : i * a.ld + k] *
                              (double)b.data[tb ? j * b.ld + k : k * b.ld + j];
                sum += part;
                size += fabs(part);
            }
            /* Half an ulp per addition, which on average cancel: far below the bound K eps. */
            assert_true(fabs(c.data[at] - sum) <= 6e-8 * (2 + sqrt((double)K)) * size);
        }
    }
}

static void check(int64_t M, int64_t N, int64_t K, bool ta, bool tb, bool accumulate)
{
    matrix a = ta ? make(K, M, 1) : make(M, K, 1), b = tb ? make(N, K, 2) : make(K, N, 2);
    matrix c = make(M, N, 3), before = copy(c), alone = copy(c);
    hl_gemm(ta, tb, M, N, K, a.data, a.ld, b.data, b.ld, c.data, c.ld, accumulate);
    assert_product(a, ta, b, tb, K, before, accumulate, c);
    hl_gemm_serial(ta, tb, M, N, K, a.data, a.ld, b.data, b.ld, alone.data, alone.ld, accumulate);
    assert_same(c, alone);
    free(a.data);
    free(b.data);
    free(c.data);
    free(before.data);
    free(alone.data);
}

static void test_every_edge(void **state)
{
    (void)state;
    const int64_t sizes[] = {0, 1, 3, 6, 7, 16, 17, 33};
    const int count = (int)(sizeof sizes / sizeof *sizes);
    for (int i = 0; i < count * count * count; i++)
        for (int way = 0; way < 8; way++)
            check(sizes[i % count], sizes[i / count % count], sizes[i / count / count], way & 1, way & 2,
                  way & 4);
}

static void test_across_blocks(void **state)
{
    (void)state;
    for (int way = 0; way < 8; way++) {
        check(97, 193, 257, way & 1, way & 2, way & 4);
        check(200, 5, 600, way & 1, way & 2, way & 4);
        check(5, 400, 300, way & 1, way & 2, way & 4);
    }
}

/* The same bits, whatever the number of threads. */
static void test_threads(void **state)
{
    (void)state;
    const int64_t M = 150, N = 201, K = 300;
    matrix a = make(M, K, 1), b = make(K, N, 2), one = make(M, N, 3);
    int threads = omp_get_max_threads();
    omp_set_num_threads(1);
    hl_gemm(false, false, M, N, K, a.data, a.ld, b.data, b.ld, one.data, one.ld, false);
    for (int n = 2; n <= 9; n += 1) {
        matrix many = make(M, N, 3);
        omp_set_num_threads(n);
        hl_gemm(false, false, M, N, K, a.data, a.ld, b.data, b.ld, many.data, many.ld, false);
        assert_same(one, many);
        free(many.data);
    }
    omp_set_num_threads(threads);
    free(a.data);
    free(b.data);
    free(one.data);
}

/* Operands packed once give what hl_gemm gives; a right operand row by row too. */
static void check_packed(int64_t M, int64_t N, int64_t K, bool ta, bool tb)
{
    matrix a = ta ? make(K, M, 1) : make(M, K, 1), b = tb ? make(N, K, 2) : make(K, N, 2);
    matrix want = make(M, N, 3), got = make(M, N, 3);
    size_t left_bytes = 0, right_bytes = 0;
    assert_true(hl_gemm_left_bytes(M, K, &left_bytes) && hl_gemm_right_bytes(K, N, &right_bytes));
    assert_true(left_bytes % 64 == 0 && right_bytes % 64 == 0);
    float *left = hl_alloc_tensor(left_bytes + 64, HL_USE_OTHER),
          *right = hl_alloc_tensor(right_bytes + 64, HL_USE_OTHER);
    assert_true(left && right);
    hl_gemm_pack_left(ta, M, K, a.data, a.ld, left);
    hl_gemm_pack_right(tb, K, N, b.data, b.ld, right);
    hl_gemm(ta, tb, M, N, K, a.data, a.ld, b.data, b.ld, want.data, want.ld, true);
    hl_gemm_packed(M, N, K, left, right, got.data, got.ld, true);
    assert_same(want, got);
    if (!tb) {
        memset(right, 0xff, right_bytes); /* NaN where nothing is written */
        for (int64_t k = 0; k < K; k++)
            hl_gemm_pack_right_row(K, N, k, b.data + k * b.ld, right);
        hl_gemm(ta, tb, M, N, K, a.data, a.ld, b.data, b.ld, want.data, want.ld, false);
        hl_gemm_packed(M, N, K, left, right, got.data, got.ld, false);
        assert_same(want, got);
    }
    hl_free_tensor(left, left_bytes + 64);
    hl_free_tensor(right, right_bytes + 64);
    free(a.data);
    free(b.data);
    free(want.data);
    free(got.data);
}

static void test_packed(void **state)
{
    (void)state;
    for (int way = 0; way < 4; way++) {
        check_packed(1, 1, 1, way & 1, way & 2);
        check_packed(3, 17, 5, way & 1, way & 2);
        check_packed(17, 3, 0, way & 1, way & 2);
        check_packed(100, 50, 300, way & 1, way & 2);
        check_packed(12, 96, 513, way & 1, way & 2);
    }
}

/* A NaN reaches its row or column of c and nothing else, though panels have idle lanes. */
static void test_nan_stays_in_its_row(void **state)
{
    (void)state;
    const int64_t M = 7, N = 19, K = 4;
    matrix a = make(M, K, 1), b = make(K, N, 2), c = make(M, N, 3);
    a.data[6 * a.ld + 1] = NAN;
    b.data[2 * b.ld + 18] = INFINITY;
    hl_gemm(false, false, M, N, K, a.data, a.ld, b.data, b.ld, c.data, c.ld, false);
    for (int64_t i = 0; i < M; i++)
        for (int64_t j = 0; j < N; j++)
            assert_int_equal(!isfinite(c.data[i * c.ld + j]), i == 6 || j == 18);
    free(a.data);
    free(b.data);
    free(c.data);
}

static void test_overflow(void **state)
{
    (void)state;
    size_t bytes = 5;
    assert_false(hl_gemm_left_bytes(INT64_MAX / 2, INT64_MAX / 2, &bytes));
    assert_false(hl_gemm_right_bytes(INT64_MAX / 2, 1, &bytes));
    assert_false(hl_gemm_left_bytes(INT64_MAX, 1, &bytes));
    assert_int_equal(bytes, 5);
}

int main(void)
{
    hl_cpu_grain = (hl_grain){0};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_edge),
        cmocka_unit_test(test_across_blocks),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_packed),
        cmocka_unit_test(test_nan_stays_in_its_row),
        cmocka_unit_test(test_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
