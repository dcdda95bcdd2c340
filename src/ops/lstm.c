/* The recurrent part of an LSTM layer (Hochreiter & Schmidhuber 1997, with forget gates as in PyTorch):
 *     a_t = x_t + W_hidden h_{t-1}                       [4H], in the order i, f, g, o
 *     i, f, o = sigmoid(a), g = tanh(a),  c_t = f c_{t-1} + i g,  h_t = o tanh(c_t)
 * from h = c = 0.  With `reverse` time runs from T-1 to 0.  x_t is the input's part of the gates: one
 * matrix product for all steps, outside of this op. */
#include "ops/ops.h"

#include "base/error.h"

#include <math.h>

enum { X, W };                /* operands of lstm */
enum { H_OUT, C_OUT, GATES }; /* its outputs */
enum { DH, BACK_W, BACK_C, BACK_GATES };

/* h of a w_hidden [4h,h] that fits gates [B,T,4h]; 0 after hl_graph_fail. */
static int64_t hidden_of(hl_graph *g, const hl_node *n, const char *what, hl_shape gates, hl_shape w)
{
    bool square = w.rank == 2 && w.dim[1] >= 1 && w.dim[0] % 4 == 0 && w.dim[0] / 4 == w.dim[1];
    if (!square || gates.rank != 3 || gates.dim[2] != w.dim[0]) {
        hl_graph_fail(g, "%s: %s %s must be [B,T,4H] and w_hidden %s must be [4H,H]", n->op->name, what,
                      hl_shape_print(gates).text, hl_shape_print(w).text);
        return 0;
    }
    if (gates.dim[1] < 1) {
        hl_graph_fail(g, "%s: %s %s has no time steps", n->op->name, what, hl_shape_print(gates).text);
        return 0;
    }
    return w.dim[1];
}

static bool lstm_shape(hl_graph *g, hl_node *n)
{
    hl_shape x = hl_node_in(g, n, X)->shape;
    int64_t h = hl_want_dtypes(g, n) ? hidden_of(g, n, "x", x, hl_node_in(g, n, W)->shape) : 0;
    if (!h)
        return false;
    hl_shape state = {3, {x.dim[0], x.dim[1], h}};
    hl_node_out(g, n, H_OUT, HL_F32, state);
    hl_node_out(g, n, C_OUT, HL_F32, state);
    hl_node_out(g, n, GATES, HL_F32, x);
    return !g->failed;
}

static bool lstm_backward_shape(hl_graph *g, hl_node *n)
{
    hl_shape dh = hl_node_in(g, n, DH)->shape, c = hl_node_in(g, n, BACK_C)->shape;
    hl_shape gates = hl_node_in(g, n, BACK_GATES)->shape;
    int64_t h = hl_want_dtypes(g, n) ? hidden_of(g, n, "gates", gates, hl_node_in(g, n, BACK_W)->shape) : 0;
    if (!h)
        return false;
    hl_shape state = {3, {gates.dim[0], gates.dim[1], h}};
    if (!hl_shape_equal(dh, state) || !hl_shape_equal(c, state)) {
        hl_graph_fail(g, "lstm_backward: dh %s and c %s must be %s", hl_shape_print(dh).text,
                      hl_shape_print(c).text, hl_shape_print(state).text);
        return false;
    }
    hl_node_out(g, n, 0, HL_F32, gates);
    return !g->failed;
}

/* ------------------------------------------------------------------ references */

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

/* Pre-activation j of the gates at step t, given h of the step before (NULL: zero). */
static double gate_sum(const hl_ref_call *c, int64_t row, int64_t j, int64_t H, const double *before)
{
    double sum = c->in[X].data[row * 4 * H + j];
    for (int64_t k = 0; before && k < H; k++)
        sum += before[k] * c->in[W].data[j * H + k];
    return sum;
}

/* Step at row = b*T + t, after the one at row `before` (-1: the first). */
static void lstm_step(const hl_ref_call *c, int64_t row, int64_t before, int64_t H)
{
    double *h = c->out[H_OUT].data, *cell = c->out[C_OUT].data, *gates = c->out[GATES].data + row * 4 * H;
    for (int64_t j = 0; j < 4 * H; j++) {
        double sum = gate_sum(c, row, j, H, before < 0 ? NULL : h + before * H);
        gates[j] = j / H == 2 ? tanh(sum) : sigmoid(sum);
    }
    for (int64_t j = 0; j < H; j++) {
        double kept = before < 0 ? 0 : gates[H + j] * cell[before * H + j];
        cell[row * H + j] = kept + gates[j] * gates[2 * H + j];
        h[row * H + j] = gates[3 * H + j] * tanh(cell[row * H + j]);
    }
}

static void lstm_reference(const hl_ref_call *c)
{
    const hl_lstm_params *p = c->params;
    hl_shape s = c->out[H_OUT].shape;
    int64_t T = s.dim[1];
    for (int64_t b = 0; b < s.dim[0]; b++) {
        for (int64_t step = 0; step < T; step++) {
            int64_t row = b * T + (p->reverse ? T - 1 - step : step);
            lstm_step(c, row, step == 0 ? -1 : row + (p->reverse ? 1 : -1), s.dim[2]);
        }
    }
}

/* d h of element j from the gates of the step after; 0 when there is none. */
static double from_later(const hl_ref_call *c, const double *later, int64_t j, int64_t H)
{
    double sum = 0;
    for (int64_t k = 0; later && k < 4 * H; k++)
        sum += later[k] * c->in[BACK_W].data[k * H + j];
    return sum;
}

/* One step, element by element. before and later are the rows of the steps before and after it, -1
 * where there is none. f dc, which the step before takes over, waits in that step's dx (where its input
 * gate goes) until that step overwrites it. */
