/* What cannot be written as an ONNX model, and what is left when writing fails. */
#include "base/file.h"
#include "base/memory.h"
#include "export/onnx.h"
#include "graph/graph.h"
#include "ops/ops.h"
#include "run/params.h"
#include "tests/onnx_reader.h"

#include <math.h>

/* A graph at a batch, of which one thing is odd. */
typedef hl_graph *(*builder)(hl_params *params, int64_t batch);

/* input "x" [B,4,6] */
static hl_graph *begin(int64_t batch, hl_tensor *x)
{
    hl_graph *g = hl_graph_new();
    *x = hl_input(g, "x", HL_F32, 3, (int64_t[]){batch, 4, 6});
    return g;
}

static hl_graph *end(hl_graph *g, const char *name, hl_tensor t)
{
    hl_output(g, name, t);
    return g;
}

static hl_status try(builder build, hl_params *params, const char *path, const hl_onnx_options *options,
                     hl_error *err)
{
    hl_graph *two = build(params, 2), *three = build(params, 3);
    hl_status status = hl_onnx_write(path, two, three, params, options, err);
    hl_graph_free(two);
    hl_graph_free(three);
    return status;
}

/* Refused with this status; the message names the file and says this; nothing is written. */
static void refused(builder build, hl_onnx_options options, hl_status status, const char *says)
{
    hl_error err = {0};
    hl_params *params = hl_params_new(1);
    const char *path = temporary_path("refused.onnx");
    assert_int_equal(try(build, params, path, &options, &err), status);
    if (!strstr(err.message, says) || strncmp(err.message, path, strlen(path)))
        fail_msg("'%s' does not say '%s' of %s", err.message, says, path);
    assert_int_equal(temporary_count(temporary_dir, ""), 0);
    hl_params_free(params);
}

/* ------------------------------------------------------------------ graphs */

static hl_graph *training(hl_params *params, int64_t batch)
{
    hl_tensor x;
    hl_graph *g = begin(batch, &x);
    (void)params;
    hl_section(g, "compressor");
    return end(g, "y", hl_dropout(g, hl_exp(g, x), 0.5f));
}

static hl_graph *dropped(hl_params *params, int64_t batch)
{
    hl_tensor x;
    hl_graph *g = begin(batch, &x);
    (void)params;
    return end(g, "y", hl_attention(g, x, x, x, 2, 0.5f));
}

static hl_graph *second_result(hl_params *params, int64_t batch)
{
    hl_tensor x, gain;
    hl_graph *g = begin(batch, &x);
    gain = hl_param(g, params, "gain", 1, (int64_t[]){6}, (hl_init_rule){HL_ONES, 0, 0});
    const hl_norm_params p = {1e-5f, HL_ACT_NONE};
    const hl_node *n = hl_graph_append(g, &hl_op_layer_norm, 3, (hl_tensor[]){x, gain, gain}, &p);
    return end(g, "y", hl_relu(g, hl_node_output(n, 1)));
}

static hl_graph *second_output(hl_params *params, int64_t batch)
{
    hl_tensor x, gain;
    hl_graph *g = begin(batch, &x);
    gain = hl_param(g, params, "gain", 1, (int64_t[]){6}, (hl_init_rule){HL_ONES, 0, 0});
    const hl_norm_params p = {1e-5f, HL_ACT_NONE};
    return end(g, "y",
               hl_node_output(hl_graph_append(g, &hl_op_layer_norm, 3, (hl_tensor[]){x, gain, gain}, &p), 2));
}

static hl_graph *other_factor(hl_params *params, int64_t batch)
{
    hl_tensor x;
    hl_graph *g = begin(batch, &x);
    (void)params;
    return end(g, "y", hl_scale(g, x, 1 / (float)batch));
}

static hl_graph *other_value(hl_params *params, int64_t batch)
{
    hl_tensor x;
    hl_graph *g = begin(batch, &x);
    (void)params;
    return end(g, "y", hl_mul(g, x, hl_fill(g, 1, (int64_t[]){6}, (float)batch)));
}

static hl_graph *other_shape(hl_params *params, int64_t batch)
{
    hl_tensor x;
    hl_graph *g = begin(batch, &x);
    (void)params;
    return end(g, "y", hl_pad(g, x, 0, 0, 1));
}

static hl_graph *empty(hl_params *params, int64_t batch)
{
    hl_tensor x;
    hl_graph *g = begin(batch, &x);
    (void)params;
    return end(g, "y", hl_slice(g, x, 1, 2, 2));
}

static hl_graph *no_batch(hl_params *params, int64_t batch)
{
    hl_graph *g = hl_graph_new();
    (void)params;
    hl_input(g, "x", HL_F32, 1, (int64_t[]){4 * batch}); /* four times it is not it */
    return end(g, "y", hl_fill(g, 2, (int64_t[]){batch, 3}, 1));
}

