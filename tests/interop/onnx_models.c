/* Writes ONNX models, inputs for them at several batches, and what our sessions make of those.
 *
 *     onnx_models DIR        DIR/CASE/model.onnx, DIR/CASE/BATCH/input.NAME, output.NAME (raw f32)
 */
#include "base/error.h"
#include "base/file.h"
#include "base/half.h"
#include "base/memory.h"
#include "base/philox.h"
#include "export/acting.h"
#include "export/fold.h"
#include "export/onnx.h"
#include "export/quantize.h"
#include "export/stored.h"
#include "ops/ops.h"
#include "run/params.h"
#include "tests/small_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------ graphs */

static void must(hl_status status, const hl_error *err)
{
    if (status == HL_OK)
        return;
    fprintf(stderr, "onnx_models: %s\n", err->message);
    exit(1);
}

typedef struct variant {
    const char *name;
    hl_onnx_options options;
    hl_compressor compressor;
    bool aspects;
    int64_t image, history;
    bool folded;
    hl_fold_options fold;
    float step; /* of operands, quantized; 0: not; -1: that of each row */
    hl_graph *(*build)(hl_params *params, const struct variant *v, int64_t batch);
} variant;

/* Statistics of count elements, in runs of equal ones, which 16 bits hold exactly. */
static hl_statistics statistics(float *room, int64_t count, int64_t run)
{
    for (int64_t i = 0; i < count; i++) {
        room[i] = 0.25f * (float)(i / run % 5) - 0.5f;
        room[count + i] = 0.5f + 0.25f * (float)(i / run % 4);
    }
    return (hl_statistics){count, room, room + count};
}

/* The model that acts in the robot's units: one number, one per channel and one per element undo
 * normalisation. */
static hl_graph *model(hl_params *params, const variant *v, int64_t batch)
{
    static float visual[2 * 3 * 112 * 112], audio[2 * 9], action[2 * 3];
    hl_error err = {0};
    hl_acting_options o = {.model = small_model(v->compressor)};
    o.model.hierarchy_aspects = v->aspects;
    o.model.history = v->history;
    o.model.image = v->image;
    o.sense[0] = statistics(visual, 3 * v->image * v->image, v->image * v->image);
    o.sense[2] = statistics(audio, o.model.audio_size, o.model.audio_size);
    o.action = statistics(action, o.model.action, 1);
    hl_graph *g = hl_acting_graph(params, &o, batch, &err);
    must(g ? HL_OK : err.status, &err);
    return g;
}

static hl_tensor weight(hl_graph *g, hl_params *params, const char *name, int rank, const int64_t *dim)
{
    return hl_param(g, params, name, rank, dim, (hl_init_rule){HL_NORMAL, 0, 0});
}

static void give(hl_graph *g, hl_tensor t)
{
    char name[32];
    snprintf(name, sizeof name, "out%d", g->n_outputs);
    hl_output(g, name, t);
}

/* What layers do not use: products with all that can be fused into them. */
static void products(hl_graph *g, hl_params *params, hl_tensor v, int64_t batch)
{
    hl_tensor w = weight(g, params, "w", 2, (int64_t[]){10, 7}),
              wt = weight(g, params, "wt", 2, (int64_t[]){7, 10});
    hl_tensor bias = weight(g, params, "bias", 1, (int64_t[]){7});
    hl_tensor a = hl_matmul(g, v, false, w, false);
    const hl_matmul_params gelu = {.transpose_b = 1, .activation = HL_ACT_GELU};
    const hl_matmul_params relu = {.activation = HL_ACT_RELU};
    give(g, a);
    give(g, hl_matmul(g, v, true, v, false)); /* over the batch */
    give(g, hl_graph_apply(g, &hl_op_matmul, 4, (hl_tensor[]){v, wt, bias, a}, &gelu));
    give(g, hl_graph_apply(g, &hl_op_matmul, 4, (hl_tensor[]){v, w, {0}, a}, &relu));
    /* Twice the batch on both sides: no reshape says it by itself. */
    hl_tensor pairs = hl_matmul(g, v, false, v, true);
    pairs = hl_concat(g, 2, (hl_tensor[]){pairs, hl_affine(g, pairs, 2, 1)}, 1);
    give(g, hl_reshape(g, pairs, 2, (int64_t[]){2 * batch, batch}));
    give(g, hl_reshape(g, pairs, 3, (int64_t[]){batch, 1, 2 * batch}));
}

