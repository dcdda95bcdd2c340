/* Sizes of a graph whose batch is free. */
#include "graph/batch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void sizes(void **state)
{
    (void)state;
    const struct {
        int64_t two, three, count;
        bool per_row, found;
    } cases[] = {
        {2, 3, 1, true, true},
        {14, 21, 7, true, true},
        {7, 7, 7, false, true},
        {0, 0, 0, false, true},
        {1, 1, 1, false, true},
        {2, 4, 0, false, false},
        {3, 2, 0, false, false},
        {6, 7, 0, false, false},
        {INT64_MAX - 1, INT64_MAX, 0, false, false},
        {-2, -3, 0, false, false},
        {INT64_MIN, INT64_MAX, 0, false, false},
        {-5, -5, -5, false, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hl_batch_size size;
        assert_int_equal(hl_batch_size_find(cases[i].two, cases[i].three, &size), cases[i].found);
        if (!cases[i].found)
            continue;
        assert_int_equal(size.count, cases[i].count);
        assert_int_equal(size.per_row, cases[i].per_row);
        assert_int_equal(hl_batch_size_at(size, 2), cases[i].two);
        assert_int_equal(hl_batch_size_at(size, 3), cases[i].three);
        assert_int_equal(hl_batch_size_at(size, 17), cases[i].count * (cases[i].per_row ? 17 : 1));
    }
}

/* A little graph of which some things can be another at another batch. */
typedef struct form {
    int64_t batch, width;
    bool relu, twice;
    const char *output;
} form;

static hl_graph *build(form f)
{
    hl_graph *g = hl_graph_new();
    hl_tensor x = hl_input(g, "x", HL_F32, 2, (int64_t[]){f.batch, f.width});
    hl_tensor y = f.relu ? hl_relu(g, x) : hl_gelu(g, x);
    hl_output(g, f.output, hl_add(g, f.twice ? y : x, y));
    return g;
}

/* The two are refused, and the message says this. */
static void refused(form two, form three, const char *says)
{
    hl_error err = {0};
    hl_graph *a = build(two), *b = build(three);
    assert_int_equal(hl_batch_check(a, b, &err), HL_ERR_USAGE);
    if (!strstr(err.message, says))
        fail_msg("'%s' does not say '%s'", err.message, says);
    hl_graph_free(a);
    hl_graph_free(b);
}

static void pairs(void **state)
{
    (void)state;
    hl_error err = {0};
    const form two = {2, 5, true, false, "y"}, three = {3, 5, true, false, "y"};
    hl_graph *a = build(two), *b = build(three);
    assert_int_equal(hl_batch_check(a, b, &err), HL_OK);
    hl_tensor y = a->outputs[0].tensor;
    assert_true(hl_batch_dim(a, b, y, 0).per_row && hl_batch_dim(a, b, y, 0).count == 1);
    assert_true(!hl_batch_dim(a, b, y, 1).per_row && hl_batch_dim(a, b, y, 1).count == 5);
    hl_relu(b, hl_node_output(b->nodes[0], 0));
    assert_int_equal(hl_batch_check(a, b, &err), HL_ERR_USAGE);
    assert_non_null(strstr(err.message, "3 nodes and 1 outputs at batch 2, 4 and 1 at batch 3"));
    hl_graph_free(a);
    hl_graph_free(b);
    refused(two, (form){4, 5, true, false, "y"},
            "node 0 (input) gives f32 [2,5] at batch 2 and f32 [4,5] at batch 3");
    refused(two, (form){3, 6, true, false, "y"}, "[3,6] at batch 3");
    refused(two, (form){3, 5, false, false, "y"}, "node 1 is relu at batch 2 and gelu at batch 3");
    refused(two, (form){3, 5, true, true, "y"}, "or reads other operands");
    refused(two, (form){3, 5, true, false, "z"}, "output 0 is 'y' at batch 2 and 'z' at batch 3");
}

static void broken(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_graph *a = build((form){2, 5, true, false, "y"}), *b = build((form){3, 5, true, false, "y"});
    hl_graph_reject(b, "a layer said no");
    assert_int_equal(hl_batch_check(a, b, &err), HL_ERR_USAGE);
    assert_string_equal(err.message, "a layer said no");
    hl_graph_free(a);
    hl_graph_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(sizes), cmocka_unit_test(pairs),
                                       cmocka_unit_test(broken)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
