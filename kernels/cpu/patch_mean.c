/* Pooled patches; a task is a plane (one channel of one image).  For each row of cells and each row of
 * the kernel, the image rows it reads are summed into one line, with zeros where the padding is; every
 * cell and column of the kernel then sums along that line.  Backward walks the same way back. */
#include "kernels/cpu/cell.h"
#include "kernels/cpu/common.h"
#include "kernels/cpu/threads.h"

#include "base/error.h"
#include "base/memory.h"

#include <string.h>

typedef struct sizes {
    int64_t C, H, W; /* of x */
    int64_t kh, kw, stride, padding;
    int64_t rows, columns; /* positions of the convolution */
    int64_t h, w;          /* cells */
    int64_t line;          /* floats of a padded line, whole cache lines */
} sizes;

static sizes sizes_of(const hl_patch_params *p, hl_shape x)
{
    sizes s = {.C = x.dim[1],
               .H = x.dim[2],
               .W = x.dim[3],
               .kh = p->kernel_h,
               .kw = p->kernel_w,
               .stride = p->stride,
               .padding = p->padding,
               .h = p->pool_h,
               .w = p->pool_w};
    s.rows = (s.H + 2 * s.padding - s.kh) / s.stride + 1;
    s.columns = (s.W + 2 * s.padding - s.kw) / s.stride + 1;
    s.line = (s.W + 2 * s.padding + 15) / 16 * 16;
    return s;
}

/* A line per thread. */
static hl_status prepare(hl_call *c, hl_shape x, hl_error *err)
{
    size_t line = (size_t)sizes_of(c->params, x).line * sizeof(float);
    if (!hl_size_mul(line, (size_t)omp_get_max_threads(), &c->workspace_bytes))
        return hl_fail(err, HL_ERR_MEMORY, "the workspace of a %lld pixel wide image overflows",
                       (long long)x.dim[3]);
    return HL_OK;
}

/* As many threads as there are lines, or one where there is little to do. */
static int threads_of(const hl_call *c, const sizes *s)
{
    bool small = (double)(c->in[0].count + c->out[0].count) <= hl_cpu_grain.elements;
    return small ? 1 : (int)(c->workspace_bytes / ((size_t)s->line * sizeof(float)));
}

static float *thread_line(const hl_call *c, const sizes *s)
{
    return (float *)c->workspace + (int64_t)omp_get_thread_num() * s->line;
}

/* Row of x that kernel row i reads at row r of the convolution; -1: padding. */
static int64_t row_read(const sizes *s, int64_t r, int64_t i)
{
    int64_t row = r * s->stride - s->padding + i;
    return row < s->H ? row : -1; /* above the image it is below 0 anyway */
}

/* ------------------------------------------------------------------ forward */

static void sum_rows(const sizes *s, const float *x, hl_cell cell, int64_t i, float *line)
{
    memset(line, 0, (size_t)s->line * sizeof *line);
    for (int64_t r = cell.begin; r < cell.end; r++) {
        int64_t row = row_read(s, r, i);
        for (int64_t k = 0; row >= 0 && k < s->W; k++)
            line[s->padding + k] += x[row * s->W + k];
    }
}

/* One row of cells and of the kernel: y + cell * C*kh*kw + j, for every cell and kernel column j. */
static void means_along(const sizes *s, const float *line, int64_t height, float *y)
{
    for (int64_t cell = 0; cell < s->w; cell++, y += s->C * s->kh * s->kw) {
        hl_cell columns = hl_cell_at(cell, s->columns, s->w);
        float area = (float)(height * hl_cell_size(columns));
        for (int64_t j = 0; j < s->kw; j++) {
            float sum = 0;
            for (int64_t k = columns.begin; k < columns.end; k++)
                sum += line[k * s->stride + j];
            y[j] = sum / area;
        }
    }
}

