/* What the op cases cannot see of the portable kernels: equal bits with any number of threads, results
 * written over operands, operands that are not views, variables that do not lie over each other. */
#include "kernels/cpu/random.h"
#include "kernels/cpu/shape.h"

#include "base/memory.h"
#include "kernels/cpu/threads.h"

#include <math.h>
#include <omp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#define HL_KERNEL(name) extern const hl_kernel hl_cpu_##name;
#include "kernels/cpu/kernels.def"
#undef HL_KERNEL

static const hl_clock the_clock = {0x123456789abcdefu, 77, 0};

/* Some numbers in [-1,1), the same every time. */
static void draw(float *x, int64_t n, uint32_t stream)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = 2 * hl_uniform_float(hl_philox_block(5, 0, stream, (uint64_t)i / 4).v[i % 4]) - 1;
}

static hl_view view(float *data, int rank, int64_t a, int64_t b, int64_t c)
{
    const int64_t dim[3] = {a, b, c};
    hl_view v = {.data = data, .dtype = HL_F32, .shape = {.rank = rank}, .count = 1};
    for (int i = 0; i < rank; i++)
        v.count *= v.shape.dim[i] = dim[i];
    return v;
}

/* Runs a kernel with a workspace that holds garbage. */
static void run(const hl_kernel *kernel, hl_call *c)
{
    hl_error err = {0};
    c->kernel = kernel;
    c->clock = &the_clock;
    if (kernel->prepare)
        assert_int_equal(kernel->prepare(c, &err), HL_OK);
    void *workspace = hl_alloc_tensor(c->workspace_bytes + 64, HL_USE_OTHER);
    assert_non_null(workspace);
    memset(workspace, 0xff, c->workspace_bytes + 64);
    c->workspace = workspace;
    assert_int_equal(kernel->run(c, &err), HL_OK);
    for (int i = 0; i < 64; i++)
        assert_int_equal(((unsigned char *)workspace)[c->workspace_bytes + (size_t)i], 0xff);
    hl_free_tensor(workspace, c->workspace_bytes + 64);
}

/* ------------------------------------------------------------------ threads */

enum { ROWS = 1203, WIDE = 67, ALL = ROWS * WIDE };

static float in[7][ALL], one[4][ALL], other[4][ALL];

/* Every output of a call has the same bits with 1, 2, 3 and 7 threads, and whatever lay there before:
 * what a kernel leaves out would differ. */
static void same_bits(const hl_kernel *kernel, const void *params, int n_in, hl_view *operands, int n_out,
                      const hl_view *outputs)
{
    static const int threads[] = {1, 2, 3, 7};
    const int before = omp_get_max_threads();
    for (int t = 0; t < 4; t++) {
        hl_call c = {.params = params, .n_in = n_in, .n_out = n_out, .in = operands};
        omp_set_num_threads(threads[t]);
        for (int k = 0; k < n_out; k++) {
            c.out[k] = outputs[k];
            c.out[k].data = t ? other[k] : one[k];
            memset(c.out[k].data, 0x41 + t, (size_t)outputs[k].count * sizeof(float));
        }
        run(kernel, &c);
        for (int k = 0; k < n_out && t; k++)
            if (memcmp(one[k], other[k], (size_t)outputs[k].count * sizeof(float)) != 0)
                fail_msg("%s: output %d changes with %d threads", kernel->op, k, threads[t]);
    }
    omp_set_num_threads(before);
}

