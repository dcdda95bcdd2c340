/* Nodes, constants and shapes of an ONNX model: the messages of onnx.proto, with its field numbers. */
#include "export/onnx_build.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/protobuf.h"
#include "ops/ops.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "tensors in a model are written as they lie in memory, which must be little-endian"
#endif

const char *hl_onnx_fail(hl_onnx *x, hl_status status, const char *format, ...)
{
    va_list args;
    if (hl_onnx_failed(x))
        return NULL;
    x->error.status = status;
    va_start(args, format);
    vsnprintf(x->error.message, sizeof x->error.message, format, args);
    va_end(args);
    return NULL;
}

bool hl_onnx_failed(const hl_onnx *x)
{
    return x->error.status != HL_OK;
}

static const char *no_memory(hl_onnx *x)
{
    return hl_onnx_fail(x, HL_ERR_MEMORY, "no memory for a model of %d nodes", x->two->n_nodes);
}

int hl_onnx_type(hl_dtype dtype)
{
    static const int types[HL_DTYPES] = {HL_ONNX_FLOAT, HL_ONNX_FLOAT16, HL_ONNX_BFLOAT16, HL_ONNX_INT8};
    return types[dtype];
}

/* A string that lives as long as x. */
static const char *name_of(hl_onnx *x, const char *format, ...) HL_PRINTF(2, 3);
static const char *name_of(hl_onnx *x, const char *format, ...)
{
    char buffer[512];
    va_list args;
    va_start(args, format);
    vsnprintf(buffer, sizeof buffer, format, args);
    va_end(args);
    const char *name = hl_arena_strdup(x->arena, buffer);
    return name ? name : no_memory(x);
}

/* Moves a message into a field of the GraphProto. */
static void put(hl_onnx *x, int field, hl_text *message)
{
    hl_protobuf_message(&x->body, field, message);
    hl_text_free(message);
}

/* ------------------------------------------------------------------ nodes */

enum { KIND_FLOAT = 1, KIND_INT = 2, KIND_STRING = 3, KIND_INTS = 7 };

/* AttributeProto: name, then what the kind says, then the kind. */
static void put_attribute(hl_text *attributes, const char *name, hl_text *value, int kind)
{
    hl_text a = {0};
    hl_protobuf_string(&a, 1, name);
    a.failed |= value->failed;
    hl_text_append_bytes(&a, value->at, value->size);
    hl_protobuf_int(&a, 20, kind);
    hl_protobuf_message(attributes, 5, &a);
    hl_text_free(value);
    hl_text_free(&a);
}

void hl_onnx_int(hl_text *attributes, const char *name, int64_t value)
{
    hl_text v = {0};
    hl_protobuf_int(&v, 3, value);
    put_attribute(attributes, name, &v, KIND_INT);
}

void hl_onnx_float(hl_text *attributes, const char *name, float value)
{
    hl_text v = {0};
    hl_protobuf_float(&v, 2, value);
    put_attribute(attributes, name, &v, KIND_FLOAT);
}

void hl_onnx_string(hl_text *attributes, const char *name, const char *value)
{
    hl_text v = {0};
    hl_protobuf_string(&v, 4, value);
    put_attribute(attributes, name, &v, KIND_STRING);
}

void hl_onnx_ints(hl_text *attributes, const char *name, int n, const int64_t *values)
{
    hl_text v = {0};
    for (int i = 0; i < n; i++)
        hl_protobuf_int(&v, 8, values[i]);
    put_attribute(attributes, name, &v, KIND_INTS);
}

/* "compressor/layer_norm_12.0": parameters have no '/' in their names, so it is new. */
static const char *next_name(hl_onnx *x)
{
    return name_of(x, "%.200s/%s_%d.%d", x->node->label.section, x->node->op->name, x->node->index,
                   x->emitted++);
}

static void put_node(hl_onnx *x, const char *type, const hl_text *attributes, int n_in, const char *const *in,
                     const char *result)
{
    hl_text node = {0};
    for (int k = 0; k < n_in; k++)
        hl_protobuf_string(&node, 1, in[k]);
    hl_protobuf_string(&node, 2, result);
    hl_protobuf_string(&node, 3, result); /* the node has the name of what it gives */
    hl_protobuf_string(&node, 4, type);
    if (attributes) {
        node.failed |= attributes->failed;
        hl_text_append_bytes(&node, attributes->at, attributes->size);
    }
    put(x, 1, &node);
}

const char *hl_onnx_node(hl_onnx *x, const char *type, hl_text *attributes, int n_in, const char *const *in)
{
    const char *result = hl_onnx_failed(x) ? NULL : next_name(x);
    for (int k = 0; k < n_in; k++)
        result = in[k] ? result : NULL;
    if (result)
        put_node(x, type, attributes, n_in, in, result);
    if (attributes)
        hl_text_free(attributes);
    return result;
}

/* What a parameter becomes is named after it, not after its reader. */
static const char *take_param(hl_onnx *x, const hl_node *param)
{
    const hl_node *reader = x->node;
    const int emitted = x->emitted;
    x->node = param;
    x->emitted = 0;
    const char *value = hl_onnx_lower_param(x, param);
    x->node = reader;
    x->emitted = emitted;
    return value;
}

const char *hl_onnx_value(hl_onnx *x, hl_tensor t)
{
    const hl_tensor_info *info = hl_info(x->two, t);
    if (info->output > 0)
        return hl_onnx_fail(x, HL_ERR_UNSUPPORTED,
                            "result %d of %s (node %d) is read; an ONNX model has the first result only",
                            info->output, info->node->op->name, info->node->index);
    if (!x->value[t.id] && info->node->op == &hl_op_param)
        x->value[t.id] = take_param(x, info->node);
    return x->value[t.id];
}

