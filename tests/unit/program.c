/* Graphs written down and read again, at any batch; and what the reader does with text that nobody should
 * write. */
#include "tests/program_graphs.h"

#include "app/policy.h"
#include "base/error.h"
#include "base/json.h"
#include "base/philox.h"
#include "tests/small_model.h"

#include <stdio.h>
#include <stdlib.h>

/* ------------------------------------------------------------------ what is written is read */

typedef struct model_case {
    hl_model_options o;
    bool smoothing, decode;
} model_case;

static hl_graph *build_model(hl_params *params, int64_t batch, const void *context)
{
    const model_case *c = context;
    if (!c->decode)
        return hl_policy_graph(params, &c->o, batch, c->smoothing);
    hl_graph *g = hl_graph_new();
    hl_model_nodes m = hl_model_build(g, params, &c->o, &(hl_model_mode){.batch = batch, .decode = true});
    hl_output(g, "reconstructed", m.reconstructed);
    hl_output(g, "far", hl_mse(g, m.reconstructed, m.context));
    return g;
}

static hl_session *open(const hl_graph *g, hl_params *params)
{
    hl_error err = {0};
    hl_session *s = hl_session_open(g, params, NULL, &err);
    if (!s)
        fail_msg("%s", err.message);
    return s;
}

static void assert_same_outputs(const hl_graph *direct, const hl_graph *read, hl_params *params)
{
    hl_session *a = open(direct, params), *b = open(read, params);
    small_model_inputs(a, 1, 1);
    small_model_inputs(b, 1, 1);
    hl_error err = {0};
    assert_int_equal(hl_session_run(a, &err), HL_OK);
    assert_int_equal(hl_session_run(b, &err), HL_OK);
    for (int i = 0; i < direct->n_outputs; i++) {
        const char *name = direct->outputs[i].name;
        size_t bytes = (size_t)hl_shape_count(hl_session_shape(a, name)) * sizeof(float);
        assert_memory_equal(hl_session_output(a, name), hl_session_output(b, name), bytes);
    }
    hl_session_free(a);
    hl_session_free(b);
}

static void round_trip(const model_case *c)
{
    static const int64_t batches[] = {1, 2, 3, 17};
    hl_params *params = hl_params_new(5);
    char *text = program_text(build_model, params, c);
    for (size_t i = 0; i < sizeof batches / sizeof *batches; i++) {
        hl_graph *direct = build_model(params, batches[i], c),
                 *read = program_graph(text, params, batches[i]);
        assert_same_graph(direct, read);
        assert_same_outputs(direct, read, params);
        hl_graph_free(direct);
        hl_graph_free(read);
    }
    hl_free(text);
    hl_params_free(params);
}

static void models_come_back_at_any_batch(void **state)
{
    (void)state;
    for (int kind = 0; kind < 4; kind++)
        for (int64_t history = 0; history <= 5; history += 5) {
            model_case c = {.o = small_model((hl_compressor)kind), .smoothing = history > 0};
            c.o.history = history;
            round_trip(&c);
        }
}

static void autoencoders_come_back(void **state)
{
    (void)state;
    for (int kind = 0; kind < 4; kind++)
        round_trip(&(model_case){.o = small_model((hl_compressor)kind), .decode = true});
}

static void every_op_with_fields_comes_back(void **state)
{
    (void)state;
    hl_params *params = hl_params_new(5);
    char *text = program_text(every_op, params, NULL);
    hl_graph *g = every_op(params, 17, NULL), *read = program_graph(text, params, 17);
    assert_same_graph(g, read);
    for (int k = 0; k < hl_op_count(); k++) {
        bool there = false;
        for (int i = 0; i < g->n_nodes; i++)
            there = there || g->nodes[i]->op == hl_op_at(k);
        if (there != (hl_op_at(k)->fields != NULL))
            fail_msg("op %s: in the graph %d, has fields %d", hl_op_at(k)->name, there, !there);
    }
    hl_graph_free(g);
    hl_graph_free(read);
    hl_free(text);
    hl_params_free(params);
}

