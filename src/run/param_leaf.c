/* Parameters and state as leaves of a graph: where the graph meets the store. */
#include "ops/ops.h"
#include "run/params.h"

static hl_tensor declare(hl_graph *g, hl_params *params, const char *name, hl_role role, hl_dtype dtype,
                         hl_shape shape, hl_init_rule init)
{
    hl_error err = {0};
    hl_param_params p = {.role = role, .dtype = dtype, .shape = shape};
    if (hl_params_declare(params, name, role, dtype, shape, init, &p.index, &err) != HL_OK)
        return hl_graph_fail(g, "%s", err.message);
    for (int i = 0; i < g->n_nodes; i++)
        if (g->nodes[i]->op == &hl_op_param && ((hl_param_params *)g->nodes[i]->params)->index == p.index)
            return hl_node_output(g->nodes[i], 0);
    p.name = hl_params_at(params, p.index).name;
    p.mapped_as = hl_params_mapped(params, p.index);
    p.mapped = p.mapped_as != HL_DTYPES;
    return hl_graph_apply(g, &hl_op_param, 0, NULL, &p);
}

hl_tensor hl_param(hl_graph *g, hl_params *params, const char *name, int rank, const int64_t *dim,
                   hl_init_rule init)
{
    if (!g || g->failed)
        return (hl_tensor){0};
    return declare(g, params, name, HL_PARAMETER, HL_F32, hl_shape_make(rank, dim), init);
}

hl_tensor hl_param_leaf(hl_graph *g, hl_params *params, const char *name, hl_dtype dtype, hl_shape shape)
{
    if (!g || g->failed)
        return (hl_tensor){0};
    return declare(g, params, name, HL_PARAMETER, dtype, shape, (hl_init_rule){.kind = HL_FILLED});
}

hl_tensor hl_state(hl_graph *g, hl_params *params, const char *name, hl_dtype dtype, float value, int rank,
                   const int64_t *dim)
{
    if (!g || g->failed)
        return (hl_tensor){0};
    return declare(g, params, name, HL_OPTIMIZER, dtype, hl_shape_make(rank, dim),
                   (hl_init_rule){HL_FILLED, 0, value});
}
