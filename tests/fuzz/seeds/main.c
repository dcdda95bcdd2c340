/* Writes the first inputs of the targets whose inputs are made rather than kept: fuzz_seeds FOLDER. Each goes
 * to FOLDER/TARGET/NAME; small, and of everything that a reader meets one. */
#include "tests/checkpoint_store.h"
#include "tests/demo_file.h"
#include "tests/program_graphs.h"
#include "tests/small_model.h"

#include "app/policy.h"
#include "base/file.h"
#include "export/write.h"

static const char *folder;

/* Lives until the next call. */
static const char *path_of(const char *target, const char *name)
{
    static char path[4096];
    hl_error err = {0};
    snprintf(path, sizeof path, "%s/%s", folder, target);
    assert_int_equal(hl_file_mkdirs(path, &err), HL_OK);
    snprintf(path, sizeof path, "%s/%s/%s", folder, target, name);
    return path;
}

/* ------------------------------------------------------------------ graphs, and models */

static hl_graph *acting(hl_params *params, int64_t batch, const void *context)
{
    return hl_policy_graph(params, context, batch, true);
}

static void write_graph(const char *name, graph_builder *build, const void *context)
{
    hl_params *params = hl_params_new(1);
    char *text = program_text(build, params, context);
    spill(path_of("program", name), text, strlen(text));
    hl_free(text);
    hl_params_free(params);
}

/* A graph of one node of another: its operands are inputs, or parameters where they were. */
typedef struct part {
    int node;
} part;

static hl_tensor operand(hl_graph *g, hl_params *params, const hl_graph *from, hl_tensor t, int k)
{
    char name[8];
    snprintf(name, sizeof name, "%c", 'a' + k);
    const hl_shape shape = t.id ? hl_shape_of(from, t) : (hl_shape){0};
    const hl_dtype dtype = t.id ? hl_dtype_of(from, t) : HL_F32;
    if (!t.id)
        return t;
    if (from->tensors[t.id].node->op == &hl_op_param)
        return hl_param_leaf(g, params, name, dtype, shape);
    hl_tensor x = hl_input(g, name, HL_F32, shape.rank, shape.dim);
    return dtype == HL_F32 ? x : hl_cast(g, x, dtype);
}

static hl_graph *one_node(hl_params *params, int64_t batch, const void *context)
{
    hl_params *all = hl_params_new(1);
    hl_graph *from = every_op(all, batch, NULL), *g = hl_graph_new();
    const hl_node *n = from->nodes[((const part *)context)->node];
    hl_tensor in[8];
    assert_true(n->n_in <= 8);
    for (int k = 0; k < n->n_in; k++)
        in[k] = operand(g, params, from, n->in[k], k);
    hl_tensor y = hl_graph_apply(g, n->op, n->n_in, in, n->params);
    hl_output(g, "y", hl_dtype_of(g, y) == HL_F32 ? y : hl_cast(g, y, HL_F32));
    hl_graph_free(from);
    hl_params_free(all);
    return g;
}

static void write_model(const char *name, graph_builder *build, const void *context, hl_precision precision)
{
    const hl_safetensors_text about = {"config", "model: {}\n"};
    hl_error err = {0};
    hl_params *params = hl_params_new(1);
    hl_graph *two = build(params, 2, context), *three = build(params, 3, context);
    if (hl_model_write(path_of("model", name), two, three, params, precision, 1, &about, &err) != HL_OK)
        fail_msg("%s", err.message);
    hl_graph_free(two);
    hl_graph_free(three);
    hl_params_free(params);
}

static void every_node(void)
{
    static const hl_precision precisions[] = {HL_PRECISION_FP32, HL_PRECISION_BF16, HL_PRECISION_FP16};
    hl_params *params = hl_params_new(1);
    hl_graph *g = every_op(params, 2, NULL);
    for (int i = 0; i < g->n_nodes; i++) {
        char name[64];
        const part p = {i};
        snprintf(name, sizeof name, "%s-%d", g->nodes[i]->op->name, i);
        if (!g->nodes[i]->n_in)
            continue;
        write_graph(name, one_node, &p);
        write_model(name, one_node, &p,
                    strncmp(name, "quantized", 9) ? precisions[i % 3] : HL_PRECISION_FP32);
    }
    hl_graph_free(g);
    hl_params_free(params);
}