/* Numbers that decimal digits could spoil. */
static hl_graph *build_numbers(hl_params *params, int64_t batch, const void *context)
{
    (void)params, (void)context;
    hl_graph *g = hl_graph_new();
    hl_tensor x = hl_input(g, "a \"name\" \\ \xc3\xa9\n", HL_F32, 1, &batch);
    const float hard[] = {1.0f / 3, 1e-42f, 3.4028234e38f, -0.0f, 16777216, 1.17549435e-38f, 0.1f};
    for (size_t i = 0; i < sizeof hard / sizeof *hard; i++)
        x = hl_affine(g, x, hard[i], hard[(i + 1) % 7]);
    hl_output(g, "y", x);
    return g;
}

static void numbers_come_back_exactly(void **state)
{
    (void)state;
    hl_params *params = hl_params_new(5);
    char *text = program_text(build_numbers, params, NULL);
    hl_graph *g = build_numbers(params, 4, NULL), *read = program_graph(text, params, 4);
    assert_same_graph(g, read);
    hl_graph_free(g);
    hl_graph_free(read);
    hl_free(text);
    hl_params_free(params);
}

/* ------------------------------------------------------------------ what is not written */

static hl_graph *build_training(hl_params *params, int64_t batch, const void *context)
{
    const int *kind = context;
    hl_graph *g = hl_graph_new();
    hl_tensor x = hl_input(g, "x", *kind == 1 ? HL_BF16 : HL_F32, 2, (int64_t[]){batch, 4});
    if (*kind == 2)
        x = hl_add(g, x, hl_state(g, params, "moment", HL_F32, 0, 1, (int64_t[]){4}));
    hl_tensor y = *kind == 1 ? x : hl_dense(g, params, "dense", x, 3), dw;
    if (*kind == 3) {
        hl_tensor w = hl_graph_params(g, &dw, NULL, 1) ? dw : y;
        hl_gradient(g, hl_mse(g, y, y), 1, &w, &y);
    }
    if (*kind == 4)
        y = hl_affine(g, y, (float)batch, 0);
    if (*kind == 5)
        y = hl_pad(g, y, 0, 0, 1);
    if (*kind == 6 && batch == 3)
        y = hl_relu(g, y);
    if (*kind == 7)
        y = hl_affine(g, y, INFINITY, 0);
    if (*kind == 8)
        y = hl_expand(g, hl_fill(g, 0, NULL, 1), 2, (int64_t[]){batch, batch * batch});
    if (*kind == 9)
        y = batch == 3 ? hl_relu(g, y) : hl_gelu(g, y);
    hl_output(g, "y", y);
    return g;
}

static void what_is_no_deployed_graph_is_refused(void **state)
{
    (void)state;
    static const char *const says[] = {
        NULL,       "must be f32", "must be a parameter",         "gradient", "'factor'", NULL, "nodes",
        "'factor'", "'shape'",     "another one at another batch"};
    for (int kind = 1; kind < 10; kind++) {
        hl_error err = {0};
        hl_text text = {0};
        hl_params *params = hl_params_new(1);
        hl_graph *two = build_training(params, 2, &kind), *three = build_training(params, 3, &kind);
        hl_status status = hl_program_write(two, three, &text, &err);
        if (says[kind] && (status != HL_ERR_USAGE || !strstr(err.message, says[kind])))
            fail_msg("%d: status %d: %s", kind, status, err.message);
        if (!says[kind])
            assert_int_equal(status, HL_OK);
        hl_text_free(&text);
        hl_graph_free(two);
        hl_graph_free(three);
        hl_params_free(params);
    }
}

/* ------------------------------------------------------------------ what is not read */

typedef struct bad {
    const char *text, *says;
} bad;

#define NODES(nodes)  "{\"nodes\":[" nodes "],\"outputs\":{\"y\":0}}"
#define INPUT(rest)   NODES("{\"op\":\"input\",\"name\":\"x\"," rest "}")
#define AFTER_X(node) NODES("{\"op\":\"input\",\"name\":\"x\",\"shape\":[\"B\",4]}," node)

