#include "tests/ops/cases.h"

#include <string.h>

/* What is beside x and w. */
enum { BIAS = 1, ADDEND = 2, GIVEN_SCALE = 4 };

/* A scale per row of w, of either sign; the scale of x: a step at which some of [-1,1] is cut off. */
static hl_tensor w_scale(hl_graph *g, int64_t rows)
{
    return hl_affine(g, case_input(g, "w_scale", 1, rows, 0, 0, 0), 0.01f, 0);
}

static hl_tensor x_scale(hl_graph *g, int64_t beside)
{
    return beside & GIVEN_SCALE ? hl_fill(g, 1, (int64_t[]){1}, 0.0071f) : (hl_tensor){0};
}

/* x as floats: reference and kernels must quantize the same numbers. size: M, N, K, beside, activation */
static void build_matmul(hl_graph *g, hl_params *params, const int64_t *s)
{
    hl_quantized_matmul_params p = {0, (hl_activation)s[4]};
    hl_tensor none = {0};
    hl_tensor in[] = {case_input(g, "x", 2, s[0], s[2], 0, 0),
                      case_integers(g, params, "w", 2, s[1], s[2], 0, 0),
                      w_scale(g, s[1]),
                      s[3] & BIAS ? case_input(g, "bias", 1, s[1], 0, 0, 0) : none,
                      s[3] & ADDEND ? case_input(g, "addend", 2, s[0], s[1], 0, 0) : none,
                      x_scale(g, s[3])};
    hl_output(g, "y", hl_graph_apply(g, &hl_op_quantized_matmul, 6, in, &p));
}

/* Rows of one number each. size: M, N, K, the number's divisor (0: zeros) */
static void build_uniform(hl_graph *g, hl_params *params, const int64_t *s)
{
    hl_tensor none = {0}, x = hl_fill(g, 2, (int64_t[]){s[0], s[2]}, s[3] ? 1.0f / (float)s[3] : 0);
    hl_tensor w = case_integers(g, params, "w", 2, s[1], s[2], 0, 0);
    hl_output(g, "y", hl_quantized_matmul(g, x, w, w_scale(g, s[1]), none, none));
}

/* A row with an infinity or NaN among others. size: M, N, K, given scale, 0: infinity, else NaN */
static void build_not_finite(hl_graph *g, hl_params *params, const int64_t *s)
{
    hl_tensor zero = hl_fill(g, 2, (int64_t[]){1, s[2]}, 0), one = hl_fill(g, 2, (int64_t[]){1, s[2]}, 1);
    hl_tensor bad = hl_div(g, s[4] ? zero : one, zero), x = case_input(g, "x", 2, s[0] - 1, s[2], 0, 0);
    hl_tensor w = case_integers(g, params, "w", 2, s[1], s[2], 0, 0);
    hl_output(g, "y",
              hl_quantized_matmul(g, hl_concat(g, 2, (hl_tensor[]){x, bad}, 0), w, w_scale(g, s[1]),
                                  (hl_tensor){0}, x_scale(g, s[3] ? GIVEN_SCALE : 0)));
}

/* size: rank and columns of x, length of w_scale, bias, x_scale, rows of the addend, dtype of w */
static void build_misfit(hl_graph *g, hl_params *params, const int64_t *s)
{
    hl_quantized_matmul_params p = {0, HL_ACT_NONE};
    hl_tensor in[] = {case_input(g, "x", (int)s[0], 3, s[1], 2, 2),
                      s[6] == HL_I8 ? case_integers(g, params, "w", 2, 5, 4, 0, 0)
                                    : hl_cast(g, case_input(g, "w", 2, 5, 4, 0, 0), (hl_dtype)s[6]),
                      case_input(g, "w_scale", 1, s[2], 0, 0, 0),
                      case_input(g, "bias", 1, s[3], 0, 0, 0),
                      case_input(g, "addend", 2, s[5], 5, 0, 0),
                      case_input(g, "x_scale", 1, s[4], 0, 0, 0)};
    hl_output(g, "y", hl_graph_apply(g, &hl_op_quantized_matmul, 6, in, &p));
}

