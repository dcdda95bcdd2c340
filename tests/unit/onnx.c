/* What lies in an ONNX model that was written, read back field by field. Whether others compute the same with
 * it is tests/interop/onnx.py's to say. */
#include "base/half.h"
#include "export/onnx.h"
#include "graph/graph.h"
#include "ops/ops.h"
#include "tests/onnx_reader.h"
#include "tests/small_model.h"

static hl_graph *acting(hl_params *params, int64_t batch)
{
    hl_model_options o = small_model(HL_HYBRID);
    hl_graph *g = hl_graph_new();
    o.history = 3;
    hl_model_nodes m = hl_model_build(g, params, &o, &(hl_model_mode){.batch = batch, .smoothing = true});
    hl_output(g, "action", m.action);
    hl_output(g, "compressed", m.compressed);
    hl_output(g, "features", m.features);
    return g;
}

/* Writes the model above; the caller frees .at. */
static bytes written(hl_params *params, const char *path, hl_onnx_options options)
{
    hl_error err = {0};
    hl_graph *two = acting(params, 2), *three = acting(params, 3);
    if (hl_onnx_write(path, two, three, params, &options, &err) != HL_OK)
        fail_msg("%s", err.message);
    hl_graph_free(two);
    hl_graph_free(three);
    return read_whole(path);
}

static void head(void **state)
{
    (void)state;
    hl_params *params = hl_params_new(1);
    const hl_safetensors_text about[] = {{"precision", "fp32"}, {"config", ""}};
    bytes model = written(params, temporary_path("head.onnx"),
                          (hl_onnx_options){.n_metadata = 2, .metadata = about});
    assert_int_equal(get_number(model, 1, 0), 8);
    assert_true(is_text(get_bytes(model, 2, 0), "hl"));
    assert_true(is_text(get_bytes(model, 3, 0), HL_VERSION));
    assert_int_equal(count_fields(model, 8), 1);
    assert_int_equal(get_number(get_bytes(model, 8, 0), 2, 0), 17);
    assert_int_equal(count_fields(model, 14), 2);
    for (int i = 0; i < 2; i++) {
        assert_true(is_text(get_bytes(get_bytes(model, 14, i), 1, 0), about[i].key));
        assert_true(is_text(get_bytes(get_bytes(model, 14, i), 2, 0), about[i].value));
    }
    assert_int_equal(count_fields(model, MODEL_GRAPH), 1);
    free((void *)model.at);
    hl_params_free(params);
}

static void expect_shape(bytes graph, uint64_t key, int k, const char *name, int rank, const char *const *dim)
{
    bytes value = get_bytes(graph, key, k);
    assert_true(is_text(get_bytes(value, 1, 0), name));
    for (int i = 0; i <= rank; i++)
        assert_string_equal(dim_of(value, i), i < rank ? dim[i] : "");
}

static void interface(void **state)
{
    (void)state;
    hl_params *params = hl_params_new(1);
    bytes model = written(params, temporary_path("interface.onnx"), (hl_onnx_options){0});
    bytes graph = get_bytes(model, MODEL_GRAPH, 0);
    assert_int_equal(count_fields(graph, GRAPH_INPUT), 8);
    expect_shape(graph, GRAPH_INPUT, 0, "visual", 4, (const char *[]){"batch", "3", "17", "17"});
    expect_shape(graph, GRAPH_INPUT, 1, "depth", 4, (const char *[]){"batch", "1", "17", "17"});
    expect_shape(graph, GRAPH_INPUT, 2, "audio", 2, (const char *[]){"batch", "9"});
    expect_shape(graph, GRAPH_INPUT, 3, "tactile", 2, (const char *[]){"batch", "7"});
    expect_shape(graph, GRAPH_INPUT, 4, "proprioceptive", 2, (const char *[]){"batch", "5"});
    expect_shape(graph, GRAPH_INPUT, 5, "history", 3, (const char *[]){"batch", "3", "80"});
    expect_shape(graph, GRAPH_INPUT, 6, "previous", 2, (const char *[]){"batch", "3"});
    expect_shape(graph, GRAPH_INPUT, 7, "smoothing", 2, (const char *[]){"batch", "1"});
    assert_int_equal(count_fields(graph, GRAPH_OUTPUT), 3);
    expect_shape(graph, GRAPH_OUTPUT, 0, "action", 2, (const char *[]){"batch", "3"});
    expect_shape(graph, GRAPH_OUTPUT, 1, "compressed", 2, (const char *[]){"batch", "16"});
    expect_shape(graph, GRAPH_OUTPUT, 2, "features", 2, (const char *[]){"batch", "80"});
    free((void *)model.at);
    hl_params_free(params);
}