static const bad texts[] = {
    {"", "test:1"},
    {"[]", "nodes"},
    {"{}", "nodes"},
    {"{\"nodes\":[],\"outputs\":{}}", "outputs"},
    {"{\"nodes\":[],\"outputs\":{\"y\":0}}", "'y'"},
    {"{\"nodes\":[],\"outputs\":{\"y\":0},\"more\":1}", "'more'"},
    {"{\"nodes\":[],\"nodes\":[],\"outputs\":{\"y\":0}}", "duplicate"},
    {NODES("7"), "no op ''"},
    {NODES("{\"op\":\"adamw\"}"), "'adamw'"},
    {NODES("{\"op\":\"gradient\",\"in\":[]}"), "'gradient'"},
    {NODES("{\"op\":\"relu_backward\",\"in\":[]}"), "'relu_backward'"},
    {INPUT("\"shape\":[-1]"), "dim 0"},
    {INPUT("\"shape\":[\"0B\"]"), "dim 0"},
    {INPUT("\"shape\":[\"b\"]"), "dim 0"},
    {INPUT("\"shape\":[\"B \"]"), "dim 0"},
    {INPUT("\"shape\":[\"-1B\"]"), "dim 0"},
    {INPUT("\"shape\":[\"9223372036854775807B\"]"), "dim 0"},
    {INPUT("\"shape\":[\"99999999999999999999B\"]"), "dim 0"},
    {INPUT("\"shape\":[4294967296,4294967296]"), "too large"},
    {INPUT("\"shape\":[0,4294967296,4294967296]"), "too large"},
    {INPUT("\"shape\":[1,1,1,1,1,1,1]"), "at most 6"},
    {INPUT("\"shape\":[1.5]"), "dim 0"},
    {INPUT("\"shape\":4"), "list"},
    {INPUT("\"dtype\":\"f32\""), "'shape' is missing"},
    {INPUT("\"shape\":[],\"dtype\":\"bf16\""), "must be f32"},
    {INPUT("\"shape\":[],\"dtype\":\"f64\""), "'f64'"},
    {INPUT("\"shape\":[],\"dtype\":0"), "'dtype'"},
    {INPUT("\"shape\":[],\"scalar\":1"), "true or false"},
    {INPUT("\"shape\":[],\"value\":1e39"), "range of a float"},
    {INPUT("\"shape\":[],\"value\":\"1\""), "range of a float"},
    {INPUT("\"shape\":[],\"axis\":1"), "'axis'"},
    {INPUT("\"shape\":[],\"section\":7"), "'section'"},
    {INPUT("\"shape\":[],\"in\":[0]"), "1 operands"},
    {NODES("{\"op\":\"input\",\"name\":\"\",\"shape\":[]}"), "'name'"},
    {NODES("{\"op\":\"input\",\"name\":\"a\\u0000b\",\"shape\":[]}"), "test"},
    {AFTER_X("{\"op\":\"input\",\"name\":\"x\",\"shape\":[]}"), "twice"},
    {AFTER_X("{\"op\":\"relu\"}"), "0 operands"},
    {AFTER_X("{\"op\":\"relu\",\"in\":[1]}"), "operand 0"},
    {AFTER_X("{\"op\":\"relu\",\"in\":[-1]}"), "operand 0"},
    {AFTER_X("{\"op\":\"relu\",\"in\":[null]}"), "operand 0"},
    {AFTER_X("{\"op\":\"relu\",\"in\":[[0,1]]}"), "operand 0"},
    {AFTER_X("{\"op\":\"relu\",\"in\":[[0,0,0]]}"), "operand 0"},
    {AFTER_X("{\"op\":\"relu\",\"in\":[4294967296]}"), "operand 0"},
    {AFTER_X("{\"op\":\"relu\",\"in\":{\"a\":0}}"), "operands"},
    {AFTER_X("{\"op\":\"relu\",\"in\":[0,0]}"), "2 operands"},
    {AFTER_X("{\"op\":\"concat\",\"in\":[]}"), "0 operands"},
    {AFTER_X("{\"op\":\"concat\",\"in\":[0],\"axis\":-1}"), "axis -1"},
    {AFTER_X("{\"op\":\"slice\",\"in\":[0],\"axis\":1,\"begin\":2,\"end\":5}"), "not within"},
    {AFTER_X("{\"op\":\"slice\",\"in\":[0],\"axis\":2147483648,\"end\":1}"), "'axis'"},
    {AFTER_X("{\"op\":\"transpose\",\"in\":[0],\"order\":[0,0]}"), "permutation"},
    {AFTER_X("{\"op\":\"transpose\",\"in\":[0],\"order\":[0,9]}"), "entry 1"},
    {AFTER_X("{\"op\":\"pad\",\"in\":[0],\"after\":9223372036854775807}"), "pad"},
    {AFTER_X("{\"op\":\"reduce\",\"in\":[0],\"scale\":1}"), "reduce"},
    {AFTER_X("{\"op\":\"dropout\",\"in\":[0],\"p\":1,\"group\":1}"), "dropout"},
    {AFTER_X("{\"op\":\"dropout\",\"in\":[0],\"group\":1,\"stream\":4294967296}"), "'stream'"},
    {AFTER_X("{\"op\":\"attention\",\"in\":[0,0,0]}"), "attention"},
    {AFTER_X("{\"op\":\"matmul\",\"in\":[0,0,null,0],\"transpose_b\":true}"), "addend"},
    {AFTER_X("{\"op\":\"matmul\",\"in\":[0,0],\"transpose_b\":true}"), "2 operands"},
    {AFTER_X("{\"op\":\"param\",\"name\":\"no.such\",\"shape\":[]}"), "'no.such'"},
    {AFTER_X("{\"op\":\"param\",\"name\":\"w\",\"shape\":[4,5]}"), "[4,4]"},
    {AFTER_X("{\"op\":\"param\",\"name\":\"w\",\"shape\":[4,4],\"dtype\":\"i8\"}"), "i8"},
    {AFTER_X("{\"op\":\"param\",\"name\":\"m\",\"shape\":[4]}"), "'m'"},
    {AFTER_X("{\"op\":\"param\",\"name\":\"w\",\"shape\":[4,4]},{\"op\":\"param\",\"name\":\"w\",\"shape\":["
             "4,4]}"),
     "already"},
};

