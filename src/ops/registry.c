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

const hl_field hl_no_fields[] = {{0}};
const char *const hl_activation_words[] = {"none", "relu", "gelu", NULL};
const char *const hl_math_words[] = {"exact", "tf32", NULL};

static bool has_bit(uint32_t bits, int k)
{
    return bits >> (k < 31 ? k : 31) & 1;
}

bool hl_low_operand(const hl_op_def *op, int k)
{
    return has_bit(op->low_in, k);
}

bool hl_low_result(const hl_op_def *op, int k)
{
    return has_bit(op->low_out, k);
}

hl_dtype hl_shared_dtype(const hl_graph *g, const hl_node *n)
{
    for (int k = 0; k < n->n_in; k++)
        if (n->in[k].id && hl_low_operand(n->op, k))
            return hl_node_in(g, n, k)->dtype;
    return HL_F32;
}

bool hl_want_dtypes(hl_graph *g, const hl_node *n)
{
    hl_dtype shared = hl_shared_dtype(g, n);
    for (int k = 0; k < n->n_in; k++) {
        hl_dtype want = hl_low_operand(n->op, k) ? shared : HL_F32;
        if (n->in[k].id && !has_bit(n->op->integers, k) && hl_node_in(g, n, k)->dtype != want) {
            hl_graph_fail(g, "%s: operand %d is %s, it must be %s (hl_cast converts)", n->op->name, k,
                          hl_dtype_name(hl_node_in(g, n, k)->dtype), hl_dtype_name(want));
            return false;
        }
    }
    return true;
}

bool hl_want_out(hl_graph *g, const hl_node *n, int first, hl_dtype out)
{
    hl_dtype shared = hl_node_in(g, n, 0)->dtype;
    if (hl_node_in(g, n, 1)->dtype != shared || (out != HL_F32 && out != shared)) {
        hl_graph_fail(
            g, "%s: operands %s and %s and result %s; the operands must be alike, the result too or f32",
            n->op->name, hl_dtype_name(shared), hl_dtype_name(hl_node_in(g, n, 1)->dtype),
            hl_dtype_name(out));
        return false;
    }
    for (int k = first; k < n->n_in; k++) {
        if (n->in[k].id && hl_node_in(g, n, k)->dtype != out) {
            hl_graph_fail(g, "%s: operand %d is %s, it must be %s as the result (hl_cast converts)",
                          n->op->name, k, hl_dtype_name(hl_node_in(g, n, k)->dtype), hl_dtype_name(out));
            return false;
        }
    }
    return true;
}
