/* Tables as text, CSV and Markdown. */
#include "app/table.h"

#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const hl_column columns[] = {{.key = "name", .title = "name"},
                                    {.key = "ms", .title = "ms", .decimals = 2},
                                    {.key = "bytes", .title = "MiB", .decimals = 1, .unit = 1 << 20},
                                    {.key = "raw"},
                                    {.key = "n", .title = "n", .decimals = -1, .usual = "1"},
                                    {.key = "why", .title = "why", .usual = "-"},
                                    {0}};

static void prints(hl_format format, json_t *rows, const char *want)
{
    hl_text text = {0};
    assert_non_null(rows);
    hl_table_append(&text, format, columns, rows);
    char *got = hl_text_take(&text);
    assert_string_equal(got, want);
    hl_free(got);
    json_decref(rows);
}

static json_t *plain_rows(void)
{
    return json_pack("[{s:s,s:f,s:i,s:i,s:i},{s:s,s:n,s:i,s:i}]", "name", "a", "ms", 1.005, "bytes", 3 << 19,
                     "raw", 7, "n", 1, "name", "long", "ms", "bytes", 1 << 20, "n", 1);
}

static void text_is_aligned(void **state)
{
    (void)state;
    prints(HL_AS_TEXT, plain_rows(),
           "name    ms  MiB\n"
           "a     1.00  1.5\n"
           "long     -  1.0\n");
}

static void csv_is_complete(void **state)
{
    (void)state;
    prints(HL_AS_CSV, plain_rows(),
           "name,ms,bytes,raw,n,why\n"
           "a,1.005,1572864,7,1,\n"
           "long,,1048576,,1,\n");
}

static void markdown_has_a_rule(void **state)
{
    (void)state;
    prints(HL_AS_MARKDOWN, plain_rows(),
           "| name | ms | MiB |\n|---|--:|--:|\n| a | 1.00 | 1.5 |\n| long | - | 1.0 |\n");
}

static json_t *odd_rows(void)
{
    return json_pack("[{s:s,s:f,s:s},{s:s,s:f,s:s}]", "name", "a,b|c", "n", 0.25, "why", "he said \"no\"",
                     "name", "\xc3\xa9", "n", 1e6, "why", "");
}

static void what_a_format_means_something_by_is_escaped(void **state)
{
    (void)state;
    prints(HL_AS_CSV, odd_rows(),
           "name,ms,bytes,raw,n,why\n"
           "\"a,b|c\",,,,0.25,\"he said \"\"no\"\"\"\n"
           "\xc3\xa9,,,,1000000,\n");
    prints(HL_AS_MARKDOWN, odd_rows(),
           "| name | ms | MiB | n | why |\n|---|---|---|--:|---|\n"
           "| a,b\\|c | - | - | 0.25 | he said \"no\" |\n| \xc3\xa9 | - | - | 1000000 |  |\n");
    prints(HL_AS_TEXT, odd_rows(),
           "name   ms  MiB        n  why\n"
           "a,b|c  -   -       0.25  he said \"no\"\n"
           "\xc3\xa9      -   -    1000000\n");
}

static void no_rows_are_a_header(void **state)
{
    (void)state;
    prints(HL_AS_TEXT, json_array(), "name  ms  MiB\n");
    prints(HL_AS_CSV, json_array(), "name,ms,bytes,raw,n,why\n");
}

static void memory_that_runs_out_sticks(void **state)
{
    (void)state;
    json_t *rows = plain_rows();
    for (int f = 0; f < HL_FORMATS; f++) {
        if (f == HL_AS_JSON)
            continue;
        hl_text text = {0};
        hl_alloc_fail_at(1);
        hl_table_append(&text, (hl_format)f, columns, rows);
        hl_alloc_fail_at(0);
        assert_null(hl_text_take(&text));
    }
    json_decref(rows);
}

static void formats_have_names(void **state)
{
    (void)state;
    hl_format f;
    assert_true(hl_format_named("csv", &f) && f == HL_AS_CSV);
    assert_true(hl_format_named("markdown", &f) && f == HL_AS_MARKDOWN);
    assert_false(hl_format_named("CSV", &f));
    assert_false(hl_format_named("", &f));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_aligned),      cmocka_unit_test(csv_is_complete),
        cmocka_unit_test(markdown_has_a_rule),  cmocka_unit_test(what_a_format_means_something_by_is_escaped),
        cmocka_unit_test(no_rows_are_a_header), cmocka_unit_test(memory_that_runs_out_sticks),
        cmocka_unit_test(formats_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
