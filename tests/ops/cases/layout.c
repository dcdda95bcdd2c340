/* Each op also on 16-bit elements, through a cast there and back. */
#include "tests/ops/cases.h"

#define ROUNDED "a rounded operand is a staircase: see cast"

/* An input as it is, or rounded to f16. size: rank, then up to 4 dims. */
static hl_tensor shaped(hl_graph *g, const char *name, const int64_t *s, bool half)
{
    hl_tensor x = hl_input(g, name, HL_F32, (int)s[0], s + 1);
    return half ? hl_cast(g, x, HL_F16) : x;
}

static void output(hl_graph *g, hl_tensor y)
{
    hl_output(g, "y", hl_cast(g, y, HL_F32));
}

/* ------------------------------------------------------------------ reshape */

/* size: rank and dims of x, rank and dims of the result */
static void build_reshape(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    /* Computed, so that what is viewed is no input. */
    hl_tensor x = hl_affine(g, shaped(g, "x", s, false), 2, 1);
    hl_output(g, "y", hl_scale(g, hl_reshape(g, x, (int)s[5], s + 6), -1));
}

const hl_case cases_reshape[] = {
    {"1", build_reshape, .size = {1, 1, 0, 0, 0, 0}},
    {"3x17 flat", build_reshape, .size = {2, 3, 17, 0, 0, 1, 51}},
    {"-1", build_reshape, .size = {3, 2, 3, 5, 0, 2, -1, 6}},
    {"split", build_reshape, .size = {1, 24, 0, 0, 0, 4, 2, 3, 1, 4}},
    {"empty", build_reshape, .size = {2, 0, 3, 0, 0, 2, 5, 0}},
    {"empty -1", build_reshape, .size = {2, 0, 3, 0, 0, 2, -1, 3}},
    {"misfit", build_reshape, .size = {2, 3, 4, 0, 0, 1, 13},
     .error = "reshape: [3,4] has other elements than [13]"},
    {"-1 misfit", build_reshape, .size = {2, 3, 4, 0, 0, 2, -1, 5},
     .error = "reshape: [3,4] has other elements"},
    {"two -1", build_reshape, .size = {2, 3, 4, 0, 0, 2, -1, -1}, .error = "reshape: two dims are -1"},
    {0},
};

/* ------------------------------------------------------------------ transpose */

static void transposed(hl_graph *g, const int64_t *s, bool half)
{
    int order[HL_MAX_RANK] = {(int)s[5], (int)s[6], (int)s[7], (int)s[8]};
    output(g, hl_transpose(g, shaped(g, "x", s, half), order));
}

/* size: rank and dims, order */
static void build_transpose(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    transposed(g, s, false);
}

static void build_transpose_half(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    transposed(g, s, true);
}

const hl_case cases_transpose[] = {
    {"scalar", build_transpose, .size = {0}},
    {"identity", build_transpose, .size = {2, 3, 17, 0, 0, 0, 1}},
    {"3x17", build_transpose, .size = {2, 3, 17, 0, 0, 1, 0}},
    {"blocks", build_transpose, .size = {2, 65, 131, 0, 0, 1, 0}},
    {"large", build_transpose, .size = {2, 257, 129, 0, 0, 1, 0}},
    {"row", build_transpose, .size = {2, 1, 17, 0, 0, 1, 0}},
    {"heads", build_transpose, .size = {4, 2, 5, 3, 7, 0, 2, 1, 3}},
    {"reversed", build_transpose, .size = {4, 2, 3, 5, 7, 3, 2, 1, 0}},
    {"rotated", build_transpose, .size = {3, 3, 17, 5, 0, 2, 0, 1}},
    {"last stays", build_transpose, .size = {3, 3, 5, 17, 0, 1, 0, 2}},
    {"channels last", build_transpose, .size = {4, 2, 3, 5, 7, 0, 2, 3, 1}},
    {"ones between", build_transpose, .size = {4, 3, 1, 5, 1, 2, 3, 0, 1}},
    {"f16", build_transpose_half, .size = {3, 3, 17, 35, 0, 2, 1, 0}, .no_gradient = ROUNDED},
    {"f16 rows", build_transpose_half, .size = {3, 3, 17, 5, 0, 1, 0, 2}, .no_gradient = ROUNDED},
    {"empty", build_transpose, .size = {3, 3, 0, 5, 0, 2, 1, 0}},
    {"twice the same", build_transpose, .size = {2, 3, 4, 0, 0, 1, 1},
     .error = "order of [3,4] is no permutation"},
    {"too far", build_transpose, .size = {2, 3, 4, 0, 0, 0, 2}, .error = "is no permutation"},
    {0},
};

