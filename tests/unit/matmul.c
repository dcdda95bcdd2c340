/* The matmul kernels of the CPU backends, called as a plan calls them, against plain double loops: sizes
 * that fit no tile, scratch full of NaN, guard zones behind the result and the scratch. */
#include "tests/kernel_call.h"

#include "base/half.h"
#include "base/memory.h"
#include "kernels/cpu/threads.h"

#include <math.h>
#include <omp.h>

/* How a product ends; the last two are one, with the addend apart and where the result goes. */
typedef enum ending { PLAIN, BIAS_RELU, BIAS_ADDEND_GELU, ONTO_ADDEND, INTO_ADDEND, ENDINGS } ending;

typedef struct problem {
    int64_t M, N, K;
    bool ta, tb;
    float *a, *b, *bias, *addend;
    double *products; /* [M,N], in double */
    hl_dtype type;    /* of b; not f32: as it lies is in low */
    uint16_t *low;
} problem;

static problem make(int64_t M, int64_t N, int64_t K, bool ta, bool tb)
{
    problem q = {M,    N,      K,   ta, tb, fill(M * K, 1), fill(K * N, 2), fill(N, 3), fill(M * N, 4),
                 NULL, HL_F32, NULL};
    q.products = calloc((size_t)(M * N) + 1, sizeof *q.products);
    assert_non_null(q.products);
    for (int64_t i = 0; i < M; i++)
        for (int64_t k = 0; k < K; k++) {
            double x = q.a[ta ? k * M + i : i * K + k];
            for (int64_t j = 0; j < N; j++)
                q.products[i * N + j] += x * q.b[tb ? j * K + k : k * N + j];
        }
    return q;
}

static void clear(problem *q)
{
    free(q->a);
    free(q->b);
    free(q->bias);
    free(q->addend);
    free(q->products);
    free(q->low);
}

static double want(const problem *q, ending e, int64_t i)
{
    double sum = q->products[i];
    if (e == BIAS_RELU || e == BIAS_ADDEND_GELU)
        sum += q->bias[i % q->N];
    if (e >= BIAS_ADDEND_GELU)
        sum += q->addend[i];
    if (e == BIAS_RELU)
        return sum < 0 ? 0 : sum;
    return e == BIAS_ADDEND_GELU ? sum * 0.5 * erfc(-sum / sqrt(2)) : sum;
}

/* ------------------------------------------------------------------ a call as a plan makes it */

typedef struct call {
    hl_call call;
    hl_view in[4];
    hl_matmul_params params;
} call;

static hl_view view(int rank, int64_t rows, int64_t columns)
{
    return (hl_view){
        .dtype = HL_F32, .shape = {rank, {rows, columns}}, .count = rows * (rank == 2 ? columns : 1)};
}

static void describe(call *c, int64_t M, int64_t N, int64_t K, bool ta, bool tb, ending e)
{
    static const hl_activation activations[] = {HL_ACT_NONE, HL_ACT_RELU, HL_ACT_GELU, HL_ACT_NONE,
                                                HL_ACT_NONE};
    memset(c, 0, sizeof *c);
    c->params = (hl_matmul_params){.transpose_a = ta, .transpose_b = tb, .activation = activations[e]};
    c->in[0] = ta ? view(2, K, M) : view(2, M, K);
    c->in[1] = tb ? view(2, N, K) : view(2, K, N);
    if (e == BIAS_RELU || e == BIAS_ADDEND_GELU)
        c->in[2] = view(1, N, 0);
    if (e >= BIAS_ADDEND_GELU)
        c->in[3] = view(2, M, N);
    c->call = (hl_call){.params = &c->params, .n_in = 4, .n_out = 1, .in = c->in};
    c->call.out[0] = view(2, M, N);
}

/* Runs it twice in the same scratch; the caller frees the result. threads: of the second run. */
static float *run(const hl_backend *backend, const problem *q, ending e, int threads)
{
    call c;
    hl_error err = {0};
    size_t bytes = (size_t)(q->M * q->N) * sizeof(float);
    float *y = guarded(bytes);
    describe(&c, q->M, q->N, q->K, q->ta, q->tb, e);
    c.in[1].dtype = q->type;
    const hl_kernel *k = c.call.kernel = choose(backend, "matmul", &c.call);
    if (k->prepare)
        assert_int_equal(k->prepare(&c.call, &err), HL_OK);
    c.call.workspace = guarded(c.call.workspace_bytes);
    c.in[0].data = q->a;
    c.in[1].data = q->low ? (void *)q->low : q->b;
    c.in[2].data = c.in[2].shape.rank ? q->bias : NULL;
    c.in[3].data = e == INTO_ADDEND ? y : c.in[3].shape.rank ? q->addend : NULL;
    c.call.out[0].data = y;
    for (int twice = 0; twice < 2; twice++) {
        if (twice)
            omp_set_num_threads(threads);
        if (e == INTO_ADDEND)
            memcpy(y, q->addend, bytes);
        assert_int_equal(k->run(&c.call, &err), HL_OK);
    }
    assert_guard(y, bytes);
    assert_guard(c.call.workspace, c.call.workspace_bytes);
    free(c.call.workspace);
    if (k->release)
        k->release(&c.call);
    return y;
}

