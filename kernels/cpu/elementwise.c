/* Elementwise ops. Every loop may write over an operand it reads, element by element. */
#include "kernels/cpu/math.h"
#include "kernels/cpu/shape.h"

/* ------------------------------------------------------------------ binary */

/* One stretch of the result. a_step and b_step are 1, or 0 for an operand that is one number here. */
typedef void binary_loop(float *y, const float *a, int64_t a_step, const float *b, int64_t b_step, int64_t n);

#define BINARY_LOOP(id, expression)                                                                          \
    static void id##_loop(float *y, const float *a, int64_t a_step, const float *b, int64_t b_step,          \
                          int64_t n)                                                                         \
    {                                                                                                        \
        if (a_step && b_step) {                                                                              \
            HL_PRAGMA(omp simd)                                                                              \
            for (int64_t i = 0; i < n; i++) {                                                                \
                float u = a[i], w = b[i];                                                                    \
                y[i] = expression;                                                                           \
            }                                                                                                \
        } else if (a_step) {                                                                                 \
            const float w = *b;                                                                              \
            HL_PRAGMA(omp simd)                                                                              \
            for (int64_t i = 0; i < n; i++) {                                                                \
                float u = a[i];                                                                              \
                y[i] = expression;                                                                           \
            }                                                                                                \
        } else {                                                                                             \
            const float u = *a;                                                                              \
            HL_PRAGMA(omp simd)                                                                              \
            for (int64_t i = 0; i < n; i++) {                                                                \
                float w = b[i];                                                                              \
                y[i] = expression;                                                                           \
            }                                                                                                \
        }                                                                                                    \
    }

static void run_binary(const hl_call *c, binary_loop *loop)
{
    const hl_broadcast w = hl_broadcast_of(c->out[0].shape, c->in[0].shape, c->in[1].shape);
    const int last = w.rank - 1;
    const int64_t a_step = w.stride[0][last], b_step = w.stride[1][last], count = c->out[0].count;
    const hl_tasks tasks = hl_tasks_of(count ? count / w.dim[last] : 0, w.dim[last]);
    const float *a = hl_in(c, 0), *b = hl_in(c, 1);
    float *y = hl_out(c, 0);
    HL_PARALLEL_FOR(count)
    for (int64_t i = 0; i < tasks.count; i++) {
        hl_task t = hl_task_at(&tasks, i);
        for (int64_t r = t.begin; r < t.end; r++)
            loop(y + r * tasks.inner + t.at, a + hl_broadcast_row(&w, 0, r) + t.at * a_step, a_step,
                 b + hl_broadcast_row(&w, 1, r) + t.at * b_step, b_step, t.n);
    }
}

#define BINARY_KERNEL(id, expression)                                                                        \
    BINARY_LOOP(id, expression)                                                                              \
    static hl_status id##_run(const hl_call *c, hl_error *err)                                               \
    {                                                                                                        \
        (void)err;                                                                                           \
        run_binary(c, id##_loop);                                                                            \
        return HL_OK;                                                                                        \
    }                                                                                                        \
    const hl_kernel hl_cpu_##id = {.op = #id, .name = "portable", .run = id##_run};

#define HL_BINARY(id, expression) BINARY_KERNEL(id, expression)
#define HL_UNARY(id, expression)
#include "kernels/elementwise.def"
#undef HL_BINARY
#undef HL_UNARY

/* ------------------------------------------------------------------ unary */

typedef void unary_loop(float *y, const float *x, const void *params, int64_t n);

static void run_unary(const hl_call *c, unary_loop *loop)
{
    const hl_tasks tasks = hl_tasks_of(1, c->out[0].count);
    const float *x = c->n_in ? hl_in(c, 0) : NULL;
    float *y = hl_out(c, 0);
    HL_PARALLEL_FOR(tasks.inner)
    for (int64_t i = 0; i < tasks.count; i++) {
        hl_task t = hl_task_at(&tasks, i);
        loop(y + t.at, x ? x + t.at : NULL, c->params, t.n);
    }
}

#define UNARY_KERNEL(id, loop)                                                                               \
    static hl_status id##_run(const hl_call *c, hl_error *err)                                               \
    {                                                                                                        \
        (void)err;                                                                                           \
        run_unary(c, loop);                                                                                  \
        return HL_OK;                                                                                        \
    }                                                                                                        \
    const hl_kernel hl_cpu_##id = {.op = #id, .name = "portable", .run = id##_run};

#define HL_BINARY(id, expression)
#define HL_UNARY(id, expression)                                                                             \
    static void id##_loop(float *y, const float *v, const void *params, int64_t n)                           \
    {                                                                                                        \
        (void)params;                                                                                        \
        HL_PRAGMA(omp simd)                                                                                  \
        for (int64_t i = 0; i < n; i++) {                                                                    \
            float x = v[i];                                                                                  \
            y[i] = expression;                                                                               \
        }                                                                                                    \
    }                                                                                                        \
    UNARY_KERNEL(id, id##_loop)
#include "kernels/elementwise.def"
#undef HL_BINARY
#undef HL_UNARY

static void affine_loop(float *y, const float *x, const void *params, int64_t n)
{
    const hl_affine_params p = *(const hl_affine_params *)params;
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        y[i] = x[i] * p.factor + p.offset;
}

static void fill_loop(float *y, const float *x, const void *params, int64_t n)
{
    const float value = ((const hl_fill_params *)params)->value;
    (void)x;
    for (int64_t i = 0; i < n; i++)
        y[i] = value;
}

UNARY_KERNEL(affine, affine_loop)
UNARY_KERNEL(fill, fill_loop)