/* ------------------------------------------------------------------ slice */

/* size: rank and dims, axis, begin, end */
static void build_slice(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    output(g, hl_slice(g, hl_scale(g, shaped(g, "x", s, false), 2), (int)s[5], s[6], s[7]));
}

static void build_slice_half(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    output(g, hl_slice(g, shaped(g, "x", s, true), (int)s[5], s[6], s[7]));
}

const hl_case cases_slice[] = {
    {"whole", build_slice, .size = {1, 3, 0, 0, 0, 0, 0, 3}},
    {"rows", build_slice, .size = {2, 17, 3, 0, 0, 0, 5, 16}},
    {"columns", build_slice, .size = {2, 17, 33, 0, 0, 1, 3, 4}},
    {"middle", build_slice, .size = {3, 3, 17, 5, 0, 1, 1, 16}},
    {"from the end", build_slice, .size = {3, 3, 5, 17, 0, -1, 2, 9}},
    {"large", build_slice, .size = {2, 9, 5000, 0, 0, 1, 17, 4999}},
    {"f16", build_slice_half, .size = {2, 17, 33, 0, 0, 1, 3, 20}, .no_gradient = ROUNDED},
    {"nothing", build_slice, .size = {2, 3, 5, 0, 0, 1, 2, 2}},
    {"empty", build_slice, .size = {2, 0, 5, 0, 0, 1, 2, 4}},
    {"backwards", build_slice, .size = {2, 3, 5, 0, 0, 1, 3, 2},
     .error = "slice: [3,2) is not within axis 1 of [3,5]"},
    {"beyond", build_slice, .size = {2, 3, 5, 0, 0, 1, 3, 6}, .error = "slice: [3,6) is not within axis 1"},
    {"before", build_slice, .size = {2, 3, 5, 0, 0, 1, -1, 2}, .error = "slice: [-1,2) is not within"},
    {"no such axis", build_slice, .size = {2, 3, 5, 0, 0, 2, 0, 1}, .error = "slice: [3,5] has no axis 2"},
    {0},
};

/* ------------------------------------------------------------------ concat */

/* size: rank and dims of a; axis; length of b and of c along it (-1: no such operand) */
static void concatenated(hl_graph *g, const int64_t *s, bool half)
{
    int axis = (int)s[5], n = 1;
    hl_tensor x[3] = {shaped(g, "a", s, half)};
    for (int k = 0; k < 2 && s[6 + k] >= 0; k++) {
        int64_t other[5] = {s[0], s[1], s[2], s[3], s[4]};
        other[1 + (axis < 0 ? axis + s[0] : axis)] = s[6 + k];
        x[n++] = shaped(g, k ? "c" : "b", other, half);
    }
    output(g, hl_concat(g, n, x, axis));
}

static void build_concat(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    concatenated(g, s, false);
}

static void build_concat_half(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    concatenated(g, s, true);
}

/* One tensor in two places: its gradient is a sum. */
static void build_concat_itself(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    hl_tensor x = shaped(g, "x", s, false);
    hl_output(g, "y", hl_concat(g, 3, (hl_tensor[]){x, hl_scale(g, x, 2), x}, (int)s[5]));
}

/* size: dims of a, dims of b */
static void build_concat_misfit(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    hl_tensor x[] = {case_input(g, "a", 2, s[0], s[1], 0, 0), case_input(g, "b", 2, s[2], s[3], 0, 0)};
    hl_output(g, "y", hl_concat(g, 2, x, 0));
}

static void build_concat_mixed(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    hl_tensor x[] = {case_input(g, "a", 1, s[0], 0, 0, 0), case_input(g, "b", 1, s[0], 0, 0, 0)};
    x[1] = hl_cast(g, x[1], HL_BF16);
    hl_output(g, "y", hl_concat(g, 2, x, 0));
}

static void build_concat_none(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params, (void)s;
    hl_output(g, "y", hl_concat(g, 0, NULL, 0));
}

