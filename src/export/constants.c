#include "export/constants.h"

#include "base/error.h"
#include "ops/ops.h"
#include "run/params.h"

#include <string.h>

/* ------------------------------------------------------------------ finding them */

static bool is_deterministic(const hl_node *n)
{
    const hl_op_def *op = n->op;
    if (op == &hl_op_attention)
        return ((const hl_attention_params *)n->params)->dropout == 0;
    return op != &hl_op_dropout && op != &hl_op_normal && !op->updates;
}

static bool is_constant(const hl_graph *g, const hl_node *n, const bool *constant)
{
    if (n->op == &hl_op_param) {
        const hl_param_params *p = n->params;
        return p->role == HL_PARAMETER && p->dtype == HL_F32;
    }
    bool yes = n->n_in > 0 && n->n_out > 0 && n->op != &hl_op_expand && is_deterministic(n);
    for (int k = 0; k < n->n_in && yes; k++)
        yes = !n->in[k].id || constant[n->in[k].id];
    for (int k = 0; k < n->n_out && yes; k++)
        yes = hl_dtype_of(g, hl_node_output(n, k)) == HL_F32;
    return yes;
}

bool *hl_constants_find(const hl_graph *g)
{
    bool *constant = hl_alloc((size_t)g->n_tensors, sizeof *constant);
    for (int i = 0; constant && i < g->n_nodes; i++) {
        const hl_node *n = g->nodes[i];
        bool yes = is_constant(g, n, constant);
        for (int k = 0; k < n->n_out; k++)
            constant[n->first_out + k] = yes;
    }
    return constant;
}

/* Those that something else reads: outputs, and nodes that are none. And parameters of other dtypes. */
static void find_kept(const hl_graph *g, const bool *constant, bool *kept)
{
    for (int i = 0; i < g->n_nodes; i++) {
        const hl_node *n = g->nodes[i];
        bool inside = n->n_out && constant[n->first_out];
        for (int k = 0; k < n->n_in && !inside; k++)
            kept[n->in[k].id] |= constant[n->in[k].id];
        if (n->op == &hl_op_param && !inside)
            kept[n->first_out] = true;
    }
    for (int i = 0; i < g->n_outputs; i++)
        kept[g->outputs[i].tensor.id] |= constant[g->outputs[i].tensor.id];
}

/* ------------------------------------------------------------------ computing them */

static bool drop_unneeded(hl_rewrite *r, const hl_node *n, const hl_tensor *in, hl_tensor *out)
{
    const bool *needed = r->context;
    (void)in;
    if (needed[n->index])
        return false;
    for (int k = 0; k < n->n_out; k++)
        out[k] = (hl_tensor){0};
    return true;
}

/* What g's outputs need, and nothing else: no inputs. */
static hl_graph *needed_part(const hl_graph *g)
{
    bool *needed = hl_alloc((size_t)g->n_nodes, sizeof *needed);
    if (!needed)
        return NULL;
    for (int i = 0; i < g->n_outputs; i++)
        needed[hl_info(g, g->outputs[i].tensor)->node->index] = true;
    for (int i = g->n_nodes - 1; i >= 0; i--)
        for (int k = 0; k < g->nodes[i]->n_in && needed[i]; k++)
            if (g->nodes[i]->in[k].id)
                needed[hl_info(g, g->nodes[i]->in[k])->node->index] = true;
    hl_graph *part = hl_graph_rewrite(g, drop_unneeded, needed);
    hl_free(needed);
    return part;
}

/* A session that computes the tensors which have a name, as outputs of it. */
static hl_session *open_session(const hl_graph *g, const char *const *name, hl_params *from, hl_error *err)
{
    hl_graph *all = hl_graph_rewrite(g, NULL, NULL); /* the same tensors, by the same numbers */
    if (all)
        all->n_outputs = 0;
    for (int t = 1; all && t < g->n_tensors; t++)
        if (name[t])
            hl_output(all, name[t], (hl_tensor){t});
    hl_graph *part = all && !all->failed ? needed_part(all) : NULL;
    hl_graph_free(all);
    if (!part) {
        hl_fail(err, HL_ERR_MEMORY, "no memory for the graph of a model's constants");
        return NULL;
    }
    hl_session *s = hl_session_new(part, from, "cpu", err);
    hl_graph_free(part);
    if (s && hl_session_run(s, err) == HL_OK)
        return s;
    hl_session_free(s);
    return NULL;
}

hl_status hl_constant_read(const hl_graph *g, hl_tensor t, hl_params *from, hl_constant_values *values,
                           hl_error *err)
{
    *values = (hl_constant_values){.count = hl_info(g, t)->count};
    const char **name = hl_alloc((size_t)g->n_tensors, sizeof *name);
    values->at = name ? hl_alloc((size_t)values->count, sizeof *values->at) : NULL;
    if (!values->at) {
        hl_free((void *)name);
        return hl_fail(err, HL_ERR_MEMORY, "no memory for %lld values of a constant",
                       (long long)values->count);
    }
    name[t.id] = "values";
    hl_session *s = open_session(g, name, from, err);
    hl_free((void *)name);
    if (s)
        memcpy(values->at, hl_session_output(s, "values"), (size_t)values->count * sizeof *values->at);
    hl_session_free(s);
    return s ? HL_OK : err->status;
}