static hl_params *some_params(void)
{
    hl_params *params = hl_params_new(1);
    hl_graph *g = hl_graph_new();
    hl_param(g, params, "w", 2, (int64_t[]){4, 4}, (hl_init_rule){HL_FAN_IN, 0, 0});
    hl_state(g, params, "m", HL_F32, 0, 1, (int64_t[]){4});
    hl_graph_free(g);
    return params;
}

static void faults_are_named(void **state)
{
    (void)state;
    hl_params *params = some_params();
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        hl_error err = {0};
        hl_graph *g = hl_program_read(texts[i].text, "test", params, 3, &err);
        if (g || err.status != HL_ERR_DATA || !strstr(err.message, texts[i].says) ||
            strncmp(err.message, "test", 4) != 0)
            fail_msg("%s\n  status %d: %s\n  expected: %s", texts[i].text, err.status, err.message,
                     texts[i].says);
        assert_null(hl_program_read(texts[i].text, "test", params, 3, NULL));
    }
    assert_int_equal(hl_params_count(params), 2); /* none is declared */
    hl_params_free(params);
}

static void too_much_is_refused(void **state)
{
    (void)state;
    hl_params *params = some_params();
    hl_error err = {0};
    hl_text text = {0};
    hl_text_append(&text, "{\"outputs\":{\"y\":0},\"nodes\":[");
    for (int i = 0; i <= HL_PROGRAM_NODES; i++)
        hl_text_append(&text, i ? ",{}" : "{}");
    hl_text_append(&text, "]}");
    assert_null(hl_program_read(text.at, "test", params, 3, &err));
    assert_non_null(strstr(err.message, "at most 16384"));
    hl_text_free(&text);
    for (int i = 0; i < 100000; i++)
        hl_text_append(&text, "[");
    assert_null(hl_program_read(text.at, "test", params, 3, &err));
    assert_int_equal(err.status, HL_ERR_DATA);
    hl_text_free(&text);
    assert_null(hl_program_read("{}", "test", params, 0, &err));
    assert_int_equal(err.status, HL_ERR_USAGE);
    hl_params_free(params);
}

