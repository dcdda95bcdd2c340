#include "graph/graph.h"

#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char no_section[] = "";

hl_graph *hl_graph_new(void)
{
    hl_graph *g = hl_alloc(1, sizeof *g);
    if (!g)
        return NULL;
    g->arena = hl_arena_new();
    g->tensors = hl_alloc(1, sizeof *g->tensors); /* id 0 is no tensor: all zero */
    g->n_tensors = g->cap_tensors = 1;
    g->label.section = no_section;
    if (g->arena && g->tensors)
        return g;
    hl_graph_free(g);
    return NULL;
}

void hl_graph_free(hl_graph *g)
{
    if (!g)
        return;
    hl_arena_free(g->arena);
    hl_free(g->nodes);
    hl_free(g->tensors);
    hl_free(g->outputs);
    hl_free((void *)g->sections);
    hl_free(g);
}

hl_tensor hl_graph_fail(hl_graph *g, const char *format, ...)
{
    hl_tensor bad = {0};
    if (g->failed)
        return bad;
    va_list args;
    va_start(args, format);
    vsnprintf(g->error, sizeof g->error, format, args);
    va_end(args);
    g->failed = true;
    return bad;
}

void hl_graph_reject(hl_graph *g, const char *message)
{
    if (g)
        hl_graph_fail(g, "%s", message);
}

const char *hl_graph_error(const hl_graph *g)
{
    if (!g)
        return "no memory for a graph";
    return g->failed ? g->error : NULL;
}

/* Makes room for `more` entries in a growing array. */
static bool grow(hl_graph *g, void **array, int *capacity, int count, int more, size_t size)
{
    if (count + more <= *capacity)
        return true;
    int wanted = 2 * (count + more) + 16;
    void *bigger = hl_realloc(*array, (size_t)wanted, size);
    if (!bigger) {
        hl_graph_fail(g, "no memory for a graph of %d entries", wanted);
        return false;
    }
    *array = bigger;
    *capacity = wanted;
    return true;
}

/* ------------------------------------------------------------------ labels */

/* The graph's own string of a name. */
static const char *section_of(hl_graph *g, const char *name)
{
    if (!name || !*name)
        return no_section;
    for (int i = 0; i < g->n_sections; i++)
        if (g->sections[i] == name || !strcmp(g->sections[i], name))
            return g->sections[i];
    char *copy = hl_arena_strdup(g->arena, name);
    if (!copy || !grow(g, (void **)&g->sections, &g->cap_sections, g->n_sections, 1, sizeof *g->sections)) {
        hl_graph_fail(g, "no memory for section '%s'", name);
        return no_section;
    }
    return g->sections[g->n_sections++] = copy;
}

const char *hl_section(hl_graph *g, const char *name)
{
    if (!g)
        return no_section;
    const char *before = g->label.section;
    g->label.section = section_of(g, name);
    return before;
}

void hl_graph_set_label(hl_graph *g, hl_label label)
{
    g->label = (hl_label){section_of(g, label.section), label.phase, label.again};
}

const char *hl_phase_name(hl_phase phase)
{
    static const char *const names[HL_PHASES] = {"forward", "backward", "clip", "update"};
    return phase < HL_PHASES ? names[phase] : "?";
}

/* ------------------------------------------------------------------ nodes */

static bool operands_present(hl_graph *g, const hl_op_def *op, int n_in, const hl_tensor *in)
{
    HL_ASSERT(n_in >= op->min_in && (op->max_in < 0 || n_in <= op->max_in));
    for (int k = 0; k < n_in; k++) {
        HL_ASSERT(in[k].id >= 0 && in[k].id < g->n_tensors);
        bool optional = k < 32 && (op->optional >> k & 1);
        if (!in[k].id && !optional) {
            hl_graph_fail(g, "%s: operand %d is missing", op->name, k);
            return false;
        }
    }
    return true;
}

static bool integers_where_wanted(hl_graph *g, const hl_op_def *op, int n_in, const hl_tensor *in)
{
    for (int k = 0; k < n_in; k++) {
        hl_dtype dtype = in[k].id ? g->tensors[in[k].id].dtype : HL_F32;
        bool wanted = k < 32 && (op->integers >> k & 1);
        if (in[k].id && wanted != (dtype == HL_I8)) {
            hl_graph_fail(g,
                          wanted ? "%s: operand %d is %s, it must be i8"
                                 : "%s: operand %d is %s, which only quantized ops take",
                          op->name, k, hl_dtype_name(dtype));
            return false;
        }
    }
    return true;
}

/* The node with its operands and outputs reserved, shapes not yet known. */
static hl_node *make_node(hl_graph *g, const hl_op_def *op, int n_in, const hl_tensor *in, const void *params)
{
    hl_node *n = hl_arena_alloc(g->arena, 1, sizeof *n);
    hl_tensor *operands = hl_arena_alloc(g->arena, (size_t)n_in + 1, sizeof *operands);
    void *copy = hl_arena_alloc(g->arena, 1, op->params_size);
    if (!n || !operands || !copy) {
        hl_graph_fail(g, "no memory for a graph of %d nodes", g->n_nodes);
        return NULL;
    }
    if (n_in)
        memcpy(operands, in, (size_t)n_in * sizeof *in);
    if (op->params_size)
        memcpy(copy, params, op->params_size);
    n->op = op;
    n->index = g->n_nodes;
    n->n_in = n_in;
    n->in = operands;
    n->params = copy;
    n->label = g->label;
    n->n_out = op->n_out >= 0 ? op->n_out : n_in - 1;
    n->first_out = g->n_tensors;
    return n;
}

