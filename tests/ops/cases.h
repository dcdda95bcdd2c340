/* Test cases of ops. For every case the harness (tests/ops/main.c) runs, per backend, every output
 * against the reference; and checks the gradient by random projections in double: <w, J v> by central
 * differences of the reference against <J^T w, v> by the gradient nodes. */
#ifndef HL_TESTS_OPS_CASES_H
#define HL_TESTS_OPS_CASES_H

#include "ops/ops.h"
#include "run/params.h"

typedef struct hl_case {
    const char *name; /* NULL ends a list */
    /* Builds the op on inputs ("x", "w", ... : uniform in [-1,1]; scalars keep their value) and
     * declares outputs. size is the case's. params: for ops on parameters; harness fills them. */
    void (*build)(hl_graph *g, hl_params *params, const int64_t *size);
    int64_t size[10];
    /* Set: the graph must fail with a message that contains this. */
    const char *error;
    /* Why no gradient is checked though the op has one. */
    const char *no_gradient;
    /* Factor on the tolerance of kernels against the reference, and why. */
    double loosen;
    const char *loosen_why;
} hl_case;

/* One list per op of ops.def: an op without one does not link. */
#define HL_OP(name) extern const hl_case cases_##name[];
#include "ops/ops.def"
#undef HL_OP

/* hl_input of an f32 tensor of rank up to 4. */
static inline hl_tensor case_input(hl_graph *g, const char *name, int rank, int64_t a, int64_t b, int64_t c,
                                   int64_t d)
{
    return hl_input(g, name, HL_F32, rank, (int64_t[]){a, b, c, d});
}

/* Integers of eight bits, which the harness fills: they are parameters always. */
static inline hl_tensor case_integers(hl_graph *g, hl_params *params, const char *name, int rank, int64_t a,
                                      int64_t b, int64_t c, int64_t d)
{
    return hl_param_leaf(g, params, name, HL_I8, (hl_shape){rank, {a, b, c, d}});
}

#endif