static void check(const hl_backend *backend, const problem *q, ending e)
{
    float *y = run(backend, q, e, omp_get_max_threads());
    for (int64_t i = 0; i < q->M * q->N; i++) {
        /* what a sum of K products of at most 1/4 may round to, and what gelu adds to it */
        double w = want(q, e, i), limit = 4e-7 * sqrt((double)q->K) + 1e-6 * fabs(w) + 4e-7;
        if (!(fabs(y[i] - w) <= limit))
            fail_msg("%s: [%lld,%lld,%lld]%s%s ending %d: y[%lld] is %.9g, must be %.9g", backend->name,
                     (long long)q->M, (long long)q->N, (long long)q->K, q->ta ? " ta" : "",
                     q->tb ? " tb" : "", (int)e, (long long)i, (double)y[i], w);
    }
    free(y);
}

/* Where the addend lies does not change a bit. */
static void check_places(const hl_backend *backend, const problem *q)
{
    float *apart = run(backend, q, ONTO_ADDEND, 2), *in_place = run(backend, q, INTO_ADDEND, 2);
    assert_memory_equal(apart, in_place, (size_t)(q->M * q->N) * sizeof *apart);
    free(apart);
    free(in_place);
}

static void check_all(int64_t M, int64_t N, int64_t K, bool ta, bool tb)
{
    problem q = make(M, N, K, ta, tb);
    for (int e = 0; e < ENDINGS; e++) {
        call c;
        describe(&c, M, N, K, ta, tb, (ending)e);
        check(&hl_backend_cpu_portable, &q, (ending)e);
        if (choose(&hl_backend_cpu, "matmul", &c.call) != choose(&hl_backend_cpu_portable, "matmul", &c.call))
            check(&hl_backend_cpu, &q, (ending)e);
    }
    check_places(&hl_backend_cpu_portable, &q);
    check_places(&hl_backend_cpu, &q);
    clear(&q);
}

/* As a layer with this batch uses its weights: forward, gradient of the input, of the weights. */
static void check_layer(int64_t batch, int64_t n_out, int64_t n_in)
{
    check_all(batch, n_out, n_in, false, true);
    check_all(batch, n_in, n_out, false, false);
    check_all(n_out, n_in, batch, true, false);
}

/* ------------------------------------------------------------------ tests */

static void test_every_edge(void **state)
{
    (void)state;
    const int64_t batches[] = {1, 2, 3, 7, 8, 15, 16, 17, 25, 31, 32, 33, 47, 63, 64, 65, 131};
    const int64_t sizes[] = {1, 3, 8, 17, 49, 97, 259};
    enum { BATCHES = sizeof batches / sizeof *batches, SIZES = sizeof sizes / sizeof *sizes };
    int before = omp_get_max_threads();
    for (int b = 0; b < BATCHES; b++)
        for (int o = 0; o < SIZES; o++)
            for (int i = 0; i < SIZES; i++) {
                if (b % 3 && sizes[o] * sizes[i] > 97 * 97)
                    continue;
                omp_set_num_threads((b + o + i) % 4 ? 1 : 3);
                check_layer(batches[b], sizes[o], sizes[i]);
            }
    omp_set_num_threads(before);
}

static void test_long_sums_and_large_weights(void **state)
{
    (void)state;
    check_layer(5, 1301, 1301);
    check_layer(33, 520, 1301);
    check_layer(32, 96, 4224);
    check_layer(65, 1031, 1021); /* a piece and one row */
    check_layer(131, 1025, 1024);
    check_layer(128, 1024, 1024); /* whole pieces */
    check_layer(515, 70, 131);
}

static void test_both_transposed(void **state)
{
    (void)state;
    check_all(3, 17, 5, true, true);
    check_all(97, 1, 131, true, true);
}

/* A sum of nothing is zero: the bias and the addend remain. */
static void test_empty(void **state)
{
    (void)state;
    for (int t = 0; t < 4; t++) {
        check_all(3, 17, 0, t & 1, t >> 1);
        check_all(0, 17, 5, t & 1, t >> 1);
        check_all(3, 0, 5, t & 1, t >> 1);
        check_all(0, 0, 0, t & 1, t >> 1);
    }
}

/* The portable kernel gives the same bits on one, two and five threads, and when the threads at the
 * run are fewer or more than those that were planned for. */
