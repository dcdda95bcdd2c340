/* From a graph to its text: two builds of it are walked side by side, so that what grows with the batch
 * shows. */
#include "deploy/program.h"

#include "base/error.h"
#include "base/json.h"
#include "graph/batch.h"
#include "ops/ops.h"

#include <math.h>
#include <string.h>

typedef struct writer {
    const hl_graph *two, *three; /* at these batches */
    hl_error *err;
    bool failed; /* a piece of JSON could not be made; sticks, and is asked once, at the end */
} writer;

static void set(writer *w, json_t *object, const char *key, json_t *value)
{
    w->failed |= json_object_set_new(object, key, value) != 0;
}

static void append(writer *w, json_t *list, json_t *value)
{
    w->failed |= json_array_append_new(list, value) != 0;
}

/* ------------------------------------------------------------------ sizes */

static bool size_fits(int64_t two, int64_t three)
{
    hl_batch_size size;
    return hl_batch_size_find(two, three, &size);
}

static json_t *size_json(int64_t two, int64_t three)
{
    hl_batch_size size;
    HL_ASSERT(hl_batch_size_find(two, three, &size));
    if (!size.per_row)
        return json_integer(two);
    return size.count == 1 ? json_string("B") : json_sprintf("%lldB", (long long)size.count);
}

static bool shape_fits(const hl_shape *two, const hl_shape *three)
{
    bool fits = two->rank == three->rank;
    for (int i = 0; i < two->rank && fits; i++)
        fits = size_fits(two->dim[i], three->dim[i]);
    return fits;
}

static json_t *shape_json(writer *w, const hl_shape *two, const hl_shape *three)
{
    json_t *list = json_array();
    for (int i = 0; i < two->rank; i++)
        append(w, list, size_json(two->dim[i], three->dim[i]));
    return list;
}

/* ------------------------------------------------------------------ fields */

/* A node at both batches. */
typedef struct pair {
    const hl_node *two, *three;
} pair;

static const void *field_at(const hl_field *f, const hl_node *n)
{
    return (const char *)n->params + f->offset;
}

/* Whether a field can be written for every batch. */
static bool field_fits(const hl_field *f, pair n)
{
    const void *two = field_at(f, n.two), *three = field_at(f, n.three);
    if (f->kind == HL_FIELD_SIZE)
        return size_fits(hl_field_get(f, n.two->params), hl_field_get(f, n.three->params));
    if (f->kind == HL_FIELD_SHAPE)
        return shape_fits(two, three);
    if (f->kind == HL_FIELD_NAME)
        return !strcmp(*(const char *const *)two, *(const char *const *)three);
    if (f->kind == HL_FIELD_FLOAT && !isfinite(*(const float *)two))
        return false;
    return !memcmp(two, three, f->size);
}

static json_t *order_json(writer *w, const int *order, int rank)
{
    json_t *list = json_array();
    for (int i = 0; i < rank; i++)
        append(w, list, json_integer(order[i]));
    return list;
}

/* A field that fits. */
static json_t *field_json(writer *w, const hl_field *f, pair n)
{
    const void *at = field_at(f, n.two);
    switch (f->kind) {
    case HL_FIELD_SIZE:
        return size_json(hl_field_get(f, n.two->params), hl_field_get(f, n.three->params));
    case HL_FIELD_SHAPE:
        return shape_json(w, at, field_at(f, n.three));
    case HL_FIELD_NAME:
        return json_string(*(const char *const *)at);
    case HL_FIELD_ORDER:
        return order_json(w, at, hl_node_in(w->two, n.two, 0)->shape.rank);
    case HL_FIELD_FLOAT:
        return json_real(*(const float *)at);
    case HL_FIELD_WORD:
        return json_string(f->words[hl_field_get(f, n.two->params)]);
    case HL_FIELD_BOOL:
        return json_boolean(hl_field_get(f, n.two->params));
    default:
        return json_integer(hl_field_get(f, n.two->params));
    }
}

/* Left out of the text: what the reader takes a field for that is not there. */
static bool is_default(const hl_field *f, pair n)
{
    static const char zeros[sizeof(int64_t)];
    return f->kind <= HL_FIELD_FLOAT && !memcmp(field_at(f, n.two), zeros, f->size);
}

static hl_status write_fields(writer *w, json_t *object, pair n)
{
    for (const hl_field *f = n.two->op->fields; f->name; f++) {
        if (!field_fits(f, n))
            return hl_fail(
                w->err, HL_ERR_USAGE,
                "node %d (%s) cannot be written down: its '%s' must be finite, and the same at every "
                "batch or a multiple of the batch",
                n.two->index, n.two->op->name, f->name);
        if (!is_default(f, n))
            set(w, object, f->name, field_json(w, f, n));
    }
    return HL_OK;
}