static void build_low(hl_graph *g, hl_params *params, const int64_t *s)
{
    hl_tensor w = case_integers(g, params, "w", 2, s[1], s[2], 0, 0), none = {0};
    hl_tensor x = hl_cast(g, case_input(g, "x", 2, s[0], s[2], 0, 0), HL_BF16);
    hl_output(g, "y", hl_quantized_matmul(g, x, w, w_scale(g, s[1]), none, none));
}

/* Integers where floats belong. size: 0 an add, 1 a cast, 2 a cast to them, 3 a product */
static void build_elsewhere(hl_graph *g, hl_params *params, const int64_t *s)
{
    hl_tensor w = case_integers(g, params, "w", 2, 2, 2, 0, 0), x = case_input(g, "x", 2, 2, 2, 0, 0);
    hl_output(g, "y",
              s[0] == 0   ? hl_add(g, w, w)
              : s[0] == 1 ? hl_cast(g, w, HL_F32)
              : s[0] == 2 ? hl_cast(g, x, HL_I8)
                          : hl_matmul(g, x, false, w, false));
}

const hl_case cases_quantized_matmul[] = {
    {"1x1x1", build_matmul, .size = {1, 1, 1, BIAS}},
    {"one row", build_matmul, .size = {1, 67, 129, BIAS}},
    {"one row, two lines", build_matmul, .size = {1, 5, 256, 0}},
    {"three rows", build_matmul, .size = {3, 17, 33, BIAS | ADDEND}},
    {"a batch", build_matmul, .size = {16, 130, 70, BIAS}},
    {"a batch of 17, given scale", build_matmul, .size = {17, 33, 67, BIAS | ADDEND | GIVEN_SCALE}},
    {"a batch of 33, deep", build_matmul, .size = {33, 53, 1234, BIAS}},
    {"more than a piece", build_matmul, .size = {131, 19, 40, ADDEND}},
    {"relu", build_matmul, .size = {5, 48, 64, BIAS | ADDEND, HL_ACT_RELU}},
    {"gelu, given scale", build_matmul, .size = {2, 7, 31, BIAS | GIVEN_SCALE, HL_ACT_GELU}},
    {"zeros", build_uniform, .size = {3, 5, 17, 0}},
    {"all at the most", build_uniform, .size = {2, 5, 40, 3}},
    {"the longest sum", build_uniform, .size = {2, 2, 132104, 3}},
    {"an infinity", build_not_finite, .size = {3, 5, 17, 0, 0}},
    {"a NaN", build_not_finite, .size = {3, 5, 17, 0, 1}},
    {"an infinity, given scale", build_not_finite, .size = {3, 5, 17, 1, 0}},
    {"a NaN, given scale", build_not_finite, .size = {3, 5, 17, 1, 1}},
    {"no rows", build_matmul, .size = {0, 5, 3, BIAS}},
    {"no columns", build_matmul, .size = {3, 0, 3, 0}},
    {"no terms", build_matmul, .size = {3, 5, 0, BIAS}},
    {"too long a sum", build_matmul, .size = {1, 1, 132105, 0},
     .error = "quantized_matmul: sums of 132105 products; up to 132104"},
    {"misfit", build_misfit, .size = {2, 3, 5, 5, 1, 3, HL_I8}, .error = "x is [3,3] and w [5,4]"},
    {"misfit rank", build_misfit, .size = {3, 4, 5, 5, 1, 3, HL_I8}, .error = "x is [3,4,2] and w [5,4]"},
    {"misfit scale", build_misfit, .size = {2, 4, 1, 5, 1, 3, HL_I8},
     .error = "quantized_matmul: the scale of w is [1], it must be [5]"},
    {"misfit bias", build_misfit, .size = {2, 4, 5, 4, 1, 3, HL_I8},
     .error = "the bias is [4], it must be [5]"},
    {"misfit addend", build_misfit, .size = {2, 4, 5, 5, 1, 2, HL_I8},
     .error = "the addend is [2,5], it must be [3,5]"},
    {"misfit scale of x", build_misfit, .size = {2, 4, 5, 5, 3, 3, HL_I8},
     .error = "the scale of x is [3], it must be [1]"},
    {"weights of f32", build_misfit, .size = {2, 4, 5, 5, 1, 3, HL_F32},
     .error = "quantized_matmul: operand 1 is f32, it must be i8"},
    {"weights of bf16", build_misfit, .size = {2, 4, 5, 5, 1, 3, HL_BF16}, .error = "operand 1 is bf16"},
    {"x of 16 bits", build_low, .size = {2, 3, 4}, .error = "quantized_matmul: operand 0 is bf16"},
    {"integers in a sum", build_elsewhere, .size = {0},
     .error = "add: operand 0 is i8, which only quantized"},
    {"integers cast", build_elsewhere, .size = {1}, .error = "cast: operand 0 is i8"},
    {"cast to integers", build_elsewhere, .size = {2}, .error = "cast: to i8, which is none of"},
    {"integers in a product", build_elsewhere, .size = {3}, .error = "matmul: operand 1 is i8"},
    {0},
};

