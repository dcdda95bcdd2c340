#include "tests/ops/cases.h"

/* size: B, C, H, W, h, w */
static void build(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    hl_output(g, "y", hl_adaptive_avg_pool(g, case_input(g, "x", 4, s[0], s[1], s[2], s[3]), s[4], s[5]));
}

static void build_rank(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    hl_output(g, "y", hl_adaptive_avg_pool(g, case_input(g, "x", 3, s[0], s[1], s[2], 0), 1, 1));
}

const hl_case cases_avg_pool[] = {
    {"one pixel", build, .size = {1, 1, 1, 1, 1, 1}},
    {"as it is", build, .size = {2, 3, 5, 7, 5, 7}},
    {"divisible", build, .size = {2, 3, 14, 21, 7, 7}},
    {"not divisible: cells overlap", build, .size = {1, 3, 17, 10, 7, 3}},
    {"global", build, .size = {3, 5, 17, 33, 1, 1}},
    {"larger than the image: pixels repeat", build, .size = {2, 1, 3, 2, 7, 5}},
    {"one row", build, .size = {1, 17, 1, 17, 1, 3}},
    {"shared by threads", build, .size = {3, 17, 33, 17, 7, 7}},
    {"no images", build, .size = {0, 3, 5, 5, 2, 2}},
    {"to nothing", build, .size = {1, 1, 5, 5, 0, 2}, .error = "avg_pool: [1,1,5,5] to 0x2"},
    {"no pixels", build, .size = {1, 1, 0, 5, 1, 1}, .error = "avg_pool: [1,1,0,5] to 1x1"},
    {"rank 3", build_rank, .size = {1, 5, 5}, .error = "avg_pool: x is [1,5,5], it must be [B,C,H,W]"},
    {0},
};

/* size: B, C, H, W, h, w */
static void build_backward(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    hl_pool_params p = {s[2], s[3]};
    hl_tensor dy = case_input(g, "dy", 4, s[0], s[1], s[4], s[5]);
    hl_output(g, "dx", hl_graph_apply(g, &hl_op_avg_pool_backward, 1, &dy, &p));
}

const hl_case cases_avg_pool_backward[] = {
    {"one pixel", build_backward, .size = {1, 1, 1, 1, 1, 1}},
    {"divisible", build_backward, .size = {2, 3, 14, 21, 7, 7}},
    {"not divisible: cells overlap", build_backward, .size = {1, 3, 17, 10, 7, 3}},
    {"global", build_backward, .size = {3, 5, 17, 33, 1, 1}},
    {"larger than the image: pixels repeat", build_backward, .size = {2, 1, 3, 2, 7, 5}},
    {"shared by threads", build_backward, .size = {3, 17, 33, 17, 7, 7}},
    {"no images", build_backward, .size = {0, 3, 5, 5, 2, 2}},
    {"to nothing", build_backward, .size = {1, 1, 5, -5, 2, 2},
     .error = "avg_pool_backward: [1,1,5,-5] to 2x2"},
    {0},
};
