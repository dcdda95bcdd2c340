/* Products on the CUDA backend where tests of ops do not come: operands at odd addresses, an addend in the
 * place of the result, 16-bit types of each combination, every way to form a product. */
#include "tests/cuda_emulator/step.h"

#include "base/half.h"

#include <cublasLt.h>
#include <cuda_runtime.h>
#include <math.h>

typedef struct problem {
    int64_t M, N, K;
    bool ta, tb, bias, addend, in_place;
    hl_activation activation;
    hl_dtype operands, out;
    unsigned shifted; /* of which tensors: they lie one element past a multiple of 256 bytes */
} problem;

/* The bytes of a tensor, and its numbers as they are after rounding to its type. */
typedef struct tensor {
    hl_view view;
    float *values;
    void *bytes;
} tensor;

static size_t size_of(hl_dtype dtype)
{
    return dtype == HL_F32 ? 4 : 2;
}

static float value_at(const void *bytes, hl_dtype dtype, int64_t i)
{
    if (dtype == HL_F32)
        return ((const float *)bytes)[i];
    uint16_t half = ((const uint16_t *)bytes)[i];
    return dtype == HL_F16 ? hl_f16_to_float(half) : hl_bf16_to_float(half);
}

static tensor make(hl_dtype dtype, int rank, int64_t rows, int64_t columns, uint32_t seed)
{
    tensor t = {.view = STEP_VIEW(NULL, rank, rows, columns)};
    if (rank == 1)
        t.view = STEP_VIEW(NULL, 1, rows);
    t.view.dtype = dtype;
    t.values = fill(t.view.count, seed);
    t.bytes = malloc((size_t)t.view.count * 4 + 1);
    assert_non_null(t.bytes);
    for (int64_t i = 0; i < t.view.count; i++) {
        float x = t.values[i];
        if (dtype == HL_F32)
            ((float *)t.bytes)[i] = x;
        else
            ((uint16_t *)t.bytes)[i] = dtype == HL_F16 ? hl_float_to_f16(x) : hl_float_to_bf16(x);
        t.values[i] = value_at(t.bytes, dtype, i);
    }
    return t;
}

static void drop(tensor *t)
{
    free(t->values);
    free(t->bytes);
}

/* ------------------------------------------------------------------ the device's side */

typedef struct machine {
    const hl_device_table *table;
    hl_device *device;
    hl_queue *queue;
    void *blocks[8];
    int n_blocks;
} machine;

static machine start(void)
{
    machine m = {.table = hl_backend_cuda.device};
    hl_error err = {0};
    assert_ok(m.table->open(0, &m.device, &err), &err);
    assert_ok(m.table->queue_new(m.device, &(hl_traffic){0}, &m.queue, &err), &err);
    return m;
}

static void stop(machine *m)
{
    m->table->queue_free(m->queue);
    for (int i = 0; i < m->n_blocks; i++)
        m->table->release(m->device, m->blocks[i]);
    m->table->close(m->device);
}

static void *allocate(machine *m, size_t bytes)
{
    hl_error err = {0};
    assert_ok(m->table->allocate(m->device, bytes, &m->blocks[m->n_blocks], &err), &err);
    return m->blocks[m->n_blocks++];
}

/* Where the tensor lies on the device; its end is the block's. */
static void place(machine *m, tensor *t, unsigned shift)
{
    hl_error err = {0};
    size_t bytes = (size_t)t->view.count * size_of(t->view.dtype),
           before = (size_t)shift * size_of(t->view.dtype);
    t->view.data = (char *)allocate(m, bytes + before + 1) + before;
    assert_ok(m->table->upload(m->device, t->view.data, t->bytes, bytes, &err), &err);
}

/* ------------------------------------------------------------------ a product */

enum { A, B, BIAS, ADDEND, Y, TENSORS, ALL = (1 << TENSORS) - 1 };

static void make_all(const problem *p, tensor *t)
{
    t[A] = p->ta ? make(p->operands, 2, p->K, p->M, 1) : make(p->operands, 2, p->M, p->K, 1);
    t[B] = p->tb ? make(p->operands, 2, p->N, p->K, 2) : make(p->operands, 2, p->K, p->N, 2);
    t[BIAS] = make(p->out, 1, p->N, 0, 3);
    t[ADDEND] = make(p->out, 2, p->M, p->N, 4);
    t[Y] = make(p->out, 2, p->M, p->N, 5);
}

