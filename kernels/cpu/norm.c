/* Layer normalisation. Means and sums in double; rows are shared by the threads. */
#include "kernels/cpu/math.h"
#include "kernels/cpu/sum.h"

static hl_status layer_norm_run(const hl_call *c, hl_error *err)
{
    enum { X, GAIN, BIAS };
    const hl_norm_params *p = c->params;
    const int64_t C = c->in[GAIN].count, rows = c->out[1].count;
    const float *gain = hl_in(c, GAIN), *bias = hl_in(c, BIAS);
    (void)err;
    HL_PARALLEL_FOR(rows * C)
    for (int64_t r = 0; r < rows; r++) {
        const float *x = hl_in(c, X) + r * C;
        float *y = hl_out(c, 0) + r * C;
        double mean = hl_sum_plain(x, C) / (double)C;
        double rstd = 1.0 / sqrt(hl_sum_deviation(x, mean, C) / (double)C + (double)p->eps);
        /* The mean in two floats: one alone would cost a row far from zero its precision. */
        const float high = (float)mean, low = (float)(mean - (double)high), scale = (float)rstd;
#pragma omp simd
        for (int64_t i = 0; i < C; i++)
            y[i] = ((x[i] - high) - low) * scale * gain[i] + bias[i];
        hl_activate(y, C, p->activation);
        hl_out(c, 1)[r] = high;
        hl_out(c, 2)[r] = scale;
    }
    return HL_OK;
}

const hl_kernel hl_cpu_layer_norm = {.op = "layer_norm", .name = "portable", .run = layer_norm_run};

/* ------------------------------------------------------------------ backward */

enum { DY, X, GAIN, MEAN, RSTD };
enum { DX, DGAIN, DBIAS };
enum { COLUMNS = 64, ROWS = 256 }; /* of the blocks in which dgain and dbias are summed */

static hl_status backward_prepare(hl_call *c, hl_error *err)
{
    int64_t pieces = hl_pieces(c->in[MEAN].count, ROWS);
    return pieces > 1 ? hl_want_partials(c, 2 * pieces, c->in[GAIN].count, err) : HL_OK;
}

/* Over rows [row, row + n) and columns [i, i + width): sums of dy h and of dy, h = (x - mean) rstd. */
static void sum_block(const hl_call *c, int64_t row, int64_t n, int64_t i, int64_t width, double *gain,
                      double *bias)
{
    const int64_t C = c->in[GAIN].count;
    for (int64_t k = 0; k < COLUMNS; k++)
        gain[k] = bias[k] = 0;
    for (int64_t r = row; r < row + n; r++) {
        const float *dy = hl_in(c, DY) + r * C + i, *x = hl_in(c, X) + r * C + i;
        const float mean = hl_in(c, MEAN)[r], rstd = hl_in(c, RSTD)[r];
#pragma omp simd
        for (int64_t k = 0; k < width; k++) {
            gain[k] += (double)dy[k] * (double)((x[k] - mean) * rstd);
            bias[k] += (double)dy[k];
        }
    }
}

/* dgain and dbias: [pieces][2][C] of partial sums, added in order. */
static void backward_affine(const hl_call *c)
{
    const int64_t C = c->in[GAIN].count, rows = c->in[MEAN].count;
    const int64_t blocks = hl_pieces(C, COLUMNS), pieces = rows > ROWS ? hl_pieces(rows, ROWS) : 1;
    double *partial = c->workspace;
    HL_PARALLEL_FOR(rows * C)
    for (int64_t task = 0; task < pieces * blocks; task++) {
        double gain[COLUMNS], bias[COLUMNS];
        int64_t i = task % blocks * COLUMNS, piece = task / blocks, width = hl_min(COLUMNS, C - i);
        sum_block(c, piece * ROWS, hl_min(ROWS, rows - piece * ROWS), i, width, gain, bias);
        for (int64_t k = 0; k < width; k++) {
            if (pieces > 1) {
                partial[2 * piece * C + i + k] = gain[k];
                partial[(2 * piece + 1) * C + i + k] = bias[k];
            } else {
                hl_out(c, DGAIN)[i + k] = (float)gain[k];
                hl_out(c, DBIAS)[i + k] = (float)bias[k];
            }
        }
    }
    for (int64_t i = 0; i < C && pieces > 1; i++) {
        hl_out(c, DGAIN)[i] = (float)hl_sum_partial(partial + i, pieces, 2 * C);
        hl_out(c, DBIAS)[i] = (float)hl_sum_partial(partial + C + i, pieces, 2 * C);
    }
}

/* dx = rstd (d - <d> - h <d h>) with d = dy gain */
static void backward_row(const float *dy, const float *x, const float *gain, float mean, float rstd,
                         int64_t C, float *dx)
{
    double d = 0, dh = 0;
#pragma omp simd reduction(+ : d, dh)
    for (int64_t i = 0; i < C; i++) {
        double g = (double)dy[i] * (double)gain[i];
        d += g;
        dh += g * (double)((x[i] - mean) * rstd);
    }
    const float mean_d = (float)(d / (double)C), mean_dh = (float)(dh / (double)C);
#pragma omp simd
    for (int64_t i = 0; i < C; i++)
        dx[i] = rstd * (dy[i] * gain[i] - mean_d - (x[i] - mean) * rstd * mean_dh);
}

static hl_status backward_run(const hl_call *c, hl_error *err)
{
    const int64_t C = c->in[GAIN].count, rows = c->in[MEAN].count;
    (void)err;
    backward_affine(c); /* first: dx may be written over dy */
    HL_PARALLEL_FOR(rows * C)
    for (int64_t r = 0; r < rows; r++)
        backward_row(hl_in(c, DY) + r * C, hl_in(c, X) + r * C, hl_in(c, GAIN), hl_in(c, MEAN)[r],
                     hl_in(c, RSTD)[r], C, hl_out(c, DX) + r * C);
    return HL_OK;
}

const hl_kernel hl_cpu_layer_norm_backward = {
    .op = "layer_norm_backward", .name = "portable", .prepare = backward_prepare, .run = backward_run};
