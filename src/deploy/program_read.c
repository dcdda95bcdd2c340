/* From a text, which may be anybody's, to a graph. What a node must be like on its own is checked here; what
 * its operands must be like, by the shape rule of its op. */
#include "deploy/program.h"

#include "base/error.h"
#include "base/json.h"
#include "ops/ops.h"
#include "run/params.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

typedef struct reader {
    const char *name; /* of the text, for messages */
    hl_graph *g;
    hl_params *params;
    int64_t batch;
    int node; /* being read: its place in the list */
    const hl_op_def *op;
    hl_error *err;
} reader;

static hl_status refuse(const reader *r, const char *format, ...) HL_PRINTF(2, 3);

static hl_status refuse(const reader *r, const char *format, ...)
{
    char what[512];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    return hl_fail(r->err, HL_ERR_DATA, "%s: node %d (%s): %s", r->name, r->node, r->op ? r->op->name : "?",
                   what);
}

/* ------------------------------------------------------------------ values */

/* "B", "4B": a multiple of the batch. */
static bool multiple_of_batch(const char *text, int64_t batch, int64_t *size)
{
    int64_t factor = *text == 'B' ? 1 : 0;
    for (; *text >= '0' && *text <= '9'; text++) {
        if (factor > (INT64_MAX - 9) / 10 || (factor == 0 && *text == '0'))
            return false;
        factor = 10 * factor + (*text - '0');
    }
    if (strcmp(text, "B") != 0 || factor > INT64_MAX / batch)
        return false;
    *size = factor * batch;
    return true;
}

static bool read_size(const reader *r, const json_t *value, int64_t *size)
{
    if (json_is_string(value))
        return multiple_of_batch(json_string_value(value), r->batch, size);
    *size = json_integer_value(value);
    return json_is_integer(value);
}

static hl_status read_shape(const reader *r, const json_t *value, hl_shape *shape)
{
    if (!json_is_array(value) || json_array_size(value) > HL_MAX_RANK)
        return refuse(r, "'shape' must be a list of at most %d dims", HL_MAX_RANK);
    *shape = (hl_shape){.rank = (int)json_array_size(value)};
    for (int i = 0; i < shape->rank; i++)
        if (!read_size(r, json_array_get(value, (size_t)i), &shape->dim[i]) || shape->dim[i] < 0)
            return refuse(r, "dim %d of 'shape' must be a size, or a multiple of the batch as \"4B\"", i);
    if (hl_shape_count(*shape) < 0)
        return refuse(r, "a shape of %s is too large", hl_shape_print(*shape).text);
    return HL_OK;
}

static hl_status read_order(const reader *r, const json_t *value, int *order)
{
    if (!json_is_array(value) || json_array_size(value) > HL_MAX_RANK)
        return refuse(r, "'order' must be a list of at most %d axes", HL_MAX_RANK);
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *axis = json_array_get(value, i);
        if (!json_is_integer(axis) || json_integer_value(axis) < 0 || json_integer_value(axis) >= HL_MAX_RANK)
            return refuse(r, "entry %zu of 'order' must be an axis", i);
        order[i] = (int)json_integer_value(axis);
    }
    return HL_OK;
}

static hl_status read_float(const reader *r, const hl_field *f, const json_t *value, float *x)
{
    const double overflow = 0x1.ffffffp127; /* from here on nothing rounds to a float */
    double wide = json_number_value(value);
    if (!json_is_number(value) || !(fabs(wide) < overflow))
        return refuse(r, "'%s' must be a number within the range of a float", f->name);
    *x = (float)wide;
    return HL_OK;
}

/* An input's or parameter's; the text outlives what is made of it while the graph is built. */
static hl_status read_name(const reader *r, const json_t *value, const char **name)
{
    *name = json_string_value(value);
    if (!*name || !**name || strlen(*name) > HL_PROGRAM_NAME || strlen(*name) != json_string_length(value))
        return refuse(r, "'name' must be a text of 1 to %d bytes", HL_PROGRAM_NAME);
    return HL_OK;
}