static void backward_step(const hl_ref_call *c, int64_t row, int64_t before, int64_t later, int64_t H)
{
    const double *gates = c->in[BACK_GATES].data + row * 4 * H, *cell = c->in[BACK_C].data;
    double *all = c->out[0].data, *dx = all + row * 4 * H;
    for (int64_t j = 0; j < H; j++) {
        double i = gates[j], f = gates[H + j], g = gates[2 * H + j], o = gates[3 * H + j];
        double squashed = tanh(cell[row * H + j]), previous = before < 0 ? 0 : cell[before * H + j];
        double dh = c->in[DH].data[row * H + j] + from_later(c, later < 0 ? NULL : all + later * 4 * H, j, H);
        double dc = (later < 0 ? 0 : dx[j]) + dh * o * (1 - squashed * squashed);
        dx[j] = dc * g * i * (1 - i);
        dx[H + j] = dc * previous * f * (1 - f);
        dx[2 * H + j] = dc * i * (1 - g * g);
        dx[3 * H + j] = dh * squashed * o * (1 - o);
        if (before >= 0)
            all[before * 4 * H + j] = dc * f;
    }
}

static void lstm_backward_reference(const hl_ref_call *c)
{
    const hl_lstm_params *p = c->params;
    hl_shape s = c->in[BACK_C].shape;
    int64_t T = s.dim[1], past = p->reverse ? 1 : -1;
    for (int64_t b = 0; b < s.dim[0]; b++) {
        for (int64_t step = T - 1; step >= 0; step--) {
            int64_t row = b * T + (p->reverse ? T - 1 - step : step);
            backward_step(c, row, step == 0 ? -1 : row + past, step == T - 1 ? -1 : row - past, s.dim[2]);
        }
    }
}

/* ------------------------------------------------------------------ gradient */

/* Steps [begin, end) of x [B,T,C] as rows [B*(end-begin), C]. */
static hl_tensor rows_of(hl_graph *g, hl_tensor x, int64_t begin, int64_t end)
{
    hl_tensor part = hl_slice(g, x, 1, begin, end);
    return hl_reshape(g, part, 2, (int64_t[]){-1, hl_shape_of(g, x).dim[2]});
}

/* d w_hidden = sum over steps of d a_t^T h_{t-1}. The first step's h_{t-1} is zero: it has no part. */
static hl_tensor weight_gradient(hl_graph *g, const hl_node *n, hl_tensor da)
{
    const hl_lstm_params *p = n->params;
    hl_tensor h = hl_node_output(n, H_OUT);
    int64_t T = hl_shape_of(g, h).dim[1];
    if (T == 1)
        return (hl_tensor){0};
    hl_tensor later = p->reverse ? rows_of(g, da, 0, T - 1) : rows_of(g, da, 1, T);
    hl_tensor earlier = p->reverse ? rows_of(g, h, 1, T) : rows_of(g, h, 0, T - 1);
    return hl_matmul(g, later, true, earlier, false);
}

static void lstm_gradient(hl_graph *g, const hl_node *n, const hl_tensor *dy, const bool *needed,
                          hl_tensor *dx)
{
    /* c and gates are there for this rule; hl_lstm gives out h alone. */
    HL_ASSERT(dy[H_OUT].id && !dy[C_OUT].id && !dy[GATES].id);
    hl_tensor in[] = {dy[H_OUT], n->in[W], hl_node_output(n, C_OUT), hl_node_output(n, GATES)};
    hl_tensor da = hl_graph_apply(g, &hl_op_lstm_backward, 4, in, n->params);
    if (needed[X])
        dx[X] = da;
    if (needed[W] && da.id)
        dx[W] = weight_gradient(g, n, da);
}

/* The product with w_hidden, for all steps but one. */
static double recurrent_flops(hl_shape gates)
{
    double H = (double)gates.dim[2] / 4;
    return 8 * H * H * (double)gates.dim[0] * (double)(gates.dim[1] - 1);
}

static double lstm_flops(const hl_graph *g, const hl_node *n)
{
    return recurrent_flops(hl_shape_of(g, n->in[X]));
}

static double lstm_backward_flops(const hl_graph *g, const hl_node *n)
{
    return recurrent_flops(hl_shape_of(g, n->in[BACK_GATES]));
}

static const hl_field lstm_fields[] = {HL_FIELD(hl_lstm_params, reverse, HL_FIELD_BOOL), {0}};

const hl_op_def hl_op_lstm = {.name = "lstm",
                              .params_size = sizeof(hl_lstm_params),
                              .fields = lstm_fields,
                              .min_in = 2,
                              .max_in = 2,
                              .n_out = 3,
                              .shape = lstm_shape,
                              .gradient = lstm_gradient,
                              .reference = lstm_reference,
                              .flops = lstm_flops};

const hl_op_def hl_op_lstm_backward = {.name = "lstm_backward",
                                       .params_size = sizeof(hl_lstm_params),
                                       .min_in = 4,
                                       .max_in = 4,
                                       .n_out = 1,
                                       .shape = lstm_backward_shape,
                                       .reference = lstm_backward_reference,
                                       .flops = lstm_backward_flops};

hl_tensor hl_lstm(hl_graph *g, hl_tensor x, hl_tensor w_input, hl_tensor w_hidden, hl_tensor b_input,
                  hl_tensor b_hidden, bool reverse)
{
    hl_lstm_params p = {reverse};
    hl_tensor gates = hl_add(g, hl_linear(g, x, w_input, b_input), b_hidden);
    return hl_graph_apply(g, &hl_op_lstm, 2, (hl_tensor[]){gates, w_hidden}, &p);
}