static hl_graph *low_input(hl_params *params, int64_t batch)
{
    hl_graph *g = hl_graph_new();
    (void)params;
    return end(g, "y", hl_input(g, "x", HL_F16, 1, &batch));
}

static hl_graph *integer_output(hl_params *params, int64_t batch)
{
    hl_tensor x;
    hl_graph *g = begin(batch, &x);
    return end(g, "y", hl_param_leaf(g, params, "w", HL_I8, hl_shape_make(1, (int64_t[]){3})));
}

static hl_graph *computed_scale(hl_params *params, int64_t batch)
{
    hl_tensor x;
    hl_graph *g = begin(batch, &x);
    hl_tensor w = hl_param_leaf(g, params, "w", HL_I8, hl_shape_make(2, (int64_t[]){3, 24}));
    hl_tensor s = hl_param(g, params, "s", 1, (int64_t[]){3}, (hl_init_rule){HL_ONES, 0, 0});
    hl_tensor rows = hl_reshape(g, x, 2, (int64_t[]){batch, 24});
    return end(g, "y", hl_quantized_matmul(g, rows, w, s, (hl_tensor){0}, hl_slice(g, s, 0, 0, 1)));
}

static hl_graph *named_as_input(hl_params *params, int64_t batch)
{
    hl_tensor x;
    hl_graph *g = begin(batch, &x);
    (void)params;
    return end(g, "x", hl_relu(g, x));
}

static hl_graph *named_as_parameter(hl_params *params, int64_t batch)
{
    hl_tensor x;
    hl_graph *g = begin(batch, &x);
    hl_tensor w = hl_param(g, params, "w", 1, (int64_t[]){6}, (hl_init_rule){HL_ONES, 0, 0});
    return end(g, "w", hl_mul(g, x, w));
}

static hl_graph *named_with_slash(hl_params *params, int64_t batch)
{
    hl_tensor x;
    hl_graph *g = begin(batch, &x);
    (void)params;
    return end(g, "/relu_1.0", hl_relu(g, x));
}

static hl_graph *broken(hl_params *params, int64_t batch)
{
    hl_tensor x;
    hl_graph *g = begin(batch, &x);
    (void)params;
    return end(g, "y", hl_slice(g, x, 7, 0, 1));
}

static hl_graph *large_weight(hl_params *params, int64_t batch)
{
    hl_tensor x;
    hl_graph *g = begin(batch, &x);
    hl_tensor w = hl_param(g, params, "w", 2, (int64_t[]){3, 6}, (hl_init_rule){HL_FILLED, 0, 65520});
    return end(g, "y", hl_linear(g, x, w, (hl_tensor){0}));
}

static hl_graph *broken_weight(hl_params *params, int64_t batch)
{
    hl_tensor x;
    hl_graph *g = begin(batch, &x);
    return end(g, "y",
               hl_mul(g, x, hl_param(g, params, "w", 1, (int64_t[]){6}, (hl_init_rule){HL_FILLED, 0, NAN})));
}

static void graphs(void **state)
{
    (void)state;
    const hl_onnx_options plain = {0};
    refused(training, plain, HL_ERR_UNSUPPORTED, "no form for the op dropout (node 2, compressor)");
    refused(dropped, plain, HL_ERR_UNSUPPORTED, "attention (node 1) with dropout");
    refused(second_result, plain, HL_ERR_UNSUPPORTED, "result 1 of layer_norm (node 2) is read");
    refused(second_output, plain, HL_ERR_UNSUPPORTED, "result 2 of layer_norm (node 2) is read");
    refused(other_factor, plain, HL_ERR_USAGE, "affine (node 1) computes something else at another batch");
    refused(other_value, plain, HL_ERR_USAGE, "fill (node 1) computes something else at another batch");
    refused(other_shape, plain, HL_ERR_USAGE, "[3,4,6] at batch 2 and f32 [4,4,6] at batch 3");
    refused(empty, plain, HL_ERR_UNSUPPORTED, "slice (node 1) gives [2,0,6], which holds nothing");
    refused(no_batch, plain, HL_ERR_UNSUPPORTED, "fill (node 1) grows with the batch");
    refused(low_input, plain, HL_ERR_UNSUPPORTED, "input 'x' is f16");
    refused(integer_output, plain, HL_ERR_UNSUPPORTED, "output 'y' is i8");
    refused(computed_scale, plain, HL_ERR_UNSUPPORTED, "the scale of x is computed");
    refused(named_as_input, plain, HL_ERR_USAGE, "'x' names an input or output");
    refused(named_as_parameter, plain, HL_ERR_USAGE, "'w' names an input or output");
    refused(named_with_slash, plain, HL_ERR_USAGE, "'/relu_1.0' names an input or output");
    refused(broken, plain, HL_ERR_USAGE, "has no axis 7");
    refused(large_weight, (hl_onnx_options){.precision = HL_PRECISION_FP16}, HL_ERR_NUMERIC,
            "element 0 of 'w' is 65520, which f16 cannot hold");
    refused(broken_weight, plain, HL_ERR_NUMERIC, "element 0 of 'w' is nan, which f32 cannot hold");
}

