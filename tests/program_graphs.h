/* Graphs at a batch, written down and read again: for tests of programs and of the files they stand in. */
#ifndef HL_TESTS_PROGRAM_GRAPHS_H
#define HL_TESTS_PROGRAM_GRAPHS_H

#include "deploy/program.h"
#include "ops/ops.h"
#include "run/params.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

typedef hl_graph *graph_builder(hl_params *params, int64_t batch, const void *context);

/* The text of a graph that can be written; free with hl_free. */
static inline char *program_text(graph_builder *build, hl_params *params, const void *context)
{
    hl_error err = {0};
    hl_text text = {0};
    hl_graph *two = build(params, 2, context), *three = build(params, 3, context);
    if (hl_program_write(two, three, &text, &err) != HL_OK)
        fail_msg("%s", err.message);
    hl_graph_free(two);
    hl_graph_free(three);
    return hl_text_take(&text);
}

static inline hl_graph *program_graph(const char *text, hl_params *params, int64_t batch)
{
    hl_error err = {0};
    hl_graph *g = hl_program_read(text, "test", params, batch, &err);
    if (!g)
        fail_msg("%s", err.message);
    return g;
}

/* All that fields describe, and of what is no leaf (leaves have a place in memory and in a store) the rest.
 */
static inline void assert_same_params(const hl_node *a, const hl_node *b)
{
    unsigned char x[256], y[256];
    assert_true(a->op->params_size <= sizeof x);
    memcpy(x, a->params, a->op->params_size);
    memcpy(y, b->params, a->op->params_size);
    for (const hl_field *f = a->op->fields; f->name; f++) {
        void *p = x + f->offset, *q = y + f->offset;
        if (f->kind == HL_FIELD_NAME)
            assert_string_equal(*(const char **)p, *(const char **)q);
        else if (f->kind == HL_FIELD_SHAPE)
            assert_true(hl_shape_equal(*(const hl_shape *)p, *(const hl_shape *)q));
        else
            assert_memory_equal(p, q, f->size);
        memset(p, 0, f->size);
        memset(q, 0, f->size);
    }
    if (a->op != &hl_op_input && a->op != &hl_op_param)
        assert_memory_equal(x, y, a->op->params_size);
}

static inline void assert_same_graph(const hl_graph *a, const hl_graph *b)
{
    assert_int_equal(a->n_nodes, b->n_nodes);
    assert_int_equal(a->n_tensors, b->n_tensors);
    assert_int_equal(a->n_outputs, b->n_outputs);
    assert_int_equal(a->streams, b->streams);
    for (int i = 0; i < a->n_nodes; i++) {
        const hl_node *n = a->nodes[i], *m = b->nodes[i];
        assert_ptr_equal(n->op, m->op);
        assert_int_equal(n->n_in, m->n_in);
        if (n->n_in)
            assert_memory_equal(n->in, m->in, (size_t)n->n_in * sizeof *n->in);
        assert_string_equal(n->label.section, m->label.section);
        assert_same_params(n, m);
    }
    for (int t = 1; t < a->n_tensors; t++) {
        assert_int_equal(a->tensors[t].dtype, b->tensors[t].dtype);
        assert_true(hl_shape_equal(a->tensors[t].shape, b->tensors[t].shape));
    }
    for (int i = 0; i < a->n_outputs; i++) {
        assert_string_equal(a->outputs[i].name, b->outputs[i].name);
        assert_int_equal(a->outputs[i].tensor.id, b->outputs[i].tensor.id);
    }
}