static double wanted(const problem *p, const tensor *t, int64_t i, int64_t j)
{
    double sum = p->bias ? t[BIAS].values[j] : 0;
    if (p->addend)
        sum += t[ADDEND].values[i * p->N + j];
    for (int64_t k = 0; k < p->K; k++)
        sum += (double)t[A].values[p->ta ? k * p->M + i : i * p->K + k] *
               t[B].values[p->tb ? j * p->K + k : k * p->N + j];
    if (p->activation == HL_ACT_RELU)
        return sum <= 0 ? 0 : sum;
    return p->activation == HL_ACT_GELU ? sum * 0.5 * erfc(-sum / sqrt(2)) : sum;
}

static void compare(const problem *p, const tensor *t)
{
    double tolerance = p->out == HL_F32   ? 3e-6
                       : p->out == HL_F16 ? 2e-3
                                          : 1.6e-2; /* rounded twice, with GELU */
    for (int64_t i = 0; i < p->M * p->N; i++) {
        double want = wanted(p, t, i / p->N, i % p->N), got = value_at(t[Y].bytes, p->out, i);
        if (!(fabs(got - want) <= tolerance * (1 + fabs(want))))
            fail_msg(
                "[%lld,%lld,%lld] ta %d tb %d types %d %d shifted %x: element %lld is %g and should be %g",
                (long long)p->M, (long long)p->N, (long long)p->K, p->ta, p->tb, p->operands, p->out,
                p->shifted, (long long)i, got, want);
    }
}

/* Runs it twice, so that a first run that measures and one that does not are seen. */
static void multiply(machine *m, const problem *p, tensor *t)
{
    const hl_matmul_params params = {p->ta, p->tb, p->activation, p->out, HL_MATH_EXACT};
    hl_error err = {0};
    if (p->in_place)
        t[Y].view = t[ADDEND].view;
    hl_view in[4] = {t[A].view, t[B].view};
    if (p->bias)
        in[BIAS] = t[BIAS].view;
    if (p->addend)
        in[ADDEND] = t[ADDEND].view;
    hl_call c = {.params = &params, .n_in = 4, .in = in, .n_out = 1, .out = {t[Y].view}, .queue = m->queue};
    size_t bytes = (size_t)t[Y].view.count * size_of(p->out);
    c.kernel = choose(&hl_backend_cuda, "matmul", &c);
    assert_ok(c.kernel->prepare(&c, &err), &err);
    if (c.workspace_bytes)
        c.workspace = (char *)allocate(m, c.workspace_bytes + 64) + 64;
    for (int i = 0; i < 2; i++) {
        if (p->in_place)
            assert_ok(m->table->upload(m->device, t[Y].view.data, t[ADDEND].bytes, bytes, &err), &err);
        assert_ok(m->table->begin(m->queue, NULL, &err), &err);
        assert_ok(c.kernel->run(&c, &err), &err);
        assert_ok(m->table->finish(m->queue, &err), &err);
        assert_ok(m->table->wait(m->queue, NULL, &err), &err);
        assert_ok(m->table->download(m->device, t[Y].bytes, t[Y].view.data, bytes, &err), &err);
        compare(p, t);
    }
    c.kernel->release(&c);
}

static void check(problem p)
{
    tensor t[TENSORS];
    machine m = start();
    make_all(&p, t);
    for (int i = 0; i < TENSORS; i++)
        place(&m, &t[i], p.shifted >> i & 1);
    multiply(&m, &p, t);
    for (int i = 0; i < TENSORS; i++)
        drop(&t[i]);
    stop(&m);
}

/* In all types, aligned and not, with everything that may be beside the product, and with nothing. */
static void check_all(problem p)
{
    const hl_dtype types[][2] = {
        {HL_F32, HL_F32}, {HL_F16, HL_F16}, {HL_F16, HL_F32}, {HL_BF16, HL_BF16}, {HL_BF16, HL_F32}};
    for (int i = 0; i < 5; i++) {
        p.operands = types[i][0];
        p.out = types[i][1];
        const unsigned shifted[] = {0, 1u << A, 1u << B, 1u << BIAS, 1u << ADDEND | 1u << Y, ALL};
        for (int k = 0; k < 6; k++) {
            p.shifted = shifted[k];
            problem more = p;
            more.bias = more.addend = true;
            more.activation = HL_ACT_GELU;
            check(p);
            check(more);
            more.in_place = true;
            check(more);
        }
    }
}

