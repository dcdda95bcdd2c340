/* The linear and convolution kernels at the model's shapes, beside what this machine can do.
 *     hl_bench_kernels [cpu | cpu:portable] [SECONDS per line]
 * For every call: milliseconds (the fastest run), GB/s (each operand and the result counted once) and
 * GFLOP/s. Weights are cold, as they are in a model of 1.3 GB: runs go round many copies of them. */
#include "run/backend.h"

#include "base/memory.h"
#include "kernels/cpu/ceilings.h"
#include "kernels/shape.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { POOL_FLOATS = 1 << 26, MAX_RUNS = 1000 }; /* 256 MiB, eight times the last cache of most */

static double seconds_per_line = 0.3;
static float *pool;

static void print_ceilings(void)
{
    printf("\nreads %.1f GB/s, multiply-adds %.0f GFLOP/s\n\n",
           1e-9 * hl_best_of_trials(hl_trial_read, pool, POOL_FLOATS, seconds_per_line),
           1e-9 * hl_best_of_trials(hl_trial_multiply_add, NULL, 0, seconds_per_line));
}

/* ------------------------------------------------------------------ a call */

typedef struct work {
    const char *title, *op;
    const void *params;
    int n_in;
    hl_view in[6], out;
    int cold; /* the operand that goes round the pool: an input, or -1 for the result */
    double flops;
} work;

static hl_view view(int rank, int64_t a, int64_t b, int64_t c, int64_t d)
{
    hl_view v = {.dtype = HL_F32, .shape = {rank, {a, b, c, d}}, .count = 1};
    for (int i = 0; i < rank; i++)
        v.count *= v.shape.dim[i];
    return v;
}

static hl_view integers(hl_view v)
{
    v.dtype = HL_I8;
    return v;
}

static int64_t bytes_of(const hl_view *v)
{
    return v->count * (int64_t)hl_element_size(v->dtype);
}

static float *tensor(int64_t count)
{
    float *p = hl_alloc_tensor((size_t)count * sizeof *p, HL_USE_OTHER);
    if (!p) {
        fprintf(stderr, "no memory for %lld floats\n", (long long)count);
        exit(1);
    }
    for (int64_t i = 0; i < count; i++)
        p[i] = (float)(i * 2654435761 % 1000) / 1000 - 0.5f;
    return p;
}

/* Seconds of the fastest run; the operands are bound. */
static double time_runs(const work *w, hl_call *c, hl_error *err)
{
    hl_view *cold = w->cold < 0 ? &c->out[0] : &c->in[w->cold];
    int64_t copies = POOL_FLOATS * 4LL / bytes_of(cold), runs = 0;
    double best = 1e9, end = omp_get_wtime() + seconds_per_line;
    if (copies < 1)
        copies = 1;
    for (; runs < 3 || (runs < MAX_RUNS && omp_get_wtime() < end); runs++) {
        if (bytes_of(cold) <= POOL_FLOATS * 4LL)
            cold->data = (char *)pool + runs % copies * bytes_of(cold);
        double start = omp_get_wtime();
        if (c->kernel->run(c, err) != HL_OK)
            return 0;
        double seconds = omp_get_wtime() - start;
        best = seconds < best ? seconds : best;
    }
    return best;
}

static void report(const work *w, const hl_call *c, int64_t batch, double seconds)
{
    double bytes = (double)c->out[0].count * 4;
    for (int k = 0; k < c->n_in; k++)
        bytes += (double)bytes_of(&c->in[k]);
    printf("%-34s %4lld  %-9s %9.3f %8.1f %8.1f\n", w->title, (long long)batch, c->kernel->name,
           seconds * 1e3, bytes / seconds * 1e-9, w->flops / seconds * 1e-9);
    fflush(stdout);
}

static int measure(const hl_backend *backend, work *w, int64_t batch)
{
    hl_error err = {0};
    hl_call c = {.params = w->params, .n_in = w->n_in, .n_out = 1, .in = w->in};
    c.out[0] = w->out;
    c.kernel = hl_kernel_for(backend, w->op, &c);
    if (!c.kernel) {
        fprintf(stderr, "%s: %s has no kernel\n", w->title, backend->name);
        return 1;
    }
    hl_status status = c.kernel->prepare ? c.kernel->prepare(&c, &err) : HL_OK;
    double seconds = 0;
    if (status == HL_OK) {
        for (int k = 0; k < w->n_in; k++)
            w->in[k].data = w->in[k].count ? tensor(w->in[k].count) : NULL;
        void *own[7] = {[6] = tensor(w->out.count)};
        for (int k = 0; k < w->n_in; k++)
            own[k] = w->in[k].data;
        c.out[0].data = own[6];
        c.workspace = tensor((int64_t)(c.workspace_bytes / sizeof(float) + 1));
        seconds = time_runs(w, &c, &err);
        hl_free_tensor(c.workspace, (c.workspace_bytes / sizeof(float) + 1) * sizeof(float));
        for (int k = 0; k < w->n_in; k++)
            if (own[k])
                hl_free_tensor(own[k], (size_t)w->in[k].count * sizeof(float));
        hl_free_tensor(own[6], (size_t)w->out.count * sizeof(float));
    }
    if (seconds > 0)
        report(w, &c, batch, seconds);
    else
        fprintf(stderr, "%s: %s\n", w->title, err.message);
    if (c.kernel->release)
        c.kernel->release(&c);
    return seconds > 0 ? 0 : 1;
}

/* ------------------------------------------------------------------ the model's shapes */

