/* The recurrent part of an LSTM layer as ONNX has it. Our op gets the input's part of the gates, in the order
 * i, f, g, o; ONNX computes that part itself, in the order i, o, f, g. So its input weights are a
 * permutation, which puts gates where it wants them and rounds nothing. */
#include "export/onnx_build.h"

#include "base/memory.h"

/* Rows of ours, in ONNX's order. */
static int64_t row_of(int64_t row, int64_t hidden)
{
    static const int64_t ours[4] = {0, 3, 1, 2};
    return ours[row / hidden] * hidden + row % hidden;
}

/* [1,4H,4H] */
static const char *permutation(hl_onnx *x, int64_t hidden)
{
    int64_t gates = 4 * hidden;
    float *m = hl_alloc((size_t)gates * (size_t)gates, sizeof *m);
    if (!m)
        return hl_onnx_fail(x, HL_ERR_MEMORY, "no memory for a permutation of %lld gates", (long long)gates);
    for (int64_t r = 0; r < gates; r++)
        m[r * gates + row_of(r, hidden)] = 1;
    const char *matrix = hl_onnx_matrix(x, gates, gates, m);
    hl_free(m);
    return hl_onnx_emit(x, "Unsqueeze", NULL, matrix, hl_onnx_integers(x, 1, &(int64_t){0}));
}

/* w_hidden [4H,H] -> [1,4H,H] with its rows in ONNX's order */
static const char *recurrent_weights(hl_onnx *x, int64_t hidden)
{
    int64_t *rows = hl_arena_alloc(x->arena, (size_t)(4 * hidden), sizeof *rows);
    if (!rows)
        return hl_onnx_fail(x, HL_ERR_MEMORY, "no memory for a permutation of %lld gates",
                            (long long)(4 * hidden));
    for (int64_t r = 0; r < 4 * hidden; r++)
        rows[r] = row_of(r, hidden);
    const char *w = hl_onnx_emit(x, "Gather", NULL, hl_onnx_in(x, 1),
                                 hl_onnx_integers(x, (int)(4 * hidden), rows));
    return hl_onnx_emit(x, "Unsqueeze", NULL, w, hl_onnx_integers(x, 1, &(int64_t){0}));
}

/* x [B,T,4H] goes in as [T,B,4H], and [T,1,B,H] comes out: TensorRT knows no other layout. */
const char *hl_onnx_lower_lstm(hl_onnx *x, const hl_node *n)
{
    const hl_lstm_params *p = n->params;
    int64_t hidden = hl_shape_of(x->two, n->in[1]).dim[1];
    const int steps_first[] = {1, 0, 2};
    hl_text a = {0};
    const char *gates = hl_onnx_transpose(x, hl_onnx_in(x, 0), 3, steps_first);
    const char *w = permutation(x, hidden), *r = recurrent_weights(x, hidden);
    hl_onnx_int(&a, "hidden_size", hidden);
    hl_onnx_string(&a, "direction", p->reverse ? "reverse" : "forward");
    const char *h = hl_onnx_emit(x, "LSTM", &a, gates, w, r);
    h = hl_onnx_emit(x, "Squeeze", NULL, h, hl_onnx_integers(x, 1, &(int64_t){1}));
    return hl_onnx_transpose(x, h, 3, steps_first);
}