/* Names of values, with how often each is read. */
typedef struct names {
    bytes name[1024];
    int reads[1024], n;
} names;

static int find_name(const names *s, bytes name)
{
    for (int i = 0; i < s->n; i++)
        if (is_same(s->name[i], name))
            return i;
    return -1;
}

static void add_name(names *s, bytes name)
{
    assert_int_equal(find_name(s, name), -1);
    assert_true(s->n < 1024 && name.n > 0);
    s->name[s->n++] = name;
}

/* Nodes read what is known before them, every name is given once, and nothing is there that nobody reads. */
static void wiring(void **state)
{
    (void)state;
    hl_params *params = hl_params_new(1);
    bytes model = written(params, temporary_path("wiring.onnx"), (hl_onnx_options){0}), part[1024];
    bytes graph = get_bytes(model, MODEL_GRAPH, 0);
    names *known = calloc(1, sizeof *known);
    assert_non_null(known);
    for (int i = 0, n = all_bytes(graph, GRAPH_INPUT, part, 1024); i < n; i++)
        add_name(known, get_bytes(part[i], 1, 0));
    for (int i = 0, n = all_bytes(graph, GRAPH_INITIALIZER, part, 1024); i < n; i++)
        add_name(known, get_bytes(part[i], TENSOR_NAME, 0));
    int nodes = all_bytes(graph, GRAPH_NODE, part, 1024);
    assert_in_range(nodes, 100, 1024);
    for (int i = 0; i < nodes; i++) {
        bytes in[16];
        int n = all_bytes(part[i], NODE_INPUT, in, 16);
        for (int k = 0; k < n; k++) {
            assert_true(find_name(known, in[k]) >= 0);
            known->reads[find_name(known, in[k])]++;
        }
        assert_int_equal(count_fields(part[i], NODE_OUTPUT), 1);
        add_name(known, get_bytes(part[i], NODE_OUTPUT, 0));
    }
    for (int i = 0, n = all_bytes(graph, GRAPH_OUTPUT, part, 1024); i < n; i++) {
        assert_true(find_name(known, get_bytes(part[i], 1, 0)) >= 0);
        known->reads[find_name(known, get_bytes(part[i], 1, 0))]++;
    }
    for (int i = 0; i < known->n; i++)
        assert_int_not_equal(known->reads[i], 0);
    free(known);
    free((void *)model.at);
    hl_params_free(params);
}

/* Values, byte by byte, of every parameter that the file has: n of them, n_low in 16 bits. */
static void compare_weights(hl_params *params, bytes graph, hl_dtype low, int *n, int *n_low)
{
    for (int i = 0; i < hl_params_count(params); i++) {
        hl_param_info info = hl_params_at(params, i);
        bytes tensor = find_initializer(graph, info.name);
        if (!tensor.at)
            continue;
        uint64_t type = get_number(tensor, TENSOR_TYPE, 0);
        bytes raw = get_bytes(tensor, TENSOR_RAW, 0);
        for (int k = 0; k < info.shape.rank; k++)
            assert_int_equal(get_number(tensor, 1, k), info.shape.dim[k]);
        if (type == 1) {
            assert_int_equal(raw.n, (size_t)info.count * 4);
            assert_memory_equal(raw.at, info.data, raw.n);
        } else {
            assert_int_equal(type, low == HL_F16 ? 10 : 16);
            assert_int_equal(raw.n, (size_t)info.count * 2);
        }
        for (int64_t k = 0; type != 1 && k < info.count; k++) {
            uint16_t want = low == HL_F16 ? hl_float_to_f16(info.data[k]) : hl_float_to_bf16(info.data[k]);
            assert_memory_equal(raw.at + 2 * k, &want, 2);
        }
        *n += 1;
        *n_low += type != 1;
    }
}

