#include "graph/batch.h"

#include "base/error.h"

#include <string.h>

bool hl_batch_size_find(int64_t at_two, int64_t at_three, hl_batch_size *size)
{
    *size = (hl_batch_size){at_two, false};
    if (at_two == at_three)
        return true;
    *size = (hl_batch_size){at_two / 2, true};
    return at_two > 0 && at_two % 2 == 0 && at_three > at_two && at_three - at_two == at_two / 2;
}

int64_t hl_batch_size_at(hl_batch_size size, int64_t batch)
{
    return size.per_row ? size.count * batch : size.count;
}

hl_batch_size hl_batch_dim(const hl_graph *at_two, const hl_graph *at_three, hl_tensor t, int k)
{
    hl_batch_size size;
    HL_ASSERT(
        hl_batch_size_find(hl_info(at_two, t)->shape.dim[k], hl_info(at_three, t)->shape.dim[k], &size));
    return size;
}

static bool scales(hl_shape two, hl_shape three)
{
    hl_batch_size size;
    bool ok = two.rank == three.rank;
    for (int k = 0; ok && k < two.rank; k++)
        ok = hl_batch_size_find(two.dim[k], three.dim[k], &size);
    return ok;
}

static bool same_node(const hl_node *two, const hl_node *three)
{
    bool same = two->op == three->op && two->n_in == three->n_in && two->n_out == three->n_out &&
                two->first_out == three->first_out;
    for (int k = 0; same && k < two->n_in; k++)
        same = two->in[k].id == three->in[k].id;
    return same;
}

static hl_status check_node(const hl_graph *at_two, const hl_graph *at_three, int i, hl_error *err)
{
    const hl_node *two = at_two->nodes[i], *three = at_three->nodes[i];
    if (!same_node(two, three))
        return hl_fail(
            err, HL_ERR_USAGE,
            "node %d is %s at batch 2 and %s at batch 3, or reads other operands; build both graphs "
            "by the same calls",
            i, two->op->name, three->op->name);
    for (int k = 0; k < two->n_out; k++) {
        const hl_tensor_info *a = hl_info(at_two, hl_node_output(two, k));
        const hl_tensor_info *b = hl_info(at_three, hl_node_output(three, k));
        if (a->dtype != b->dtype || !scales(a->shape, b->shape))
            return hl_fail(err, HL_ERR_USAGE,
                           "node %d (%s) gives %s %s at batch 2 and %s %s at batch 3; every dim must stay or "
                           "be a multiple of the batch",
                           i, two->op->name, hl_dtype_name(a->dtype), hl_shape_print(a->shape).text,
                           hl_dtype_name(b->dtype), hl_shape_print(b->shape).text);
    }
    return HL_OK;
}

hl_status hl_batch_check(const hl_graph *at_two, const hl_graph *at_three, hl_error *err)
{
    const char *wrong = hl_graph_error(at_two) ? hl_graph_error(at_two) : hl_graph_error(at_three);
    if (wrong)
        return hl_fail(err, HL_ERR_USAGE, "%s", wrong);
    if (at_two->n_nodes != at_three->n_nodes || at_two->n_outputs != at_three->n_outputs)
        return hl_fail(
            err, HL_ERR_USAGE,
            "the graph has %d nodes and %d outputs at batch 2, %d and %d at batch 3; build both by the "
            "same calls",
            at_two->n_nodes, at_two->n_outputs, at_three->n_nodes, at_three->n_outputs);
    hl_status status = HL_OK;
    for (int i = 0; i < at_two->n_nodes && status == HL_OK; i++)
        status = check_node(at_two, at_three, i, err);
    for (int i = 0; i < at_two->n_outputs && status == HL_OK; i++) {
        const hl_graph_output *a = &at_two->outputs[i], *b = &at_three->outputs[i];
        if (strcmp(a->name, b->name) || a->tensor.id != b->tensor.id)
            status = hl_fail(err, HL_ERR_USAGE, "output %d is '%s' at batch 2 and '%s' at batch 3", i,
                             a->name, b->name);
    }
    return status;
}