/* ------------------------------------------------------------------ nodes */

static json_t *tensor_json(const hl_graph *g, hl_tensor t)
{
    const hl_tensor_info *info = t.id ? hl_info(g, t) : NULL;
    if (!info)
        return json_null();
    return info->output ? json_pack("[i,i]", info->node->index, info->output)
                        : json_integer(info->node->index);
}

/* Why the node has no place in a graph that only computes; NULL: it has. */
static const char *objection(pair n)
{
    const hl_node *a = n.two, *b = n.three;
    if (!a->op->fields)
        return "the op belongs to training";
    if (a->op != b->op || a->n_in != b->n_in || a->first_out != b->first_out ||
        memcmp(a->in, b->in, (size_t)a->n_in * sizeof *a->in) != 0)
        return "it is another one at another batch";
    if (a->op == &hl_op_input && ((const hl_input_params *)a->params)->dtype != HL_F32)
        return "inputs must be f32";
    if (a->op == &hl_op_param) {
        const hl_param_params *p = a->params;
        if (p->role != HL_PARAMETER || (p->dtype != HL_F32 && p->dtype != HL_I8))
            return "it must be a parameter, f32 or i8";
    }
    return NULL;
}

static hl_status write_node(writer *w, json_t *list, pair n)
{
    const char *why = objection(n);
    if (why)
        return hl_fail(w->err, HL_ERR_USAGE, "node %d (%s) cannot be written down: %s", n.two->index,
                       n.two->op->name, why);
    json_t *object = json_object(), *in = json_array();
    set(w, object, "op", json_string(n.two->op->name));
    for (int k = 0; k < n.two->n_in; k++)
        append(w, in, tensor_json(w->two, n.two->in[k]));
    if (n.two->n_in)
        set(w, object, "in", json_incref(in));
    hl_status status = write_fields(w, object, n);
    if (*n.two->label.section)
        set(w, object, "section", json_string(n.two->label.section));
    json_decref(in);
    append(w, list, object);
    return status;
}

static hl_status write_outputs(writer *w, json_t *object)
{
    for (int i = 0; i < w->two->n_outputs; i++) {
        const hl_graph_output *o = &w->two->outputs[i], *other = &w->three->outputs[i];
        if (strcmp(o->name, other->name) || o->tensor.id != other->tensor.id)
            return hl_fail(w->err, HL_ERR_USAGE, "output '%s' is another one at another batch", o->name);
        if (hl_dtype_of(w->two, o->tensor) != HL_F32)
            return hl_fail(w->err, HL_ERR_USAGE, "output '%s' is %s, it must be f32 (hl_cast converts)",
                           o->name, hl_dtype_name(hl_dtype_of(w->two, o->tensor)));
        set(w, object, o->name, tensor_json(w->two, o->tensor));
    }
    return HL_OK;
}

static hl_status write_graph(writer *w, json_t *root)
{
    hl_status status = HL_OK;
    json_t *nodes = json_array(), *outputs = json_object();
    for (int i = 0; i < w->two->n_nodes && status == HL_OK; i++)
        status = write_node(w, nodes, (pair){w->two->nodes[i], w->three->nodes[i]});
    if (status == HL_OK)
        status = write_outputs(w, outputs);
    set(w, root, "nodes", nodes);
    set(w, root, "outputs", outputs);
    return status;
}

hl_status hl_program_write(const hl_graph *at_two, const hl_graph *at_three, hl_text *json, hl_error *err)
{
    writer w = {.two = at_two, .three = at_three, .err = err};
    for (int i = 0; i < 2; i++)
        if (hl_graph_error(i ? at_three : at_two))
            return hl_fail(err, HL_ERR_USAGE, "%s", hl_graph_error(i ? at_three : at_two));
    if (at_two->n_nodes != at_three->n_nodes || at_two->n_outputs != at_three->n_outputs)
        return hl_fail(err, HL_ERR_USAGE,
                       "the graph has %d nodes and %d outputs at batch 2, %d and %d at batch 3: it cannot be "
                       "written down for every batch",
                       at_two->n_nodes, at_two->n_outputs, at_three->n_nodes, at_three->n_outputs);
    json_t *root = json_object();
    hl_status status = write_graph(&w, root);
    if (status == HL_OK && !w.failed)
        hl_json_append(json, root, HL_JSON_LINE);
    json_decref(root);
    if (status == HL_OK && (w.failed || json->failed))
        return hl_fail(err, HL_ERR_MEMORY,
                       "a graph of %d nodes cannot be written down: no memory, or a name that is no UTF-8",
                       at_two->n_nodes);
    return status;
}