static void weights(void **state)
{
    (void)state;
    const hl_precision precisions[] = {HL_PRECISION_FP32, HL_PRECISION_FP16, HL_PRECISION_BF16};
    const hl_dtype dtypes[] = {HL_F32, HL_F16, HL_BF16};
    for (int i = 0; i < 3; i++) {
        int n = 0, low = 0;
        hl_params *params = hl_params_new(1);
        bytes model = written(params, temporary_path("weights.onnx"),
                              (hl_onnx_options){.precision = precisions[i]});
        bytes graph = get_bytes(model, MODEL_GRAPH, 0);
        compare_weights(params, graph, dtypes[i], &n, &low);
        assert_true(n > 50 && (i ? low > 20 && low < n : low == 0)); /* norms stay as they are */
        /* What acting does not need is not there, and got no memory for it. */
        int unused = 0;
        for (int k = 0; k < hl_params_count(params); k++) {
            hl_param_info info = hl_params_at(params, k);
            if (!strstr(info.name, "logvar"))
                continue;
            assert_null(find_initializer(graph, info.name).at);
            assert_null(info.data);
            unused++;
        }
        assert_int_equal(unused, 2);
        free((void *)model.at);
        hl_params_free(params);
    }
}

/* An entry of external_data, as a number. */
static uint64_t place_of(bytes tensor, const char *key)
{
    field f;
    for (int i = 0; find_field(tensor, 13, i, &f); i++) {
        if (is_text(get_bytes(f.value, 1, 0), key)) {
            char text[32] = "";
            bytes value = get_bytes(f.value, 2, 0);
            assert_true(value.n > 0 && value.n < sizeof text);
            memcpy(text, value.at, value.n);
            return strtoull(text, NULL, 10);
        }
    }
    fail_msg("there is no %s", key);
    return 0;
}

static void external(void **state)
{
    (void)state;
    hl_params *params = hl_params_new(1);
    bytes model = written(params, temporary_path("external.onnx"), (hl_onnx_options){.external = true});
    bytes data = read_whole(temporary_path("external.onnx.data")), graph = get_bytes(model, MODEL_GRAPH, 0);
    uint64_t end = 0;
    int n = 0;
    bytes part[1024];
    for (int i = 0, all = all_bytes(graph, GRAPH_INITIALIZER, part, 1024); i < all; i++) {
        field f;
        bytes tensor = part[i], name = get_bytes(tensor, TENSOR_NAME, 0);
        if (!find_field(tensor, 14, 0, &f)) { /* constants stay: shapes are found by them */
            assert_int_equal(name.at[0], '/');
            continue;
        }
        char text[256];
        snprintf(text, sizeof text, "%.*s", (int)name.n, (const char *)name.at);
        hl_param_info info = hl_params_at(params, hl_params_find(params, text));
        uint64_t offset = place_of(tensor, "offset"), length = place_of(tensor, "length");
        assert_int_equal(f.number, 1);
        assert_true(is_text(get_bytes(get_bytes(tensor, 13, 0), 2, 0), "external.onnx.data"));
        assert_false(find_field(tensor, TENSOR_RAW, 0, &f));
        assert_true(offset % 4096 == 0 && offset >= end);
        assert_int_equal(length, (size_t)info.count * sizeof(float));
        end = offset + length;
        assert_true(end <= data.n);
        assert_memory_equal(data.at + offset, info.data, length);
        n++;
    }
    assert_true(n > 50);
    assert_int_equal(end, data.n);
    free((void *)model.at);
    free((void *)data.at);
    hl_params_free(params);
}