/* Every op that has fields, with parameters that are not their defaults where there is room for it. */
static inline hl_graph *every_op(hl_params *params, int64_t batch, const void *context)
{
    enum { C = 3, S = 6 };
    (void)context;
    hl_graph *g = hl_graph_new();
    hl_section(g, "H-module");
    hl_tensor image = hl_input(g, "image", HL_F32, 4, (int64_t[]){batch, C, S, S});
    hl_tensor gain = hl_scalar(g, "gain", 1.5f);
    hl_tensor w = hl_param(g, params, "conv.weight", 4, (int64_t[]){4, C, 3, 3},
                           (hl_init_rule){HL_FAN_IN, 0, 0});
    hl_tensor bias = hl_param(g, params, "conv.bias", 1, (int64_t[]){4}, (hl_init_rule){HL_FILLED, 0, 0.25f});
    hl_tensor pooled = hl_adaptive_avg_pool(g, hl_conv2d(g, image, w, bias, 2, 1), 2, 3); /* [B,4,2,3] */
    hl_tensor patches = hl_patch_mean(g, image, 3, 2, 1, 1, 2, 2);                        /* [B,2,2,18] */
    hl_tensor filter = hl_param_leaf(g, params, "conv.integers", HL_I8, (hl_shape){4, {4, C, 3, 3}});
    hl_tensor weight = hl_param_leaf(g, params, "dense.integers", HL_I8, (hl_shape){2, {4, C * S * S}});
    hl_tensor flat = hl_reshape(g, image, 2, (int64_t[]){batch, C * S * S}), none = {0};
    hl_output(g, "quantized", hl_quantized_matmul(g, flat, weight, bias, bias, none));
    hl_output(g, "quantized image", hl_quantized_conv2d(g, image, filter, bias, none, none, 2, 1));
    hl_section(g, "compressor");
    hl_tensor x = hl_relu(g, hl_mul(g, hl_reshape(g, pooled, 2, (int64_t[]){batch, 24}), gain));
    x = hl_norm(g, params, "norm", hl_gelu(g, hl_dense(g, params, "dense", x, 8)));
    hl_tensor integers = hl_param_leaf(g, params, "integers", HL_I8, (hl_shape){2, {8, 8}});
    hl_tensor scale = hl_param(g, params, "scale", 1, (int64_t[]){8}, (hl_init_rule){HL_ONES, 0, 0});
    x = hl_add(g, x, hl_quantized_matmul(g, x, integers, scale, (hl_tensor){0}, (hl_tensor){0}));
    hl_tensor tokens = hl_reshape(g, x, 3, (int64_t[]){batch, 2, 4});
    tokens = hl_attention(
        g,
        hl_expand(g, hl_param(g, params, "query", 3, (int64_t[]){1, 2, 4}, (hl_init_rule){HL_NORMAL, 0, 0}),
                  3, (int64_t[]){batch, 2, 4}),
        tokens, tokens, 2, 0.125f);
    hl_tensor wide = hl_concat(g, 2, (hl_tensor[]){tokens, hl_affine(g, tokens, -2, 0.5f)}, 2); /* [B,2,8] */
    hl_tensor recurrent = hl_param(g, params, "lstm", 2, (int64_t[]){8, 2}, (hl_init_rule){HL_FAN_IN, 0, 0});
    hl_tensor h = hl_graph_apply(g, &hl_op_lstm, 2, (hl_tensor[]){wide, recurrent}, &(hl_lstm_params){true});
    hl_section(g, NULL);
    h = hl_pad(g, hl_slice(g, hl_transpose(g, h, (int[]){1, 2, 0}), 1, 1, 2), 1, 0, 1); /* [2,2,B] */
    h = hl_sum(g, hl_softmax(g, h), 0);                                                 /* [2,B] */
    hl_tensor noise = hl_dropout(g, hl_normal(g, 2, (int64_t[]){2, batch}), 0.5f);
    h = hl_div(g, hl_sub(g, hl_exp(g, h), noise), hl_fill(g, 2, (int64_t[]){2, batch}, 4));
    h = hl_add(g, h, hl_cast(g, hl_cast(g, h, HL_BF16), HL_F32));
    hl_output(g, "y", hl_transpose(g, h, (int[]){1, 0}));
    hl_output(g, "far", hl_mse(g, h, noise));
    hl_output(g, "patches", patches);
    return g;
}

#endif