/* ------------------------------------------------------------------ mutations */

/* What is put in the place of a value. */
static const char *const nasty[] = {"null",
                                    "true",
                                    "-1",
                                    "0",
                                    "1",
                                    "2",
                                    "3",
                                    "5",
                                    "2147483647",
                                    "4294967295",
                                    "-2147483648",
                                    "9223372036854775807",
                                    "-9223372036854775808",
                                    "0.5",
                                    "-1e38",
                                    "1e39",
                                    "\"\"",
                                    "\"B\"",
                                    "\"3B\"",
                                    "\"1000000000000000000B\"",
                                    "\"x\"",
                                    "\"i8\"",
                                    "\"bf16\"",
                                    "\"relu\"",
                                    "[]",
                                    "[0]",
                                    "[1,0]",
                                    "[\"B\",0]",
                                    "[0,0,0,0,0,0]",
                                    "[1,1,1,1,1,1]",
                                    "{}"};
enum { NASTY = sizeof nasty / sizeof *nasty };

typedef struct mutants {
    hl_params *params;
    int read, refused, planned, run;
} mutants;

/* A graph that was read is one like any other: it compiles, and what is small runs. */
static void use(mutants *m, const hl_graph *g)
{
    hl_error err = {0};
    hl_plan *plan = hl_plan_new(g, &(hl_session_options){.device = "cpu:portable"}, &err);
    if (!plan) {
        assert_int_not_equal(err.status, HL_OK);
        return;
    }
    m->planned++;
    bool small = hl_plan_memory(plan).total < 1 << 20;
    hl_plan_free(plan);
    hl_session *s = small ? hl_session_open(g, m->params, &(hl_session_options){.device = "cpu"}, &err)
                          : NULL;
    if (s && hl_session_run(s, &err) == HL_OK)
        m->run++;
    hl_session_free(s);
}

static void try_text(mutants *m, const char *text)
{
    hl_error err = {0};
    hl_graph *g = hl_program_read(text, "test", m->params, 3, &err);
    if (g) {
        assert_null(hl_graph_error(g));
        hl_graph_verify(g);
        use(m, g);
        m->read++;
    } else {
        assert_true(err.status == HL_ERR_DATA && !strncmp(err.message, "test", 4));
        m->refused++;
    }
    hl_graph_free(g);
}

static void try_json(mutants *m, const json_t *root)
{
    hl_text text = {0};
    hl_json_append(&text, root, HL_JSON_LINE);
    try_text(m, text.at);
    hl_text_free(&text);
}

/* The member of node i; then the element of it, if it is a list and `at` is in it. */
static void mutate_value(mutants *m, const json_t *root, size_t i, const char *key, int at)
{
    for (int k = -1; k < NASTY; k++) {
        json_t *copy = json_deep_copy(root), *node = json_array_get(json_object_get(copy, "nodes"), i);
        json_t *value = k < 0 ? NULL : json_loads(nasty[k], JSON_DECODE_ANY, NULL);
        if (at >= 0 && value)
            json_array_set_new(json_object_get(node, key), (size_t)at, value);
        else if (at >= 0)
            json_array_remove(json_object_get(node, key), (size_t)at);
        else if (value)
            json_object_set_new(node, key, value);
        else
            json_object_del(node, key);
        try_json(m, copy);
        json_decref(copy);
    }
}

static void mutate_node(mutants *m, const json_t *root, size_t i)
{
    json_t *node = json_array_get(json_object_get(root, "nodes"), i), *value;
    const char *key;
    const hl_op_def *op = hl_op_find(json_string_value(json_object_get(node, "op")));
    json_object_foreach(node, key, value)
    {
        mutate_value(m, root, i, key, -1);
        for (size_t k = 0; k < json_array_size(value); k++)
            mutate_value(m, root, i, key, (int)k);
    }
    for (const hl_field *f = op->fields; f->name; f++)
        if (!json_object_get(node, f->name))
            mutate_value(m, root, i, f->name, -1);
}