/* ------------------------------------------------------------------ files */

static hl_graph *good(hl_params *params, int64_t batch)
{
    hl_tensor x;
    hl_graph *g = begin(batch, &x);
    hl_tensor w = hl_param(g, params, "w", 2, (int64_t[]){5, 6}, (hl_init_rule){HL_NORMAL, 0, 0});
    hl_tensor b = hl_param(g, params, "b", 1, (int64_t[]){5}, (hl_init_rule){HL_NORMAL, 0, 0});
    return end(g, "y", hl_linear(g, hl_expand(g, x, 4, (int64_t[]){2, batch, 4, 6}), w, b));
}

static void paths(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_params *params = hl_params_new(1);
    const char *nowhere = temporary_path("nowhere/m.onnx");
    assert_int_equal(try(good, params, nowhere, &(hl_onnx_options){0}, &err), HL_ERR_IO);
    assert_non_null(strstr(err.message, nowhere));
    assert_int_equal(try(good, params, temporary_dir, &(hl_onnx_options){0}, &err), HL_ERR_IO);
    assert_non_null(strstr(err.message, temporary_dir));
    assert_int_equal(temporary_count(temporary_dir, ""), 0);
    hl_params_free(params);
}

static bool holds_old(const char *path)
{
    bytes now = read_whole(path);
    bool old = is_text(now, "old");
    free((void *)now.at);
    return old;
}

/* The message says that a file is new all the same. */
static bool is_told(const hl_error *err)
{
    return strstr(err->message, "is written, but") || strstr(err->message, "is new already");
}

/* The n-th write fails: what was there stays, or the message says which file is new. */
static void full_disk(void **state)
{
    (void)state;
    for (int external = 0; external < 2; external++) {
        const char *path = temporary_path("full.onnx"), *data = temporary_path("full.onnx.data");
        int failures = 0;
        for (uint64_t n = 1;; n++) {
            hl_error err = {0};
            hl_params *params = hl_params_new(1);
            assert_int_equal(hl_file_save(path, "old", 3, &err), HL_OK);
            assert_int_equal(hl_file_save(data, "old", 3, &err), HL_OK);
            hl_file_fail_at(n);
            hl_status status = try(good, params, path, &(hl_onnx_options){.external = external}, &err);
            hl_file_fail_at(0);
            hl_params_free(params);
            assert_int_equal(temporary_count(temporary_dir, ".tmp"), 0);
            if (status == HL_OK)
                break;
            failures++;
            assert_int_equal(status, HL_ERR_IO);
            assert_non_null(strstr(err.message, path));
            assert_true(is_told(&err) || (holds_old(path) && holds_old(data)));
        }
        assert_true(failures > (external ? 12 : 6));
        assert_false(holds_old(path));
        assert_int_equal(holds_old(data), !external);
        hl_file_remove(path, NULL);
        hl_file_remove(data, NULL);
    }
}

/* The n-th allocation fails: an error, and no file that it does not tell of. */
static void no_memory(void **state)
{
    (void)state;
    const char *path = temporary_path("memory.onnx");
    const hl_safetensors_text about[] = {{"key", "value"}};
    const hl_onnx_options options = {.external = true, .n_metadata = 1, .metadata = about};
    hl_params *params = hl_params_new(1);
    hl_graph *two = good(params, 2), *three = good(params, 3);
    hl_error err = {0};
    int failures = 0;
    for (uint64_t n = 1;; n++) {
        hl_alloc_fail_at(n);
        hl_status status = hl_onnx_write(path, two, three, params, &options, &err);
        hl_alloc_fail_at(0);
        if (status == HL_OK)
            break;
        failures++;
        assert_int_equal(status, HL_ERR_MEMORY);
        assert_int_equal(temporary_count(temporary_dir, ".tmp"), 0);
        assert_int_equal(temporary_count(temporary_dir, "") > 0, is_told(&err));
        hl_file_remove(path, NULL);
        hl_file_remove(temporary_path("memory.onnx.data"), NULL);
    }
    assert_in_range(failures, 50, 1000);
    hl_graph_free(two);
    hl_graph_free(three);
    hl_params_free(params);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(graphs),
        cmocka_unit_test(paths),
        cmocka_unit_test(full_disk),
        cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests(tests, temporary_make, temporary_drop);
}