static void images(hl_graph *g, hl_params *params, hl_tensor x)
{
    hl_tensor w = weight(g, params, "filter", 4, (int64_t[]){4, 3, 3, 2}),
              bias = weight(g, params, "filter_bias", 1, (int64_t[]){4});
    hl_conv_params relu;
    memset(&relu, 0, sizeof relu);
    relu.stride = 2;
    relu.padding = 1;
    relu.activation = HL_ACT_RELU;
    give(g, hl_graph_apply(g, &hl_op_conv2d, 3, (hl_tensor[]){x, w, bias}, &relu));
    give(g, hl_conv2d(g, x, w, (hl_tensor){0}, 1, 0));
    give(g, hl_adaptive_avg_pool(g, x, 3, 11)); /* x is [B,3,9,11]: cells of 3x1 */
    give(g, hl_adaptive_avg_pool(g, x, 1, 1));
    give(g, hl_adaptive_avg_pool(g, x, 4, 7));
    give(g, hl_adaptive_avg_pool(g, x, 10, 25));
    give(g, hl_patch_mean(g, x, 3, 2, 2, 1, 2, 3));
    give(g, hl_patch_mean(g, x, 3, 3, 2, 2, 7, 7));
}

static void elements(hl_graph *g, hl_params *params, hl_tensor t, int64_t batch)
{
    hl_tensor row = weight(g, params, "row", 1, (int64_t[]){6}),
              column = weight(g, params, "column", 2, (int64_t[]){4, 1});
    hl_tensor first = hl_slice(g, hl_slice(g, t, 1, 1, 2), 2, 3, 4); /* [B,1,1] */
    hl_tensor positive = hl_exp(g, hl_affine(g, t, 0.5f, 0));
    give(g, hl_div(g, hl_sub(g, hl_mul(g, t, row), column), hl_add(g, positive, hl_mul(g, first, first))));
    give(g, hl_gelu(g, hl_relu(g, hl_affine(g, t, -3, 0.25f))));
    give(g, hl_cast(g, hl_mul(g, hl_cast(g, t, HL_F16), hl_cast(g, positive, HL_F16)), HL_F32));
    give(g, hl_cast(g, hl_cast(g, t, HL_BF16), HL_F32));
    give(g, hl_softmax(g, t));
    give(g, hl_softmax(g, row));
    give(g, hl_reduce(g, t, 1, 3, 0.125f));
    give(g, hl_reduce(g, t, 0, 1, 1)); /* over the batch */
    const hl_norm_params relu = {1e-3f, HL_ACT_RELU};
    give(g, hl_graph_apply(g, &hl_op_layer_norm, 3, (hl_tensor[]){t, row, row}, &relu));
    hl_tensor moved = hl_transpose(g, t, (int[]){2, 0, 1}); /* [6,B,4] */
    give(g, hl_reshape(g, moved, 2, (int64_t[]){6, 4 * batch}));
    give(g, hl_reshape(g, hl_reshape(g, t, 2, (int64_t[]){4 * batch, 6}), 4, (int64_t[]){2, batch, 2, 6}));
    give(g, hl_pad(g, hl_pad(g, moved, 0, 2, 0), 2, 0, 3));
    give(g, hl_expand(g, first, 4, (int64_t[]){2, batch, 3, 5}));
    give(g, hl_expand(g, row, 2, (int64_t[]){3 * batch, 6}));
    give(g, hl_fill(g, 2, (int64_t[]){2 * batch, 3}, 0.75f));
    give(g, hl_fill(g, 0, NULL, -2));
    give(g, hl_concat(g, 2, (hl_tensor[]){t, hl_fill(g, 3, (int64_t[]){batch, 4, 2}, 1)}, -1));
}