/* Every op in the place of every other. */
static void mutate_op(mutants *m, const json_t *root, size_t i)
{
    for (int k = 0; k < hl_op_count(); k++) {
        json_t *copy = json_deep_copy(root), *node = json_array_get(json_object_get(copy, "nodes"), i);
        json_object_set_new(node, "op", json_string(hl_op_at(k)->name));
        try_json(m, copy);
        json_decref(copy);
    }
}

static void mutants_are_refused_or_valid(void **state)
{
    (void)state;
    hl_error err = {0};
    mutants m = {.params = hl_params_new(5)};
    char *text = program_text(every_op, m.params, NULL);
    json_t *root = hl_json_parse(text, strlen(text), "test", &err);
    for (size_t i = 0; i < json_array_size(json_object_get(root, "nodes")); i++) {
        mutate_node(&m, root, i);
        mutate_op(&m, root, i);
    }
    print_message("%d mutants read, %d refused; %d planned, %d run\n", m.read, m.refused, m.planned, m.run);
    assert_true(m.read > 200 && m.refused > 2000 && m.planned > 100 && m.run > 100);
    json_decref(root);
    hl_free(text);
    hl_params_free(m.params);
}

/* Bytes of a model's text, changed a few at a time. */
static void spoilt_texts_are_refused_or_valid(void **state)
{
    (void)state;
    const char letters[] = "0123456789B\"[]{}:,-.enulltrue axisopshape";
    for (int kind = 0; kind < 4; kind++) {
        model_case c = {.o = small_model((hl_compressor)kind), .smoothing = true};
        mutants m = {.params = hl_params_new(5)};
        char *text = program_text(build_model, m.params, &c);
        size_t size = strlen(text);
        for (uint32_t round = 0; round < 1500; round++) {
            hl_philox r = hl_philox_block(11, (uint32_t)kind, 0, round);
            char *copy = hl_strdup(text);
            for (uint32_t k = 0; k <= r.v[0] % 3; k++) {
                hl_philox at = hl_philox_block(12, (uint32_t)kind, k, round);
                copy[at.v[0] % size] = letters[at.v[1] % (sizeof letters - 1)];
            }
            if (r.v[1] % 50 == 0)
                copy[r.v[2] % size] = 0;
            try_text(&m, copy);
            hl_free(copy);
        }
        assert_true(m.read > 10 && m.refused > 500);
        hl_free(text);
        hl_params_free(m.params);
    }
}

/* ------------------------------------------------------------------ memory */

static void no_allocation_is_taken_for_granted(void **state)
{
    (void)state;
    hl_params *params = hl_params_new(5);
    char *text = program_text(every_op, params, NULL);
    hl_graph *two = every_op(params, 2, NULL), *three = every_op(params, 3, NULL);
    bool done = false;
    for (uint64_t n = 1; !done; n++) {
        hl_error err = {0};
        hl_text again = {0};
        hl_alloc_fail_at(n);
        hl_graph *g = hl_program_read(text, "test", params, 3, &err);
        hl_status status = g ? hl_program_write(two, three, &again, &err) : err.status;
        hl_alloc_fail_at(0);
        assert_true(g ? status == HL_OK || status == HL_ERR_MEMORY : err.status != HL_OK);
        done = status == HL_OK && again.size && !strcmp(again.at, text) && n > 100;
        hl_text_free(&again);
        hl_graph_free(g);
        assert_true(n < 5000);
    }
    hl_graph_free(two);
    hl_graph_free(three);
    hl_free(text);
    hl_params_free(params);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(models_come_back_at_any_batch),
        cmocka_unit_test(autoencoders_come_back),
        cmocka_unit_test(every_op_with_fields_comes_back),
        cmocka_unit_test(numbers_come_back_exactly),
        cmocka_unit_test(what_is_no_deployed_graph_is_refused),
        cmocka_unit_test(faults_are_named),
        cmocka_unit_test(too_much_is_refused),
        cmocka_unit_test(mutants_are_refused_or_valid),
        cmocka_unit_test(spoilt_texts_are_refused_or_valid),
        cmocka_unit_test(no_allocation_is_taken_for_granted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
