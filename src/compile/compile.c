#include "compile/passes.h"

#include "base/error.h"
#include "ops/ops.h"

#include <stdlib.h>
#include <string.h>

const hl_pass hl_passes[] = {
    {"simplify", "algebra: what multiplies by one, adds zero, moves nothing", hl_pass_simplify, false},
    {"single_key_attention", "attention over one key is its value", hl_pass_single_key_attention, false},
    {"pool_before_convolution", "the pool of a convolution is a product with pooled patches",
     hl_pass_pool_before_convolution, false},
    {"common_subexpressions", "the same op on the same operands runs once", hl_pass_common_subexpressions,
     false},
    {"dead_code", "what no output needs is not computed", hl_pass_dead_code, false},
    {"differentiate", "derivatives become nodes", hl_pass_differentiate, true},
    {"simplify", NULL, hl_pass_simplify, false},
    {"common_subexpressions", NULL, hl_pass_common_subexpressions, false},
    {"dead_code", NULL, hl_pass_dead_code, false},
    {"lower_precision", "what may be stored and multiplied in 16 bits is", hl_pass_lower_precision, true},
    {"dead_code", NULL, hl_pass_dead_code, false},
    {"fuse", "biases, activations and sums join the product they follow", hl_pass_fuse, false},
    {"dead_code", NULL, hl_pass_dead_code, false},
    {"detach_outputs", "what is read after a run has memory of its own", hl_pass_detach_outputs, true},
    {0},
};

/* Switches of the planner that are disabled in the same way. */
static const char *const planner_switches[] = {"in_place", "reuse", "replay", "recompute"};

static bool known(const char *name, size_t n)
{
    for (const hl_pass *p = hl_passes; p->name; p++)
        if (strlen(p->name) == n && !strncmp(p->name, name, n))
            return !p->required;
    for (size_t i = 0; i < sizeof planner_switches / sizeof *planner_switches; i++)
        if (strlen(planner_switches[i]) == n && !strncmp(planner_switches[i], name, n))
            return true;
    return false;
}

static hl_status check_disabled(hl_error *err)
{
    const char *list = getenv("HL_DISABLE_PASSES");
    while (list && *list) {
        size_t n = strcspn(list, ",");
        if (n && !known(list, n))
            return hl_fail(err, HL_ERR_USAGE, "HL_DISABLE_PASSES: '%.*s' is not a pass that can be disabled",
                           (int)n, list);
        list += n + (list[n] == ',');
    }
    return HL_OK;
}

bool hl_pass_disabled(const char *name)
{
    const char *list = getenv("HL_DISABLE_PASSES");
    while (list && *list) {
        size_t n = strcspn(list, ",");
        if (strlen(name) == n && !strncmp(name, list, n))
            return true;
        list += n + (list[n] == ',');
    }
    return false;
}

/* A node is in the phase of its op, and in no earlier one than what it reads. */
static void find_phases(hl_graph *g)
{
    for (int i = 0; i < g->n_nodes; i++) {
        hl_node *n = g->nodes[i];
        n->label.phase = n->op->phase;
        for (int k = 0; k < n->n_in; k++) {
            hl_phase read = n->in[k].id ? hl_info(g, n->in[k])->node->label.phase : HL_PHASE_FORWARD;
            n->label.phase = read > n->label.phase ? read : n->label.phase;
        }
    }
}

/* Values are asked for by name: one name, one value. */
static hl_status check_names(const hl_graph *g, hl_error *err)
{
    for (int i = 0; i < g->n_outputs; i++)
        if (!hl_output_is_clear(g, g->outputs[i].name, g->outputs[i].tensor))
            return hl_fail(err, HL_ERR_SHAPE, "output '%s' has the name of an input", g->outputs[i].name);
    return HL_OK;
}

hl_graph *hl_compile(const hl_graph *g, hl_precision precision, hl_error *err)
{
    if (hl_graph_error(g)) {
        hl_fail(err, HL_ERR_SHAPE, "%s", hl_graph_error(g));
        return NULL;
    }
    if (check_names(g, err) != HL_OK || check_disabled(err) != HL_OK)
        return NULL;
    hl_graph *now = hl_graph_rewrite(g, NULL, NULL);
    if (now) {
        now->precision = precision;
        find_phases(now);
    }
    for (const hl_pass *p = hl_passes; now && !now->failed && p->name; p++) {
        if (!p->required && hl_pass_disabled(p->name))
            continue;
        hl_graph *next = p->run(now);
        hl_graph_free(now);
        now = next;
    }
    if (!now)
        hl_fail(err, HL_ERR_MEMORY, "no memory to compile a graph of %d nodes", g->n_nodes);
    else if (now->failed) {
        hl_fail(err, HL_ERR_SHAPE, "%s", now->error);
        hl_graph_free(now);
        return NULL;
    } else
        hl_graph_verify(now);
    return now;
}
