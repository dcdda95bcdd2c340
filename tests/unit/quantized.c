/* What the cases of quantized ops do not see: that the compiler fuses and lowers around them, equal bits with
 * any number of threads, every allocation failing, and how far the answer is from that of floats. */
#include "tests/kernel_call.h"

#include "base/memory.h"
#include "compile/passes.h"
#include "kernels/cpu/threads.h"
#include "ops/ops.h"
#include "run/params.h"

#include <math.h>
#include <omp.h>
#include <stdio.h>

/* ------------------------------------------------------------------ the compiler */

static hl_tensor integers(hl_graph *g, hl_params *params, int rank, const int64_t *dim)
{
    return hl_state(g, params, "w", HL_I8, 0, rank, dim);
}

static hl_tensor input(hl_graph *g, const char *name, int rank, int64_t a, int64_t b, int64_t c, int64_t d)
{
    return hl_input(g, name, HL_F32, rank, (int64_t[]){a, b, c, d});
}

static int count(const hl_graph *g, const hl_op_def *op)
{
    int n = 0;
    for (int i = 0; i < g->n_nodes; i++)
        n += g->nodes[i]->op == op;
    return n;
}

static const hl_node *only(const hl_graph *g, const hl_op_def *op)
{
    assert_int_equal(count(g, op), 1);
    for (int i = 0; i < g->n_nodes; i++)
        if (g->nodes[i]->op == op)
            return g->nodes[i];
    return NULL;
}

static void fuse_joins_a_product(void **state)
{
    (void)state;
    hl_params *params = hl_params_new(1);
    hl_graph *g = hl_graph_new();
    hl_tensor none = {0}, w = integers(g, params, 2, (int64_t[]){5, 4});
    hl_tensor y = hl_quantized_matmul(g, input(g, "x", 2, 3, 4, 0, 0), w, input(g, "s", 1, 5, 0, 0, 0), none,
                                      none);
    hl_output(g, "y", hl_gelu(g, hl_add(g, input(g, "addend", 2, 3, 5, 0, 0), y)));
    hl_graph *fused = hl_pass_fuse(g), *fewer = hl_pass_dead_code(fused);
    assert_null(hl_graph_error(fewer));
    const hl_node *n = only(fewer, &hl_op_quantized_matmul);
    assert_int_equal(((const hl_quantized_matmul_params *)n->params)->activation, HL_ACT_GELU);
    assert_int_not_equal(n->in[4].id, 0);
    assert_int_equal(count(fewer, &hl_op_gelu) + count(fewer, &hl_op_add), 0);
    hl_graph_free(fewer);
    hl_graph_free(fused);
    hl_graph_free(g);
    hl_params_free(params);
}

static void fuse_joins_a_convolution(void **state)
{
    (void)state;
    hl_params *params = hl_params_new(1);
    hl_graph *g = hl_graph_new();
    hl_tensor none = {0}, w = integers(g, params, 4, (int64_t[]){5, 2, 3, 3});
    hl_tensor y = hl_quantized_conv2d(g, input(g, "x", 4, 1, 2, 7, 7), w, input(g, "s", 1, 5, 0, 0, 0), none,
                                      none, 1, 1);
    /* An addend has no place in it: the sum stays, and so does what follows. */
    hl_output(g, "sum", hl_relu(g, hl_add(g, hl_relu(g, y), input(g, "addend", 4, 1, 5, 7, 7))));
    hl_graph *fused = hl_pass_fuse(g), *fewer = hl_pass_dead_code(fused);
    assert_null(hl_graph_error(fewer));
    assert_int_equal(((const hl_conv_params *)only(fewer, &hl_op_quantized_conv2d)->params)->activation,
                     HL_ACT_RELU);
    assert_int_equal(count(fewer, &hl_op_add), 1);
    assert_int_equal(count(fewer, &hl_op_relu), 1);
    hl_graph_free(fewer);
    hl_graph_free(fused);
    hl_graph_free(g);
    hl_params_free(params);
}

