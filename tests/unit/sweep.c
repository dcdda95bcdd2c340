/* Lists on the command line, and the rows that they make. */
#include "app/bench/bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void integers_are_read(void **state)
{
    (void)state;
    hl_list l;
    hl_error err = {0};
    assert_int_equal(hl_list_integers("batch", "1,16,65536", 65536, &l, &err), HL_OK);
    assert_true(l.n == 3 && l.at[0] == 1 && l.at[1] == 16 && l.at[2] == 65536);
    assert_int_equal(hl_list_integers("batch", "7", 7, &l, &err), HL_OK);
    assert_true(l.n == 1 && l.at[0] == 7);
}

static void fractions_and_precisions_are_read(void **state)
{
    (void)state;
    hl_list l;
    hl_error err = {0};
    assert_int_equal(hl_list_fractions("sparsity", "0,0.5,9e-1,1", &l, &err), HL_OK);
    assert_true(l.n == 4 && l.at[0] == 0 && l.at[1] == 0.5 && l.at[2] == 0.9 && l.at[3] == 1);
    assert_int_equal(hl_list_precisions("precision", "fp16,fp32,tf32,bf16", &l, &err), HL_OK);
    assert_true(l.n == 4 && l.at[0] == HL_PRECISION_FP16 && l.at[1] == HL_PRECISION_FP32);
}

static void what_is_no_list_is_refused(void **state)
{
    (void)state;
    static const char *const words[] = {"",    ",",   "1,",   ",1", "1,,2", "0",     "-1",
                                        "1.5", "two", "1 2",  "8x", "9",    "0x1,9", "99999999999999999999",
                                        "1,1", "+-1", "1\n2", "1;2"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        hl_list l;
        hl_error err = {0};
        assert_int_equal(hl_list_integers("batch", words[i], 8, &l, &err), HL_ERR_USAGE);
        assert_int_equal(strncmp(err.message, "--batch: '", 10), 0);
    }
    static const char *const fractions[] = {"", "nan", "inf", "-0.1", "1.0001", "0.5,0.5", "half"};
    for (size_t i = 0; i < sizeof fractions / sizeof *fractions; i++) {
        hl_list l;
        assert_int_equal(hl_list_fractions("sparsity", fractions[i], &l, NULL), HL_ERR_USAGE);
        assert_int_equal(hl_list_precisions("precision", fractions[i], &l, NULL), HL_ERR_USAGE);
    }
}

static void a_list_has_an_end(void **state)
{
    (void)state;
    char text[200] = "1";
    hl_list l;
    for (int i = 2; i <= HL_LIST_MOST; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), ",%d", i);
    assert_int_equal(hl_list_integers("batch", text, 100, &l, NULL), HL_OK);
    assert_int_equal(l.n, HL_LIST_MOST);
    snprintf(text + strlen(text), sizeof text - strlen(text), ",99");
    assert_int_equal(hl_list_integers("batch", text, 100, &l, NULL), HL_ERR_USAGE);
}

/* Every combination, once. */
static void rows_are_the_product_of_lists(void **state)
{
    (void)state;
    hl_bench_request r = {.train = true,
                          .batches = {3, {1, 2, 3}},
                          .precisions = {2, {HL_PRECISION_FP32, HL_PRECISION_BF16}},
                          .thread_counts = {2, {1, 4}},
                          .stream_counts = {1, {1}},
                          .sparsities = {2, {0, 0.5}}};
    bool seen[3][2][2][2] = {0};
    assert_int_equal(hl_bench_rows(&r), 24);
    for (int i = 0; i < 24; i++) {
        hl_bench_point p = hl_bench_point_of(&r, i);
        assert_true(p.training && p.streams == 1 && p.batch == 1 + i % 3);
        bool *here = &seen[p.batch - 1][p.precision == HL_PRECISION_BF16][p.threads == 4][p.sparsity > 0];
        assert_false(*here);
        *here = true;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_are_read),
        cmocka_unit_test(fractions_and_precisions_are_read),
        cmocka_unit_test(what_is_no_list_is_refused),
        cmocka_unit_test(a_list_has_an_end),
        cmocka_unit_test(rows_are_the_product_of_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
