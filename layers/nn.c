/* Layers that any model is made of, with PyTorch's parameter names and initial values. */
#include "layers/nn.h"

hl_scope hl_scope_join(const char *scope, const char *name)
{
    hl_scope s;
    snprintf(s.text, sizeof s.text, "%s%s%s", scope, scope[0] && name[0] ? "." : "", name);
    return s;
}

hl_scope hl_scope_index(const char *scope, int index)
{
    hl_scope s;
    snprintf(s.text, sizeof s.text, "%s%s%d", scope, scope[0] ? "." : "", index);
    return s;
}

static hl_tensor vector(hl_graph *g, hl_params *params, const char *scope, const char *name, int64_t n,
                        hl_init_rule init)
{
    return hl_param(g, params, hl_scope_join(scope, name).text, 1, (int64_t[]){n}, init);
}

hl_tensor hl_dense(hl_graph *g, hl_params *params, const char *scope, hl_tensor x, int64_t out)
{
    hl_shape s = hl_shape_of(g, x);
    int64_t in = s.rank ? s.dim[s.rank - 1] : 0;
    hl_init_rule init = {HL_FAN_IN, in, 0};
    hl_tensor w = hl_param(g, params, hl_scope_join(scope, "weight").text, 2, (int64_t[]){out, in}, init);
    return hl_linear(g, x, w, vector(g, params, scope, "bias", out, init));
}

hl_tensor hl_norm(hl_graph *g, hl_params *params, const char *scope, hl_tensor x)
{
    hl_shape s = hl_shape_of(g, x);
    int64_t n = s.rank ? s.dim[s.rank - 1] : 0;
    hl_tensor gain = vector(g, params, scope, "weight", n, (hl_init_rule){HL_ONES, 0, 0});
    return hl_layer_norm(g, x, gain, vector(g, params, scope, "bias", n, (hl_init_rule){HL_ZEROS, 0, 0}));
}

hl_tensor hl_conv(hl_graph *g, hl_params *params, const char *scope, hl_tensor x, int64_t out, int kernel,
                  int stride, int padding)
{
    hl_shape s = hl_shape_of(g, x);
    int64_t in = s.rank == 4 ? s.dim[1] : 0;
    hl_init_rule init = {HL_FAN_IN, in * kernel * kernel, 0};
    hl_tensor w = hl_param(g, params, hl_scope_join(scope, "weight").text, 4,
                           (int64_t[]){out, in, kernel, kernel}, init);
    return hl_conv2d(g, x, w, vector(g, params, scope, "bias", out, init), stride, padding);
}

/* Rows [part*C, (part+1)*C) of in_proj applied to x: query, key or value. */
static hl_tensor projection(hl_graph *g, hl_tensor x, hl_tensor w, hl_tensor b, int part, int64_t width)
{
    hl_tensor rows = hl_slice(g, w, 0, part * width, (part + 1) * width);
    return hl_linear(g, x, rows, hl_slice(g, b, 0, part * width, (part + 1) * width));
}

hl_tensor hl_multihead(hl_graph *g, hl_params *params, const char *scope, hl_tensor query, hl_tensor memory,
                       int heads, float dropout)
{
    hl_shape s = hl_shape_of(g, query);
    int64_t width = s.rank == 3 ? s.dim[2] : 0;
    hl_tensor w = hl_param(g, params, hl_scope_join(scope, "in_proj_weight").text, 2,
                           (int64_t[]){3 * width, width}, (hl_init_rule){HL_XAVIER, 0, 0});
    hl_tensor b = vector(g, params, scope, "in_proj_bias", 3 * width, (hl_init_rule){HL_ZEROS, 0, 0});
    hl_tensor wo = hl_param(g, params, hl_scope_join(scope, "out_proj.weight").text, 2,
                            (int64_t[]){width, width}, (hl_init_rule){HL_FAN_IN, width, 0});
    hl_tensor bo = vector(g, params, scope, "out_proj.bias", width, (hl_init_rule){HL_ZEROS, 0, 0});
    hl_tensor q = projection(g, query, w, b, 0, width), k = projection(g, memory, w, b, 1, width);
    hl_tensor v = projection(g, memory, w, b, 2, width);
    return hl_linear(g, hl_attention(g, q, k, v, heads, dropout), wo, bo);
}

/* Parameters of one layer and direction: SCOPE.weight_ih_lN[_reverse], weight_hh, bias_ih, bias_hh. */
typedef struct lstm_params {
    hl_tensor w_input, w_hidden, b_input, b_hidden;
} lstm_params;

static hl_tensor lstm_param(hl_graph *g, hl_params *params, const char *scope, const char *kind, int layer,
                            bool reverse, int rank, int64_t rows, int64_t columns)
{
    char name[64];
    snprintf(name, sizeof name, "%s_l%d%s", kind, layer, reverse ? "_reverse" : "");
    return hl_param(g, params, hl_scope_join(scope, name).text, rank, (int64_t[]){rows, columns},
                    (hl_init_rule){HL_FAN_IN, rows / 4, 0});
}

static lstm_params lstm_declare(hl_graph *g, hl_params *params, const char *scope, int layer, int64_t in,
                                int64_t hidden, bool reverse)
{
    int64_t gates = 4 * hidden;
    return (lstm_params){
        lstm_param(g, params, scope, "weight_ih", layer, reverse, 2, gates, layer ? 2 * hidden : in),
        lstm_param(g, params, scope, "weight_hh", layer, reverse, 2, gates, hidden),
        lstm_param(g, params, scope, "bias_ih", layer, reverse, 1, gates, 0),
        lstm_param(g, params, scope, "bias_hh", layer, reverse, 1, gates, 0),
    };
}

void hl_bidirectional_lstm_declare(hl_graph *g, hl_params *params, const char *scope, int64_t in, int layers,
                                   int64_t hidden)
{
    for (int layer = 0; layer < layers; layer++)
        for (int reverse = 0; reverse < 2; reverse++)
            lstm_declare(g, params, scope, layer, in, hidden, reverse);
}

hl_tensor hl_bidirectional_lstm(hl_graph *g, hl_params *params, const char *scope, hl_tensor x, int layers,
                                int64_t hidden)
{
    int64_t rows = hl_shape_of(g, x).dim[0], steps = hl_shape_of(g, x).dim[1], in = hl_shape_of(g, x).dim[2];
    hl_tensor last = {0};
    for (int layer = 0; layer < layers; layer++) {
        hl_tensor h[2], end[2];
        for (int reverse = 0; reverse < 2; reverse++) {
            lstm_params p = lstm_declare(g, params, scope, layer, in, hidden, reverse);
            h[reverse] = hl_lstm(g, x, p.w_input, p.w_hidden, p.b_input, p.b_hidden, reverse);
            end[reverse] = hl_slice(g, h[reverse], 1, reverse ? 0 : steps - 1, reverse ? 1 : steps);
        }
        last = hl_reshape(g, hl_concat(g, 2, end, -1), 2, (int64_t[]){rows, 2 * hidden});
        x = hl_concat(g, 2, h, -1);
    }
    return last;
}