/* A model of one parameter and no op. */
static void only_a_parameter(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_params *params = hl_params_new(1);
    hl_graph *g = hl_graph_new();
    hl_output(g, "y", hl_param(g, params, "w", 2, (int64_t[]){3, 5}, (hl_init_rule){HL_NORMAL, 0, 0}));
    const char *path = temporary_path("parameter.onnx");
    assert_int_equal(hl_onnx_write(path, g, g, params, &(hl_onnx_options){0}, &err), HL_OK);
    bytes model = read_whole(path), graph = get_bytes(model, MODEL_GRAPH, 0);
    assert_int_equal(count_fields(graph, GRAPH_NODE), 1);
    assert_int_equal(count_fields(graph, GRAPH_INPUT), 0);
    assert_non_null(find_initializer(graph, "w").at);
    assert_true(is_text(get_bytes(get_bytes(graph, GRAPH_NODE, 0), NODE_TYPE, 0), "Identity"));
    free((void *)model.at);
    hl_graph_free(g);
    hl_params_free(params);
}

/* The same graph and values give the same bytes. */
static void same_again(void **state)
{
    (void)state;
    hl_params *params = hl_params_new(1), *other = hl_params_new(1);
    bytes a = written(params, temporary_path("a.onnx"), (hl_onnx_options){0});
    bytes b = written(other, temporary_path("b.onnx"), (hl_onnx_options){0});
    bytes c = written(params, temporary_path("a.onnx"), (hl_onnx_options){0}); /* over the first */
    assert_true(is_same(a, b) && is_same(a, c));
    assert_int_equal(temporary_count(temporary_dir, ".tmp"), 0);
    free((void *)a.at);
    free((void *)b.at);
    free((void *)c.at);
    hl_params_free(params);
    hl_params_free(other);
}

static void tensorrt(void **state)
{
    (void)state;
    hl_text text = {0};
    hl_graph *g[2];
    for (int i = 0; i < 2; i++) {
        g[i] = hl_graph_new();
        hl_input(g[i], "visual", HL_F32, 4, (int64_t[]){2 + i, 3, 17, 19});
        hl_input(g[i], "tokens", HL_F32, 2, (int64_t[]){8 * (2 + i), 5});
        hl_input(g[i], "table", HL_F32, 1, (int64_t[]){7});
    }
    hl_onnx_tensorrt_command(&text, "run/m.onnx", g[0], g[1], (hl_onnx_batches){1, 4, 16});
    assert_string_equal(text.at,
                        "trtexec --onnx=run/m.onnx --saveEngine=run/m.plan "
                        "--minShapes=visual:1x3x17x19,tokens:8x5 --optShapes=visual:4x3x17x19,tokens:32x5 "
                        "--maxShapes=visual:16x3x17x19,tokens:128x5");
    hl_text_free(&text);
    text = (hl_text){0};
    hl_onnx_tensorrt_command(&text, "Tom's $x", g[0], g[0], (hl_onnx_batches){1, 1, 1}); /* nothing grows */
    assert_string_equal(text.at, "trtexec --onnx='Tom'\\''s $x' --saveEngine='Tom'\\''s $x.plan'");
    hl_text_free(&text);
    hl_graph_free(g[0]);
    hl_graph_free(g[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(head),
        cmocka_unit_test(interface),
        cmocka_unit_test(wiring),
        cmocka_unit_test(weights),
        cmocka_unit_test(external),
        cmocka_unit_test(same_again),
        cmocka_unit_test(only_a_parameter),
        cmocka_unit_test(tensorrt),
    };
    return cmocka_run_group_tests(tests, temporary_make, temporary_drop);
}
