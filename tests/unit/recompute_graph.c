/* The rewriting that makes copies of nodes whose results have been let go. */
#include "base/memory.h"
#include "compile/recompute.h"
#include "ops/ops.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static int index_of(const hl_graph *g, hl_tensor t)
{
    return hl_info(g, t)->node->index;
}

/* Counts nodes of an op, and those of them that are computed again. */
static int count(const hl_graph *g, const hl_op_def *op, int *again)
{
    int n = 0;
    *again = 0;
    for (int i = 0; i < g->n_nodes; i++) {
        n += g->nodes[i]->op == op;
        *again += g->nodes[i]->op == op && g->nodes[i]->label.again;
    }
    return n;
}

/* x -> exp -> view -> relu, then four readers of the relu, one after another. */
typedef struct chain {
    hl_graph *g;
    hl_tensor exp, view, relu, reader[4];
} chain;

static chain make_chain(void)
{
    chain c = {.g = hl_graph_new()};
    hl_section(c.g, "chain");
    hl_tensor x = hl_input(c.g, "x", HL_F32, 1, (int64_t[]){6});
    c.exp = hl_exp(c.g, x);
    c.view = hl_reshape(c.g, c.exp, 2, (int64_t[]){2, 3});
    c.relu = hl_relu(c.g, c.view);
    hl_section(c.g, "readers");
    hl_tensor y = c.relu;
    for (int i = 0; i < 4; i++)
        c.reader[i] = y = hl_mul(c.g, y, c.relu);
    hl_output(c.g, "y", y);
    return c;
}

static void a_copy_is_made_before_its_first_reader_and_shared(void **state)
{
    (void)state;
    chain c = make_chain();
    hl_let_go let_go[20] = {{0}};
    hl_origin *origin;
    int again;
    let_go[index_of(c.g, c.relu)] = (hl_let_go){1, {index_of(c.g, c.reader[1])}};
    hl_graph *g = hl_recompute(c.g, let_go, &origin);
    hl_graph_verify(g);
    assert_int_equal(count(g, &hl_op_relu, &again), 2);
    assert_int_equal(again, 1);
    assert_int_equal(count(g, &hl_op_exp, &again), 1);
    int copy = index_of(c.g, c.reader[2]); /* in its place; it comes right after */
    assert_true(g->nodes[copy]->op == &hl_op_relu && g->nodes[copy]->label.again);
    assert_string_equal(g->nodes[copy]->label.section, "chain");
    assert_int_equal(origin[copy].node, index_of(c.g, c.relu));
    assert_int_equal(origin[copy].place, index_of(c.g, c.reader[2]));
    assert_int_equal(g->nodes[copy + 1]->in[1].id, g->nodes[copy]->first_out);
    assert_int_equal(g->nodes[copy + 2]->in[1].id, g->nodes[copy]->first_out);
    assert_string_equal(g->nodes[copy + 1]->label.section, "readers");
    assert_false(g->nodes[copy + 1]->label.again);
    assert_int_equal(origin[copy + 2].node, index_of(c.g, c.reader[3]));
    char text[4000];
    assert_true(hl_graph_print(g, text, sizeof text) < sizeof text);
    assert_non_null(strstr(text, "chain      forward  again relu"));
    assert_non_null(strstr(text, "chain      forward        relu"));
    hl_free(origin);
    hl_graph_free(g);
    hl_graph_free(c.g);
}

static void a_copy_reads_copies_of_what_is_gone(void **state)
{
    (void)state;
    chain c = make_chain();
    hl_let_go let_go[20] = {{0}};
    hl_origin *origin;
    int again, relu = index_of(c.g, c.relu), after = index_of(c.g, c.reader[0]);
    let_go[index_of(c.g, c.exp)] = let_go[index_of(c.g, c.view)] = (hl_let_go){1, {relu}};
    let_go[relu] = (hl_let_go){2, {index_of(c.g, c.reader[2]), after}};
    hl_graph *g = hl_recompute(c.g, let_go, &origin);
    hl_graph_verify(g);
    assert_int_equal(count(g, &hl_op_relu, &again), 3); /* let go of twice */
    assert_int_equal(again, 2);
    assert_int_equal(count(g, &hl_op_exp, &again), 2); /* its copy serves both */
    assert_int_equal(again, 1);
    count(g, &hl_op_reshape, &again);
    assert_int_equal(again, 1);
    const hl_node *first = g->nodes[after + 1];
    assert_true(first->op == &hl_op_exp && first->label.again);
    hl_free(origin);
    hl_graph_free(g);
    hl_graph_free(c.g);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    chain c = make_chain();
    hl_let_go let_go[20] = {{0}};
    let_go[index_of(c.g, c.relu)] = (hl_let_go){1, {index_of(c.g, c.reader[1])}};
    int failed = 0;
    for (uint64_t n = 1; n < 1000; n++) {
        hl_origin *origin;
        hl_alloc_fail_at(n);
        hl_graph *g = hl_recompute(c.g, let_go, &origin);
        hl_alloc_fail_at(0);
        bool done = g && !hl_graph_error(g);
        assert_true((origin != NULL) == (g != NULL));
        failed += !done;
        hl_free(origin);
        hl_graph_free(g);
        if (done)
            break;
    }
    assert_true(failed > 5);
    hl_graph_free(c.g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_copy_is_made_before_its_first_reader_and_shared),
        cmocka_unit_test(a_copy_reads_copies_of_what_is_gone),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("recompute_graph", tests, NULL, NULL);
}