/* ------------------------------------------------------------------ convolutions */

static hl_tensor conv(hl_graph *g, hl_params *params, const int64_t *s, int64_t beside,
                      hl_activation activation, hl_dtype out)
{
    hl_conv_params p;
    memset(&p, 0, sizeof p);
    p.stride = (int)s[7];
    p.padding = (int)s[8];
    p.activation = activation;
    p.out = out;
    hl_tensor in[] = {case_input(g, "x", 4, s[0], s[1], s[2], s[3]),
                      case_integers(g, params, "w", 4, s[4], s[1], s[5], s[6]), w_scale(g, s[4]),
                      beside & BIAS ? case_input(g, "bias", 1, s[4], 0, 0, 0) : (hl_tensor){0},
                      x_scale(g, beside)};
    return hl_graph_apply(g, &hl_op_quantized_conv2d, 5, in, &p);
}

/* size: B, I, H, W, O, kh, kw, stride, padding, beside */
static void build_conv(hl_graph *g, hl_params *params, const int64_t *s)
{
    hl_output(g, "y", conv(g, params, s, s[9], HL_ACT_NONE, HL_F32));
}

static void build_relu(hl_graph *g, hl_params *params, const int64_t *s)
{
    hl_output(g, "y", conv(g, params, s, s[9], HL_ACT_RELU, HL_F32));
}

static void build_gelu(hl_graph *g, hl_params *params, const int64_t *s)
{
    hl_output(g, "y", conv(g, params, s, s[9], HL_ACT_GELU, HL_F32));
}

static void build_low_result(hl_graph *g, hl_params *params, const int64_t *s)
{
    hl_output(g, "y", conv(g, params, s, s[9], HL_ACT_NONE, HL_BF16));
}

/* One sample of zeros and one with a NaN, beside one of numbers. */
static void build_samples(hl_graph *g, hl_params *params, const int64_t *s)
{
    hl_tensor zero = hl_fill(g, 4, (int64_t[]){1, s[1], s[2], s[3]}, 0), none = {0};
    hl_tensor x[] = {case_input(g, "x", 4, s[0], s[1], s[2], s[3]), zero, hl_div(g, zero, zero)};
    hl_tensor w = case_integers(g, params, "w", 4, s[4], s[1], s[5], s[6]);
    hl_output(
        g, "y",
        hl_quantized_conv2d(g, hl_concat(g, 3, x, 0), w, w_scale(g, s[4]), none, none, (int)s[7], (int)s[8]));
}

/* size: channels of x, of w, lengths of w_scale, bias, x_scale */
static void build_conv_misfit(hl_graph *g, hl_params *params, const int64_t *s)
{
    hl_tensor w = case_integers(g, params, "w", 4, 5, s[1], 3, 3);
    hl_output(g, "y",
              hl_quantized_conv2d(
                  g, case_input(g, "x", 4, 2, s[0], 8, 8), w, case_input(g, "w_scale", 1, s[2], 0, 0, 0),
                  case_input(g, "bias", 1, s[3], 0, 0, 0), case_input(g, "x_scale", 1, s[4], 0, 0, 0), 1, 1));
}