static void test_threads_sums(void **state)
{
    (void)state;
    hl_view x = view(in[0], 2, ROWS, WIDE, 0), flat = view(in[0], 1, ALL, 0, 0);
    hl_view pair[] = {x, view(in[1], 2, ROWS, WIDE, 0)};
    hl_reduce_params rows = {0, 1, 0.5f}, columns = {1, 2, 0.5f}, all = {0, 1, 1};
    same_bits(&hl_cpu_reduce, &rows, 1, &x, 1, (hl_view[]){view(NULL, 1, WIDE, 0, 0)});
    same_bits(&hl_cpu_reduce, &columns, 1, &x, 1, (hl_view[]){view(NULL, 1, ROWS, 0, 0)});
    same_bits(&hl_cpu_reduce, &all, 1, &flat, 1, (hl_view[]){view(NULL, 0, 0, 0, 0)});
    same_bits(&hl_cpu_mse, NULL, 2, pair, 1, (hl_view[]){view(NULL, 0, 0, 0, 0)});
    same_bits(&hl_cpu_global_norm, NULL, 2, pair, 1, (hl_view[]){view(NULL, 0, 0, 0, 0)});
}

static void test_threads_rows(void **state)
{
    (void)state;
    hl_view x = view(in[0], 2, ROWS, WIDE, 0), channels = view(in[1], 1, WIDE, 0, 0);
    hl_view rows = view(in[2], 1, ROWS, 0, 0);
    hl_norm_params norm = {1e-5f, HL_ACT_GELU};
    same_bits(&hl_cpu_layer_norm, &norm, 3, (hl_view[]){x, channels, channels}, 3,
              (hl_view[]){x, rows, rows});
    same_bits(&hl_cpu_layer_norm_backward, NULL, 5, (hl_view[]){x, x, channels, rows, rows}, 3,
              (hl_view[]){x, channels, channels});
    same_bits(&hl_cpu_softmax, NULL, 1, &x, 1, &x);
    same_bits(&hl_cpu_gelu, NULL, 1, &x, 1, &x);
    same_bits(&hl_cpu_mul, NULL, 2, (hl_view[]){x, channels}, 1, &x);
}

static void test_threads_random(void **state)
{
    (void)state;
    hl_view x = view(in[0], 2, ROWS, WIDE, 0);
    hl_dropout_params each = {1, 0.3f, 4}, groups = {WIDE, 0.3f, 4};
    hl_normal_params normal = {x.shape, 9};
    same_bits(&hl_cpu_dropout, &each, 1, &x, 1, &x);
    same_bits(&hl_cpu_dropout, &groups, 1, &x, 1, &x);
    same_bits(&hl_cpu_normal, &normal, 0, NULL, 1, &x);
}

static void test_threads_attention(void **state)
{
    (void)state;
    const hl_attention_params p = {4, 0.25f, 3};
    hl_view q = view(in[0], 3, 1, 33, 32), k = view(in[1], 3, 5, 70, 32), v = view(in[2], 3, 5, 70, 32);
    hl_view y = view(in[3], 3, 5, 33, 32), lse = view(in[4], 3, 5, 4, 33);
    same_bits(&hl_cpu_attention, &p, 3, (hl_view[]){q, k, v}, 2, (hl_view[]){y, lse});
    same_bits(&hl_cpu_attention_backward, &p, 6, (hl_view[]){y, q, k, v, y, lse}, 3, (hl_view[]){q, k, v});
}