/* Beside products in 16 bits a quantized one reads and gives f32, and its integers stay as they are. */
static void lower_precision_passes_integers_by(void **state)
{
    (void)state;
    hl_params *params = hl_params_new(1);
    hl_graph *g = hl_graph_new();
    hl_tensor none = {0}, w = integers(g, params, 2, (int64_t[]){4, 4}), v = input(g, "v", 2, 4, 4, 0, 0);
    hl_tensor x = hl_matmul(g, input(g, "x", 2, 3, 4, 0, 0), false, v, false);
    hl_tensor y = hl_quantized_matmul(g, x, w, input(g, "s", 1, 4, 0, 0, 0), none, none);
    hl_output(g, "y", hl_matmul(g, y, false, v, false));
    g->precision = HL_PRECISION_BF16;
    hl_graph *lowered = hl_pass_lower_precision(g);
    assert_null(hl_graph_error(lowered));
    const hl_node *n = only(lowered, &hl_op_quantized_matmul);
    assert_int_equal(hl_dtype_of(lowered, n->in[0]), HL_F32);
    assert_int_equal(hl_dtype_of(lowered, n->in[1]), HL_I8);
    assert_int_equal(count(lowered, &hl_op_matmul), 2);
    hl_graph_free(lowered);
    hl_graph_free(g);
    hl_params_free(params);
}

/* ------------------------------------------------------------------ kernels */

static int8_t *fill_integers(int64_t n)
{
    int8_t *p = malloc((size_t)n + 1);
    assert_non_null(p);
    uint32_t seed = 7;
    for (int64_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        p[i] = (int8_t)(seed >> 24);
    }
    return p;
}

static hl_view view(void *data, hl_dtype dtype, int rank, int64_t a, int64_t b, int64_t c, int64_t d)
{
    hl_view v = {.data = data, .dtype = dtype, .shape = {rank, {a, b, c, d}}, .count = 1};
    for (int i = 0; i < rank; i++)
        v.count *= v.shape.dim[i];
    return v;
}

/* Runs it in guarded memory, with a workspace of garbage. */
static void run_call(hl_call *c, const char *op)
{
    hl_error err = {0};
    c->kernel = choose(&hl_backend_cpu_portable, op, c);
    c->n_out = 1;
    if (c->kernel->prepare(c, &err) != HL_OK)
        fail_msg("%s", err.message);
    c->workspace = guarded(c->workspace_bytes);
    c->packed = c->pack_bytes ? guarded(c->pack_bytes) : NULL;
    if (c->packed)
        assert_int_equal(c->kernel->pack(c, c->in[c->pack_input].data, c->packed, &err), HL_OK);
    assert_int_equal(c->kernel->run(c, &err), HL_OK);
    if (c->packed)
        assert_guard(c->packed, c->pack_bytes);
    assert_guard(c->workspace, c->workspace_bytes);
    assert_guard(c->out[0].data, (size_t)c->out[0].count * sizeof(float));
    free(c->workspace);
    free(c->packed);
    c->kernel->release(c);
}

/* The same bits with 1, 2, 3 and 7 threads, weights packed before or not. */
static void same_bits(const char *op, const void *params, hl_view *in, int n_in, hl_view out)
{
    static const int threads[] = {1, 2, 3, 7};
    const int before = omp_get_max_threads();
    size_t bytes = (size_t)out.count * sizeof(float);
    void *first = NULL;
    for (int t = 0; t < 4; t++) {
        hl_call c = {.params = params, .n_in = n_in, .in = in};
        c.out[0] = out;
        c.out[0].data = guarded(bytes);
        omp_set_num_threads(threads[t]);
        in[1].constant = t % 2 == 1;
        run_call(&c, op);
        if (first && memcmp(first, c.out[0].data, bytes) != 0)
            fail_msg("%s changes with %d threads", op, threads[t]);
        if (first)
            free(c.out[0].data);
        else
            first = c.out[0].data;
    }
    omp_set_num_threads(before);
    free(first);
}

enum { ROWS = 70, WIDE = 301, TALL = 97, TALLER = 1201 };

