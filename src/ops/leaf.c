/* Values that come from outside the graph: inputs, parameters and state, constants. */
#include "ops/ops.h"

#include <string.h>

const hl_node *hl_graph_input(const hl_graph *g, const char *name)
{
    for (int i = 0; i < g->n_nodes; i++) {
        const hl_input_params *p = g->nodes[i]->params;
        if (g->nodes[i]->op == &hl_op_input && !strcmp(p->name, name))
            return g->nodes[i];
    }
    return NULL;
}

hl_tensor hl_input(hl_graph *g, const char *name, hl_dtype dtype, int rank, const int64_t *dim)
{
    if (!g || g->failed)
        return (hl_tensor){0};
    if (rank < 0 || rank > HL_MAX_RANK)
        return hl_graph_fail(g, "input '%s': rank %d is not in 0..%d", name, rank, HL_MAX_RANK);
    hl_input_params p = {name, dtype, hl_shape_make(rank, dim), false, 0};
    return hl_graph_apply(g, &hl_op_input, 0, NULL, &p);
}

hl_tensor hl_scalar(hl_graph *g, const char *name, float value)
{
    if (!g || g->failed)
        return (hl_tensor){0};
    const hl_node *old = hl_graph_input(g, name);
    if (old && ((const hl_input_params *)old->params)->scalar)
        return hl_node_output(old, 0);
    if (old)
        return hl_graph_fail(g, "scalar '%s' is declared as an input already", name);
    hl_input_params p = {.name = name, .dtype = HL_F32, .scalar = true, .value = value};
    return hl_graph_apply(g, &hl_op_input, 0, NULL, &p);
}

bool hl_output_is_clear(const hl_graph *g, const char *name, hl_tensor t)
{
    const hl_node *n = hl_graph_input(g, name);
    return !n || hl_node_output(n, 0).id == t.id;
}

static bool input_shape(hl_graph *g, hl_node *n)
{
    hl_input_params *p = n->params;
    p->name = hl_arena_strdup(g->arena, p->name); /* each graph, a rewritten one too, has its own */
    if (!p->name) {
        hl_graph_fail(g, "no memory for the name of an input");
        return false;
    }
    if (hl_graph_input(g, p->name)) {
        hl_graph_fail(g, "input '%s' is declared twice", p->name);
        return false;
    }
    if (hl_shape_count(p->shape) < 0) {
        hl_graph_fail(g, "input '%s': %s is negative or too large", p->name, hl_shape_print(p->shape).text);
        return false;
    }
    hl_node_out(g, n, 0, p->dtype, p->shape);
    return true;
}

static const hl_field input_fields[] = {
    HL_FIELD(hl_input_params, name, HL_FIELD_NAME),   HL_FIELD_OF(hl_input_params, dtype, hl_dtype_words),
    HL_FIELD(hl_input_params, shape, HL_FIELD_SHAPE), HL_FIELD(hl_input_params, scalar, HL_FIELD_BOOL),
    HL_FIELD(hl_input_params, value, HL_FIELD_FLOAT), {0}};

const hl_op_def hl_op_input = {.name = "input",
                               .params_size = sizeof(hl_input_params),
                               .fields = input_fields,
                               .n_out = 1,
                               .shape = input_shape};

static bool param_shape(hl_graph *g, hl_node *n)
{
    const hl_param_params *p = n->params;
    hl_node_out(g, n, 0, p->dtype, p->shape);
    return !g->failed;
}

/* Role and place are the store's to say. */
static const hl_field param_fields[] = {HL_FIELD(hl_param_params, name, HL_FIELD_NAME),
                                        HL_FIELD_OF(hl_param_params, dtype, hl_dtype_words),
                                        HL_FIELD(hl_param_params, shape, HL_FIELD_SHAPE),
                                        {0}};

const hl_op_def hl_op_param = {.name = "param",
                               .params_size = sizeof(hl_param_params),
                               .fields = param_fields,
                               .n_out = 1,
                               .shape = param_shape};

int hl_graph_params(const hl_graph *g, hl_tensor *tensors, const char **names, int max)
{
    int count = 0;
    for (int i = 0; i < g->n_nodes; i++) {
        const hl_node *n = g->nodes[i];
        const hl_param_params *p = n->params;
        if (n->op != &hl_op_param || p->role != HL_PARAMETER)
            continue;
        if (count < max) {
            tensors[count] = hl_node_output(n, 0);
            if (names)
                names[count] = p->name;
        }
        count++;
    }
    return count;
}

hl_tensor hl_fill(hl_graph *g, int rank, const int64_t *dim, float value)
{
    hl_fill_params p;
    memset(&p, 0, sizeof p);
    p.shape = hl_shape_make(rank, dim);
    p.value = value;
    return hl_graph_apply(g, &hl_op_fill, 0, NULL, &p);
}

static bool fill_shape(hl_graph *g, hl_node *n)
{
    const hl_fill_params *p = n->params;
    hl_node_out(g, n, 0, HL_F32, p->shape);
    return !g->failed;
}

static void fill_reference(const hl_ref_call *c)
{
    const hl_fill_params *p = c->params;
    for (int64_t i = 0; i < c->out[0].count; i++)
        c->out[0].data[i] = p->value;
}

static const hl_field fill_fields[] = {
    HL_FIELD(hl_fill_params, shape, HL_FIELD_SHAPE), HL_FIELD(hl_fill_params, value, HL_FIELD_FLOAT), {0}};

const hl_op_def hl_op_fill = {.name = "fill",
                              .params_size = sizeof(hl_fill_params),
                              .fields = fill_fields,
                              .n_out = 1,
                              .shape = fill_shape,
                              .reference = fill_reference};