const hl_case cases_quantized_conv2d[] = {
    {"1x1 of one pixel", build_conv, .size = {1, 1, 1, 1, 1, 1, 1, 1, 0, BIAS}},
    {"pointwise", build_conv, .size = {2, 3, 5, 7, 4, 1, 1, 1, 0, BIAS}},
    {"3x3 same", build_conv, .size = {2, 3, 9, 6, 5, 3, 3, 1, 1, BIAS}},
    {"3x3 stride 2, given scale", build_conv, .size = {3, 4, 17, 17, 6, 3, 3, 2, 1, BIAS | GIVEN_SCALE}},
    {"3x3 stride 3, unread edge", build_conv, .size = {1, 2, 8, 10, 3, 3, 3, 3, 0, 0}},
    {"7x7 stride 2, as the first layer", build_conv, .size = {2, 3, 17, 19, 17, 7, 7, 2, 3, BIAS}},
    {"1x5 kernel", build_conv, .size = {1, 3, 3, 17, 2, 1, 5, 1, 0, BIAS}},
    {"5x1 kernel", build_conv, .size = {1, 3, 17, 3, 2, 5, 1, 1, 2, BIAS}},
    {"mostly padding", build_conv, .size = {1, 2, 1, 1, 3, 3, 3, 1, 4, BIAS}},
    {"several blocks of channels", build_conv, .size = {1, 33, 7, 7, 50, 3, 3, 1, 1, BIAS}},
    {"several stretches", build_conv, .size = {1, 2, 41, 33, 7, 3, 3, 1, 1, BIAS}},
    {"channels in pairs, many taps", build_conv, .size = {2, 34, 9, 21, 7, 3, 3, 2, 1, BIAS}},
    {"columns in pairs, even kernel", build_conv, .size = {1, 5, 9, 40, 8, 4, 6, 2, 2, BIAS}},
    {"stride beyond the kernel", build_conv, .size = {2, 2, 17, 40, 3, 2, 2, 5, 1, BIAS}},
    {"stride beyond the image", build_conv, .size = {1, 1, 1, 1, 2, 1, 1, 2000000000, 0, BIAS}},
    {"padding beyond the kernel, stride 3", build_conv, .size = {1, 3, 2, 5, 4, 3, 3, 3, 7, BIAS}},
    {"many images", build_conv, .size = {17, 1, 5, 5, 2, 3, 3, 1, 1, BIAS}},
    {"no images", build_conv, .size = {0, 2, 5, 5, 3, 3, 3, 1, 1, BIAS}},
    {"relu", build_relu, .size = {2, 3, 9, 7, 5, 3, 3, 1, 1, BIAS}},
    {"gelu, given scale", build_gelu, .size = {1, 3, 7, 17, 17, 3, 3, 2, 1, BIAS | GIVEN_SCALE}},
    {"each sample by itself", build_samples, .size = {1, 3, 5, 6, 4, 3, 3, 1, 1}},
    {"stride 0", build_conv, .size = {1, 1, 5, 5, 1, 3, 3, 0, 0, 0},
     .error = "quantized_conv2d: stride 0 and padding 0"},
    {"kernel too large", build_conv, .size = {1, 1, 4, 9, 1, 7, 7, 1, 1, 0},
     .error = "quantized_conv2d: a kernel of 7x7 is larger than an image of 4x9 padded by 1"},
    {"too large a patch", build_conv, .size = {1, 2, 300, 300, 1, 300, 300, 1, 0, 0},
     .error = "quantized_conv2d: sums of 180000 products"},
    {"a result of 16 bits", build_low_result, .size = {1, 1, 5, 5, 1, 3, 3, 1, 1, 0},
     .error = "quantized_conv2d: a result of bf16"},
    {"misfit channels", build_conv_misfit, .size = {3, 2, 5, 5, 1}, .error = "x [2,3,8,8] has 3 channels"},
    {"misfit scale", build_conv_misfit, .size = {2, 2, 4, 5, 1},
     .error = "the scale of w is [4], it must be [5]"},
    {"misfit bias", build_conv_misfit, .size = {2, 2, 5, 1, 1}, .error = "the bias is [1], it must be [5]"},
    {"misfit scale of x", build_conv_misfit, .size = {2, 2, 5, 5, 5},
     .error = "the scale of x is [5], it must be [1]"},
    {0},
};
