/* Typed parameters, one struct per op that has any. Shared with the kernels, so this includes
 * nothing of the graph; it must also compile as C++ (CUDA). */
#ifndef HL_OPS_PARAMS_H
#define HL_OPS_PARAMS_H

#include "hl.h"

typedef enum hl_activation { HL_ACT_NONE, HL_ACT_RELU, HL_ACT_GELU } hl_activation;

typedef struct hl_input_params {
    const char *name; /* in the graph's arena */
    hl_dtype dtype;
    hl_shape shape;
    bool scalar; /* keeps `value` until set */
    float value;
} hl_input_params;

typedef struct hl_param_params {
    const char *name; /* owned by the store */
    hl_role role;
    hl_dtype dtype;
    hl_shape shape;
    int index;          /* in the store */
    bool copy;          /* in 16 bits, of an entry of f32 */
    bool mapped;        /* a mapped file has the entry, */
    hl_dtype mapped_as; /* in this dtype */
} hl_param_params;

typedef struct hl_fill_params {
    hl_shape shape;
    float value;
} hl_fill_params;

typedef struct hl_affine_params {
    float factor, offset;
} hl_affine_params;

typedef struct hl_cast_params {
    hl_dtype dtype;
} hl_cast_params;

typedef struct hl_reshape_params {
    hl_shape shape;
} hl_reshape_params; /* also expand */

typedef struct hl_transpose_params {
    int order[HL_MAX_RANK];
} hl_transpose_params;

typedef struct hl_slice_params {
    int64_t begin, end;
    int axis;
} hl_slice_params;

typedef struct hl_concat_params {
    int axis;
} hl_concat_params;

typedef struct hl_pad_params {
    int64_t before, after;
    int axis;
} hl_pad_params;

/* Sum over axes [begin, end), dropped, times scale. x of any dtype -> f32. */
typedef struct hl_reduce_params {
    int begin, end;
    float scale;
} hl_reduce_params;

/* Element i is kept iff uniform(seed, step, stream, i / group) >= p, and scaled by 1/(1-p).
 * Number j of a stream is word j%4 of Philox block j/4. */
typedef struct hl_dropout_params {
    int64_t group;
    float p;
    uint32_t stream;
} hl_dropout_params;

/* Elements 4j..4j+3 come from block j by Box-Muller: words (0,1) give the first two, (2,3) the others. */
typedef struct hl_normal_params {
    hl_shape shape;
    uint32_t stream;
} hl_normal_params;

/* How products are formed where the operands are f32. Sums are f32 or better either way. */
typedef enum hl_math {
    HL_MATH_EXACT,
    HL_MATH_TF32, /* operands rounded to 10 bits of mantissa by the tensor cores of NVIDIA GPUs */
} hl_math;

/* out = act(op(a) op(b) + bias): in 0 a, in 1 b, in 2 bias (absent: none), in 3 added before the
 * activation, shaped as the output (absent: none). a and b share a dtype; bias, addend and result have
 * dtype `out`, which is theirs or f32. */
typedef struct hl_matmul_params {
    int transpose_a, transpose_b; /* 0 or 1; int, so that the struct has no padding */
    hl_activation activation;
    hl_dtype out;
    hl_math math;
} hl_matmul_params;

/* out = act(s w_scale (q w^T) + bias + addend): in x f32 [M,K], w i8 [N,K], w_scale [N], bias [N] (absent:
 * none), addend [M,N] (absent: none), x_scale [1] (absent: of each row, from its largest magnitude).
 * q = x / s, rounded to -127..127 (base/quantize.h), with s = x_scale; q w^T is exact. */
typedef struct hl_quantized_matmul_params {
    int unused; /* so that activation is not at 0, which says nowhere in hl_op_def */
    hl_activation activation;
} hl_quantized_matmul_params;

/* conv2d: in x [B,I,H,W], w [O,I,kh,kw], bias [O] or absent.
 * backward_data: in dy, w -> dx of size height x width.  backward_filter: in x, dy -> dw.
 * The first two operands share a dtype; bias and result have dtype `out`, which is theirs or f32.
 * quantized_conv2d: in x f32, w i8, w_scale [O], bias [O] or absent, x_scale [1] (absent: of each sample),
 * as quantized_matmul; `out` is f32. */
