#include "ops/ops.h"

#include <string.h>

static const hl_op_def *const ops[] = {
#define HL_OP(name) &hl_op_##name,
#include "ops/ops.def"
#undef HL_OP
};

int hl_op_count(void)
{
    return (int)(sizeof ops / sizeof *ops);
}

const hl_op_def *hl_op_at(int index)
{
    return ops[index];
}

const hl_op_def *hl_op_find(const char *name)
{
    for (int i = 0; i < hl_op_count(); i++)
        if (!strcmp(ops[i]->name, name))
            return ops[i];
    return NULL;
}

bool hl_want_f32(hl_graph *g, const hl_node *n)
{
    for (int k = 0; k < n->n_in; k++) {
        if (n->in[k].id && hl_node_in(g, n, k)->dtype != HL_F32) {
            hl_graph_fail(g, "%s: operand %d is %s, it must be f32 (hl_cast converts)", n->op->name, k,
                          hl_dtype_name(hl_node_in(g, n, k)->dtype));
            return false;
        }
    }
    return true;
}
