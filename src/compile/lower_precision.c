/* Mixed precision (Micikevicius et al. 2018). Products run in 16 bits; what moves data or works element by
 * element follows where its operands come in 16 bits and somebody wants its result so; all else stays f32.
 * Parameters stay f32 too: products read a 16-bit copy of them, which AdamW writes with every update.
 *
 *   wanted   some product reads this tensor, at the end of a chain of followers
 *   low      it is stored in 16 bits
 *
 * A conversion is a node where a reader's dtype and the tensor's differ. */
#include "compile/passes.h"

#include "base/error.h"
#include "ops/ops.h"

#include <string.h>

typedef struct plan {
    hl_dtype dtype; /* of 16 bits */
    bool *wanted;   /* by old tensor */
    bool *read_low; /* a product reads it */
    bool *read_f32; /* something that stays f32 reads it, or the caller */
    bool *low;
    hl_tensor *copy;      /* of parameters, in the new graph */
    hl_tensor *converted; /* by old tensor: the other dtype's version in the new graph */
} plan;

static bool any_result_wanted(const plan *p, const hl_node *n)
{
    for (int k = 0; k < n->n_out; k++)
        if (hl_low_result(n->op, k) && p->wanted[n->first_out + k])
            return true;
    return false;
}

static bool runs_low(const plan *p, const hl_node *n)
{
    return n->op->precision == HL_RUNS_LOW || (n->op->precision == HL_FOLLOWS && any_result_wanted(p, n));
}

/* From the readers to what they read. */
static void find_wishes(const hl_graph *g, plan *p)
{
    for (int i = 0; i < g->n_outputs; i++)
        p->read_f32[g->outputs[i].tensor.id] = true;
    for (int i = g->n_nodes - 1; i >= 0; i--) {
        const hl_node *n = g->nodes[i];
        bool low = runs_low(p, n);
        for (int k = 0; k < n->n_in; k++) {
            bool may = hl_low_operand(n->op, k);
            p->wanted[n->in[k].id] |= low && may;
            p->read_low[n->in[k].id] |= n->op->precision == HL_RUNS_LOW && may;
            p->read_f32[n->in[k].id] |= !low && !(n->op->precision == HL_STAYS_F32 && may);
        }
    }
}

static bool is_parameter(const hl_graph *g, hl_tensor t)
{
    const hl_node *n = hl_made_by(g, t, &hl_op_param);
    return n && ((const hl_param_params *)n->params)->role == HL_PARAMETER;
}

/* Whether operand k of a follower comes in 16 bits by itself. One number alone does not decide. */
static bool comes_low(const hl_graph *g, const plan *p, const hl_node *n, int k)
{
    hl_tensor t = n->in[k];
    return t.id && hl_low_operand(n->op, k) && hl_info(g, t)->count > 1 &&
           (p->low[t.id] || is_parameter(g, t));
}

static bool has_number(const hl_graph *g, const hl_node *n)
{
    bool found = false;
    for (int k = 0; k < n->n_in && n->n_in > 1; k++)
        found = found || (n->in[k].id && hl_low_operand(n->op, k) && hl_shape_of(g, n->in[k]).rank == 0);
    return found; /* a loss scale or the like: may be out of a 16-bit type's range */
}

/* A product whose only readers are f32 gives f32; one that cannot choose gives 16 bits. */
static bool product_low(const plan *p, const hl_node *n)
{
    int32_t y = n->first_out;
    return !n->op->out_dtype || (p->wanted[y] && (p->read_low[y] || !p->read_f32[y]));
}

static void choose_storage(const hl_graph *g, plan *p)
{
    for (int i = 0; i < g->n_nodes; i++) {
        const hl_node *n = g->nodes[i];
        bool low = n->op->precision == HL_RUNS_LOW && product_low(p, n);
        if (n->op->precision == HL_FOLLOWS && any_result_wanted(p, n) && !has_number(g, n))
            for (int k = 0; k < n->n_in; k++)
                low = low || comes_low(g, p, n, k);
        for (int k = 0; k < n->n_out; k++)
            p->low[n->first_out + k] = low && hl_low_result(n->op, k);
    }
}

/* ------------------------------------------------------------------ the new graph */

static hl_tensor copy_of_parameter(hl_rewrite *r, hl_tensor old)
{
    plan *p = r->context;
    hl_tensor *copy = &p->copy[old.id];
    if (!copy->id) {
        hl_param_params params = *(const hl_param_params *)hl_info(r->old, old)->node->params;
        params.dtype = p->dtype;
        params.copy = true;
        *copy = hl_graph_apply(r->g, &hl_op_param, 0, NULL, &params);
    }
    return *copy;
}