static void forward_plane(const sizes *s, const float *x, float *line, float *y)
{
    for (int64_t cell = 0; cell < s->h; cell++, y += s->w * s->C * s->kh * s->kw) {
        hl_cell rows = hl_cell_at(cell, s->rows, s->h);
        for (int64_t i = 0; i < s->kh; i++) {
            sum_rows(s, x, rows, i, line);
            means_along(s, line, hl_cell_size(rows), y + i * s->kw);
        }
    }
}

static hl_status forward_prepare(hl_call *c, hl_error *err)
{
    return prepare(c, c->in[0].shape, err);
}

/* Where the patches [h,w,C,kh,kw] of plane p = b*C + c begin. */
static int64_t patches_at(const sizes *s, int64_t p)
{
    return (p / s->C * s->h * s->w * s->C + p % s->C) * s->kh * s->kw;
}

static hl_status forward_run(const hl_call *c, hl_error *err)
{
    (void)err;
    sizes s = sizes_of(c->params, c->in[0].shape);
    int64_t planes = c->in[0].shape.dim[0] * s.C;
#pragma omp parallel for schedule(static) num_threads(threads_of(c, &s))
    for (int64_t p = 0; p < planes; p++)
        forward_plane(&s, hl_in(c, 0) + p * s.H * s.W, thread_line(c, &s), hl_out(c, 0) + patches_at(&s, p));
    return HL_OK;
}

const hl_kernel hl_cpu_patch_mean = {
    .op = "patch_mean", .name = "portable", .prepare = forward_prepare, .run = forward_run};

/* ------------------------------------------------------------------ backward */

static void spread_along(const sizes *s, const float *dy, int64_t height, float *line)
{
    memset(line, 0, (size_t)s->line * sizeof *line);
    for (int64_t cell = 0; cell < s->w; cell++, dy += s->C * s->kh * s->kw) {
        hl_cell columns = hl_cell_at(cell, s->columns, s->w);
        float area = (float)(height * hl_cell_size(columns));
        for (int64_t j = 0; j < s->kw; j++) {
            float share = dy[j] / area;
            for (int64_t k = columns.begin; k < columns.end; k++)
                line[k * s->stride + j] += share;
        }
    }
}

static void add_rows(const sizes *s, const float *line, hl_cell cell, int64_t i, float *dx)
{
    for (int64_t r = cell.begin; r < cell.end; r++) {
        int64_t row = row_read(s, r, i);
        for (int64_t k = 0; row >= 0 && k < s->W; k++)
            dx[row * s->W + k] += line[s->padding + k];
    }
}

static void backward_plane(const sizes *s, const float *dy, float *line, float *dx)
{
    memset(dx, 0, (size_t)(s->H * s->W) * sizeof *dx);
    for (int64_t cell = 0; cell < s->h; cell++, dy += s->w * s->C * s->kh * s->kw) {
        hl_cell rows = hl_cell_at(cell, s->rows, s->h);
        for (int64_t i = 0; i < s->kh; i++) {
            spread_along(s, dy + i * s->kw, hl_cell_size(rows), line);
            add_rows(s, line, rows, i, dx);
        }
    }
}

static hl_status backward_prepare(hl_call *c, hl_error *err)
{
    return prepare(c, c->out[0].shape, err);
}

static hl_status backward_run(const hl_call *c, hl_error *err)
{
    (void)err;
    sizes s = sizes_of(c->params, c->out[0].shape);
    int64_t planes = c->out[0].shape.dim[0] * s.C;
#pragma omp parallel for schedule(static) num_threads(threads_of(c, &s))
    for (int64_t p = 0; p < planes; p++)
        backward_plane(&s, hl_in(c, 0) + patches_at(&s, p), thread_line(c, &s), hl_out(c, 0) + p * s.H * s.W);
    return HL_OK;
}

const hl_kernel hl_cpu_patch_mean_backward = {
    .op = "patch_mean_backward", .name = "portable", .prepare = backward_prepare, .run = backward_run};
