#include "tests/ops/cases.h"

#include <string.h>

/* size: B, I, H, W, O, kh, kw, stride, padding, what is beside: 0 no bias, 1 bias */
static void build(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    hl_tensor x = case_input(g, "x", 4, s[0], s[1], s[2], s[3]);
    hl_tensor w = case_input(g, "w", 4, s[4], s[1], s[5], s[6]);
    hl_tensor bias = s[9] ? case_input(g, "bias", 1, s[4], 0, 0, 0) : (hl_tensor){0};
    hl_output(g, "y", hl_conv2d(g, x, w, bias, (int)s[7], (int)s[8]));
}

/* The fused form that the compiler makes. size: B, I, H, W, O, kernel, stride, padding, activation */
static void build_fused(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    hl_conv_params p;
    memset(&p, 0, sizeof p);
    p.stride = (int)s[6];
    p.padding = (int)s[7];
    p.activation = (hl_activation)s[8];
    hl_tensor in[] = {case_input(g, "x", 4, s[0], s[1], s[2], s[3]),
                      case_input(g, "w", 4, s[4], s[1], s[5], s[5]), case_input(g, "bias", 1, s[4], 0, 0, 0)};
    hl_output(g, "y", hl_graph_apply(g, &hl_op_conv2d, 3, in, &p));
}

/* Channels of w and the bias of their own. size: rank of x, channels of x, of w, bias */
static void build_misfit(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    hl_tensor x = case_input(g, "x", (int)s[0], 2, s[1], 8, 8), w = case_input(g, "w", 4, 5, s[2], 3, 3);
    hl_output(g, "y", hl_conv2d(g, x, w, case_input(g, "bias", 1, s[3], 0, 0, 0), 1, 1));
}

static void build_half(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    hl_tensor x = hl_cast(g, case_input(g, "x", 4, s[0], s[1], s[2], s[3]), HL_BF16);
    hl_output(g, "y", hl_conv2d(g, x, case_input(g, "w", 4, 1, s[1], 1, 1), (hl_tensor){0}, 1, 0));
}

#define FUSED_WHY "fused after differentiation: never differentiated"

const hl_case cases_conv2d[] = {
    {"1x1 of one pixel", build, .size = {1, 1, 1, 1, 1, 1, 1, 1, 0, 1}},
    {"pointwise", build, .size = {2, 3, 5, 7, 4, 1, 1, 1, 0, 1}},
    {"pointwise, stride 2", build, .size = {2, 3, 5, 8, 4, 1, 1, 2, 0, 0}},
    {"3x3 same", build, .size = {2, 3, 9, 6, 5, 3, 3, 1, 1, 1}},
    {"3x3 stride 2", build, .size = {3, 4, 17, 17, 6, 3, 3, 2, 1, 1}},
    {"3x3 stride 3, unread edge", build, .size = {1, 2, 8, 10, 3, 3, 3, 3, 0, 1}},
    {"stride beyond the kernel", build, .size = {2, 2, 17, 13, 3, 2, 3, 4, 1, 0}},
    {"7x7 stride 2, as the first layer", build, .size = {2, 3, 17, 19, 17, 7, 7, 2, 3, 1}},
    {"1x5 kernel", build, .size = {1, 3, 3, 17, 2, 1, 5, 1, 0, 1}},
    {"5x1 kernel", build, .size = {1, 3, 17, 3, 2, 5, 1, 1, 2, 1}},
    {"kernel larger than the image", build, .size = {2, 3, 3, 3, 4, 5, 5, 1, 1, 1}},
    {"mostly padding", build, .size = {1, 2, 1, 1, 3, 3, 3, 1, 4, 1}},
    {"one column", build, .size = {2, 1, 17, 1, 3, 3, 1, 1, 1, 1}},
    {"several blocks of channels", build, .size = {1, 33, 7, 7, 50, 3, 3, 1, 1, 1}, .loosen = 2,
     .loosen_why = "fp32 sums of 297 products, and of 450 in dx"},
    {"several stretches", build, .size = {1, 2, 41, 33, 7, 3, 3, 1, 1, 1}, .loosen = 4,
     .loosen_why = "fp32 sums of 1353 products in dw"},
    {"many images", build, .size = {17, 1, 5, 5, 2, 3, 3, 1, 1, 1}},
    {"no images", build, .size = {0, 2, 5, 5, 3, 3, 3, 1, 1, 1}},
    {"relu", build_fused, .size = {2, 3, 9, 7, 5, 3, 1, 1, HL_ACT_RELU}, .no_gradient = FUSED_WHY},
    {"gelu", build_fused, .size = {1, 3, 7, 17, 17, 3, 2, 1, HL_ACT_GELU}, .no_gradient = FUSED_WHY},
    {"stride 0", build, .size = {1, 1, 5, 5, 1, 3, 3, 0, 0, 0}, .error = "stride 0 and padding 0"},
    {"padding -1", build, .size = {1, 1, 5, 5, 1, 3, 3, 1, -1, 0}, .error = "stride 1 and padding -1"},
    {"kernel too large", build, .size = {1, 1, 4, 9, 1, 7, 7, 1, 1, 0},
     .error = "conv2d: a kernel of 7x7 is larger than an image of 4x9 padded by 1"},
    {"no pixels", build, .size = {1, 1, 0, 9, 1, 1, 1, 1, 1, 0}, .error = "conv2d: a size of 0x9"},
    {"no kernel", build, .size = {1, 1, 3, 9, 1, 0, 1, 1, 1, 0}, .error = "conv2d: a size of 0x1"},
    {"misfit channels", build_misfit, .size = {4, 3, 2, 5},
     .error = "conv2d: x [2,3,8,8] has 3 channels, w [5,2,3,3] takes 2 and gives 5"},
    {"misfit bias", build_misfit, .size = {4, 2, 2, 4}, .error = "conv2d: the bias is [4], it must be [5]"},
    {"misfit rank", build_misfit, .size = {3, 2, 2, 5}, .error = "conv2d: x [2,2,8] must be [B,I,H,W]"},
    {"16 bits", build_half, .size = {1, 1, 2, 2}, .error = "conv2d: operands bf16 and f32"},
    {0},
};