static hl_status read_word(const reader *r, const hl_field *f, const json_t *value, void *params)
{
    const char *word = json_string_value(value);
    for (int i = 0; word && f->words[i]; i++)
        if (!strcmp(word, f->words[i])) {
            hl_field_set(f, params, i);
            return HL_OK;
        }
    return refuse(r, "'%s' is '%s', which this version does not know", f->name,
                  hl_excerpt_of(word ? word : "no text").text);
}

static hl_status read_integer(const reader *r, const hl_field *f, const json_t *value, void *params)
{
    int64_t least, most, x = json_integer_value(value);
    hl_field_range(f, &least, &most);
    bool ok = f->kind == HL_FIELD_BOOL   ? json_is_boolean(value)
              : f->kind == HL_FIELD_SIZE ? read_size(r, value, &x)
                                         : json_is_integer(value);
    if (f->kind == HL_FIELD_BOOL)
        x = json_is_true(value);
    if (!ok || x < least || x > most)
        return refuse(r, "'%s' must be %s", f->name,
                      f->kind == HL_FIELD_BOOL   ? "true or false"
                      : f->kind == HL_FIELD_SIZE ? "a size, or a multiple of the batch as \"4B\""
                                                 : "an integer of its range");
    hl_field_set(f, params, x);
    if (f->kind == HL_FIELD_STREAM && (uint32_t)x >= r->g->streams)
        r->g->streams = (uint32_t)x + 1; /* what draws besides draws from others */
    return HL_OK;
}

static hl_status read_field(const reader *r, const hl_field *f, const json_t *value, void *params)
{
    void *at = (char *)params + f->offset;
    switch (f->kind) {
    case HL_FIELD_WORD:
        return read_word(r, f, value, params);
    case HL_FIELD_FLOAT:
        return read_float(r, f, value, at);
    case HL_FIELD_ORDER:
        return read_order(r, value, at);
    case HL_FIELD_SHAPE:
        return read_shape(r, value, at);
    case HL_FIELD_NAME:
        return read_name(r, value, at);
    default:
        return read_integer(r, f, value, params);
    }
}

/* ------------------------------------------------------------------ nodes */

/* Every member is read: one that is not known may mean something. */
static hl_status check_members(const reader *r, json_t *object)
{
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        bool known = !strcmp(key, "op") || !strcmp(key, "in") || !strcmp(key, "section");
        for (const hl_field *f = r->op->fields; f->name && !known; f++)
            known = !strcmp(key, f->name);
        if (!known)
            return refuse(r, "'%s' is no parameter of this op", hl_excerpt_of(key).text);
    }
    value = json_object_get(object, "section");
    if (value && (!json_is_string(value) || json_string_length(value) > HL_PROGRAM_NAME))
        return refuse(r, "'section' must be a text of at most %d bytes", HL_PROGRAM_NAME);
    return HL_OK;
}

static hl_status read_fields(const reader *r, json_t *object, void *params)
{
    hl_status status = check_members(r, object);
    for (const hl_field *f = r->op->fields; f->name && status == HL_OK; f++) {
        const json_t *value = json_object_get(object, f->name);
        if (value)
            status = read_field(r, f, value, params);
        else if (f->kind > HL_FIELD_FLOAT)
            status = refuse(r, "'%s' is missing", f->name);
    }
    return status;
}

/* A result of a node that stands before this one. */
static bool read_tensor(const reader *r, const json_t *value, hl_tensor *t)
{
    const json_t *place = json_is_array(value) ? json_array_get(value, 0) : value;
    const json_t *result = json_is_array(value) ? json_array_get(value, 1) : NULL;
    if (!json_is_integer(place) || (json_is_array(value) && json_array_size(value) != 2) ||
        (result && !json_is_integer(result)))
        return false;
    int64_t i = json_integer_value(place), k = result ? json_integer_value(result) : 0;
    if (i < 0 || i >= r->g->n_nodes || k < 0 || k >= r->g->nodes[i]->n_out)
        return false;
    *t = hl_node_output(r->g->nodes[i], (int)k);
    return true;
}

