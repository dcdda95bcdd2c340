/* From a graph to an ONNX model: each node that an output needs becomes nodes of it, in the graph's order. */
#include "export/onnx.h"

#include "base/error.h"
#include "base/memory.h"
#include "export/onnx_build.h"
#include "export/stored.h"
#include "ops/ops.h"

#include <string.h>

static const struct {
    const char *op;
    hl_onnx_lowering lower;
} lowerings[] = {
#define HL_ONNX(op) {#op, hl_onnx_lower_##op},
#include "export/onnx_ops.def"
#undef HL_ONNX
};

static hl_onnx_lowering lowering_of(const hl_op_def *op)
{
    for (size_t i = 0; i < sizeof lowerings / sizeof *lowerings; i++)
        if (!strcmp(lowerings[i].op, op->name))
            return lowerings[i].lower;
    return NULL;
}

/* ------------------------------------------------------------------ one graph for all batches */

/* Shapes aside, which hl_batch_check has compared. */
static bool same_params(const hl_node *two, const hl_node *three)
{
    const void *a = two->params, *b = three->params;
    if (two->op == &hl_op_input)
        return !strcmp(((const hl_input_params *)a)->name, ((const hl_input_params *)b)->name);
    if (two->op == &hl_op_fill)
        return ((const hl_fill_params *)a)->value == ((const hl_fill_params *)b)->value;
    if (two->op == &hl_op_reshape || two->op == &hl_op_expand)
        return true;
    return !memcmp(a, b, two->op->params_size);
}

/* What outputs are computed from, and all inputs: a model takes them, whatever it does with them. */
static bool *find_needed(const hl_graph *g)
{
    bool *needed = hl_alloc((size_t)g->n_nodes + 1, sizeof *needed);
    for (int i = 0; needed && i < g->n_outputs; i++)
        needed[hl_info(g, g->outputs[i].tensor)->node->index] = true;
    for (int i = g->n_nodes - 1; needed && i >= 0; i--) {
        const hl_node *n = g->nodes[i];
        needed[i] |= n->op == &hl_op_input;
        for (int k = 0; needed[i] && k < n->n_in; k++)
            if (n->in[k].id)
                needed[hl_info(g, n->in[k])->node->index] = true;
    }
    return needed;
}

/* ------------------------------------------------------------------ nodes */

/* A result of 16 bits is a float here that has been rounded to them. */
static const char *rounded(hl_onnx *x, const char *value, hl_dtype dtype)
{
    hl_text down = {0}, up = {0};
    if (dtype != HL_F16 && dtype != HL_BF16)
        return value;
    hl_onnx_int(&down, "to", hl_onnx_type(dtype));
    hl_onnx_int(&up, "to", HL_ONNX_FLOAT);
    return hl_onnx_emit(x, "Cast", &up, hl_onnx_emit(x, "Cast", &down, value));
}

static void lower(hl_onnx *x, const hl_node *n)
{
    const hl_tensor_info *result = hl_info(x->two, hl_node_output(n, 0));
    hl_onnx_lowering lowering = lowering_of(n->op);
    x->node = n;
    x->emitted = 0;
    if (!lowering)
        hl_onnx_fail(
            x, HL_ERR_UNSUPPORTED,
            "an ONNX model has no form for the op %s (node %d%s%s); give the graph of acting, before "
            "any pass of the compiler",
            n->op->name, n->index, *n->label.section ? ", " : "", n->label.section);
    else if (!same_params(n, x->three->nodes[n->index]))
        hl_onnx_fail(x, HL_ERR_USAGE, "%s (node %d) computes something else at another batch", n->op->name,
                     n->index);
    else if (result->count == 0)
        hl_onnx_fail(x, HL_ERR_UNSUPPORTED, "%s (node %d) gives %s, which holds nothing", n->op->name,
                     n->index, hl_shape_print(result->shape).text);
    else
        x->value[n->first_out] = rounded(x, lowering(x, n), result->dtype);
}

/* Values of a model have one space of names. Those made here hold a '/', as names of parameters never do. */
static void check_names(hl_onnx *x, const hl_params *params)
{
    const hl_graph *g = x->two;
    for (int i = 0; i < g->n_nodes + g->n_outputs; i++) {
        const hl_node *n = i < g->n_nodes ? g->nodes[i] : NULL;
        if (n && n->op != &hl_op_input)
            continue;
        const char *name = n ? ((const hl_input_params *)n->params)->name : g->outputs[i - g->n_nodes].name;
        bool taken = strchr(name, '/') || hl_params_find(params, name) >= 0;
        for (int k = 0; n && k < g->n_outputs; k++)
            taken |= !strcmp(g->outputs[k].name, name);
        if (taken)
            hl_onnx_fail(
                x, HL_ERR_USAGE,
                "'%s' names an input or output, and a value of the ONNX model besides; choose a name "
                "that no other input, output or parameter has, without a '/'",
                name);
    }
}

static void build(hl_onnx *x, const hl_params *params, const bool *needed)
{
    check_names(x, params);
    for (int i = 0; i < x->two->n_nodes && !hl_onnx_failed(x); i++)
        if (needed[i] && x->two->nodes[i]->op != &hl_op_param) /* hl_onnx_value takes those that are read */
            lower(x, x->two->nodes[i]);
    for (int i = 0; i < x->two->n_outputs && !hl_onnx_failed(x); i++)
        hl_onnx_output(x, x->two->outputs[i].name, x->two->outputs[i].tensor);
}

static void free_model(hl_onnx *x)
{
    for (hl_onnx_constant *c = x->constants; c; c = c->next)
        hl_text_free(&c->tensor);
    hl_text_free(&x->body);
    hl_free((void *)x->value);
    hl_free(x->stored);
    hl_arena_free(x->arena);
}

static hl_status write_model(hl_onnx *x, const char *path, hl_params *params, hl_error *err)
{
    bool *needed = find_needed(x->two);
    x->value = hl_alloc((size_t)x->two->n_tensors, sizeof *x->value);
    x->stored = hl_alloc((size_t)hl_params_count(params) + 1, sizeof *x->stored);
    x->arena = hl_arena_new();
    hl_status status = HL_OK;
    if (!needed || !x->value || !x->stored || !x->arena)
        status = hl_fail(err, HL_ERR_MEMORY, "no memory for a model of %d nodes", x->two->n_nodes);
    if (status == HL_OK)
        status = hl_stored_dtypes(x->two, params, x->options->precision, x->stored, err);
    if (status == HL_OK)
        build(x, params, needed);
    if (hl_onnx_failed(x))
        status = hl_fail(err, x->error.status, "%s", x->error.message);
    hl_free(needed);
    return status == HL_OK ? hl_onnx_save(x, path, params, err) : hl_fail_prefix(err, "%s", path);
}

hl_status hl_onnx_write(const char *path, const hl_graph *at_two, const hl_graph *at_three, hl_params *params,
                        const hl_onnx_options *options, hl_error *err)
{
    hl_onnx x = {.two = at_two, .three = at_three, .options = options, .last_weight = &x.weights};
    hl_status status = hl_batch_check(at_two, at_three, err);
    if (status != HL_OK)
        return hl_fail_prefix(err, "%s", path);
    status = write_model(&x, path, params, err);
    free_model(&x);
    return status;
}
