#include "kernels/cpu/im2col.h"

#include <string.h>

hl_conv_sizes hl_conv_sizes_of(const hl_conv_params *p, hl_shape x, hl_shape w, hl_shape y)
{
    return (hl_conv_sizes){.B = x.dim[0],
                           .I = x.dim[1],
                           .H = x.dim[2],
                           .W = x.dim[3],
                           .O = w.dim[0],
                           .kh = w.dim[2],
                           .kw = w.dim[3],
                           .OH = y.dim[2],
                           .OW = y.dim[3],
                           .stride = p->stride,
                           .padding = p->padding,
                           .patch = w.dim[1] * w.dim[2] * w.dim[3],
                           .positions = y.dim[2] * y.dim[3]};
}

static int64_t clamp(int64_t x, int64_t low, int64_t high)
{
    return x < low ? low : x > high ? high : x;
}

/* A run of positions in one row of the output: they read image elements at, at + stride, ..., of which
 * [first, last) lie in the image. */
typedef struct run {
    int64_t n, at, first, last;
} run;

static run run_at(const hl_conv_sizes *s, int64_t row, int64_t position, int64_t end)
{
    int64_t plane = row / (s->kh * s->kw), i = row / s->kw % s->kh, j = row % s->kw;
    int64_t left = position % s->OW, y = position / s->OW * s->stride - s->padding + i;
    int64_t x = left * s->stride - s->padding + j;
    run r = {.n = clamp(end - position, 0, s->OW - left), .at = (plane * s->H + y) * s->W + x};
    if (y < 0 || y >= s->H)
        return r;
    r.first = clamp(x < 0 ? (-x + s->stride - 1) / s->stride : 0, 0, r.n);
    r.last = clamp(x < s->W ? (s->W - x + s->stride - 1) / s->stride : 0, r.first, r.n);
    return r;
}

void hl_im2col(const hl_conv_sizes *s, const float *image, int64_t row, int64_t begin, int64_t end,
               float *out)
{
    for (int64_t p = begin; p < end;) {
        run r = run_at(s, row, p, end);
        const float *from = image + (r.first < r.last ? r.at + r.first * s->stride : 0);
        int64_t n = r.last - r.first;
        memset(out, 0, (size_t)r.first * sizeof *out);
        if (s->stride == 1)
            memcpy(out + r.first, from, (size_t)n * sizeof *out);
        else if (s->stride == 2) /* a constant, so that the compiler vectorises */
            for (int64_t k = 0; k < n; k++)
                out[r.first + k] = from[2 * k];
        else
            for (int64_t k = 0; k < n; k++)
                out[r.first + k] = from[k * s->stride];
        memset(out + r.last, 0, (size_t)(r.n - r.last) * sizeof *out);
        out += r.n;
        p += r.n;
    }
}

void hl_col2im(const hl_conv_sizes *s, const float *stretch, int64_t row, int64_t begin, int64_t end,
               float *image)
{
    for (int64_t p = begin; p < end;) {
        run r = run_at(s, row, p, end);
        float *to = image + (r.first < r.last ? r.at + r.first * s->stride : 0);
        int64_t n = r.last - r.first;
        const float *from = stretch + r.first;
        if (s->stride == 1)
            for (int64_t k = 0; k < n; k++)
                to[k] += from[k];
        else
            for (int64_t k = 0; k < n; k++)
                to[k * s->stride] += from[k];
        stretch += r.n;
        p += r.n;
    }
}