static hl_status read_operands(const reader *r, const json_t *list, int *n, hl_tensor **in)
{
    size_t count = json_array_size(list);
    if ((list && !json_is_array(list)) || count < (size_t)r->op->min_in ||
        count > (size_t)(r->op->max_in < 0 ? HL_PROGRAM_OPERANDS : r->op->max_in))
        return refuse(r, "it has %zu operands, the op takes %d to %d", count, r->op->min_in,
                      r->op->max_in < 0 ? HL_PROGRAM_OPERANDS : r->op->max_in);
    *n = (int)count;
    *in = hl_arena_alloc(r->g->arena, count + 1, sizeof **in);
    if (!*in)
        return hl_fail(r->err, HL_ERR_MEMORY, "%s: no memory for its graph", r->name);
    for (int k = 0; k < *n; k++) {
        const json_t *value = json_array_get(list, (size_t)k);
        bool optional = k < 32 && (r->op->optional >> k & 1);
        if (!(json_is_null(value) && optional) && !read_tensor(r, value, &(*in)[k]))
            return refuse(r, "operand %d must be a result of a node before%s", k,
                          optional ? ", or null" : "");
    }
    return HL_OK;
}

/* A parameter is an entry of the store. */
static hl_status read_param(const reader *r, const hl_param_params *p)
{
    int index = hl_params_find(r->params, p->name);
    if (index < 0)
        return refuse(r, "there is no tensor '%s'", p->name);
    hl_param_info info = hl_params_at(r->params, index);
    if (info.role != HL_PARAMETER || info.dtype != p->dtype || !hl_shape_equal(info.shape, p->shape))
        return refuse(r, "tensor '%s' is %s %s, it must be %s %s", p->name, hl_dtype_name(info.dtype),
                      hl_shape_print(info.shape).text, hl_dtype_name(p->dtype),
                      hl_shape_print(p->shape).text);
    for (int i = 0; i < r->g->n_nodes; i++)
        if (r->g->nodes[i]->op == &hl_op_param &&
            ((const hl_param_params *)r->g->nodes[i]->params)->index == index)
            return refuse(r, "'%s' stands at node %d already", p->name, i);
    hl_param_leaf(r->g, r->params, p->name, p->dtype, p->shape);
    return HL_OK;
}

static hl_status append_node(const reader *r, int n, const hl_tensor *in, const void *params)
{
    hl_status status = HL_OK;
    if (r->op == &hl_op_param)
        status = read_param(r, params);
    else if (r->op == &hl_op_input && ((const hl_input_params *)params)->dtype != HL_F32)
        status = refuse(r, "an input must be f32");
    else
        hl_graph_append(r->g, r->op, n, in, params);
    if (status == HL_OK && hl_graph_error(r->g))
        status = refuse(r, "%s", hl_graph_error(r->g));
    return status;
}

static hl_status read_node(reader *r, json_t *object)
{
    const char *op = json_string_value(json_object_get(object, "op"));
    r->op = op ? hl_op_find(op) : NULL;
    if (!r->op || !r->op->fields)
        return refuse(r, "there is no op '%s' in this version's models", hl_excerpt_of(op ? op : "").text);
    int n = 0;
    hl_tensor *in = NULL;
    void *params = hl_arena_alloc(r->g->arena, 1, r->op->params_size);
    if (!params)
        return hl_fail(r->err, HL_ERR_MEMORY, "%s: no memory for its graph", r->name);
    hl_status status = read_fields(r, object, params);
    if (status == HL_OK)
        status = read_operands(r, json_object_get(object, "in"), &n, &in);
    if (status != HL_OK)
        return status;
    hl_section(r->g, json_string_value(json_object_get(object, "section")));
    return append_node(r, n, in, params);
}

