#include "ops/reference.h"

#include "base/error.h"

static hl_ref_tensor ref_tensor(const hl_graph *g, const hl_reference *r, hl_tensor t)
{
    if (!t.id)
        return (hl_ref_tensor){0};
    const hl_tensor_info *info = hl_info(g, t);
    return (hl_ref_tensor){info->shape, info->count, r->value[t.id]};
}

static hl_status run_node(const hl_graph *g, const hl_node *n, uint64_t seed, uint32_t step, hl_reference *r,
                          hl_error *err)
{
    hl_ref_tensor out[HL_OP_MAX_OUT];
    if (!n->op->reference)
        return hl_fail(err, HL_ERR_UNSUPPORTED, "op %s has no reference", n->op->name);
    hl_ref_tensor *in = hl_alloc((size_t)n->n_in, sizeof *in);
    if (!in)
        return hl_fail(err, HL_ERR_MEMORY, "no memory for %d operands", n->n_in);
    for (int k = 0; k < n->n_in; k++)
        in[k] = ref_tensor(g, r, n->in[k]);
    for (int k = 0; k < n->n_out; k++)
        out[k] = ref_tensor(g, r, hl_node_output(n, k));
    n->op->reference(&(hl_ref_call){n->params, n->n_in, n->n_out, in, out, seed, step});
    hl_free(in);
    return HL_OK;
}

hl_status hl_reference_run(const hl_graph *g, hl_reference_leaf leaf, void *context, uint64_t seed,
                           uint32_t step, hl_reference *out, hl_error *err)
{
    hl_status status = HL_OK;
    *out = (hl_reference){g->n_tensors, hl_alloc((size_t)g->n_tensors, sizeof *out->value)};
    if (!out->value)
        return hl_fail(err, HL_ERR_MEMORY, "no memory for %d tensors", g->n_tensors);
    for (int i = 1; i < g->n_tensors; i++) {
        out->value[i] = hl_alloc((size_t)g->tensors[i].count, sizeof(double));
        if (!out->value[i])
            status = hl_fail(err, HL_ERR_MEMORY, "no memory for a tensor of shape %s",
                             hl_shape_print(g->tensors[i].shape).text);
    }
    for (int i = 0; i < g->n_nodes && status == HL_OK; i++) {
        const hl_node *n = g->nodes[i];
        if (n->op == &hl_op_input || n->op == &hl_op_param)
            leaf(context, n, out->value[n->first_out], g->tensors[n->first_out].count);
        else
            status = run_node(g, n, seed, step, out, err);
    }
    if (status != HL_OK)
        hl_reference_free(out);
    return status;
}

void hl_reference_free(hl_reference *r)
{
    for (int i = 0; r->value && i < r->n; i++)
        hl_free(r->value[i]);
    hl_free(r->value);
    *r = (hl_reference){0};
}
