/* hl ops: the operations, and which kernel runs them. */
#include "app/ops.h"

#include "app/command.h"
#include "base/error.h"
#include "base/json.h"
#include "compile/passes.h"
#include "run/plan.h"

#include <stdio.h>
#include <string.h>

struct hl_op_samples {
    hl_params *params;
    hl_graph *graph;
};

/* ------------------------------------------------------------------ one call of each op */

static hl_tensor input(hl_graph *g, const char *name, int rank, int64_t a, int64_t b, int64_t c, int64_t d)
{
    return hl_input(g, name, HL_F32, rank, (int64_t[]){a, b, c, d});
}

/* Elementwise, layout and sums, of x [4,6]. */
static hl_tensor simple_ops(hl_graph *g, hl_tensor x)
{
    hl_tensor y = hl_mul(g, hl_add(g, x, hl_exp(g, x)), hl_relu(g, hl_sub(g, x, hl_gelu(g, x))));
    y = hl_affine(g, hl_div(g, y, x), 2, 1);
    y = hl_cast(g, hl_cast(g, y, HL_BF16), HL_F32);
    y = hl_transpose(g, hl_reshape(g, y, 3, (int64_t[]){2, 2, 6}), (int[]){1, 0, 2});
    y = hl_reshape(g, y, 2, (int64_t[]){4, 6});
    y = hl_concat(g, 2, (hl_tensor[]){hl_slice(g, y, 1, 0, 3), hl_pad(g, hl_slice(g, y, 1, 3, 5), 1, 0, 1)},
                  1);
    y = hl_add(g, y, hl_expand(g, hl_sum(g, y, 0), 2, (int64_t[]){4, 6}));
    return hl_dropout(g, hl_add(g, y, hl_normal(g, 2, (int64_t[]){4, 6})), 0.5f);
}

/* Images x [2,3,8,8]. */
static hl_tensor image_ops(hl_graph *g)
{
    hl_tensor x = input(g, "image", 4, 2, 3, 8, 8), w = input(g, "filter", 4, 4, 3, 3, 3);
    hl_tensor y = hl_adaptive_avg_pool(g, hl_conv2d(g, x, w, (hl_tensor){0}, 1, 1), 3, 3);
    return hl_add(g, hl_sum_all(g, y), hl_sum_all(g, hl_patch_mean(g, x, 3, 3, 2, 1, 2, 2)));
}

/* With integers for weights. */
static hl_tensor quantized_ops(hl_graph *g, hl_params *params)
{
    hl_tensor filter = hl_state(g, params, "quantized.filter", HL_I8, 0, 4, (int64_t[]){4, 3, 3, 3}),
              weight = hl_state(g, params, "quantized.weight", HL_I8, 0, 2, (int64_t[]){4, 8}),
              scale = hl_state(g, params, "quantized.scale", HL_F32, 1, 1, (int64_t[]){4}), none = {0};
    hl_tensor image = hl_fill(g, 4, (int64_t[]){2, 3, 8, 8}, 1), x = hl_fill(g, 2, (int64_t[]){3, 8}, 1);
    return hl_add(g, hl_sum_all(g, hl_quantized_conv2d(g, image, filter, scale, none, none, 1, 1)),
                  hl_sum_all(g, hl_quantized_matmul(g, x, weight, scale, none, none)));
}

/* Tokens [2,3,8]. */
static hl_tensor token_ops(hl_graph *g)
{
    hl_tensor t = input(g, "tokens", 3, 2, 3, 8, 0), w = input(g, "weight", 2, 8, 8, 0, 0);
    hl_tensor b = input(g, "bias", 1, 8, 0, 0, 0), gates = input(g, "gates", 2, 32, 8, 0, 0);
    hl_tensor y = hl_softmax(g, hl_layer_norm(g, hl_linear(g, t, w, b), b, b));
    y = hl_attention(g, y, t, t, 2, 0.1f);
    hl_tensor gate_bias = input(g, "gate_bias", 1, 32, 0, 0, 0);
    return hl_lstm(g, y, gates, gates, gate_bias, gate_bias, false);
}

static void build(hl_graph *g, hl_params *params)
{
    hl_tensor x = input(g, "x", 2, 4, 6, 0, 0),
              w = hl_param(g, params, "w", 1, (int64_t[]){6}, (hl_init_rule){0});
    hl_tensor y = simple_ops(g, hl_mul(g, x, w));
    hl_tensor loss = hl_add(g, hl_mse(g, y, x), hl_add(g, image_ops(g), hl_sum_all(g, token_ops(g))));
    hl_tensor all[16], dall[16];
    int n = 0;
    for (int i = 0; i < g->n_nodes && n < 16; i++)
        if (g->nodes[i]->op == &hl_op_input)
            all[n++] = hl_node_output(g->nodes[i], 0);
    hl_gradient(g, loss, n, all, dall);
    for (int i = 0; i < n; i++) {
        char name[16];
        snprintf(name, sizeof name, "d%d", i);
        hl_output(g, name, dall[i]);
    }
    hl_output(g, "quantized", quantized_ops(g, params));
    hl_adamw(g, params, loss, (hl_adamw_options){.clip = 1, .loss_scale = 2});
}

hl_op_samples *hl_op_samples_new(hl_error *err)
{
    hl_op_samples *s = hl_alloc(1, sizeof *s);
    hl_graph *g = hl_graph_new();
    if (s && g && (s->params = hl_params_new(0))) {
        build(g, s->params);
        s->graph = hl_graph_error(g) ? NULL : hl_pass_differentiate(g);
    }
    if (!s || !s->graph || hl_graph_error(s->graph)) {
        const char *why = g && hl_graph_error(g) ? hl_graph_error(g)
                          : s && s->graph        ? hl_graph_error(s->graph)
                                                 : "no memory";
        hl_fail(err, HL_ERR_UNSUPPORTED, "the sample of all ops: %s", why);
        hl_graph_free(g);
        hl_op_samples_free(s);
        return NULL;
    }
    hl_graph_free(g);
    return s;
}

