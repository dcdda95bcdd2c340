/* What computed constants are called. A name is a module and a kind, as in PyTorch: "refiner.0.out_proj" and
 * "weight". The product of two weights is named after both modules ("self_attn.value_out_proj.weight"), what
 * was only scaled after its own ("audio_encoder.0.folded.weight"), and a product's bias after its weights. */
#include "export/constants.h"

#include "ops/ops.h"

#include <stdio.h>
#include <string.h>

/* Cut where longer, so that a whole name and its number are no longer than names may be. */
typedef struct parts {
    char module[161], kind[49];
} parts;

static void put(char *to, size_t room, const char *text, size_t n)
{
    n = n < room - 1 ? n : room - 1;
    memcpy(to, text, n);
    to[n] = 0;
}

/* MultiheadAttention's "in_proj_weight" is a module's weight too. */
static parts split(const char *name)
{
    parts p = {{0}, {0}};
    const char *dot = strrchr(name, '.'), *kind = dot ? dot + 1 : name;
    size_t module = dot ? (size_t)(dot - name) : 0, joined = strlen("in_proj");
    if (!strncmp(kind, "in_proj_", joined + 1)) {
        module = (size_t)(kind - name) + joined;
        kind += joined + 1;
    }
    put(p.module, sizeof p.module, name, module);
    put(p.kind, sizeof p.kind, kind, strlen(kind));
    return p;
}

/* Whether module a is b or around it, given that they agree in the first n bytes. */
static bool encloses(const parts *a, const parts *b, size_t n)
{
    return !a->module[n] && (!n || !b->module[n] || b->module[n] == '.');
}

/* a.b and a.c: a.b_c. a and a.b: a.b. */
static parts join(const parts *a, const parts *b)
{
    parts p = {{0}, {0}};
    size_t same = 0, i = 0;
    for (; a->module[i] && a->module[i] == b->module[i]; i++)
        same = a->module[i] == '.' ? i + 1 : same;
    if (encloses(a, b, i))
        return *b;
    if (encloses(b, a, i))
        return *a;
    snprintf(p.module, sizeof p.module, "%.79s_%.80s", a->module, b->module + same);
    return p;
}

/* A third of the rows of in_proj. */
static void name_third(const hl_graph *g, const hl_node *slice, parts *p)
{
    static const char *const thirds[] = {"query", "key", "value"};
    const hl_slice_params *s = slice->params;
    int64_t rows = hl_shape_of(g, slice->in[0]).dim[0], third = rows / 3;
    char *last = strrchr(p->module, '.');
    last = last ? last + 1 : p->module;
    if (strcmp(last, "in_proj") || s->axis != 0 || !third || rows % 3 || s->end - s->begin != third ||
        s->begin % third)
        return;
    put(last, sizeof p->module - (size_t)(last - p->module), thirds[s->begin / third],
        strlen(thirds[s->begin / third]));
}

static parts parts_of(const hl_graph *g, hl_tensor t)
{
    const hl_node *n = hl_info(g, t)->node;
    if (n->op == &hl_op_param)
        return split(((const hl_param_params *)n->params)->name);
    if (n->op == &hl_op_matmul) { /* x W^T, or W2 W1: in the order in which they are applied */
        parts a = parts_of(g, n->in[0]), b = parts_of(g, n->in[1]);
        parts p = strcmp(a.kind, b.kind) ? join(&a, &b) : join(&b, &a);
        memcpy(p.kind, a.kind, sizeof p.kind);
        return p;
    }
    int widest = 0;
    for (int k = 1; k < n->n_in; k++)
        if (n->in[k].id && hl_info(g, n->in[k])->count > hl_info(g, n->in[widest])->count)
            widest = k;
    parts p = parts_of(g, n->in[widest]);
    if (n->op == &hl_op_slice)
        name_third(g, n, &p);
    return p;
}

/* ------------------------------------------------------------------ names of a graph */

typedef struct naming {
    const hl_graph *g;
    const hl_params *from;
    const char **name;
    hl_arena *arena;
} naming;

static bool taken(const naming *n, const char *name)
{
    if (hl_params_find(n->from, name) >= 0)
        return true;
    for (int t = 1; t < n->g->n_tensors; t++)
        if (n->name[t] && !strcmp(n->name[t], name))
            return true;
    return false;
}

static bool give(naming *n, hl_tensor t, const parts *p)
{
    char name[256];
    const char *dot = p->module[0] && p->kind[0] ? "." : "";
    snprintf(name, sizeof name, "%s%s%s", p->module, dot, p->kind);
    for (int i = 1; taken(n, name); i++) {
        char number[16] = "";
        if (i > 1)
            snprintf(number, sizeof number, "%d", i);
        snprintf(name, sizeof name, "%s%sfolded%s%s%s", p->module, p->module[0] ? "." : "", number,
                 p->kind[0] ? "." : "", p->kind);
    }
    n->name[t.id] = hl_arena_strdup(n->arena, name);
    return n->name[t.id] != NULL;
}

/* The weights of the product whose bias t is; {0}: it is none. */
static hl_tensor weights_beside(const hl_graph *g, hl_tensor t)
{
    for (int i = 0; i < g->n_nodes; i++) {
        const hl_node *n = g->nodes[i];
        if ((n->op == &hl_op_matmul || n->op == &hl_op_conv2d) && n->in[2].id == t.id)
            return n->in[1];
    }
    return (hl_tensor){0};
}

static bool name_bias(naming *n, hl_tensor t, const char *weights)
{
    parts p = split(weights);
    const char *rest = strncmp(p.kind, "weight", 6) ? "" : p.kind + 6; /* of "weight_ih_l0" */
    char kind[sizeof p.kind];
    snprintf(kind, sizeof kind, "bias%.40s", rest);
    memcpy(p.kind, kind, sizeof kind);
    return give(n, t, &p);
}

static bool name_all(naming *n, const bool *kept)
{
    const hl_graph *g = n->g;
    bool ok = true;
    for (int t = 1; t < g->n_tensors; t++) {
        const hl_node *node = g->tensors[t].node;
        if (kept[t] && node->op == &hl_op_param)
            n->name[t] = ((const hl_param_params *)node->params)->name;
    }
    for (int biases = 0; biases < 2; biases++) /* after the weights that they are named by */
        for (int t = 1; t < g->n_tensors && ok; t++) {
            hl_tensor it = {t};
            if (!kept[t] || n->name[t])
                continue;
            hl_tensor w = weights_beside(g, it);
            const char *weights = w.id ? n->name[w.id] : NULL;
            parts p = parts_of(g, it);
            if (weights && biases)
                ok = name_bias(n, it, weights);
            else if (!w.id || biases)
                ok = give(n, it, &p);
        }
    return ok;
}

const char **hl_constant_names(const hl_graph *g, const bool *kept, const hl_params *from, hl_arena *arena)
{
    naming n = {g, from, hl_arena_alloc(arena, (size_t)g->n_tensors, sizeof *n.name), arena};
    return n.name && name_all(&n, kept) ? n.name : NULL;
}
