/* The ops, by name. */
#ifndef HL_OPS_OPS_H
#define HL_OPS_OPS_H

#include "graph/graph.h"
#include "ops/params.h"

#define HL_OP(name) extern const hl_op_def hl_op_##name;
#include "ops/ops.def"
#undef HL_OP

/* All ops, in the order of ops.def. */
int hl_op_count(void);
const hl_op_def *hl_op_at(int index);
const hl_op_def *hl_op_find(const char *name);

/* The input or scalar of that name; NULL: there is none. */
const hl_node *hl_graph_input(const hl_graph *g, const char *name);
/* Whether an output t of that name would be told apart from every input: none has it, or t is that input. */
bool hl_output_is_clear(const hl_graph *g, const char *name, hl_tensor t);

/* For the tables of fields. */
extern const hl_field hl_no_fields[];
extern const char *const hl_activation_words[], *const hl_math_words[];

/* ------------------------------------------------------------------ for gradient rules */

/* Sums t over the axes that broadcasting to its shape from `shape` has repeated. */
hl_tensor hl_sum_to(hl_graph *g, hl_tensor t, hl_shape shape);
/* hl_matmul with an absent or present bias [N] added to every row and an activation after it. */
hl_tensor hl_matmul_bias(hl_graph *g, hl_tensor a, bool transpose_a, hl_tensor b, bool transpose_b,
                         hl_tensor bias, hl_activation activation);
/* Sum over axes [begin, end), which are dropped, times scale. */
hl_tensor hl_reduce(hl_graph *g, hl_tensor x, int begin, int end, float scale);
hl_tensor hl_reshape_to(hl_graph *g, hl_tensor x, hl_shape shape);
/* Dropout that draws from an existing stream, one number per `group` elements. */
hl_tensor hl_dropout_stream(hl_graph *g, hl_tensor x, float p, uint32_t stream, int64_t group);
/* Operands have the dtypes that the op's low_in allows, else an error that names the op. For shape rules. */
bool hl_want_dtypes(hl_graph *g, const hl_node *n);
/* The dtype that the operands of low_in share: that of the results of low_out. */
hl_dtype hl_shared_dtype(const hl_graph *g, const hl_node *n);
/* Whether operand k is one of low_in; result k of low_out. */
bool hl_low_operand(const hl_op_def *op, int k);
bool hl_low_result(const hl_op_def *op, int k);
/* For products: bias and addend (operands from `first` on) have dtype `out`, which is the operands' or f32.
 */
bool hl_want_out(hl_graph *g, const hl_node *n, int first, hl_dtype out);
/* Shape y of the convolution of x by w for a node with hl_conv_params; false after hl_graph_fail. */
bool hl_conv_shape(hl_graph *g, const hl_node *n, hl_shape x, hl_shape w, hl_shape *y);
/* A reference's activation, as of hl_relu and hl_gelu. */
double hl_activation_reference(hl_activation activation, double x);
/* Products of x, quantized as it comes, and integers w with a scale per row (params.h); bias and x_scale may
 * be {0}. */
hl_tensor hl_quantized_matmul(hl_graph *g, hl_tensor x, hl_tensor w, hl_tensor w_scale, hl_tensor bias,
                              hl_tensor x_scale);
hl_tensor hl_quantized_conv2d(hl_graph *g, hl_tensor x, hl_tensor w, hl_tensor w_scale, hl_tensor bias,
                              hl_tensor x_scale, int stride, int padding);
/* Patches of x [B,C,H,W] averaged over each cell of an adaptive [h,w] pool of the convolution's
 * output -> [B,h,w,C*kh*kw]: the pool of a convolution is a matmul of this. */
hl_tensor hl_patch_mean(hl_graph *g, hl_tensor x, int kernel_h, int kernel_w, int stride, int padding,
                        int64_t h, int64_t w);

#endif