/* ------------------------------------------------------------------ storing them */

typedef struct store {
    const hl_graph *g;
    hl_params *from, *to;
    bool share;
    const bool *constant, *kept;
    const char *const *name;
    const char **missing; /* names of those whose values have to be made */
    int n_missing;
} store;

static bool has_values(const hl_params *to, const char *name)
{
    int index = hl_params_find(to, name);
    return index >= 0 && (hl_params_at(to, index).bytes || hl_params_mapped(to, index) != HL_DTYPES);
}

/* An entry with these values. */
static hl_status put(hl_params *to, const char *name, hl_dtype dtype, hl_shape shape, const void *values,
                     hl_error *err)
{
    int index;
    hl_init_rule zeros = {.kind = HL_FILLED};
    hl_status status = hl_params_declare(to, name, HL_PARAMETER, dtype, shape, zeros, &index, err);
    if (status == HL_OK)
        status = hl_params_allocate(to, index, err);
    if (status == HL_OK)
        memcpy(hl_params_at(to, index).bytes, values, (size_t)hl_shape_count(shape) * hl_dtype_size(dtype));
    return status;
}

/* A parameter as it is. *there: its values are, in its own dtype. */
static hl_status keep(const store *s, int param, bool *there, hl_error *err)
{
    hl_status status = hl_params_materialize_at(s->from, param, err);
    hl_param_info p = hl_params_at(s->from, param);
    *there = p.bytes;
    if (status != HL_OK || !*there)
        return status;
    if (s->share && hl_params_find(s->to, p.name) < 0)
        return hl_params_map(s->to, p.name, p.dtype, p.shape, p.bytes, &param, err);
    return put(s->to, p.name, p.dtype, p.shape, p.bytes, err);
}

/* Parameters; and which values are missing then (those of a mapped file in 16 bits too). */
static hl_status keep_parameters(store *s, hl_error *err)
{
    hl_status status = hl_params_pull(s->from, err);
    for (int t = 1; t < s->g->n_tensors && status == HL_OK; t++) {
        const hl_node *n = s->g->tensors[t].node;
        bool there = false;
        if (!s->kept[t] || has_values(s->to, s->name[t]))
            continue;
        if (n->op == &hl_op_param)
            status = keep(s, ((const hl_param_params *)n->params)->index, &there, err);
        if (there || status != HL_OK)
            continue;
        s->missing[t] = s->name[t];
        s->n_missing++;
    }
    return status;
}

static hl_status compute_missing(const store *s, hl_error *err)
{
    if (!s->n_missing)
        return HL_OK;
    hl_session *session = open_session(s->g, s->missing, s->from, err);
    hl_status status = session ? HL_OK : err->status;
    for (int t = 1; t < s->g->n_tensors && status == HL_OK; t++)
        if (s->missing[t])
            status = put(s->to, s->name[t], HL_F32, s->g->tensors[t].shape,
                         hl_session_output(session, s->name[t]), err);
    hl_session_free(session);
    return status;
}

/* Kept tensors are leaves over `to`; what was computed for them is gone. */
static bool place(hl_rewrite *r, const hl_node *n, const hl_tensor *in, hl_tensor *out)
{
    const store *s = r->context;
    (void)in;
    if (!n->n_out || !(s->constant[n->first_out] || n->op == &hl_op_param))
        return false;
    for (int k = 0; k < n->n_out; k++) {
        int t = n->first_out + k;
        const hl_tensor_info *info = &s->g->tensors[t];
        out[k] = (hl_tensor){0};
        if (s->kept[t])
            out[k] = hl_param_leaf(r->g, s->to, s->name[t], info->dtype, info->shape);
    }
    return true;
}

static hl_graph *move(store *s, hl_error *err)
{
    if (keep_parameters(s, err) != HL_OK || compute_missing(s, err) != HL_OK)
        return NULL;
    hl_graph *g = hl_graph_rewrite(s->g, place, s);
    if (g && !g->failed)
        return g;
    hl_fail(err, g ? HL_ERR_SHAPE : HL_ERR_MEMORY, "%s", g ? g->error : "no memory for a folded graph");
    hl_graph_free(g);
    return NULL;
}

hl_graph *hl_constants_store(const hl_graph *g, hl_params *from, hl_params *to, bool share, hl_error *err)
{
    hl_arena *arena = hl_arena_new();
    bool *constant = hl_constants_find(g), *kept = NULL;
    const char **name = NULL, **missing = NULL;
    if (arena && constant && (kept = hl_arena_alloc(arena, (size_t)g->n_tensors, sizeof *kept))) {
        find_kept(g, constant, kept);
        missing = hl_arena_alloc(arena, (size_t)g->n_tensors, sizeof *missing);
        name = hl_constant_names(g, kept, from, arena);
    }
    hl_graph *out = NULL;
    store s = {g, from, to, share, constant, kept, name, missing, 0};
    if (name && missing)
        out = move(&s, err);
    else
        hl_fail(err, HL_ERR_MEMORY, "no memory for the names of a model's constants");
    hl_free(constant);
    hl_arena_free(arena);
    return out;
}