static void sequences(hl_graph *g, hl_params *params, hl_tensor t)
{
    hl_tensor shared = weight(g, params, "queries", 3, (int64_t[]){1, 5, 6});
    give(g, hl_attention(g, shared, t, hl_relu(g, t), 3, 0));
    give(g, hl_attention(g, hl_slice(g, t, 1, 0, 3), t, t, 2, 0));
    hl_tensor w_input = weight(g, params, "w_input", 2, (int64_t[]){12, 6});
    hl_tensor w_hidden = weight(g, params, "w_hidden", 2, (int64_t[]){12, 3});
    hl_tensor b = weight(g, params, "b", 1, (int64_t[]){12});
    give(g, hl_lstm(g, t, w_input, w_hidden, b, b, false));
    give(g, hl_lstm(g, t, w_input, w_hidden, b, b, true));
    give(g, hl_lstm(g, hl_slice(g, t, 1, 2, 3), w_input, w_hidden, b, b, true));
}

/* Every op in forms that the model has not, at odd sizes. An input may be an output. */
static hl_graph *ops(hl_params *params, const variant *unused, int64_t batch)
{
    hl_graph *g = hl_graph_new();
    hl_tensor v = hl_input(g, "v", HL_F32, 2, (int64_t[]){batch, 10});
    hl_tensor x = hl_input(g, "x", HL_F32, 4, (int64_t[]){batch, 3, 9, 11});
    hl_tensor t = hl_input(g, "t", HL_F32, 3, (int64_t[]){batch, 4, 6});
    (void)unused;
    products(g, params, v, batch);
    images(g, params, x);
    elements(g, params, t, batch);
    sequences(g, params, t);
    give(g, v);
    give(g, v);
    return g;
}

/* An integer weight, with values that depend on its name. */
static hl_tensor integers(hl_graph *g, hl_params *params, const char *name, int rank, const int64_t *dim)
{
    hl_tensor t = hl_param_leaf(g, params, name, HL_I8, hl_shape_make(rank, dim));
    int index = hl_params_find(params, name);
    hl_error err = {0};
    if (index < 0 || hl_params_materialize(params, &err) != HL_OK)
        return (hl_tensor){0};
    hl_param_info info = hl_params_at(params, index);
    for (int64_t i = 0; i < info.count; i++)
        ((int8_t *)info.bytes)[i] = (int8_t)((i * 89 + name[0] * 31) % 255 - 127);
    return t;
}

static hl_tensor filled(hl_graph *g, hl_params *params, const char *name, int64_t n, float value)
{
    return hl_param(g, params, name, 1, &n, (hl_init_rule){HL_FILLED, 0, value});
}

/* Products of eight bits, with a step for each row and with one that clips. */
static hl_graph *quantized(hl_params *params, const variant *unused, int64_t batch)
{
    hl_graph *g = hl_graph_new();
    hl_tensor v = hl_input(g, "v", HL_F32, 2, (int64_t[]){batch, 10});
    hl_tensor x = hl_input(g, "x", HL_F32, 4, (int64_t[]){batch, 3, 9, 11});
    hl_tensor w = integers(g, params, "w", 2, (int64_t[]){7, 10}),
              scale = filled(g, params, "w_scale", 7, 0.01f);
    hl_tensor f = integers(g, params, "f", 4, (int64_t[]){4, 3, 3, 2}),
              f_scale = filled(g, params, "f_scale", 4, 0.02f);
    hl_tensor bias = weight(g, params, "bias", 1, (int64_t[]){7}),
              f_bias = weight(g, params, "f_bias", 1, (int64_t[]){4});
    hl_tensor fine = filled(g, params, "fine", 1, 0.00625f), coarse = filled(g, params, "coarse", 1, 0.03f);
    (void)unused;
    give(g, hl_quantized_matmul(g, v, w, scale, bias, (hl_tensor){0}));
    give(g,
         hl_quantized_matmul(g, hl_affine(g, v, 0, 0), w, scale, bias, (hl_tensor){0})); /* rows of zeros */
    give(g, hl_quantized_matmul(g, v, w, scale, (hl_tensor){0}, fine));
    give(g, hl_quantized_matmul(g, v, w, scale, bias, coarse));
    hl_tensor dynamic = hl_quantized_conv2d(g, x, f, f_scale, f_bias, (hl_tensor){0}, 2, 1);
    give(g, dynamic);
    give(g, hl_quantized_conv2d(g, hl_relu(g, x), f, f_scale, (hl_tensor){0}, fine, 1, 0));
    hl_quantized_matmul_params gelu = {.activation = HL_ACT_GELU};
    hl_tensor addend = hl_quantized_matmul(g, v, w, scale, bias, fine);
    give(g, hl_graph_apply(g, &hl_op_quantized_matmul, 6, (hl_tensor[]){v, w, scale, bias, addend, coarse},
                           &gelu));
    return g;
}