static int linear(const hl_backend *backend, int64_t batch, int64_t n_out, int64_t n_in)
{
    static const hl_matmul_params forward = {false, true, HL_ACT_NONE, HL_F32, HL_MATH_EXACT},
                                  dx = {false, false, HL_ACT_NONE, HL_F32, HL_MATH_EXACT},
                                  dw = {true, false, HL_ACT_NONE, HL_F32, HL_MATH_EXACT};
    static const hl_quantized_matmul_params eight_bits = {0, HL_ACT_NONE};
    enum { WORKS = 4 };
    char title[WORKS][64];
    double flops = 2.0 * (double)(batch * n_out * n_in);
    hl_view x = view(2, batch, n_in, 0, 0), y = view(2, batch, n_out, 0, 0), w = view(2, n_out, n_in, 0, 0);
    const char *const names[WORKS] = {"linear", "linear i8", "linear dx", "linear dw"};
    for (int k = 0; k < WORKS; k++)
        snprintf(title[k], sizeof title[k], "%s %lld -> %lld", names[k], (long long)n_in, (long long)n_out);
    hl_view per_row = view(1, n_out, 0, 0, 0);
    work all[WORKS] = {
        {title[0], "matmul", &forward, 4, {x, w, per_row}, y, 1, flops},
        {title[1], "quantized_matmul", &eight_bits, 6, {x, integers(w), per_row, per_row}, y, 1, flops},
        {title[2], "matmul", &dx, 4, {y, w}, x, 1, flops},
        {title[3], "matmul", &dw, 4, {y, x}, w, -1, flops}};
    int failures = 0;
    for (int k = 0; k < WORKS; k++)
        failures += measure(backend, &all[k], batch);
    return failures;
}

/* Square images and kernels; padding keeps size / stride. */
static int convolution(const hl_backend *backend, int64_t batch, int64_t in, int64_t out, int64_t size,
                       int64_t kernel, int stride)
{
    int padding = (int)kernel / 2;
    int64_t side = (size + 2 * padding - kernel) / stride + 1;
    hl_conv_params of_x = {.stride = stride, .padding = padding, .height = size, .width = size}, relu = of_x,
                   of_w = of_x;
    relu.activation = HL_ACT_RELU;
    of_w.height = of_w.width = kernel;
    hl_view x = view(4, batch, in, size, size), y = view(4, batch, out, side, side);
    hl_view w = view(4, out, in, kernel, kernel);
    double flops = 2.0 * (double)(y.count * in * kernel * kernel);
    enum { WORKS = 4 };
    char title[WORKS][64];
    const char *const names[WORKS] = {"conv+relu", "conv+relu i8", "conv dx", "conv dw"};
    for (int k = 0; k < WORKS; k++)
        snprintf(title[k], sizeof title[k], "%s %lldx%lldx%lld -> %lld, %lldx%lld", names[k], (long long)in,
                 (long long)size, (long long)size, (long long)out, (long long)kernel, (long long)kernel);
    hl_view per_filter = view(1, out, 0, 0, 0);
    work all[WORKS] = {
        {title[0], "conv2d", &relu, 3, {x, w, per_filter}, y, 0, flops},
        {title[1], "quantized_conv2d", &relu, 5, {x, integers(w), per_filter, per_filter}, y, 0, flops},
        {title[2], "conv2d_backward_data", &of_x, 2, {y, w}, x, 0, flops},
        {title[3], "conv2d_backward_filter", &of_w, 2, {x, y}, w, 0, flops}};
    int failures = 0;
    for (int k = 0; k < WORKS; k++)
        if (k != 2 || in > 3) /* nobody asks for the gradient of an image */
            failures += measure(backend, &all[k], batch);
    return failures;
}

int main(int argc, char **argv)
{
    const hl_backend *backend = &hl_backend_cpu;
    if (argc > 1 && !strcmp(argv[1], hl_backend_cpu_portable.name))
        backend = &hl_backend_cpu_portable;
    else if (argc > 1 && strcmp(argv[1], hl_backend_cpu.name))
        return fprintf(stderr, "usage: %s [cpu | cpu:portable] [SECONDS per line]\n", argv[0]), 2;
    if (argc > 2)
        seconds_per_line = atof(argv[2]);
    pool = tensor(POOL_FLOATS);
    printf("%s, %d threads, vectors of %d floats\n", backend->name, omp_get_max_threads(),
           hl_vector_floats());
    print_ceilings();
    printf("%-34s %4s  %-9s %9s %8s %8s\n", "", "B", "kernel", "ms", "GB/s", "GFLOP/s");
    static const int64_t batches[] = {1, 16, 32};
    static const int64_t layers[][2] = {{4096, 4096}, {3072, 4096}, {4096, 3072}, {512, 12544},
                                        {512, 3584},  {2048, 4096}, {512, 2560}};
    int failures = 0;
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++)
        for (int b = 0; b < 3; b++)
            failures += linear(backend, batches[b], layers[i][0], layers[i][1]);
    for (int b = 0; b < 3; b++) {
        failures += convolution(backend, batches[b], 3, 64, 224, 7, 2);
        failures += convolution(backend, batches[b], 64, 128, 112, 3, 2);
        failures += convolution(backend, batches[b], 1, 32, 224, 5, 2);
        failures += convolution(backend, batches[b], 32, 64, 112, 3, 2);
    }
    print_ceilings(); /* other than above: the machine was not ours alone */
    hl_free_tensor(pool, POOL_FLOATS * sizeof *pool);
    return failures != 0;
}
