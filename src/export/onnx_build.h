/* An ONNX model under construction. Values go by their names in the file; a function that fails gives NULL,
 * says why in the model, and what is built from NULL is NULL: lowerings read as mathematics. */
#ifndef HL_EXPORT_ONNX_BUILD_H
#define HL_EXPORT_ONNX_BUILD_H

#include "export/onnx.h"
#include "graph/batch.h"
#include "ops/params.h"

/* Of the format: what onnx.proto calls them. */
enum { HL_ONNX_FLOAT = 1, HL_ONNX_INT8 = 3, HL_ONNX_INT64 = 7, HL_ONNX_FLOAT16 = 10, HL_ONNX_BFLOAT16 = 16 };
int hl_onnx_type(hl_dtype dtype);

/* A parameter as it lies in the file. */
typedef struct hl_onnx_weight {
    const char *name;
    int param; /* in the store */
    hl_dtype dtype;
    hl_shape shape;
    struct hl_onnx_weight *next;
} hl_onnx_weight;

/* A constant that is there already: equal ones are written once. */
typedef struct hl_onnx_constant {
    const char *name;
    hl_text tensor; /* without its name */
    struct hl_onnx_constant *next;
} hl_onnx_constant;

typedef struct hl_onnx {
    const hl_graph *two, *three;
    const hl_onnx_options *options;
    hl_dtype *stored; /* of each entry of the store: how it lies in the file */
    hl_arena *arena;
    hl_text body; /* of the GraphProto, but for its weights */
    hl_onnx_weight *weights, **last_weight;
    hl_onnx_constant *constants;
    const char **value;  /* [two->n_tensors] names; NULL: not lowered yet */
    const hl_node *node; /* of `two`, being lowered */
    int emitted;         /* nodes that it has become so far */
    hl_error error;
} hl_onnx;

/* The first error stays. */
const char *hl_onnx_fail(hl_onnx *x, hl_status status, const char *format, ...) HL_PRINTF(3, 4);
bool hl_onnx_failed(const hl_onnx *x);

/* ------------------------------------------------------------------ nodes */

void hl_onnx_int(hl_text *attributes, const char *name, int64_t value);
void hl_onnx_float(hl_text *attributes, const char *name, float value);
void hl_onnx_string(hl_text *attributes, const char *name, const char *value);
void hl_onnx_ints(hl_text *attributes, const char *name, int n, const int64_t *values);

/* A node of the model, with one result. Frees attributes (which may be NULL). "" is an absent operand. */
const char *hl_onnx_node(hl_onnx *x, const char *type, hl_text *attributes, int n_in, const char *const *in);
#define hl_onnx_emit(x, type, attributes, ...)                                                               \
    hl_onnx_node(x, type, attributes, (int)(sizeof(const char *[]){__VA_ARGS__} / sizeof(const char *)),     \
                 (const char *const[]){__VA_ARGS__})

/* A tensor of the graph. A parameter becomes part of the model when it is first asked for. */
const char *hl_onnx_value(hl_onnx *x, hl_tensor t);
/* Operand k of the node being lowered: "" where it is absent. */
const char *hl_onnx_in(hl_onnx *x, int k);
/* What goes into the model, and what comes out of it. */
void hl_onnx_input(hl_onnx *x, const char *name, hl_tensor t);
void hl_onnx_output(hl_onnx *x, const char *name, hl_tensor t);

/* ------------------------------------------------------------------ constants and parameters */

const char *hl_onnx_scalar(hl_onnx *x, float value);
const char *hl_onnx_matrix(hl_onnx *x, int64_t rows, int64_t columns, const float *values);
const char *hl_onnx_integers(hl_onnx *x, int n, const int64_t *values); /* int64 [n] */
const char *hl_onnx_zero_point(hl_onnx *x);                             /* of integers of eight bits */
/* A parameter in another form of the same elements, or of another dtype. */
const char *hl_onnx_parameter(hl_onnx *x, const hl_node *param, hl_dtype dtype, hl_shape shape);

/* ------------------------------------------------------------------ shapes */

typedef struct hl_onnx_dims {
    int rank;
    hl_batch_size dim[HL_MAX_RANK];
} hl_onnx_dims;

hl_onnx_dims hl_onnx_dims_of(const hl_onnx *x, hl_tensor t);
static inline hl_batch_size hl_onnx_fixed(int64_t count)
{
    return (hl_batch_size){count, false};
}
/* As a value, int64 [rank]: computed from an input's shape where it grows with the batch. */
const char *hl_onnx_shape(hl_onnx *x, hl_onnx_dims to);
const char *hl_onnx_reshape(hl_onnx *x, const char *value, hl_onnx_dims from, hl_onnx_dims to);
const char *hl_onnx_transpose(hl_onnx *x, const char *value, int rank, const int *order);

const char *hl_onnx_softmax(hl_onnx *x, const char *value);        /* over the last dim */
void hl_onnx_window(hl_text *attributes, const hl_conv_params *p); /* of Conv */
/* value, or what an activation makes of it. */
const char *hl_onnx_activation(hl_onnx *x, hl_activation activation, const char *value);

/* ------------------------------------------------------------------ lowering */

/* Gives result 0 of n, the only one that other nodes may read. */
typedef const char *(*hl_onnx_lowering)(hl_onnx *x, const hl_node *n);
#define HL_ONNX(op) const char *hl_onnx_lower_##op(hl_onnx *x, const hl_node *n);
#include "export/onnx_ops.def"
#undef HL_ONNX

/* ------------------------------------------------------------------ files */

/* The model around x, with the weights of params as of now. */
hl_status hl_onnx_save(const hl_onnx *x, const char *path, hl_params *params, hl_error *err);

#endif
