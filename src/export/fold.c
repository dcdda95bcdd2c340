#include "export/fold.h"

#include "base/error.h"
#include "compile/passes.h"
#include "export/constants.h"
#include "export/folding.h"
#include "ops/ops.h"
#include "run/params.h"

/* What the compiler would do in every session, done once: it shows what is constant, and what nobody reads.
 */
static const struct {
    hl_graph *(*run)(const hl_graph *g);
} cleaning[] = {
    {hl_pass_single_key_attention}, {hl_pass_simplify}, {hl_pass_common_subexpressions}, {hl_pass_dead_code}};

/* Takes g, which may be NULL; NULL if memory ran out. */
static hl_graph *clean(hl_graph *g)
{
    for (size_t i = 0; g && !g->failed && i < sizeof cleaning / sizeof *cleaning; i++) {
        hl_graph *next = cleaning[i].run(g);
        hl_graph_free(g);
        g = next;
    }
    return g;
}

static const hl_rewrite_rule rules[] = {hl_fold_linear, hl_fold_scale};
enum { RULES = sizeof rules / sizeof *rules };

/* What reads each tensor and stays when constants are computed. */
static int *count_readers(const hl_graph *g, const bool *constant)
{
    int *readers = hl_alloc((size_t)g->n_tensors, sizeof *readers);
    for (int i = 0; readers && i < g->n_nodes; i++) {
        const hl_node *n = g->nodes[i];
        for (int k = 0; k < n->n_in; k++)
            readers[n->in[k].id] += !(n->n_out && constant[n->first_out]);
    }
    for (int i = 0; readers && i < g->n_outputs; i++)
        readers[g->outputs[i].tensor.id]++;
    return readers;
}

/* Takes g. *changed: whether the rule found something. */
static hl_graph *apply(hl_graph *g, hl_rewrite_rule rule, hl_params *from, bool *changed, hl_error *err)
{
    bool *constant = hl_constants_find(g);
    int *readers = constant ? count_readers(g, constant) : NULL;
    hl_folding f = {.from = from, .constant = constant, .readers = readers, .err = err};
    hl_graph *next = readers ? hl_graph_rewrite(g, rule, &f) : NULL;
    hl_free(readers);
    hl_free(constant);
    hl_graph_free(g);
    *changed = f.changed;
    if (f.status == HL_OK)
        return next;
    hl_graph_free(next);
    return NULL;
}

/* Takes g. */
static hl_graph *fold_all(hl_graph *g, hl_params *from, hl_error *err)
{
    for (bool any = true; any && g && !g->failed;) {
        any = false;
        for (int i = 0; i < RULES && g && !g->failed; i++) {
            bool changed;
            g = apply(g, rules[i], from, &changed, err);
            if (changed)
                g = clean(g);
            any = any || changed;
        }
    }
    return g;
}

static hl_status check(const hl_graph *g, const hl_params *from, const hl_params *to, hl_error *err)
{
    if (hl_graph_error(g))
        return hl_fail(err, HL_ERR_SHAPE, "%s", hl_graph_error(g));
    if (from == to)
        return hl_fail(err, HL_ERR_USAGE, "a graph is folded from one store to another, not to the same");
    for (int i = 0; i < g->n_nodes; i++) {
        const hl_node *n = g->nodes[i];
        const hl_param_params *p = n->params;
        if (n->op->updates || n->op == &hl_op_gradient)
            return hl_fail(
                err, HL_ERR_USAGE,
                "a graph that trains (it has a node '%s') cannot be folded; fold the one that acts",
                n->op->name);
        if (n->op == &hl_op_param && hl_params_find(from, p->name) != p->index)
            return hl_fail(err, HL_ERR_USAGE,
                           "parameter '%s' of the graph is not of the store that it is folded from", p->name);
    }
    return HL_OK;
}

hl_graph *hl_fold(const hl_graph *g, hl_params *from, hl_params *to, const hl_fold_options *options,
                  hl_error *err)
{
    hl_error own = {0};
    err = err ? err : &own;
    if (check(g, from, to, err) != HL_OK)
        return NULL;
    err->status = HL_OK;
    hl_graph *now = clean(hl_graph_rewrite(g, NULL, NULL));
    if (now && options && options->pool_before_convolution) {
        hl_graph *pooled = hl_pass_pool_before_convolution(now);
        hl_graph_free(now);
        now = clean(pooled);
    }
    now = now ? fold_all(now, from, err) : NULL;
    hl_graph *out = NULL;
    if (now && !now->failed)
        out = hl_constants_store(now, from, to, options && options->share, err);
    else if (now)
        hl_fail(err, HL_ERR_SHAPE, "%s", now->error);
    else if (err->status == HL_OK)
        hl_fail(err, HL_ERR_MEMORY, "no memory to fold a graph of %d nodes", g->n_nodes);
    hl_graph_free(now);
    if (out)
        hl_graph_verify(out);
    return out;
}