const char *hl_onnx_in(hl_onnx *x, int k)
{
    return x->node->in[k].id ? hl_onnx_value(x, x->node->in[k]) : "";
}

/* ------------------------------------------------------------------ constants and parameters */

/* The head of a TensorProto: dims and type. */
static void put_tensor_type(hl_text *tensor, hl_shape shape, int type)
{
    for (int k = 0; k < shape.rank; k++)
        hl_protobuf_int(tensor, 1, shape.dim[k]);
    hl_protobuf_int(tensor, 2, type);
}

/* Takes tensor, which has no name yet. */
static const char *constant(hl_onnx *x, hl_text *tensor)
{
    int n = 0;
    for (const hl_onnx_constant *c = x->constants; c && !tensor->failed; c = c->next, n++) {
        if (c->tensor.size == tensor->size && !memcmp(c->tensor.at, tensor->at, tensor->size)) {
            hl_text_free(tensor);
            return c->name;
        }
    }
    hl_onnx_constant *c = hl_arena_alloc(x->arena, 1, sizeof *c);
    if (!c || tensor->failed) {
        hl_text_free(tensor);
        return no_memory(x);
    }
    *c = (hl_onnx_constant){name_of(x, "/constant_%d", n), *tensor, x->constants};
    x->constants = c;
    return c->name;
}

static const char *floats(hl_onnx *x, hl_shape shape, const float *values)
{
    hl_text tensor = {0};
    put_tensor_type(&tensor, shape, HL_ONNX_FLOAT);
    hl_protobuf_bytes(&tensor, 9, values, (size_t)hl_shape_count(shape) * sizeof *values);
    return constant(x, &tensor);
}

const char *hl_onnx_scalar(hl_onnx *x, float value)
{
    return floats(x, (hl_shape){0}, &value);
}

const char *hl_onnx_matrix(hl_onnx *x, int64_t rows, int64_t columns, const float *values)
{
    return floats(x, (hl_shape){2, {rows, columns}}, values);
}

const char *hl_onnx_integers(hl_onnx *x, int n, const int64_t *values)
{
    hl_text tensor = {0};
    put_tensor_type(&tensor, (hl_shape){1, {n}}, HL_ONNX_INT64);
    hl_protobuf_bytes(&tensor, 9, values, (size_t)n * sizeof *values);
    return constant(x, &tensor);
}

const char *hl_onnx_zero_point(hl_onnx *x)
{
    hl_text tensor = {0};
    put_tensor_type(&tensor, (hl_shape){0}, HL_ONNX_INT8);
    hl_protobuf_bytes(&tensor, 9, "", 1);
    return constant(x, &tensor);
}

const char *hl_onnx_parameter(hl_onnx *x, const hl_node *param, hl_dtype dtype, hl_shape shape)
{
    const hl_param_params *p = param->params;
    for (const hl_onnx_weight *w = x->weights; w; w = w->next)
        if (w->param == p->index && w->dtype == dtype && hl_shape_equal(w->shape, shape))
            return w->name;
    bool plain = hl_shape_equal(shape, p->shape);
    hl_onnx_weight *w = hl_arena_alloc(x->arena, 1, sizeof *w);
    if (!w)
        return no_memory(x);
    const char *name = plain ? p->name : name_of(x, "%s/%s", p->name, hl_shape_print(shape).text);
    *w = (hl_onnx_weight){name, p->index, dtype, shape, NULL};
    *x->last_weight = w;
    x->last_weight = &w->next;
    return name;
}

/* ------------------------------------------------------------------ inputs and outputs */

/* TensorShapeProto.Dimension: a number, or a symbol. */
static void put_dim(hl_text *shape, hl_batch_size size)
{
    hl_text dim = {0}, symbol = {0};
    if (size.per_row) {
        hl_text_append(&symbol, "batch");
        if (size.count != 1)
            hl_text_appendf(&symbol, "*%lld", (long long)size.count);
        hl_protobuf_message(&dim, 2, &symbol);
    } else {
        hl_protobuf_int(&dim, 1, size.count);
    }
    hl_protobuf_message(shape, 1, &dim);
    hl_text_free(&dim);
    hl_text_free(&symbol);
}

/* ValueInfoProto, into a field of the GraphProto. */
static void declare(hl_onnx *x, int field, const char *name, hl_tensor t)
{
    hl_onnx_dims d = hl_onnx_dims_of(x, t);
    hl_text shape = {0}, tensor = {0}, type = {0}, value = {0};
    for (int k = 0; k < d.rank; k++)
        put_dim(&shape, d.dim[k]);
    hl_protobuf_int(&tensor, 1, HL_ONNX_FLOAT);
    hl_protobuf_message(&tensor, 2, &shape);
    hl_protobuf_message(&type, 1, &tensor);
    hl_protobuf_string(&value, 1, name);
    hl_protobuf_message(&value, 2, &type);
    hl_text_free(&shape);
    hl_text_free(&tensor);
    hl_text_free(&type);
    put(x, field, &value);
}

void hl_onnx_input(hl_onnx *x, const char *name, hl_tensor t)
{
    declare(x, 11, name, t);
}

/* A node of its own: what an output names may be an input, or another output too. */
void hl_onnx_output(hl_onnx *x, const char *name, hl_tensor t)
{
    const char *value = hl_onnx_value(x, t);
    if (hl_dtype_of(x->two, t) == HL_I8)
        hl_onnx_fail(x, HL_ERR_UNSUPPORTED, "output '%s' is i8; those of an ONNX model of ours are f32",
                     name);
    if (!value || hl_onnx_failed(x))
        return;
    put_node(x, "Identity", NULL, 1, &value, name);
    declare(x, 12, name, t);
}