static void test_threads_layout(void **state)
{
    (void)state;
    hl_view x = view(in[0], 2, ROWS, WIDE, 0), cube = view(in[0], 3, 30, 40, 33),
            row = view(in[1], 1, WIDE, 0, 0);
    hl_view pair[] = {view(in[0], 2, ROWS, 30, 0), view(in[1], 2, ROWS, 37, 0)};
    hl_pad_params pad = {11, 6, 1};
    hl_slice_params slice = {3, 60, 1};
    hl_concat_params concat = {1};
    hl_transpose_params turn = {{1, 0}}, rotate = {{2, 0, 1}}, rows = {{1, 0, 2}};
    hl_fill_params fill = {x.shape, 3};
    same_bits(&hl_cpu_pad, &pad, 1, (hl_view[]){view(in[0], 2, ROWS, 50, 0)}, 1, &x);
    same_bits(&hl_cpu_slice, &slice, 1, &x, 1, (hl_view[]){view(NULL, 2, ROWS, 57, 0)});
    same_bits(&hl_cpu_concat, &concat, 2, pair, 1, &x);
    same_bits(&hl_cpu_transpose, &turn, 1, &x, 1, (hl_view[]){view(NULL, 2, WIDE, ROWS, 0)});
    same_bits(&hl_cpu_transpose, &rotate, 1, &cube, 1, (hl_view[]){view(NULL, 3, 33, 30, 40)});
    same_bits(&hl_cpu_transpose, &rows, 1, &cube, 1, (hl_view[]){view(NULL, 3, 40, 30, 33)});
    same_bits(&hl_cpu_expand, NULL, 1, &row, 1, &x);
    same_bits(&hl_cpu_expand, NULL, 1, (hl_view[]){view(in[1], 2, ROWS, 1, 0)}, 1, &x);
    same_bits(&hl_cpu_cast, NULL, 1, &x, 1, &x);
    same_bits(&hl_cpu_fill, &fill, 0, NULL, 1, &x);
}

/* ------------------------------------------------------------------ in place */

/* Output 0 over operand k gives what it gives elsewhere. */
static void over_operand(const hl_kernel *kernel, const void *params, int n_in, const hl_view *operands,
                         int n_out, const hl_view *outputs, int k)
{
    static float copy[7][ALL];
    hl_view mine[7];
    hl_call c = {.params = params, .n_in = n_in, .n_out = n_out, .in = mine};
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < n_in; i++) {
            mine[i] = operands[i];
            mine[i].data = memcpy(copy[i], operands[i].data, (size_t)operands[i].count * sizeof(float));
        }
        for (int i = 0; i < n_out; i++) {
            c.out[i] = outputs[i];
            c.out[i].data = pass ? other[i] : one[i];
        }
        if (pass)
            c.out[0].data = copy[k];
        run(kernel, &c);
        for (int i = 0; i < n_out && pass; i++)
            if (memcmp(one[i], c.out[i].data, (size_t)outputs[i].count * sizeof(float)) != 0)
                fail_msg("%s: output %d changes when output 0 lies on operand %d", kernel->op, i, k);
    }
}

static void test_in_place(void **state)
{
    (void)state;
    hl_view x = view(in[0], 2, ROWS, WIDE, 0), y = view(in[3], 2, ROWS, WIDE, 0);
    hl_view channels = view(in[1], 1, WIDE, 0, 0), rows = view(in[2], 1, ROWS, 0, 0);
    const hl_view both[] = {x, y}, row[] = {x, channels}, row_first[] = {channels, x};
    const hl_kernel *const binary[] = {&hl_cpu_add, &hl_cpu_sub,           &hl_cpu_mul,
                                       &hl_cpu_div, &hl_cpu_relu_backward, &hl_cpu_gelu_backward};
    for (int i = 0; i < 6; i++) {
        over_operand(binary[i], NULL, 2, both, 1, &x, 0);
        over_operand(binary[i], NULL, 2, both, 1, &x, 1);
    }
    for (int i = 0; i < 4; i++) {
        over_operand(binary[i], NULL, 2, row, 1, &x, 0);
        over_operand(binary[i], NULL, 2, row_first, 1, &x, 1);
    }
    hl_affine_params affine = {2, 1};
    hl_dropout_params each = {1, 0.3f, 4}, groups = {5, 0.3f, 4};
    hl_norm_params norm = {1e-5f, HL_ACT_RELU};
    over_operand(&hl_cpu_affine, &affine, 1, &x, 1, &x, 0);
    over_operand(&hl_cpu_relu, NULL, 1, &x, 1, &x, 0);
    over_operand(&hl_cpu_gelu, NULL, 1, &x, 1, &x, 0);
    over_operand(&hl_cpu_exp, NULL, 1, &x, 1, &x, 0);
    over_operand(&hl_cpu_dropout, &each, 1, &x, 1, &x, 0);
    over_operand(&hl_cpu_dropout, &groups, 1, &x, 1, &x, 0);
    over_operand(&hl_cpu_softmax, NULL, 1, &x, 1, &x, 0);
    over_operand(&hl_cpu_softmax_backward, NULL, 2, both, 1, &x, 0);
    over_operand(&hl_cpu_softmax_backward, NULL, 2, both, 1, &x, 1);
    over_operand(&hl_cpu_layer_norm, &norm, 3, (hl_view[]){x, channels, channels}, 3,
                 (hl_view[]){x, rows, rows}, 0);
    over_operand(&hl_cpu_layer_norm_backward, NULL, 5, (hl_view[]){x, y, channels, rows, rows}, 3,
                 (hl_view[]){x, channels, channels}, 0);
}

