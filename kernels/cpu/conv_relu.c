#include "kernels/cpu/conv_relu.h"

#include "kernels/cpu/epilogue.h"
#include "kernels/cpu/math.h"
#include "kernels/cpu/sum.h"

#include <math.h>

enum { X, W, BIAS };

/* Errors of an fp32 sum of K products stay well below this times sqrt(K) of the sum's usual size. */
static const double UNDECIDED = 1e-6;

/* Output (image b, filter o, position at) summed in double. */
static float exact(const hl_call *c, int64_t b, int64_t o, int64_t at)
{
    const hl_conv_params *p = c->params;
    hl_shape x = c->in[X].shape, w = c->in[W].shape;
    int64_t columns = c->out[0].shape.dim[3];
    int64_t top = at / columns * p->stride - p->padding, left = at % columns * p->stride - p->padding;
    const float *image = hl_in(c, X) + b * x.dim[1] * x.dim[2] * x.dim[3];
    const float *filter = hl_in(c, W) + o * w.dim[1] * w.dim[2] * w.dim[3];
    double sum = hl_in(c, BIAS) ? hl_in(c, BIAS)[o] : 0;
    for (int64_t i = 0; i < w.dim[1]; i++) {
        for (int64_t row = 0; row < w.dim[2]; row++) {
            for (int64_t column = 0; column < w.dim[3]; column++, filter++) {
                int64_t h = top + row, v = left + column;
                if (h >= 0 && h < x.dim[2] && v >= 0 && v < x.dim[3])
                    sum += (double)*filter * image[(i * x.dim[2] + h) * x.dim[3] + v];
            }
        }
    }
    return (float)sum;
}

/* One image of one filter. size: what an output usually is. */
static void settle(const hl_call *c, int64_t b, int64_t o, double size, float *y, int64_t n)
{
    float near = (float)(UNDECIDED * sqrt((double)(c->in[W].count / c->in[W].shape.dim[0])) * size);
    enum { LOOK = 256 };
    for (int64_t begin = 0; begin < n; begin += LOOK) {
        int64_t end = begin + LOOK < n ? begin + LOOK : n;
        int undecided = 0;
#pragma omp simd reduction(+ : undecided)
        for (int64_t i = begin; i < end; i++)
            undecided += fabsf(y[i]) <= near;
        for (int64_t i = begin; i < end && undecided; i++)
            if (fabsf(y[i]) <= near)
                y[i] = exact(c, b, o, i);
    }
}

void hl_conv_relu(const hl_call *c)
{
    hl_shape s = c->out[0].shape;
    int64_t n = s.dim[2] * s.dim[3], inputs = c->in[X].count / (s.dim[0] ? s.dim[0] : 1);
    int64_t taps = c->in[W].count / (s.dim[1] ? s.dim[1] : 1);
    if (!c->in[W].data || c->in[W].constant) { /* nothing will be differentiated */
        hl_epilogue(hl_out(c, 0), s.dim[0] * s.dim[1], n, NULL, HL_ACT_RELU);
        return;
    }
    HL_PARALLEL_FOR(c->out[0].count)
    for (int64_t b = 0; b < s.dim[0]; b++) {
        double mean_square = hl_sum_squares(hl_in(c, X) + b * inputs, inputs) / (double)(inputs ? inputs : 1);
        for (int64_t o = 0; o < s.dim[1]; o++) {
            float *y = hl_out(c, 0) + (b * s.dim[1] + o) * n;
            settle(c, b, o, sqrt(mean_square * hl_sum_squares(hl_in(c, W) + o * taps, taps)), y, n);
            hl_activate(y, n, HL_ACT_RELU);
        }
    }
}