static void test_same_on_any_threads(void **state)
{
    (void)state;
    const int64_t sizes[][3] = {
        {1, 203, 301}, {17, 203, 301}, {64, 515, 2301}, {70, 1025, 1031}, {90, 70, 80}};
    int before = omp_get_max_threads();
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (int t = 0; t < 3; t++) {
            int64_t batch = sizes[s][0], o = sizes[s][1], i = sizes[s][2];
            problem q = t == 0   ? make(batch, o, i, false, true)
                        : t == 1 ? make(batch, i, o, false, false)
                                 : make(o, i, batch, true, false);
            float *first = NULL;
            const int threads[][2] = {{1, 1}, {2, 2}, {5, 5}, {5, 2}, {2, 5}};
            for (int n = 0; n < 5; n++) {
                omp_set_num_threads(threads[n][0]);
                float *y = run(&hl_backend_cpu_portable, &q, BIAS_ADDEND_GELU, threads[n][1]);
                if (first)
                    assert_memory_equal(first, y, (size_t)(q.M * q.N) * sizeof *y);
                if (first)
                    free(y);
                else
                    first = y;
            }
            free(first);
            clear(&q);
        }
    omp_set_num_threads(before);
}

/* Weights of 16 bits give the bits that the same weights in f32 give, read to the end of their memory and no
 * further. */
static void test_low_weights(void **state)
{
    (void)state;
    const int64_t sizes[][3] = {{2, 1, 1},     {3, 5, 3},     {16, 203, 301},
                                {17, 47, 256}, {33, 97, 263}, {64, 49, 700}};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (hl_dtype type = HL_F16; type <= HL_BF16; type++) {
            problem q = make(sizes[s][0], sizes[s][1], sizes[s][2], false, true);
            q.low = malloc((size_t)(q.N * q.K) * sizeof *q.low);
            assert_non_null(q.low);
            for (int64_t i = 0; i < q.N * q.K; i++) {
                q.low[i] = type == HL_F16 ? hl_float_to_f16(q.b[i]) : hl_float_to_bf16(q.b[i]);
                q.b[i] = type == HL_F16 ? hl_f16_to_float(q.low[i]) : hl_bf16_to_float(q.low[i]);
            }
            problem wide = q;
            wide.low = NULL;
            q.type = type;
            float *y = run(&hl_backend_cpu_portable, &q, BIAS_ADDEND_GELU, 3);
            float *expected = run(&hl_backend_cpu_portable, &wide, BIAS_ADDEND_GELU, 2);
            assert_memory_equal(y, expected, (size_t)(q.M * q.N) * sizeof *y);
            free(expected);
            free(y);
            clear(&q);
        }
}

/* One NaN in x reaches its whole row of y, through every ending, and no other row. */
static void test_nan_stays(void **state)
{
    (void)state;
    const int64_t batches[] = {1, 3, 17, 70};
    const hl_backend *const backends[] = {&hl_backend_cpu_portable, &hl_backend_cpu};
    for (size_t b = 0; b < sizeof batches / sizeof *batches; b++)
        for (int e = 0; e < ENDINGS; e++)
            for (int d = 0; d < 2; d++) {
                problem q = make(batches[b], 19, 33, false, true);
                q.a[q.K * (q.M - 1) + 5] = NAN;
                float *y = run(backends[d], &q, (ending)e, 2);
                for (int64_t i = 0; i < q.M * q.N; i++)
                    assert_true(isnan(y[i]) == (i / q.N == q.M - 1));
                free(y);
                clear(&q);
            }
}

static void test_prepare_errors(void **state)
{
    (void)state;
    call c;
    hl_error err = {0};
    describe(&c, 2, 1, INT64_MAX / 8, false, true, PLAIN);
    const hl_kernel *k = choose(&hl_backend_cpu_portable, "matmul", &c.call);
    assert_int_equal(k->prepare(&c.call, &err), HL_ERR_MEMORY);
    assert_non_null(strstr(err.message, "batch of 2"));
    assert_null(c.call.state);
    describe(&c, 2, 3, 5, false, true, PLAIN);
    hl_alloc_fail_at(1);
    assert_int_equal(k->prepare(&c.call, &err), HL_ERR_MEMORY);
    assert_null(c.call.state);
    k->release(&c.call);
    hl_alloc_fail_at(0);
}

int main(void)
{
    hl_cpu_grain = (hl_grain){0};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_edge),      cmocka_unit_test(test_long_sums_and_large_weights),
        cmocka_unit_test(test_both_transposed), cmocka_unit_test(test_empty),
        cmocka_unit_test(test_nan_stays),       cmocka_unit_test(test_same_on_any_threads),
        cmocka_unit_test(test_low_weights),     cmocka_unit_test(test_prepare_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
