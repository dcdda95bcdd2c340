/* The convolution kernels of the CPU backends, called as a plan calls them. That they compute a
 * convolution is what tests/ops checks; here: scratch full of NaN, guard zones, weights packed once, NaN
 * through an activation, what is left to the portable kernels, and allocations that fail. */
#include "tests/kernel_call.h"

#include "base/memory.h"
#include "kernels/cpu/threads.h"

#include <math.h>
#include <omp.h>

typedef enum kind { FORWARD, BACKWARD_DATA, BACKWARD_FILTER, KINDS } kind;
static const char *const ops[] = {"conv2d", "conv2d_backward_data", "conv2d_backward_filter"};

typedef struct layer {
    int64_t B, I, H, W, O, kernel;
    int stride, padding;
} layer;

static const layer layers[] = {
    {2, 3, 33, 29, 64, 7, 2, 3},
    {1, 64, 12, 12, 128, 3, 2, 1},
    {3, 1, 33, 31, 32, 5, 2, 2},
    {2, 17, 9, 11, 5, 3, 1, 0},
};
enum { LAYERS = sizeof layers / sizeof *layers };

typedef struct call {
    hl_call call;
    hl_view in[3];
    hl_conv_params params;
    hl_error err;
    void *kept; /* the packed weights */
} call;

static hl_view view(int64_t a, int64_t b, int64_t c, int64_t d)
{
    return (hl_view){.dtype = HL_F32, .shape = {4, {a, b, c, d}}, .count = a * b * c * d};
}

static void describe(call *c, const layer *l, kind k, hl_activation activation)
{
    memset(c, 0, sizeof *c);
    int64_t h = (l->H + 2 * l->padding - l->kernel) / l->stride + 1;
    int64_t w = (l->W + 2 * l->padding - l->kernel) / l->stride + 1;
    hl_view x = view(l->B, l->I, l->H, l->W), y = view(l->B, l->O, h, w);
    hl_view weights = view(l->O, l->I, l->kernel, l->kernel);
    c->params = (hl_conv_params){.stride = l->stride,
                                 .padding = l->padding,
                                 .height = k == BACKWARD_FILTER ? l->kernel : l->H,
                                 .width = k == BACKWARD_FILTER ? l->kernel : l->W,
                                 .activation = activation};
    c->in[0] = k == BACKWARD_DATA ? y : x;
    c->in[1] = k == BACKWARD_FILTER ? y : weights;
    if (k == FORWARD)
        c->in[2] = (hl_view){.dtype = HL_F32, .shape = {1, {l->O}}, .count = l->O};
    c->call = (hl_call){.params = &c->params, .n_in = k == FORWARD ? 3 : 2, .n_out = 1, .in = c->in};
    c->call.out[0] = k == FORWARD ? y : k == BACKWARD_DATA ? x : weights;
}

static void prepare(call *c, const hl_backend *backend, kind k)
{
    c->call.kernel = choose(backend, ops[k], &c->call);
    if (c->call.kernel->prepare)
        assert_int_equal(c->call.kernel->prepare(&c->call, &c->err), HL_OK);
    c->call.workspace = guarded(c->call.workspace_bytes);
    c->call.out[0].data = guarded((size_t)c->call.out[0].count * sizeof(float));
    for (int i = 0; i < c->call.n_in; i++)
        c->in[i].data = fill(c->in[i].count, (uint32_t)i + 1);
}

/* Packs and lets the weights go, as a frozen session does. */
static void pack(call *c)
{
    if (!c->call.pack_bytes)
        return;
    hl_view *w = &c->in[c->call.pack_input];
    c->kept = guarded(c->call.pack_bytes);
    assert_int_equal(c->call.kernel->pack(&c->call, w->data, c->kept, &c->err), HL_OK);
    assert_guard(c->kept, c->call.pack_bytes);
    c->call.packed = c->kept;
    free(w->data);
    w->data = NULL;
}

static void run(call *c)
{
    for (int twice = 0; twice < 2; twice++)
        assert_int_equal(c->call.kernel->run(&c->call, &c->err), HL_OK);
    assert_guard(c->call.workspace, c->call.workspace_bytes);
    assert_guard(c->call.out[0].data, (size_t)c->call.out[0].count * sizeof(float));
}

static void finish(call *c)
{
    for (int i = 0; i < c->call.n_in; i++)
        free(c->in[i].data);
    free(c->call.out[0].data);
    free(c->call.workspace);
    free(c->kept);
    if (c->call.kernel->release)
        c->call.kernel->release(&c->call);
}

static void assert_close(const call *a, const call *b, double limit)
{
    const float *x = a->call.out[0].data, *y = b->call.out[0].data;
    for (int64_t i = 0; i < a->call.out[0].count; i++)
        if (!(fabs((double)x[i] - (double)y[i]) <= limit * (1 + fabs((double)y[i]))))
            fail_msg("element %lld: %.9g and %.9g", (long long)i, (double)x[i], (double)y[i]);
}