/* ------------------------------------------------------------------ backward ops */

static void apply_backward(hl_graph *g, const hl_op_def *op, hl_tensor a, hl_tensor b, int64_t height,
                           int64_t width, int64_t stride, int64_t padding)
{
    hl_conv_params p;
    memset(&p, 0, sizeof p);
    p.stride = (int)stride;
    p.padding = (int)padding;
    p.height = height;
    p.width = width;
    hl_output(g, "d", hl_graph_apply(g, op, 2, (hl_tensor[]){a, b}, &p));
}

static int64_t positions(int64_t size, int64_t kernel, int64_t stride, int64_t padding)
{
    return (size + 2 * padding - kernel) / stride + 1;
}

/* size: B, I, H, W, O, kernel, stride, padding, rows more in dy than fit */
static void build_data(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    hl_tensor dy = case_input(g, "dy", 4, s[0], s[4], positions(s[2], s[5], s[6], s[7]) + s[8],
                              positions(s[3], s[5], s[6], s[7]));
    hl_tensor w = case_input(g, "w", 4, s[4], s[1], s[5], s[5]);
    apply_backward(g, &hl_op_conv2d_backward_data, dy, w, s[2], s[3], s[6], s[7]);
}

const hl_case cases_conv2d_backward_data[] = {
    {"one pixel", build_data, .size = {1, 1, 1, 1, 1, 1, 1, 0}},
    {"3x3", build_data, .size = {2, 3, 7, 5, 17, 3, 1, 1}},
    {"unread edge", build_data, .size = {2, 3, 10, 8, 3, 3, 3, 0}},
    {"gaps between kernels", build_data, .size = {1, 2, 17, 17, 3, 2, 5, 1}},
    {"kernel larger than the image", build_data, .size = {3, 1, 3, 2, 2, 7, 2, 3}},
    {"groups of channels", build_data, .size = {2, 33, 5, 5, 9, 5, 1, 2}},
    {"several stretches", build_data, .size = {1, 3, 40, 33, 5, 3, 1, 1}},
    {"no images", build_data, .size = {0, 2, 5, 5, 3, 3, 1, 1}},
    {"misfit", build_data, .size = {2, 3, 7, 5, 4, 3, 1, 1, 1},
     .error = "conv2d_backward_data: dy is [2,4,8,5], x [2,3,7,5] and w [4,3,3,3] give [2,4,7,5]"},
    {0},
};

static void build_filter(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    hl_tensor dy = case_input(g, "dy", 4, s[0], s[4], positions(s[2], s[5], s[6], s[7]) + s[8],
                              positions(s[3], s[5], s[6], s[7]));
    hl_tensor x = case_input(g, "x", 4, s[0], s[1], s[2], s[3]);
    apply_backward(g, &hl_op_conv2d_backward_filter, x, dy, s[5], s[5], s[6], s[7]);
}

const hl_case cases_conv2d_backward_filter[] = {
    {"one pixel", build_filter, .size = {1, 1, 1, 1, 1, 1, 1, 0}},
    {"3x3", build_filter, .size = {2, 3, 7, 5, 17, 3, 1, 1}},
    {"unread edge", build_filter, .size = {2, 3, 10, 8, 3, 3, 3, 0}},
    {"gaps between kernels", build_filter, .size = {1, 2, 17, 17, 3, 2, 5, 1}},
    {"kernel larger than the image", build_filter, .size = {3, 1, 3, 2, 2, 7, 2, 3}},
    {"groups of patch elements", build_filter, .size = {1, 33, 5, 5, 9, 5, 1, 2}},
    {"several stretches", build_filter, .size = {2, 2, 24, 23, 5, 3, 1, 1}, .loosen = 4,
     .loosen_why = "fp32 sums of 1104 products"},
    {"no images", build_filter, .size = {0, 2, 5, 5, 3, 3, 1, 1}},
    {"misfit", build_filter, .size = {2, 3, 7, 5, 4, 3, 1, 1, 1},
     .error = "conv2d_backward_filter: dy is [2,4,8,5], x [2,3,7,5] and w [4,3,3,3] give [2,4,7,5]"},
    {0},
};