const hl_case cases_concat[] = {
    {"one", build_concat, .size = {1, 3, 0, 0, 0, 0, -1}},
    {"rows", build_concat, .size = {2, 3, 17, 0, 0, 0, 1, 5}},
    {"columns", build_concat, .size = {2, 17, 3, 0, 0, -1, 1, 17}},
    {"middle", build_concat, .size = {3, 3, 1, 5, 0, 1, 17, 2}},
    {"large", build_concat, .size = {2, 7, 3000, 0, 0, 1, 17, 2999}},
    {"with an empty one", build_concat, .size = {2, 3, 4, 0, 0, 1, 0, 2}},
    {"itself", build_concat_itself, .size = {2, 3, 5, 0, 0, 1}},
    {"f16", build_concat_half, .size = {2, 17, 3, 0, 0, 1, 1, 5}, .no_gradient = ROUNDED},
    {"empty", build_concat, .size = {2, 0, 3, 0, 0, 1, 2, -1}},
    {"misfit", build_concat_misfit, .size = {3, 4, 3, 5},
     .error = "concat: operand 1 is f32 [3,5], operand 0 is f32 [3,4]"},
    {"mixed", build_concat_mixed, .size = {3}, .error = "concat: operand 1 is bf16 [3], operand 0 is f32"},
    {"nothing", build_concat_none, .error = "concat: there is nothing to join"},
    {"no such axis", build_concat, .size = {2, 3, 4, 0, 0, 3, -1}, .error = "concat: [3,4] has no axis 3"},
    {0},
};

/* ------------------------------------------------------------------ pad */

/* size: rank and dims, axis, before, after */
static void build_pad(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    output(g, hl_pad(g, shaped(g, "x", s, false), (int)s[5], s[6], s[7]));
}

static void build_pad_half(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    output(g, hl_pad(g, shaped(g, "x", s, true), (int)s[5], s[6], s[7]));
}

const hl_case cases_pad[] = {
    {"no zeros", build_pad, .size = {1, 3, 0, 0, 0, 0, 0, 0}},
    {"before", build_pad, .size = {1, 3, 0, 0, 0, 0, 17, 0}},
    {"after", build_pad, .size = {2, 17, 3, 0, 0, -1, 0, 1}},
    {"middle", build_pad, .size = {3, 3, 5, 7, 0, 1, 2, 3}},
    {"large", build_pad, .size = {2, 7, 3000, 0, 0, 1, 1000, 500}},
    {"long", build_pad, .size = {2, 3, 5, 0, 0, 0, 5000, 7000}},
    {"f16", build_pad_half, .size = {2, 17, 3, 0, 0, 1, 2, 5}, .no_gradient = ROUNDED},
    {"only zeros", build_pad, .size = {2, 3, 0, 0, 0, 1, 2, 1}},
    {"empty", build_pad, .size = {2, 0, 3, 0, 0, 1, 2, 1}},
    {"negative", build_pad, .size = {1, 3, 0, 0, 0, 0, -1, 2},
     .error = "pad: -1 before and 2 after; both must be within 0"},
    {"no such axis", build_pad, .size = {1, 3, 0, 0, 0, -2, 1, 2}, .error = "pad: [3] has no axis -1"},
    {0},
};

/* ------------------------------------------------------------------ expand */

/* size: rank and dims of x, rank and dims of the result */
static void build_expand(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    output(g, hl_expand(g, shaped(g, "x", s, false), (int)s[5], s + 6));
}

static void build_expand_half(hl_graph *g, hl_params *params, const int64_t *s)
{
    (void)params;
    output(g, hl_expand(g, shaped(g, "x", s, true), (int)s[5], s + 6));
}

const hl_case cases_expand[] = {
    {"as it is", build_expand, .size = {1, 3, 0, 0, 0, 1, 3}},
    {"scalar", build_expand, .size = {0, 0, 0, 0, 0, 2, 3, 17}},
    {"row", build_expand, .size = {1, 3, 0, 0, 0, 2, 17, 3}},
    {"column", build_expand, .size = {2, 17, 1, 0, 0, 2, 17, 3}},
    {"both", build_expand, .size = {4, 1, 3, 1, 5, 4, 2, 3, 7, 5}},
    {"outer", build_expand, .size = {3, 3, 1, 1, 0, 4, 2, 3, 5, 7}},
    {"large", build_expand, .size = {2, 1, 5000, 0, 0, 2, 5, 5000}},
    {"large column", build_expand, .size = {2, 5, 1, 0, 0, 2, 5, 5000}},
    {"f16 row", build_expand_half, .size = {1, 3, 0, 0, 0, 2, 17, 3}, .no_gradient = ROUNDED},
    {"f16 column", build_expand_half, .size = {2, 17, 1, 0, 0, 2, 17, 3}, .no_gradient = ROUNDED},
    {"to nothing", build_expand, .size = {1, 1, 0, 0, 0, 2, 3, 0}},
    {"misfit", build_expand, .size = {1, 3, 0, 0, 0, 2, 3, 4},
     .error = "expand: [3] does not broadcast to [3,4]"},
    {"shorter", build_expand, .size = {2, 1, 3, 0, 0, 1, 3},
     .error = "expand: [1,3] does not broadcast to [3]"},
    {0},
};