void hl_op_samples_free(hl_op_samples *s)
{
    if (!s)
        return;
    hl_graph_free(s->graph);
    hl_params_free(s->params);
    hl_free(s);
}

static const hl_node *sample_of(const hl_op_samples *s, const hl_op_def *op)
{
    for (int i = 0; i < s->graph->n_nodes; i++)
        if (s->graph->nodes[i]->op == op)
            return s->graph->nodes[i];
    return NULL;
}

bool hl_op_runs(const hl_op_samples *s, const hl_op_def *op)
{
    const hl_node *n = sample_of(s, op);
    return n && op != &hl_op_input && op != &hl_op_param && op != &hl_op_reshape;
}

bool hl_op_takes_low(const hl_op_def *op)
{
    return op->low_in != 0;
}

static hl_view view_of(const hl_graph *g, hl_tensor t, hl_dtype dtype)
{
    hl_view v = {0};
    if (!t.id)
        return v;
    const hl_tensor_info *info = hl_info(g, t);
    v.dtype = dtype;
    v.shape = info->shape;
    v.count = info->count;
    return v;
}

const hl_kernel *hl_op_kernel(const hl_op_samples *s, const hl_op_def *op, hl_dtype dtype,
                              const hl_backend *backend)
{
    const hl_node *n = sample_of(s, op);
    hl_view in[32];
    if (!n || n->n_in > 32 || (dtype != HL_F32 && !op->low_in))
        return NULL;
    /* Products say the dtype of their result. */
    _Alignas(16) unsigned char params[256];
    HL_ASSERT(op->params_size <= sizeof params);
    memcpy(params, n->params, op->params_size);
    if (op->out_dtype)
        memcpy(params + op->out_dtype, &dtype, sizeof dtype);
    hl_call c = {.params = params, .n_in = n->n_in, .n_out = n->n_out, .in = in};
    hl_dtype rest = op->out_dtype ? dtype : HL_F32; /* what the low operands do not decide */
    for (int k = 0; k < n->n_in; k++)
        in[k] = view_of(s->graph, n->in[k],
                        op->integers >> k & 1   ? HL_I8
                        : hl_low_operand(op, k) ? dtype
                                                : rest);
    for (int k = 0; k < n->n_out; k++)
        c.out[k] = view_of(s->graph, hl_node_output(n, k),
                           op->updates            ? in[k].dtype
                           : hl_low_result(op, k) ? dtype
                                                  : HL_F32);
    return hl_kernel_for(backend, op->name, &c);
}

/* ------------------------------------------------------------------ the command */

static void print_text(const hl_op_samples *s)
{
    int n;
    const hl_backend *const *backends = hl_backends(&n);
    printf("%-24s", "op");
    for (int b = 0; b < n; b++)
        for (int t = 0; t < HL_FLOATS; t++)
            printf(" %13s", t ? hl_dtype_name((hl_dtype)t) : backends[b]->name);
    printf("\n");
    for (int i = 0; i < hl_op_count(); i++) {
        const hl_op_def *op = hl_op_at(i);
        if (!hl_op_runs(s, op))
            continue;
        printf("%-24s", op->name);
        for (int b = 0; b < n; b++) {
            for (int t = 0; t < HL_FLOATS; t++) {
                const hl_kernel *k = hl_op_kernel(s, op, (hl_dtype)t, backends[b]);
                printf(" %13s", k ? k->name : t && !op->low_in ? "f32 only" : "-");
            }
        }
        printf("\n");
    }
}

static hl_status print_json(const hl_op_samples *s, hl_error *err)
{
    int n;
    const hl_backend *const *backends = hl_backends(&n);
    json_t *j = json_object();
    for (int i = 0; i < hl_op_count(); i++) {
        const hl_op_def *op = hl_op_at(i);
        json_t *of_op = json_object();
        for (int b = 0; b < n && hl_op_runs(s, op); b++) {
            json_t *of_backend = json_object();
            for (int t = 0; t < HL_FLOATS; t++) {
                const hl_kernel *k = hl_op_kernel(s, op, (hl_dtype)t, backends[b]);
                json_object_set_new(of_backend, hl_dtype_name((hl_dtype)t),
                                    k ? json_string(k->name) : json_null());
            }
            json_object_set_new(of_op, backends[b]->name, of_backend);
        }
        json_object_set_new(j, op->name, of_op);
    }
    hl_status status = hl_json_print(stdout, j, err);
    json_decref(j);
    return status;
}

int hl_command_ops(int argc, char **argv)
{
    bool json = false;
    const hl_flag flags[] = {{"json", HL_FLAG_BOOL, &json, NULL, "print JSON"}, {0}};
    const hl_usage usage = {
        "hl ops [--json]",
        "Lists every operation that runs, and for each backend built in the kernel that takes it\n"
        "in f32, f16 and bf16 ('f32 only': mixed precision leaves it in f32).",
        flags, 0, 0};
    int n, code = hl_parse_arguments(&usage, argc, argv, &n);
    if (code != HL_GO_ON)
        return code;
    hl_error err = {0};
    hl_op_samples *s = hl_op_samples_new(&err);
    hl_status status = s ? HL_OK : err.status;
    if (status == HL_OK && json)
        status = print_json(s, &err);
    else if (status == HL_OK)
        print_text(s);
    hl_op_samples_free(s);
    return status == HL_OK ? HL_EXIT_OK : hl_report(&err);
}