static void graphs_and_models(void)
{
    static const char *const names[] = {"hybrid", "bottleneck", "attention", "hierarchical"};
    for (int kind = 0; kind < 4; kind++) {
        hl_model_options o = small_model((hl_compressor)kind);
        o.history = kind ? 0 : 3;
        write_graph(names[kind], acting, &o);
    }
    every_node();
    write_graph("every-op", every_op, NULL);
    write_model("every-op", every_op, NULL, HL_PRECISION_FP32);
}

/* ------------------------------------------------------------------ checkpoints */

static void checkpoints(void)
{
    hl_error err = {0};
    hl_params *params = filled(3), *none = hl_params_new(0);
    const hl_checkpoint_value values[] = {{"best", true, 0, 0.5}, {"patience", false, 7, 0}};
    hl_checkpoint_meta meta = small_meta(1);
    write_small(path_of("checkpoint", "small"), params);
    meta.n_values = 2;
    meta.values = values;
    meta.n_loader = 3;
    assert_int_equal(hl_checkpoint_write(path_of("checkpoint", "values"), params, &meta,
                                         HL_CHECKPOINT_PARAMETERS_ONLY, &err),
                     HL_OK);
    assert_int_equal(hl_checkpoint_write(path_of("checkpoint", "no-tensors"), none, &(hl_checkpoint_meta){0},
                                         HL_CHECKPOINT_ALL, &err),
                     HL_OK);
    hl_params_free(params);
    hl_params_free(none);
}

/* ------------------------------------------------------------------ demonstrations */

static void put_gripper(hid_t file, int n, const demo_spec *spec)
{
    for (int i = 0; i < n; i++) {
        char name[32];
        snprintf(name, sizeof name, "data/demo_%d", i);
        hid_t demo = H5Gopen2(file, name, H5P_DEFAULT);
        put_rows(demo, "obs/gripper", i, spec[i].steps, 1, 1, spec[i].gzip);
        H5Gclose(demo);
    }
}

static void put_depth(hid_t file, const char *path, hsize_t steps)
{
    const hsize_t dim[3] = {steps, FILE_H, FILE_W};
    float metres[8 * FILE_H * FILE_W];
    assert_true(steps <= 8);
    for (size_t i = 0; i < sizeof metres / sizeof *metres; i++)
        metres[i] = 0.1f * (float)(i % 50);
    put(file, path, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, 3, dim, NULL, metres);
}

static void demonstrations(void)
{
    static const demo_spec spec[] = {{2, true, false}, {5, true, true}, {1, true, false}};
    static const char *const train[] = {"demo_0", "demo_2"}, *const valid[] = {"demo_1"};
    for (int masks = 0; masks < 3; masks++) {
        const int n = masks ? 3 : 1;
        const char *const names[] = {"one", "fixed-masks", "variable-masks"};
        hid_t file = make_file(path_of("dataset", names[masks]), n, spec);
        put_gripper(file, n, spec);
        put_depth(file, "data/demo_0/obs/depth", 2);
        if (masks) {
            hid_t data = H5Gopen2(file, "data", H5P_DEFAULT);
            put_text(data, "macros_image_convention", "opengl", masks == 2);
            H5Gclose(data);
            put_mask(file, "mask/train", 2, train, masks == 2);
            put_mask(file, "mask/valid", 1, valid, masks == 2);
        }
        H5Fclose(file);
    }
}

int main(int argc, char **argv)
{
    hl_error err = {0};
    if (argc != 2) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    folder = argv[1];
    assert_int_equal(hl_file_mkdirs(folder, &err), HL_OK);
    graphs_and_models();
    checkpoints();
    demonstrations();
    return 0;
}
