/* Graphs before and after folding, for the tests of it. */
#ifndef HL_TESTS_FOLD_CASE_H
#define HL_TESTS_FOLD_CASE_H

#include "export/fold.h"
#include "graph/graph.h"
#include "layers/nn.h"
#include "ops/ops.h"
#include "run/params.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

typedef struct fold_case {
    const char *name;
    void (*build)(hl_graph *g, hl_params *params, int64_t batch);
    int products, elementwise;  /* that remain */
    int64_t elements;           /* of the new store */
    const char *entry, *second; /* names of the new store */
} fold_case;

static inline hl_graph *need_graph(hl_graph *g, const hl_error *err)
{
    if (!g)
        fail_msg("%s", err->message);
    return g;
}

static inline int count_op(const hl_graph *g, const char *op)
{
    int count = 0;
    for (int i = 0; i < g->n_nodes; i++)
        count += !strcmp(g->nodes[i]->op->name, op);
    return count;
}

static inline int count_products(const hl_graph *g)
{
    return count_op(g, "matmul") + count_op(g, "conv2d");
}

static inline int count_elementwise(const hl_graph *g)
{
    return count_op(g, "add") + count_op(g, "sub") + count_op(g, "mul") + count_op(g, "div") +
           count_op(g, "affine");
}

static inline float *value_of(const hl_params *params, const char *name)
{
    int index = hl_params_find(params, name);
    if (index < 0)
        fail_msg("there is no '%s'", name);
    return hl_params_at(params, index).data;
}

/* Values that change something: scales of 0.5 to 2, nothing zero. */
static inline void materialize(hl_params *params)
{
    hl_error err = {0};
    if (hl_params_materialize(params, &err) != HL_OK)
        fail_msg("%s", err.message);
    for (int i = 0; i < hl_params_count(params); i++) {
        hl_param_info p = hl_params_at(params, i);
        for (int64_t k = 0; k < p.count && hl_params_mapped(params, i) == HL_DTYPES; k++) {
            float x = (float)sin(1.3 * (double)k + 7.0 * i);
            if (strstr(p.name, "scale"))
                p.data[k] = (x < 0 ? -1.25f : 1.25f) + 0.7f * x;
            else if (p.data[k] == 0)
                p.data[k] = x;
        }
        if (hl_params_mapped(params, i) == HL_DTYPES)
            hl_params_touch(params, i);
    }
}

static inline int64_t elements_of(const hl_params *params)
{
    int64_t count = 0;
    for (int i = 0; i < hl_params_count(params); i++)
        count += hl_params_at(params, i).count;
    return count;
}

static inline hl_session *session_of(const hl_graph *g, hl_params *params)
{
    hl_error err = {0};
    hl_session *s = hl_session_new(g, params, "cpu", &err);
    if (!s)
        fail_msg("%s", err.message);
    return s;
}

static inline void fill_inputs(const hl_graph *g, hl_session *s)
{
    for (int i = 0; i < g->n_nodes; i++) {
        const hl_node *n = g->nodes[i];
        if (n->op != &hl_op_input)
            continue;
        const hl_input_params *p = n->params;
        float *x = hl_session_input(s, p->name);
        for (int64_t k = 0; k < hl_shape_count(p->shape); k++)
            x[k] = (float)sin(0.7 * (double)(7 * k + 31 * p->name[0]));
    }
}

static inline void run_session(hl_session *s)
{
    hl_error err = {0};
    hl_session_set_step(s, 5);
    if (hl_session_run(s, &err) != HL_OK)
        fail_msg("%s", err.message);
}

/* Of all outputs, relative to the largest element of each. */
static inline double worst_difference(const hl_graph *g, hl_params *from, const hl_graph *folded,
                                      hl_params *to)
{
    hl_session *a = session_of(g, from), *b = session_of(folded, to);
    double worst = 0;
    fill_inputs(g, a);
    fill_inputs(folded, b);
    run_session(a);
    run_session(b);
    assert_int_equal(g->n_outputs, folded->n_outputs);
    for (int i = 0; i < g->n_outputs; i++) {
        const char *name = g->outputs[i].name;
        const float *x = hl_session_output(a, name), *y = hl_session_output(b, name);
        double size = 0, difference = 0;
        assert_true(hl_shape_equal(hl_session_shape(a, name), hl_session_shape(b, name)));
        for (int64_t k = 0; k < hl_info(g, g->outputs[i].tensor)->count; k++) {
            size = fmax(size, fabs((double)x[k]));
            assert_true(isfinite(x[k]) && isfinite(y[k]));
            difference = fmax(difference, fabs((double)x[k] - (double)y[k]));
        }
        assert_true(size > 1e-3);
        worst = fmax(worst, difference / size);
    }
    hl_session_free(a);
    hl_session_free(b);
    return worst;
}

/* The same nodes in the same order, reading the same entries. */
static inline void assert_same_structure(const hl_graph *a, const hl_graph *b)
{
    assert_int_equal(a->n_nodes, b->n_nodes);
    for (int i = 0; i < a->n_nodes; i++) {
        const hl_node *x = a->nodes[i], *y = b->nodes[i];
        assert_ptr_equal(x->op, y->op);
        assert_int_equal(x->n_in, y->n_in);
        for (int k = 0; k < x->n_in; k++)
            assert_int_equal(x->in[k].id, y->in[k].id);
        if (x->op == &hl_op_param)
            assert_string_equal(((hl_param_params *)x->params)->name, ((hl_param_params *)y->params)->name);
    }
}

static inline void check_folded(const fold_case *c, const hl_graph *f, const hl_params *to)
{
    if (count_products(f) != c->products || count_elementwise(f) != c->elementwise)
        fail_msg("%s: %d products and %d elementwise, not %d and %d", c->name, count_products(f),
                 count_elementwise(f), c->products, c->elementwise);
    if (elements_of(to) != c->elements)
        fail_msg("%s: %lld elements, not %lld", c->name, (long long)elements_of(to), (long long)c->elements);
    if (hl_params_find(to, c->entry) < 0 || (c->second && hl_params_find(to, c->second) < 0))
        fail_msg("%s: there is no '%s' or '%s', but '%s'", c->name, c->entry, c->second ? c->second : "",
                 hl_params_at(to, 0).name);
}

static inline void check_case(const fold_case *c)
{
    hl_params *from = hl_params_new(1), *to = hl_params_new(1); /* one seed: dropout draws alike */
    hl_graph *first = NULL;
    for (int i = 0; i < 3; i++) {
        const int64_t batch = (const int64_t[]){3, 17, 1}[i];
        hl_error err = {0};
        hl_graph *g = hl_graph_new();
        c->build(g, from, batch);
        if (!i)
            materialize(from);
        hl_graph *f = need_graph(hl_fold(g, from, to, NULL, &err), &err);
        check_folded(c, f, to);
        double worst = worst_difference(g, from, f, to);
        if (!(worst < 1e-5))
            fail_msg("%s, batch %lld: %g", c->name, (long long)batch, worst);
        if (first && batch > 1) /* at 1, what is repeated for each row is there once */
            assert_same_structure(first, f);
        hl_graph_free(g);
        hl_graph_free(first ? f : NULL);
        first = first ? first : f;
    }
    hl_graph_free(first);
    hl_params_free(from);
    hl_params_free(to);
}

#endif