/* 17: pools enlarge. 75: cells overlap. 112: cells are of one size. */
static const variant variants[] = {
    {.name = "hybrid", .compressor = HL_HYBRID, .image = 17, .build = model},
    {.name = "hybrid-aspects", .compressor = HL_HYBRID, .aspects = true, .image = 112, .build = model},
    {.name = "bottleneck", .compressor = HL_BOTTLENECK, .image = 75, .history = 4, .build = model},
    {.name = "attention", .compressor = HL_ATTENTION, .image = 112, .history = 1, .build = model},
    {.name = "hierarchical", .compressor = HL_HIERARCHICAL, .image = 17, .history = 3, .build = model},
    {.name = "folded", .compressor = HL_HYBRID, .image = 75, .history = 3, .build = model, .folded = true},
    {.name = "folded-pooled",
     .compressor = HL_BOTTLENECK,
     .image = 75,
     .build = model,
     .folded = true,
     .fold = {.pool_before_convolution = true}},
    {.name = "folded-attention",
     .compressor = HL_ATTENTION,
     .image = 112,
     .history = 2,
     .build = model,
     .folded = true,
     .fold = {.pool_before_convolution = true, .share = true}},
    {.name = "folded-hierarchical",
     .compressor = HL_HIERARCHICAL,
     .image = 17,
     .build = model,
     .folded = true},
    {.name = "external",
     .compressor = HL_HYBRID,
     .image = 17,
     .history = 3,
     .build = model,
     .options = {.external = true}},
    {.name = "fp16",
     .compressor = HL_HYBRID,
     .image = 33,
     .history = 2,
     .build = model,
     .options = {.precision = HL_PRECISION_FP16}},
    {.name = "bf16",
     .compressor = HL_ATTENTION,
     .image = 33,
     .build = model,
     .options = {.precision = HL_PRECISION_BF16, .external = true}},
    {.name = "int8",
     .compressor = HL_HYBRID,
     .image = 75,
     .history = 3,
     .build = model,
     .folded = true,
     .fold = {.pool_before_convolution = true},
     .step = 0.03f},
    {.name = "int8-rows",
     .compressor = HL_ATTENTION,
     .image = 17,
     .build = model,
     .folded = true,
     .step = -1},
    {.name = "ops", .build = ops},
    {.name = "quantized", .build = quantized},
};

/* ------------------------------------------------------------------ files */

static int64_t count_of(const hl_session *s, const char *name)
{
    return hl_shape_count(hl_session_shape(s, name));
}

static void save(const char *dir, const char *kind, const char *name, const float *values, int64_t count)
{
    char path[512];
    hl_error err = {0};
    snprintf(path, sizeof path, "%s/%s.%s", dir, kind, name);
    must(hl_file_save(path, values, (size_t)count * sizeof *values, &err), &err);
}

/* Uniform in -1..1, different for each input and batch. */
static void fill_inputs(const hl_graph *g, hl_session *s, const char *dir, int64_t batch)
{
    for (int i = 0; i < g->n_nodes; i++) {
        const hl_input_params *p = g->nodes[i]->params;
        if (g->nodes[i]->op != &hl_op_input)
            continue;
        float *x = hl_session_input(s, p->name);
        for (int64_t k = 0; k < count_of(s, p->name); k++)
            x[k] = 2 * hl_uniform_float(hl_philox_block(7, (uint32_t)batch, (uint32_t)i, (uint64_t)k).v[0]) -
                   1;
        save(dir, "input", p->name, x, count_of(s, p->name));
    }
}

static void run(const hl_graph *g, hl_params *params, const char *dir, int64_t batch)
{
    char folder[256];
    hl_error err = {0};
    hl_session *s = hl_session_new(g, params, "cpu", &err);
    must(s ? HL_OK : err.status, &err);
    snprintf(folder, sizeof folder, "%s/%lld", dir, (long long)batch);
    must(hl_file_mkdirs(folder, &err), &err);
    fill_inputs(g, s, folder, batch);
    must(hl_session_run(s, &err), &err);
    for (int i = 0; i < g->n_outputs; i++)
        save(folder, "output", g->outputs[i].name, hl_session_output(s, g->outputs[i].name),
             count_of(s, g->outputs[i].name));
    hl_session_free(s);
}