/* ------------------------------------------------------------------ the rest */

static void test_reshape_copies(void **state)
{
    (void)state;
    hl_view x = view(in[0], 2, ROWS, WIDE, 0), y = view(one[0], 1, ALL, 0, 0);
    run(&hl_cpu_reshape, &(hl_call){.n_in = 1, .n_out = 1, .in = &x, .out = {y}});
    assert_memory_equal(in[0], one[0], sizeof in[0]);
}

/* Blocks one by one are what the tile gives, also where the index passes 2^32 blocks. */
static void test_random_tile(void **state)
{
    (void)state;
    const uint64_t firsts[] = {0, 1, 12345, 0xffffffffu - 5, 0x123456789abu};
    for (int f = 0; f < 5; f++) {
        uint32_t w[4][HL_RANDOM_TILE];
        hl_random_tile(w, &the_clock, 6, firsts[f], 17);
        for (int j = 0; j < 17; j++) {
            hl_philox want = hl_philox_block(the_clock.seed, the_clock.step, 6, firsts[f] + (uint64_t)j);
            for (int k = 0; k < 4; k++)
                assert_int_equal(w[k][j], want.v[k]);
        }
    }
}

/* From any number on, not only where a block begins. */
static void test_dropout_factors(void **state)
{
    (void)state;
    for (int64_t first = 0; first < 9; first++) {
        float factor[301];
        factor[300] = -1;
        hl_dropout_factors(factor, &the_clock, 2, 0.25f, (uint64_t)first, 300);
        assert_true(factor[300] == -1);
        for (int64_t i = 0; i < 300; i++) {
            uint64_t j = (uint64_t)(first + i);
            uint32_t word = hl_philox_block(the_clock.seed, the_clock.step, 2, j / 4).v[j % 4];
            assert_true(factor[i] == (hl_uniform_float(word) >= 0.25f ? 1 / 0.75f : 0));
        }
    }
}

/* One AdamW call on p, m, v; next[] may be the same memory. */
static void adamw(float *p, float *m, float *v, float **next, int64_t offset, int64_t covered, float scale)
{
    float rate = 0.01f, count = 3;
    const hl_adamw_params a = {offset, 0.9f, 0.999f, 1e-8f, 0.1f, 0, 0};
    hl_view operands[] = {view(p, 1, ALL, 0, 0),
                          view(m, 1, ALL, 0, 0),
                          view(v, 1, ALL, 0, 0),
                          {0},
                          covered >= 0 ? view(in[6], 1, covered, 0, 0) : (hl_view){0},
                          view(&scale, 0, 0, 0, 0),
                          view(&rate, 0, 0, 0, 0),
                          view(&count, 0, 0, 0, 0)};
    hl_call c = {.params = &a, .n_in = 8, .n_out = 3, .in = operands};
    for (int k = 0; k < 3; k++)
        c.out[k] = view(next[k], 1, ALL, 0, 0);
    run(&hl_cpu_adamw, &c);
}

static float variables[2][3][ALL];