static void a_few_rows(void **state)
{
    (void)state;
    for (int64_t M = 1; M <= 4; M++)
        check_all((problem){.M = M, .N = 19, .K = 24, .tb = true});
    check_all((problem){.M = 1, .N = 1, .K = 1, .tb = true});
    check_all((problem){.M = 3, .N = 9, .K = 37, .tb = true});
    check_all((problem){.M = 2, .N = 5, .K = 0, .tb = true});
    for (int64_t K = 1024; K <= 8192; K *= 2) /* one to eight warps for a row */
        check_all((problem){.M = 1, .N = 17, .K = K, .tb = true});
    check_all((problem){.M = 4, .N = 3, .K = 4100, .tb = true});
}

static void by_the_library(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++)
        check_all((problem){.M = 7, .N = 10, .K = 33, .ta = i & 1, .tb = i & 2});
    check_all((problem){.M = 2, .N = 3, .K = 5});
}

/* No terms, and what the library knows no algorithm for. */
static void by_tiles(void **state)
{
    (void)state;
    check_all((problem){.M = 5, .N = 70, .K = 0});
    for (int i = 0; i < 4; i++) {
        hl_fault_reset();
        hl_fault_inject("cublasLtMatmulAlgoGetHeuristic", 1, CUBLAS_STATUS_NOT_SUPPORTED);
        check((problem){.M = 67, .N = 35, .K = 70, .ta = i & 1, .tb = i & 2, .bias = true, .shifted = ALL});
        assert_int_equal(hl_emulated_calls("cublasLtMatmul"), 0);
    }
}

/* An addend in place of the result is measured in memory of its own; without that, not at all. */
static void full_memory_keeps_nothing_from_running(void **state)
{
    (void)state;
    problem p = {.M = 7, .N = 9, .K = 5, .addend = true, .in_place = true};
    check(p);
    int64_t products = hl_emulated_calls("cublasLtMatmul"), allocations = hl_emulated_calls("cudaMalloc");
    hl_fault_reset();
    hl_fault_inject("cudaMalloc", (int)allocations, cudaErrorMemoryAllocation);
    check(p);
    assert_int_equal(hl_fault_pending(), 0);
    assert_int_equal(hl_emulated_calls("cublasLtMatmul"), 2);
    assert_true(products > 2);
}

static void what_is_empty_launches_nothing(void **state)
{
    (void)state;
    check((problem){.M = 0, .N = 3, .K = 5, .tb = true});
    check((problem){.M = 6, .N = 0, .K = 5});
    assert_int_equal(hl_emulated_calls("kernel"), 0);
    assert_int_equal(hl_emulated_calls("cublasLtMatmul"), 0);
}

/* A product that is not a number stays none through a ReLU, whichever way it is formed. */
static void relu_keeps_nan(void **state)
{
    (void)state;
    for (int64_t M = 1; M <= 8; M += 7) {
        problem p = {.M = M, .N = 8, .K = 8, .tb = true, .activation = HL_ACT_RELU};
        tensor t[TENSORS];
        machine m = start();
        make_all(&p, t);
        ((float *)t[A].bytes)[0] = NAN;
        for (int i = 0; i < TENSORS; i++)
            place(&m, &t[i], 0);
        hl_matmul_params params = {.transpose_b = 1, .activation = HL_ACT_RELU};
        hl_view in[4] = {t[A].view, t[B].view};
        hl_error err = {0};
        hl_call c = {
            .params = &params, .n_in = 4, .in = in, .n_out = 1, .out = {t[Y].view}, .queue = m.queue};
        c.kernel = choose(&hl_backend_cuda, "matmul", &c);
        assert_ok(c.kernel->prepare(&c, &err), &err);
        c.workspace = allocate(&m, c.workspace_bytes);
        assert_ok(c.kernel->run(&c, &err), &err);
        assert_ok(m.table->download(m.device, t[Y].bytes, t[Y].view.data, (size_t)(M * 8) * 4, &err), &err);
        for (int64_t i = 0; i < M * 8; i++)
            assert_int_equal(isnan(((float *)t[Y].bytes)[i]) != 0, i < 8);
        c.kernel->release(&c);
        for (int i = 0; i < TENSORS; i++)
            drop(&t[i]);
        stop(&m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FAULT_TEST(a_few_rows),
        FAULT_TEST(by_the_library),
        FAULT_TEST(by_tiles),
        FAULT_TEST(full_memory_keeps_nothing_from_running),
        FAULT_TEST(what_is_empty_launches_nothing),
        FAULT_TEST(relu_keeps_nan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