/* What the file will hold in 16 bits becomes exactly that: both sides compute with the same numbers. */
static void round_weights(const variant *v, hl_params *params)
{
    hl_dtype dtypes[512];
    hl_error err = {0};
    hl_graph *g = v->build(params, v, 2);
    HL_ASSERT(hl_params_count(params) <= 512);
    must(hl_stored_dtypes(g, params, v->options.precision, dtypes, &err), &err);
    for (int i = 0; i < hl_params_count(params); i++) {
        hl_param_info info = hl_params_at(params, i);
        if (dtypes[i] != HL_F16 && dtypes[i] != HL_BF16)
            continue;
        for (int64_t k = 0; k < info.count; k++)
            info.data[k] = dtypes[i] == HL_F16 ? hl_f16_to_float(hl_float_to_f16(info.data[k]))
                                               : hl_bf16_to_float(hl_float_to_bf16(info.data[k]));
        hl_params_touch(params, i);
    }
    hl_graph_free(g);
}

/* A graph on its way to a file: each stage has a store of its own. */
typedef struct stages {
    const variant *v;
    hl_params *built, *folded, *quantized, *last;
} stages;

static hl_graph *quantize(stages *s, hl_graph *g)
{
    hl_error err = {0};
    hl_layers layers;
    must(hl_layers_of(g, &layers, &err), &err);
    for (int i = 0; i < layers.n; i++)
        layers.at[i].scale = s->v->step > 0 ? s->v->step : 0;
    hl_graph *integers = hl_quantize_layers(g, s->last, s->quantized, &layers, &err);
    must(integers ? HL_OK : err.status, &err);
    hl_layers_free(&layers);
    hl_graph_free(g);
    s->last = s->quantized;
    return integers;
}

static hl_graph *exported(stages *s, int64_t batch)
{
    hl_error err = {0};
    hl_graph *g = s->v->build(s->built, s->v, batch);
    s->last = s->built;
    if (s->v->folded) {
        hl_graph *plain = g;
        g = hl_fold(plain, s->built, s->folded, &s->v->fold, &err);
        must(g ? HL_OK : err.status, &err);
        hl_graph_free(plain);
        s->last = s->folded;
    }
    return s->v->step != 0 ? quantize(s, g) : g;
}

static void write_model(stages *s, const char *path)
{
    hl_error err = {0};
    hl_onnx_options options = s->v->options;
    const hl_safetensors_text about[] = {{"case", s->v->name}};
    hl_graph *two = exported(s, 2), *three = exported(s, 3);
    options.n_metadata = 1;
    options.metadata = about;
    must(hl_onnx_write(path, two, three, s->last, &options, &err), &err);
    hl_graph_free(two);
    hl_graph_free(three);
}

/* What our session computes is of the graph as it was built; quantizing is no identity, so it is part of
 * that. */
static void write_case(const variant *v, const char *root)
{
    static const int64_t batches[] = {1, 3, 17};
    char dir[200], path[256];
    hl_error err = {0};
    stages s = {v, hl_params_new(3), hl_params_new(1), hl_params_new(1), NULL};
    snprintf(dir, sizeof dir, "%s/%s", root, v->name);
    snprintf(path, sizeof path, "%s/model.onnx", dir);
    must(hl_file_mkdirs(dir, &err), &err);
    hl_graph_free(v->build(s.built, v, 1));
    must(hl_params_materialize(s.built, &err), &err);
    round_weights(v, s.built);
    write_model(&s, path);
    for (int i = 0; i < 3; i++) {
        hl_graph *g = v->step != 0 ? exported(&s, batches[i]) : v->build(s.built, v, batches[i]);
        run(g, v->step != 0 ? s.last : s.built, dir, batches[i]);
        hl_graph_free(g);
    }
    hl_params_free(s.quantized);
    hl_params_free(s.folded);
    hl_params_free(s.built);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: onnx_models DIR\n");
        return 2;
    }
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++)
        write_case(&variants[i], argv[1]);
    return 0;
}