hl_node *hl_graph_append(hl_graph *g, const hl_op_def *op, int n_in, const hl_tensor *in, const void *params)
{
    if (!g || g->failed || !operands_present(g, op, n_in, in) || !integers_where_wanted(g, op, n_in, in))
        return NULL;
    hl_node *n = make_node(g, op, n_in, in, params);
    if (!n || !grow(g, (void **)&g->nodes, &g->cap_nodes, g->n_nodes, 1, sizeof *g->nodes) ||
        !grow(g, (void **)&g->tensors, &g->cap_tensors, g->n_tensors, n->n_out, sizeof *g->tensors))
        return NULL;
    memset(g->tensors + g->n_tensors, 0, (size_t)n->n_out * sizeof *g->tensors);
    g->n_tensors += n->n_out;
    if (!op->shape(g, n) || g->failed) {
        HL_ASSERT(g->failed);
        g->n_tensors = n->first_out;
        return NULL;
    }
    g->n_tensors = n->first_out + n->n_out; /* the shape rule may have found fewer */
    g->nodes[g->n_nodes++] = n;
    return n;
}

hl_tensor hl_graph_apply(hl_graph *g, const hl_op_def *op, int n_in, const hl_tensor *in, const void *params)
{
    return hl_node_output(hl_graph_append(g, op, n_in, in, params), 0);
}

int hl_node_updates(const hl_node *n)
{
    int updates = n->op->updates;
    while (updates > 0 && !n->in[updates - 1].id)
        updates--;
    return updates;
}

double hl_node_flops(const hl_graph *g, const hl_node *n)
{
    if (n->op->flops)
        return n->op->flops(g, n);
    return n->n_out ? (double)hl_info(g, hl_node_output(n, 0))->count : 0;
}

void hl_node_out(hl_graph *g, hl_node *n, int k, hl_dtype dtype, hl_shape shape)
{
    HL_ASSERT(k < n->n_out);
    int64_t count = hl_shape_count(shape);
    if (count < 0) {
        hl_graph_fail(g, "%s: a result of shape %s is too large", n->op->name, hl_shape_print(shape).text);
        return;
    }
    g->tensors[n->first_out + k] = (hl_tensor_info){dtype, shape, count, n, k};
}

const hl_tensor_info *hl_info(const hl_graph *g, hl_tensor t)
{
    HL_ASSERT(t.id > 0 && t.id < g->n_tensors);
    return &g->tensors[t.id];
}

const hl_tensor_info *hl_node_in(const hl_graph *g, const hl_node *n, int k)
{
    HL_ASSERT(k < n->n_in);
    return hl_info(g, n->in[k]);
}

const hl_node *hl_made_by(const hl_graph *g, hl_tensor t, const hl_op_def *op)
{
    const hl_node *n = t.id ? hl_info(g, t)->node : NULL;
    return n && n->op == op ? n : NULL;
}

hl_shape hl_shape_of(const hl_graph *g, hl_tensor t)
{
    hl_shape none = {0};
    return t.id > 0 && t.id < g->n_tensors ? g->tensors[t.id].shape : none;
}

hl_dtype hl_dtype_of(const hl_graph *g, hl_tensor t)
{
    return t.id > 0 && t.id < g->n_tensors ? g->tensors[t.id].dtype : HL_F32;
}

void hl_output(hl_graph *g, const char *name, hl_tensor t)
{
    if (!g || g->failed)
        return;
    if (!t.id) {
        hl_graph_fail(g, "output '%s': there is no tensor", name);
        return;
    }
    for (int i = 0; i < g->n_outputs; i++) {
        if (!strcmp(g->outputs[i].name, name)) {
            hl_graph_fail(g, "output '%s' is declared twice", name);
            return;
        }
    }
    char *copy = hl_arena_strdup(g->arena, name);
    if (!grow(g, (void **)&g->outputs, &g->cap_outputs, g->n_outputs, 1, sizeof *g->outputs))
        return;
    if (!copy) {
        hl_graph_fail(g, "no memory for output '%s'", name);
        return;
    }
    g->outputs[g->n_outputs++] = (hl_graph_output){copy, t};
}

int *hl_graph_uses(const hl_graph *g)
{
    int *uses = hl_alloc((size_t)g->n_tensors, sizeof *uses);
    if (!uses)
        return NULL;
    for (int i = 0; i < g->n_nodes; i++)
        for (int k = 0; k < g->nodes[i]->n_in; k++)
            uses[g->nodes[i]->in[k].id]++;
    for (int i = 0; i < g->n_outputs; i++)
        uses[g->outputs[i].tensor.id]++;
    return uses;
}

void hl_graph_verify(const hl_graph *g)
{
    for (int i = 0; i < g->n_nodes; i++) {
        const hl_node *n = g->nodes[i];
        HL_ASSERT(n->index == i);
        for (int k = 0; k < n->n_in; k++)
            HL_ASSERT(n->in[k].id < n->first_out);
        for (int k = 0; k < n->n_out; k++) {
            const hl_tensor_info *t = hl_info(g, hl_node_output(n, k));
            HL_ASSERT(t->node == n && t->output == k && t->count == hl_shape_count(t->shape));
        }
    }
}