static hl_status read_nodes(reader *r, const json_t *list)
{
    hl_status status = HL_OK;
    if (!json_is_array(list) || json_array_size(list) > HL_PROGRAM_NODES)
        return hl_fail(r->err, HL_ERR_DATA, "%s: 'nodes' must be a list of at most %d nodes", r->name,
                       HL_PROGRAM_NODES);
    for (size_t i = 0; i < json_array_size(list) && status == HL_OK; i++) {
        r->node = (int)i;
        r->op = NULL;
        status = read_node(r, json_array_get(list, i));
    }
    hl_section(r->g, NULL);
    return status;
}

static hl_status read_outputs(reader *r, json_t *object)
{
    const char *name;
    json_t *value;
    if (!json_object_size(object) || json_object_size(object) > HL_PROGRAM_OUTPUTS)
        return hl_fail(r->err, HL_ERR_DATA, "%s: 'outputs' must name 1 to %d of them", r->name,
                       HL_PROGRAM_OUTPUTS);
    json_object_foreach(object, name, value)
    {
        hl_tensor t;
        if (!*name || strlen(name) > HL_PROGRAM_NAME || !read_tensor(r, value, &t) ||
            hl_dtype_of(r->g, t) != HL_F32)
            return hl_fail(
                r->err, HL_ERR_DATA,
                "%s: output '%s' must have a name of 1 to %d bytes and be the f32 result of a node", r->name,
                hl_excerpt_of(name).text, HL_PROGRAM_NAME);
        if (!hl_output_is_clear(r->g, name, t))
            return hl_fail(r->err, HL_ERR_DATA, "%s: output '%s' has the name of an input", r->name,
                           hl_excerpt_of(name).text);
        hl_output(r->g, name, t);
    }
    return HL_OK;
}

/* ------------------------------------------------------------------ */

static hl_status read_graph(reader *r, json_t *root)
{
    const char *key;
    json_t *value;
    json_object_foreach(root, key, value) if (strcmp(key, "nodes") != 0 &&
                                              strcmp(key, "outputs") !=
                                                  0) return hl_fail(r->err, HL_ERR_DATA,
                                                                    "%s: '%s' is no part of a graph", r->name,
                                                                    hl_excerpt_of(key).text);
    hl_status status = read_nodes(r, json_object_get(root, "nodes"));
    if (status == HL_OK)
        status = read_outputs(r, json_object_get(root, "outputs"));
    if (status == HL_OK && hl_graph_error(r->g))
        status = hl_fail(r->err, HL_ERR_DATA, "%s: %s", r->name, hl_graph_error(r->g));
    return status;
}

hl_graph *hl_program_read(const char *json, const char *name, hl_params *params, int64_t batch, hl_error *err)
{
    hl_error own = {0};
    reader r = {.name = name, .params = params, .batch = batch, .err = err ? err : &own};
    size_t size = strlen(json);
    if (batch < 1 || size > HL_PROGRAM_BYTES) {
        hl_fail(err, batch < 1 ? HL_ERR_USAGE : HL_ERR_DATA,
                "%s: a batch of %lld, and %zu bytes; must be 1 or more, and at most %d", name,
                (long long)batch, size, HL_PROGRAM_BYTES);
        return NULL;
    }
    json_t *root = hl_json_parse(json, size, name, err);
    if (!root)
        return NULL;
    r.g = hl_graph_new();
    hl_status status = r.g ? read_graph(&r, root)
                           : hl_fail(err, HL_ERR_MEMORY, "%s: no memory for its graph", name);
    json_decref(root);
    if (status == HL_OK)
        return r.g;
    hl_graph_free(r.g);
    return NULL;
}