static void threads_do_not_matter(void **state)
{
    (void)state;
    static const hl_quantized_matmul_params gelu = {0, HL_ACT_GELU};
    static const hl_conv_params conv = {.stride = 2, .padding = 1, .activation = HL_ACT_RELU};
    float *x = fill(ROWS * WIDE, 1), *s = fill(TALLER, 2), *addend = fill(ROWS * TALL, 3);
    int8_t *w = fill_integers(TALLER * WIDE);
    hl_view in[6] = {view(x, HL_F32, 2, ROWS, WIDE, 0, 0), view(w, HL_I8, 2, TALL, WIDE, 0, 0),
                     view(s, HL_F32, 1, TALL, 0, 0, 0), view(s, HL_F32, 1, TALL, 0, 0, 0),
                     view(addend, HL_F32, 2, ROWS, TALL, 0, 0)};
    same_bits("quantized_matmul", &gelu, in, 6, view(NULL, HL_F32, 2, ROWS, TALL, 0, 0));
    in[0] = view(x, HL_F32, 2, 1, WIDE, 0, 0);
    in[1] = view(w, HL_I8, 2, TALLER, WIDE, 0, 0);
    in[2] = in[3] = view(s, HL_F32, 1, TALLER, 0, 0, 0);
    in[4] = (hl_view){0};
    same_bits("quantized_matmul", &gelu, in, 6, view(NULL, HL_F32, 2, 1, TALLER, 0, 0));
    hl_view images[5] = {view(x, HL_F32, 4, 5, 3, 37, 37), view(w, HL_I8, 4, 17, 3, 5, 5),
                         view(s, HL_F32, 1, 17, 0, 0, 0), view(s, HL_F32, 1, 17, 0, 0, 0)};
    same_bits("quantized_conv2d", &conv, images, 5, view(NULL, HL_F32, 4, 5, 17, 18, 18));
    free(x);
    free(s);
    free(addend);
    free(w);
}

/* Weights end where their memory ends: a read beyond shows under a sanitizer. */
static void nothing_beyond_the_weights(void **state)
{
    (void)state;
    static const hl_quantized_matmul_params plain = {0, HL_ACT_NONE};
    for (int64_t k = 1; k < 100; k += k < 40 ? 1 : 13) {
        float *x = fill(3 * k, 1), *s = fill(5, 2);
        int8_t *w = fill_integers(5 * k), *exact = malloc((size_t)(5 * k));
        assert_non_null(exact);
        memcpy(exact, w, (size_t)(5 * k));
        hl_view in[6] = {view(x, HL_F32, 2, 3, k, 0, 0), view(exact, HL_I8, 2, 5, k, 0, 0),
                         view(s, HL_F32, 1, 5, 0, 0, 0)};
        same_bits("quantized_matmul", &plain, in, 6, view(NULL, HL_F32, 2, 3, 5, 0, 0));
        free(exact);
        free(w);
        free(x);
        free(s);
    }
}

static void allocations_may_fail(void **state)
{
    (void)state;
    static const hl_quantized_matmul_params plain = {0, HL_ACT_NONE};
    static const hl_conv_params conv = {.stride = 1};
    hl_view rows[6] = {view(NULL, HL_F32, 2, 3, 4, 0, 0), view(NULL, HL_I8, 2, 5, 4, 0, 0),
                       view(NULL, HL_F32, 1, 5, 0, 0, 0)};
    hl_view images[5] = {view(NULL, HL_F32, 4, 1, 2, 5, 5), view(NULL, HL_I8, 4, 3, 2, 3, 3),
                         view(NULL, HL_F32, 1, 3, 0, 0, 0)};
    hl_call calls[] = {{.params = &plain, .n_in = 6, .in = rows}, {.params = &conv, .n_in = 5, .in = images}};
    calls[0].out[0] = view(NULL, HL_F32, 2, 3, 5, 0, 0);
    calls[1].out[0] = view(NULL, HL_F32, 4, 1, 3, 3, 3);
    for (int i = 0; i < 2; i++) {
        calls[i].kernel = choose(&hl_backend_cpu_portable, i ? "quantized_conv2d" : "quantized_matmul",
                                 &calls[i]);
        for (int nth = 1; nth <= (i ? 2 : 1); nth++) {
            hl_error err = {0};
            hl_alloc_fail_at(nth);
            assert_int_equal(calls[i].kernel->prepare(&calls[i], &err), HL_ERR_MEMORY);
            hl_alloc_fail_at(0);
            calls[i].kernel->release(&calls[i]);
        }
    }
}