/* Old tensor `old`, of which `now` is the new version, in a dtype. */
static hl_tensor as(hl_rewrite *r, hl_tensor old, hl_tensor now, hl_dtype dtype)
{
    plan *p = r->context;
    if (!old.id || hl_dtype_of(r->g, now) == dtype || hl_dtype_of(r->g, now) == HL_I8)
        return now; /* integers stay */
    if (dtype != HL_F32 && is_parameter(r->old, old))
        return copy_of_parameter(r, old);
    if (!p->converted[old.id].id)
        p->converted[old.id] = hl_cast(r->g, now, dtype);
    return p->converted[old.id];
}

static bool is_low(const plan *p, const hl_node *n)
{
    bool low = false;
    for (int k = 0; k < n->n_out; k++)
        low = low || p->low[n->first_out + k];
    return low || n->op->precision == HL_RUNS_LOW;
}

static const void *params_of(hl_rewrite *r, const hl_node *n, hl_dtype out)
{
    unsigned char *params = n->params;
    if (!n->op->out_dtype)
        return params;
    params = hl_arena_alloc(r->g->arena, 1, n->op->params_size);
    if (params) {
        memcpy(params, n->params, n->op->params_size);
        memcpy(params + n->op->out_dtype, &out, sizeof out);
    }
    return params;
}

static bool lower(hl_rewrite *r, const hl_node *n, const hl_tensor *in, hl_tensor *out)
{
    plan *p = r->context;
    if (n->op == &hl_op_param || n->op == &hl_op_input)
        return false;
    const bool low = is_low(p, n);
    const hl_dtype result = n->n_out && p->low[n->first_out] ? p->dtype : HL_F32;
    hl_tensor *operand = hl_arena_alloc(r->g->arena, (size_t)n->n_in + 1, sizeof *operand);
    const void *params = params_of(r, n, result);
    if (!operand || (n->op->params_size && !params)) {
        hl_graph_fail(r->g, "no memory to lower the precision of %s", n->op->name);
        return false;
    }
    for (int k = 0; k < n->n_in; k++) {
        bool may = hl_low_operand(n->op, k);
        hl_dtype want = may && low ? p->dtype : !may && n->op->out_dtype ? result : HL_F32;
        operand[k] = n->op->precision == HL_STAYS_F32 && may ? in[k] : as(r, n->in[k], in[k], want);
    }
    if (n->op == &hl_op_adamw && p->wanted[n->in[0].id] && is_parameter(r->old, n->in[0]))
        operand[3] = copy_of_parameter(r, n->in[0]);
    const hl_node *now = hl_graph_append(r->g, n->op, n->n_in, operand, params);
    for (int k = 0; k < n->n_out; k++)
        out[k] = hl_node_output(now, k);
    return true;
}

/* What the caller reads is of the dtype it was. */
static void restore_outputs(const hl_graph *old, hl_graph *g)
{
    for (int i = 0; i < g->n_outputs && !g->failed; i++) {
        hl_tensor *t = &g->outputs[i].tensor;
        hl_graph_set_label(g, hl_info(g, *t)->node->label);
        *t = hl_cast(g, *t, hl_dtype_of(old, old->outputs[i].tensor));
    }
}

static hl_graph *lower_all(const hl_graph *old, hl_dtype dtype)
{
    size_t n = (size_t)old->n_tensors;
    bool *flags = hl_alloc(4 * n, sizeof *flags);
    hl_tensor *tensors = hl_alloc(2 * n, sizeof *tensors);
    hl_graph *g = NULL;
    if (flags && tensors) {
        plan p = {dtype, flags, flags + n, flags + 2 * n, flags + 3 * n, tensors, tensors + n};
        find_wishes(old, &p);
        p.wanted[0] = false;
        choose_storage(old, &p);
        g = hl_graph_rewrite(old, lower, &p);
        if (g && !g->failed)
            restore_outputs(old, g);
    }
    hl_free(flags);
    hl_free(tensors);
    return g;
}

/* ------------------------------------------------------------------ tf32 */

static bool use_tf32(hl_rewrite *r, const hl_node *n, const hl_tensor *in, hl_tensor *out)
{
    const hl_math math = HL_MATH_TF32;
    if (!n->op->math)
        return false;
    unsigned char *params = hl_arena_alloc(r->g->arena, 1, n->op->params_size);
    if (!params) {
        hl_graph_fail(r->g, "no memory to lower the precision of %s", n->op->name);
        return false;
    }
    memcpy(params, n->params, n->op->params_size);
    memcpy(params + n->op->math, &math, sizeof math);
    out[0] = hl_graph_apply(r->g, n->op, n->n_in, in, params);
    return true;
}

hl_graph *hl_pass_lower_precision(const hl_graph *g)
{
    switch (g->precision) {
    case HL_PRECISION_TF32:
        return hl_graph_rewrite(g, use_tf32, NULL);
    case HL_PRECISION_BF16:
        return lower_all(g, HL_BF16);
    case HL_PRECISION_FP16:
        return lower_all(g, HL_F16);
    default:
        return hl_graph_rewrite(g, NULL, NULL);
    }
}