typedef struct hl_conv_params {
    int stride, padding;
    int64_t height, width; /* backward_data: of x; backward_filter: of the kernel */
    hl_activation activation;
    hl_dtype out;
    hl_math math;
    int unused; /* no padding: nodes compare by memcmp */
} hl_conv_params;

/* avg_pool: out size; avg_pool_backward: size of x */
typedef struct hl_pool_params {
    int64_t height, width;
} hl_pool_params;

/* patch_mean: x [B,C,H,W] -> [B,h,w,C*kh*kw]; backward: -> [B,channels,height,width] */
typedef struct hl_patch_params {
    int64_t kernel_h, kernel_w;
    int stride, padding;
    int64_t pool_h, pool_w;
    int64_t channels, height, width; /* of x; backward only */
} hl_patch_params;

/* layer_norm: in x [...,C], gain [C], bias [C] -> y, mean [rows], rstd [rows]; activation after the
 * affine part (rewritten in by `fuse`).
 * backward: in dy, x, gain, mean, rstd -> dx, dgain, dbias
 * y has the dtype of x, and dx that of dy, which is x's; all others are f32. */
typedef struct hl_norm_params {
    float eps;
    hl_activation activation;
} hl_norm_params;

/* attention: in q [B or 1,T,N*D], k, v [B,S,N*D] -> y [B,T,N*D], lse [B,N,T] (log of the softmax's
 * denominator). backward: in dy, q, k, v, y, lse -> dq, dk, dv.
 * lse is f32, all others share a dtype.
 * Probability (b,t,n,s) is dropped by number ((b*T+t)*N+n)*S+s of the stream, as hl_dropout_params says. */
typedef struct hl_attention_params {
    int heads;
    float dropout;
    uint32_t stream;
} hl_attention_params;

/* lstm: in x [B,T,4H] (input part of the gates, both biases in it), w_hidden [4H,H]
 *   -> h [B,T,H], c [B,T,H], gates [B,T,4H] after their nonlinearities (i,f,g,o)
 * lstm_backward: in dh, w_hidden, c, gates -> dx [B,T,4H] (before the nonlinearities) */
typedef struct hl_lstm_params {
    bool reverse;
} hl_lstm_params;

/* in count, skipped, norm, loss, loss_scale (absent: 1) -> count', skipped', factor.  norm (of the
 * gradients of the unscaled loss) and loss finite: count+1 and factor = min(1, clip/(norm+1e-6)) / loss_scale
 * (clip 0: 1 / loss_scale); else skipped+1 and factor = -1: leave all as it is. */
typedef struct hl_gate_params {
    float clip;
} hl_gate_params;

/* in loss_scale, good, factor -> loss_scale', good'.  factor below 0 (the step was skipped): loss_scale
 * halved, not below 1, and good = 0.  Else good+1, and when that is `interval`: loss_scale doubled, not
 * above 2^24, and good = 0. */
typedef struct hl_loss_scale_params {
    float interval; /* good steps in a row */
} hl_loss_scale_params;

/* in p, m, v, low, gradient, factor, lr, count' -> p', m', v', low' (absent if low is).  The gradient is
 * multiplied by factor. It may cover elements [offset, offset + its count) of p only; elsewhere it is zero.
 * Absent: zero everywhere, so that only the decay acts and moments stay (they are zero). low: a copy of p
 * in f16 or bf16, which is not read; low' is p' rounded to nearest even, and low as it is where factor is
 * below 0. m and v are both f32 or both bf16: then the new values are rounded stochastically, element i of m
 * by the low 16 bits of word i%4 of Philox block i/4 of the stream, of v by the high 16. */
typedef struct hl_adamw_params {
    int64_t offset;
    float beta1, beta2, eps, weight_decay;
    uint32_t stream;
    int unused; /* no padding: nodes compare by memcmp */
} hl_adamw_params;

#endif