/* Both backends say the same, with one thread and with three. */
static void test_backends_agree(void **state)
{
    (void)state;
    int before = omp_get_max_threads();
    for (int i = 0; i < LAYERS * KINDS; i++)
        for (int threads = 1; threads <= 3; threads += 2) {
            kind k = (kind)(i % KINDS);
            call fast, plain;
            omp_set_num_threads(threads);
            describe(&fast, &layers[i / KINDS], k, k == FORWARD ? HL_ACT_GELU : HL_ACT_NONE);
            describe(&plain, &layers[i / KINDS], k, k == FORWARD ? HL_ACT_GELU : HL_ACT_NONE);
            prepare(&fast, &hl_backend_cpu, k);
            prepare(&plain, &hl_backend_cpu_portable, k);
            run(&fast);
            run(&plain);
            assert_close(&fast, &plain, 2e-5); /* sums of up to 1152 products in two orders */
            finish(&fast);
            finish(&plain);
        }
    omp_set_num_threads(before);
}

/* Weights that were packed once give the bits of weights that are brought along each time. */
static void test_packed_weights(void **state)
{
    (void)state;
    int packed = 0;
    for (int i = 0; i < LAYERS; i++) {
        call moving, frozen;
        /* Before a ReLU only weights that move have the sign of what is near zero settled. */
        describe(&moving, &layers[i], FORWARD, HL_ACT_GELU);
        describe(&frozen, &layers[i], FORWARD, HL_ACT_GELU);
        frozen.in[1].constant = true;
        prepare(&moving, &hl_backend_cpu, FORWARD);
        prepare(&frozen, &hl_backend_cpu, FORWARD);
        pack(&frozen);
        run(&moving);
        run(&frozen);
        assert_close(&frozen, &moving, 0);
        assert_int_equal(moving.call.pack_bytes, 0);
        packed += frozen.call.pack_bytes > 0;
        finish(&moving);
        finish(&frozen);
    }
#ifdef HL_ONEDNN
    assert_true(packed > 0);
#else
    assert_int_equal(packed, 0);
#endif
}

/* A NaN in an image is in that image's result, and in no other, whatever the activation. */
static void test_nan_stays(void **state)
{
    (void)state;
    const hl_backend *const backends[] = {&hl_backend_cpu_portable, &hl_backend_cpu};
    for (int d = 0; d < 2; d++)
        for (int activation = HL_ACT_NONE; activation <= HL_ACT_GELU; activation++) {
            call c;
            int64_t found[2] = {0};
            describe(&c, &layers[0], FORWARD, (hl_activation)activation);
            prepare(&c, backends[d], FORWARD);
            ((float *)c.in[0].data)[c.in[0].count / 2 + 40] = NAN; /* in the second of two images */
            run(&c);
            for (int64_t i = 0; i < c.call.out[0].count; i++)
                found[i >= c.call.out[0].count / 2] += isnan(((float *)c.call.out[0].data)[i]) != 0;
            assert_int_equal(found[0], 0);
            assert_true(found[1] >= layers[0].O);
            finish(&c);
        }
}

/* An empty batch and 16-bit operands are not for the library. */
static void test_dispatch(void **state)
{
    (void)state;
    layer empty = layers[1];
    empty.B = 0;
    for (int k = 0; k < KINDS; k++) {
        call c;
        describe(&c, &empty, (kind)k, HL_ACT_NONE);
        assert_string_equal(choose(&hl_backend_cpu, ops[k], &c.call)->name, "portable");
#ifdef HL_ONEDNN
        describe(&c, &layers[1], (kind)k, HL_ACT_NONE);
        assert_string_equal(choose(&hl_backend_cpu, ops[k], &c.call)->name, "onednn");
        c.in[1].dtype = HL_BF16;
        for (int i = 0; i < hl_backend_cpu.n_kernels; i++)
            if (!strcmp(hl_backend_cpu.kernels[i]->name, "onednn") &&
                !strcmp(hl_backend_cpu.kernels[i]->op, ops[k]))
                assert_false(hl_backend_cpu.kernels[i]->accepts(&c.call));
#endif
    }
}

/* Each allocation of prepare fails once: an error, no state, and nothing leaks. */
static void test_allocations_fail(void **state)
{
    (void)state;
    const hl_backend *const backends[] = {&hl_backend_cpu_portable, &hl_backend_cpu};
    for (int i = 0; i < 2 * KINDS; i++)
        for (uint64_t n = 1;; n++) {
            call c;
            kind k = (kind)(i % KINDS);
            describe(&c, &layers[0], k, HL_ACT_NONE);
            const hl_kernel *kernel = c.call.kernel = choose(backends[i / KINDS], ops[k], &c.call);
            if (!kernel->prepare)
                break;
            uint64_t before = hl_alloc_count();
            hl_alloc_fail_at(n);
            hl_status status = kernel->prepare(&c.call, &c.err);
            bool reached = hl_alloc_count() - before >= n || status != HL_OK;
            hl_alloc_fail_at(0);
            if (reached)
                assert_int_equal(status, HL_ERR_MEMORY);
            if (kernel->release)
                kernel->release(&c.call);
            if (!reached)
                break;
        }
}

int main(void)
{
    hl_cpu_grain = (hl_grain){0};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_backends_agree),   cmocka_unit_test(test_packed_weights),
        cmocka_unit_test(test_nan_stays),        cmocka_unit_test(test_dispatch),
        cmocka_unit_test(test_allocations_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