/* A workspace that cannot be addressed is an error, not a smaller one. */
static void sizes_may_overflow(void **state)
{
    (void)state;
    static const hl_quantized_matmul_params plain = {0, HL_ACT_NONE};
    hl_error err = {0};
    hl_view in[6] = {view(NULL, HL_F32, 2, 64, 1, 0, 0), view(NULL, HL_I8, 2, 5, 1, 0, 0),
                     view(NULL, HL_F32, 1, 5, 0, 0, 0)};
    in[0].shape.dim[1] = in[1].shape.dim[1] = INT64_MAX / 2;
    hl_call c = {.params = &plain, .n_in = 6, .in = in, .n_out = 1};
    c.out[0] = view(NULL, HL_F32, 2, 64, 5, 0, 0);
    c.kernel = choose(&hl_backend_cpu_portable, "quantized_matmul", &c);
    assert_int_equal(c.kernel->prepare(&c, &err), HL_ERR_MEMORY);
    assert_non_null(strstr(err.message, "overflows"));
    c.kernel->release(&c);
}

/* ------------------------------------------------------------------ what is lost */

/* A linear layer with w rounded to 127 steps a row: half a step of 1/127 of the largest on either side, which
 * over K products grows with sqrt(K). */
static void close_to_floats(void **state)
{
    (void)state;
    enum { M = 3, N = 16, K = 512 };
    static const hl_quantized_matmul_params plain = {0, HL_ACT_NONE};
    float *x = fill(M * K, 1), *w = fill(N * K, 2), scale[N];
    int8_t *q = malloc((size_t)N * K);
    assert_non_null(q);
    for (int n = 0; n < N; n++) {
        float most = 0;
        for (int k = 0; k < K; k++)
            most = fmaxf(most, fabsf(w[n * K + k]));
        scale[n] = most / 127;
        for (int k = 0; k < K; k++)
            q[n * K + k] = (int8_t)lrintf(w[n * K + k] / scale[n]);
    }
    hl_view in[6] = {view(x, HL_F32, 2, M, K, 0, 0), view(q, HL_I8, 2, N, K, 0, 0),
                     view(scale, HL_F32, 1, N, 0, 0, 0)};
    hl_call c = {.params = &plain, .n_in = 6, .in = in};
    c.out[0] = view(guarded(M * N * sizeof(float)), HL_F32, 2, M, N, 0, 0);
    run_call(&c, "quantized_matmul");
    /* Each of x and w is off by a uniform error of up to 0.5/254, deviation 0.5/254/sqrt(3), times a partner
     * of deviation 0.29: a sum is off by 0.011 as a rule. Five times that among 48. */
    const double limit = 5 * sqrt(2.0 * K) * 0.5 / 254 / sqrt(3) * 0.29;
    for (int m = 0; m < M; m++) {
        for (int n = 0; n < N; n++) {
            double sum = 0;
            for (int k = 0; k < K; k++)
                sum += (double)x[m * K + k] * w[n * K + k];
            assert_true(fabs(((float *)c.out[0].data)[m * N + n] - sum) < limit);
        }
    }
    free(c.out[0].data);
    free(x);
    free(w);
    free(q);
}

int main(void)
{
    hl_cpu_grain = (hl_grain){0};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fuse_joins_a_product),
        cmocka_unit_test(fuse_joins_a_convolution),
        cmocka_unit_test(lower_precision_passes_integers_by),
        cmocka_unit_test(threads_do_not_matter),
        cmocka_unit_test(nothing_beyond_the_weights),
        cmocka_unit_test(allocations_may_fail),
        cmocka_unit_test(sizes_may_overflow),
        cmocka_unit_test(close_to_floats),
    };
    return cmocka_run_group_tests_name("quantized", tests, NULL, NULL);
}