/* Moments are zero outside [offset, offset + covered), as they are in training. */
static void fill_variables(int64_t offset, int64_t covered)
{
    memset(variables, 0, sizeof variables);
    for (int s = 0; s < 2; s++) {
        draw(variables[s][0], ALL, 20);
        draw(variables[s][1] + offset, covered, 21);
        draw(variables[s][2] + offset, covered, 22);
        for (int64_t i = 0; i < ALL; i++)
            variables[s][2][i] *= variables[s][2][i];
    }
}

static void test_adamw_apart(void **state)
{
    (void)state;
    const struct {
        int64_t offset, covered;
        float scale;
    } cases[] = {{0, ALL, 0.5f}, {20000, 30001, 1}, {0, -1, 1}, {ALL, 0, 1}, {0, ALL, -1}, {100, 7, -1}};
    for (int i = 0; i < 6; i++) {
        int64_t covered = cases[i].covered > 0 ? cases[i].covered : 0;
        fill_variables(cases[i].offset, covered);
        float(*here)[ALL] = variables[0], (*kept)[ALL] = variables[1];
        float *apart[] = {one[0], one[1], one[2]}, *same[] = {here[0], here[1], here[2]};
        memset(one, 0xff, sizeof one);
        adamw(here[0], here[1], here[2], apart, cases[i].offset, cases[i].covered, cases[i].scale);
        assert_memory_equal(variables[0], variables[1], sizeof variables[0]); /* the old values stay */
        adamw(here[0], here[1], here[2], same, cases[i].offset, cases[i].covered, cases[i].scale);
        for (int k = 0; k < 3; k++)
            assert_memory_equal(here[k], one[k], sizeof one[k]);
        for (int k = 0; k < 3 && cases[i].scale < 0; k++)
            assert_memory_equal(here[k], kept[k], sizeof one[k]);
    }
}

/* A decay of one millionth still moves a parameter, by the right amount on average: as a factor, it would
 * be rounded to a multiple of 6e-8. */
static void test_adamw_small_decay(void **state)
{
    (void)state;
    float rate = 1e-4f, count = 1, scale = 1;
    const hl_adamw_params a = {0, 0.9f, 0.999f, 1e-8f, 0.0123f, 0, 0};
    double before = 0, after = 0;
    for (int64_t i = 0; i < ALL; i++)
        before += in[0][i] = 1.0f + (float)i / ALL;
    hl_view p = view(in[0], 1, ALL, 0, 0), moments = view(one[0], 1, ALL, 0, 0);
    hl_view operands[] = {p,
                          moments,
                          moments,
                          {0},
                          {0},
                          view(&scale, 0, 0, 0, 0),
                          view(&rate, 0, 0, 0, 0),
                          view(&count, 0, 0, 0, 0)};
    run(&hl_cpu_adamw,
        &(hl_call){.params = &a, .n_in = 8, .n_out = 3, .in = operands, .out = {p, moments, moments}});
    for (int64_t i = 0; i < ALL; i++)
        after += in[0][i];
    double lost = (before - after) / before;
    draw(in[0], ALL, 0);
    assert_true(fabs(lost - 1.23e-6) < 0.005 * 1.23e-6);
}

static int setup(void **state)
{
    (void)state;
    for (uint32_t k = 0; k < 7; k++)
        draw(in[k], ALL, k);
    return 0;
}

int main(void)
{
    hl_cpu_grain = (hl_grain){0};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads_sums),      cmocka_unit_test(test_threads_rows),
        cmocka_unit_test(test_threads_random),    cmocka_unit_test(test_threads_attention),
        cmocka_unit_test(test_threads_layout),    cmocka_unit_test(test_in_place),
        cmocka_unit_test(test_reshape_copies),    cmocka_unit_test(test_random_tile),
        cmocka_unit_test(test_dropout_factors),   cmocka_unit_test(test_adamw_apart),
        cmocka_unit_test(test_adamw_small_decay),
    };
    return cmocka_run_group_tests_name("cpu_kernels", tests, setup, NULL);
}
