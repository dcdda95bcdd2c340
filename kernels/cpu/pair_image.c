#include "kernels/cpu/pair_image.h"

#include "base/memory.h"
#include "base/quantize.h"

#include <string.h>

static int32_t pair(int32_t first, int32_t second)
{
    return (int32_t)(((uint32_t)first & 0xffffu) | (uint32_t)second << 16);
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Rows of the image that so many rows of the result read. */
static int64_t rows_for(const hl_conv_sizes *s, int64_t high)
{
    return (high - 1) * s->stride + s->kh;
}

bool hl_pair_image_of(const hl_conv_sizes *s, int64_t high, int64_t positions, hl_pair_image *image)
{
    const bool columns = s->I % 2 != 0;
    hl_pair_image i = {.columns = columns,
                       .planes = columns ? s->I : s->I / 2,
                       .rows = rows_for(s, high),
                       .remainders = smaller(s->stride, s->kw),
                       .width = positions + (s->kw - 1) / s->stride,
                       .across = columns ? (s->kw + 1) / 2 : s->kw,
                       .line = s->W + 2 * s->padding + 1};
    size_t row, plane, all;
    if (!hl_size_mul((size_t)i.width, (size_t)i.remainders, &row) ||
        !hl_size_mul(row, (size_t)i.rows, &plane) || !hl_size_mul(plane, (size_t)i.planes, &all) ||
        all > INT64_MAX)
        return false;
    i.row = (int64_t)row;
    i.lanes = (int64_t)all;
    i.taps = i.planes * s->kh * i.across;
    *image = i;
    return true;
}

/* A tap's plane, its row and its first column in the kernel. */
typedef struct place {
    int64_t plane, y, x;
} place;

static place place_of(const hl_conv_sizes *s, const hl_pair_image *image, int64_t tap)
{
    return (place){tap / image->across / s->kh, tap / image->across % s->kh,
                   tap % image->across * (image->columns ? 2 : 1)};
}

void hl_pair_image_taps(const hl_conv_sizes *s, const hl_pair_image *image, int64_t *taps)
{
    for (int64_t t = 0; t < image->taps; t++) {
        place p = place_of(s, image, t);
        taps[t] = (p.plane * image->rows + p.y) * image->row + p.x % s->stride * image->width +
                  p.x / s->stride;
    }
}

int32_t hl_pair_of_filter(const hl_conv_sizes *s, const hl_pair_image *image, const int8_t *w, int64_t tap)
{
    place p = place_of(s, image, tap);
    int64_t kernel = s->kh * s->kw, at = p.y * s->kw + p.x;
    if (!image->columns)
        return pair(w[2 * p.plane * kernel + at], w[(2 * p.plane + 1) * kernel + at]);
    w += p.plane * kernel + at;
    return pair(w[0], p.x + 1 < s->kw ? w[1] : 0);
}

/* The columns with one remainder: to [n] = line[0], line[stride], ... A constant stride, so that the compiler
 * vectorises. */
static void gather(const int32_t *line, int64_t stride, int64_t n, int32_t *to)
{
    if (stride == 1)
        memcpy(to, line, (size_t)n * sizeof *to);
    else if (stride == 2)
        for (int64_t i = 0; i < n; i++)
            to[i] = line[2 * i];
    else
        for (int64_t i = 0; i < n; i++)
            to[i] = line[stride * i];
}

/* A row of the image as it lies, padded: line [W + 2 padding + 1] */
static void quantize_row(const hl_conv_sizes *s, const hl_pair_image *image, const float *x, float step,
                         int32_t *line)
{
    const float *next = x + s->H * s->W;
    int32_t *inner = line + s->padding;
    memset(line, 0, (size_t)image->line * sizeof *line);
    if (!image->columns) {
        for (int64_t i = 0; i < s->W; i++)
            inner[i] = pair(hl_quantize(x[i], step), hl_quantize(next[i], step));
        return;
    }
    for (int64_t i = 0; i < s->W; i++)
        inner[i] = hl_quantize(x[i], step);
    for (int64_t i = 0; i + 1 < image->line; i++)
        line[i] = pair(line[i], line[i + 1]);
}

/* Row y of a plane, which padding has begun before: to [image->row] */
static void make_row(const hl_conv_sizes *s, const hl_pair_image *image, const float *x, float step,
                     int64_t plane, int64_t y, int32_t *line, int32_t *to)
{
    int64_t padded = s->W + 2 * s->padding;
    if (y < 0 || y >= s->H) {
        memset(to, 0, (size_t)image->row * sizeof *to);
        return;
    }
    quantize_row(s, image, x + (plane * (image->columns ? 1 : 2) * s->H + y) * s->W, step, line);
    for (int64_t r = 0; r < image->remainders; r++, to += image->width) {
        int64_t there = r < padded ? (padded - r + s->stride - 1) / s->stride : 0;
        int64_t n = smaller(there, image->width);
        gather(line + r, s->stride, n, to);
        memset(to + n, 0, (size_t)(image->width - n) * sizeof *to);
    }
}

void hl_pair_image_make(const hl_conv_sizes *s, const hl_pair_image *image, const float *x, float step,
                        int64_t top, int64_t high, int32_t *line, int32_t *strip)
{
    int64_t first = top * s->stride - s->padding, rows = rows_for(s, high);
    for (int64_t plane = 0; plane < image->planes; plane++)
        for (int64_t r = 0; r < rows; r++)
            make_row(s, image, x, step, plane, first + r, line,
                     strip + (plane * image->rows + r) * image->row);
}
