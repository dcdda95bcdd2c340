#include "tests/ops/cases.h"

#include <string.h>

/* size: B, C, H, W, kh, kw, stride, padding, h, w */
static void build(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    hl_tensor x = case_input(g, "x", 4, s[0], s[1], s[2], s[3]);
    hl_output(g, "y", hl_patch_mean(g, x, (int)s[4], (int)s[5], (int)s[6], (int)s[7], s[8], s[9]));
}

const hl_case cases_patch_mean[] = {
    {"one pixel", build, .size = {1, 1, 1, 1, 1, 1, 1, 0, 1, 1}},
    {"as it is", build, .size = {2, 3, 5, 7, 1, 1, 1, 0, 5, 7}},
    {"3x3 in divisible cells", build, .size = {2, 3, 8, 12, 3, 3, 1, 1, 4, 4}},
    {"3x3 stride 2 in cells that overlap", build, .size = {2, 5, 17, 15, 3, 3, 2, 1, 4, 3}},
    {"global", build, .size = {3, 2, 17, 9, 5, 5, 2, 2, 1, 1}},
    {"more cells than positions", build, .size = {1, 2, 5, 4, 3, 3, 2, 0, 3, 5}},
    {"unread edge", build, .size = {1, 2, 11, 10, 3, 3, 3, 0, 2, 2}},
    {"2x5 kernel", build, .size = {2, 3, 7, 17, 2, 5, 1, 1, 3, 2}},
    {"kernel larger than the image", build, .size = {2, 3, 3, 2, 5, 5, 1, 2, 2, 2}},
    {"mostly padding", build, .size = {1, 1, 1, 1, 3, 3, 1, 4, 3, 3}},
    {"shared by threads", build, .size = {3, 17, 21, 19, 3, 3, 2, 1, 7, 7}},
    {"no images", build, .size = {0, 2, 5, 5, 3, 3, 1, 1, 2, 2}},
    {"stride 0", build, .size = {1, 1, 5, 5, 3, 3, 0, 1, 2, 2}, .error = "patch_mean: kernel 3x3, stride 0"},
    {"no kernel", build, .size = {1, 1, 5, 5, 0, 3, 1, 1, 2, 2}, .error = "patch_mean: kernel 0x3"},
    {"to nothing", build, .size = {1, 1, 5, 5, 3, 3, 1, 1, 0, 2}, .error = "pool 0x2 must be"},
    {"no channels", build, .size = {1, 0, 5, 5, 3, 3, 1, 1, 2, 2}, .error = "patch_mean: x is [1,0,5,5]"},
    {"kernel too large", build, .size = {1, 1, 3, 9, 7, 7, 1, 1, 1, 1},
     .error = "patch_mean: a kernel of 7x7 is larger than an image of 3x9 padded by 1"},
    {0},
};

static void apply_backward(hl_graph *g, const int64_t *s, int64_t patch)
{
    hl_patch_params p;
    memset(&p, 0, sizeof p);
    p.kernel_h = s[4];
    p.kernel_w = s[5];
    p.stride = (int)s[6];
    p.padding = (int)s[7];
    p.pool_h = s[8];
    p.pool_w = s[9];
    p.channels = s[1];
    p.height = s[2];
    p.width = s[3];
    hl_tensor dy = case_input(g, "dy", 4, s[0], s[8], s[9], patch);
    hl_output(g, "dx", hl_graph_apply(g, &hl_op_patch_mean_backward, 1, &dy, &p));
}

static void build_backward(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    apply_backward(g, s, s[1] * s[4] * s[5]);
}

static void build_misfit(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    apply_backward(g, s, s[1] * s[4] * s[5] + 1);
}

const hl_case cases_patch_mean_backward[] = {
    {"one pixel", build_backward, .size = {1, 1, 1, 1, 1, 1, 1, 0, 1, 1}},
    {"3x3 in divisible cells", build_backward, .size = {2, 3, 8, 12, 3, 3, 1, 1, 4, 4}},
    {"3x3 stride 2 in cells that overlap", build_backward, .size = {2, 5, 17, 15, 3, 3, 2, 1, 4, 3}},
    {"more cells than positions", build_backward, .size = {1, 2, 5, 4, 3, 3, 2, 0, 3, 5}},
    {"unread edge", build_backward, .size = {1, 2, 11, 10, 3, 3, 3, 0, 2, 2}},
    {"kernel larger than the image", build_backward, .size = {2, 3, 3, 2, 5, 5, 1, 2, 2, 2}},
    {"shared by threads", build_backward, .size = {3, 17, 21, 19, 3, 3, 2, 1, 7, 7}},
    {"no images", build_backward, .size = {0, 2, 5, 5, 3, 3, 1, 1, 2, 2}},
    {"misfit", build_misfit, .size = {1, 2, 5, 5, 3, 3, 1, 1, 2, 2},
     .error = "patch_mean_backward: dy is [1,2,2,19], x [1,2,5,5] gives [1,2,2,18]"},
    {0},
};
