#include "base/memory.h"
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void test_append(void **state)
{
    (void)state;
    static const size_t counts[] = {0, 1, 3, 17, 63, 64, 65, 1000, 100003};
    for (size_t k = 0; k < sizeof counts / sizeof *counts; k++) {
        hl_text t = {0};
        for (size_t i = 0; i < counts[k]; i++)
            hl_text_append(&t, i % 2 ? "b" : "a");
        assert_int_equal(t.size, counts[k]);
        char *string = hl_text_take(&t);
        assert_non_null(string);
        assert_null(t.at);
        assert_int_equal(strlen(string), counts[k]);
        for (size_t i = 0; i < counts[k]; i++)
            assert_int_equal(string[i], i % 2 ? 'b' : 'a');
        hl_free(string);
    }
}

static void test_appendf_and_bytes(void **state)
{
    (void)state;
    hl_text t = {0};
    hl_text_append(&t, "");
    hl_text_appendf(&t, "%d %s", 7, "seven");
    hl_text_append_bytes(&t, "\0x", 2);
    assert_int_equal(t.size, 9);
    assert_memory_equal(t.at, "7 seven\0x", 10);
    for (int i = 0; i < 100; i++) /* every length across every growth */
        hl_text_appendf(&t, "%0*d", i, 0);
    assert_int_equal(t.size, 9 + 1 + 99 * 100 / 2);
    assert_int_equal(strlen(t.at + 9), t.size - 9);
    hl_text_free(&t);
    hl_text_free(&t);
    assert_null(t.at);
}

/* Whichever allocation fails, what follows does nothing, and only the end says so. */
static void test_no_memory_sticks(void **state)
{
    (void)state;
    for (uint64_t n = 1;; n++) {
        hl_text t = {0};
        uint64_t before = hl_alloc_count();
        hl_alloc_fail_at(n);
        for (int i = 0; i < 300; i++)
            hl_text_appendf(&t, "%d,", i);
        char *string = hl_text_take(&t);
        uint64_t made = hl_alloc_count() - before;
        hl_alloc_fail_at(0);
        assert_null(t.at);
        assert_false(t.failed);
        if (string) {
            assert_int_equal(strlen(string), 10 * 2 + 90 * 3 + 200 * 4);
            assert_true(n > 3 && made == n - 1);
            hl_free(string);
            return;
        }
        assert_int_equal(made, n); /* none was tried after the one that failed */
    }
}

static void test_edit_distance(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        size_t distance;
    } cases[] = {
        {"", "", 0},           {"a", "", 1},          {"", "abc", 3},
        {"train", "train", 0}, {"trian", "train", 1}, {"kitten", "sitting", 3},
        {"ab", "ba", 1},       {"flaw", "lawn", 2},   {"abcd", "badc", 2},
        {"ca", "abc", 3}, /* the restricted distance: 2 without the restriction */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(hl_edit_distance(cases[i].a, cases[i].b), cases[i].distance);
        assert_int_equal(hl_edit_distance(cases[i].b, cases[i].a), cases[i].distance);
    }
    char word[70];
    memset(word, 'x', sizeof word);
    word[64] = 0;
    assert_int_equal(hl_edit_distance(word, ""), 64);
    assert_int_equal(hl_edit_distance(word, word), 0);
    word[64] = 'x';
    word[65] = 0;
    assert_true(hl_edit_distance(word, "x") == SIZE_MAX);
    assert_true(hl_edit_distance("x", word) == SIZE_MAX);
}

static void test_nearest(void **state)
{
    (void)state;
    static const char *const commands[] = {"train", "eval", "infer", "inspect", "plan", "bench", "data"};
    const size_t n = sizeof commands / sizeof *commands;
    assert_string_equal(hl_nearest("trian", commands, n), "train");
    assert_string_equal(hl_nearest("evaluate", commands, n), "eval");
    assert_string_equal(hl_nearest("inspekt", commands, n), "inspect");
    assert_string_equal(hl_nearest("infer", commands, n), "infer");
    assert_string_equal(hl_nearest("insp", commands, n), "inspect");
    assert_null(hl_nearest("deploy", commands, n));
    assert_null(hl_nearest("", commands, n));
    assert_null(hl_nearest("train", commands, 0));
    char *huge = malloc(1 << 20);
    assert_non_null(huge);
    memset(huge, 'q', 1 << 20);
    huge[(1 << 20) - 1] = 0;
    assert_null(hl_nearest(huge, commands, n));
    free(huge);
}

static void test_excerpt(void **state)
{
    (void)state;
    assert_string_equal(hl_excerpt_of("").text, "");
    assert_string_equal(hl_excerpt_of("a\nb\x1b[31m\x7f").text, "a?b?[31m?");
    const char *exact = "012345678901234567890123456789012345678901234567"; /* 48 */
    assert_string_equal(hl_excerpt_of(exact).text, exact);
    assert_string_equal(hl_excerpt_of("0123456789012345678901234567890123456789012345678").text,
                        "012345678901234567890123456789012345678901234567...");
    /* 47 bytes, then a character of three: it is left out whole */
    assert_string_equal(hl_excerpt_of("01234567890123456789012345678901234567890123456\xe2\x82\xac"
                                      "5")
                            .text,
                        "01234567890123456789012345678901234567890123456...");
    char stray[200];
    memset(stray, 0x80, sizeof stray);
    stray[sizeof stray - 1] = 0;
    assert_string_equal(hl_excerpt_of(stray).text, "...");
    char name[130];
    memset(name, 'n', sizeof name);
    name[129] = 0; /* one more than there is room for */
    assert_int_equal(strlen(hl_long_excerpt_of(name).text), 131);
    assert_string_equal(hl_long_excerpt_of(name).text + 127, "n...");
    name[128] = 0;
    assert_string_equal(hl_long_excerpt_of(name).text, name);
    assert_string_equal(hl_long_excerpt_of("a\x1b").text, "a?");
}

static void test_parse_size(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t bytes;
    } good[] = {
        {"0", 0},
        {"0GiB", 0},
        {"0.0", 0},
        {"1", 1},
        {"17B", 17},
        {"3kB", 3000},
        {"3KiB", 3072},
        {"512MiB", (size_t)512 << 20},
        {"8GiB", (size_t)8 << 30},
        {"8GB", 8000000000},
        {"2TB", 2000000000000},
        {"1TiB", (size_t)1 << 40},
        {"1e9", 1000000000},
        {"1.5E3kB", 1500000},
        {"1.5", 1},
        {"1.5GiB", (size_t)3 << 29},
        {"0.1GiB", 107374182},
        {"007", 7},
        {"9007199254740993", 9007199254740993}, /* no double */
        {"18446744073709551615", SIZE_MAX},
        {"16777215TiB", (size_t)16777215 << 40},
    };
    static const char *const bad[] = {"",      "B",    "GiB",     "-1",          "+1",
                                      " 1",    "1 ",   "8 GiB",   "8gib",        "8KB",
                                      "8GiB ", "8G",   "8GiBs",   "0x10",        "1e",
                                      "1ee3",  ".5",   "nan",     "inf",         "1,5GiB",
                                      "1e400", "1e20", "0.5",     "1e-9",        "1..5GiB",
                                      "1_000", "GiB8", "1.7e1EB", "16777216TiB", "18446744073709551616"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        size_t bytes = 12345;
        assert_true(hl_parse_size(good[i].text, &bytes));
        assert_true(bytes == good[i].bytes);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        size_t bytes = 12345;
        if (hl_parse_size(bad[i], &bytes))
            fail_msg("'%s' was taken as %zu bytes", bad[i], bytes);
        assert_int_equal(bytes, 12345);
    }
}

static void test_append_size(void **state)
{
    (void)state;
    static const struct {
        size_t bytes;
        const char *text;
    } cases[] = {
        {0, "0"},
        {1, "1"},
        {999, "999"},
        {1000, "1kB"},
        {1024, "1KiB"},
        {1025, "1025"},
        {3 << 19, "1536KiB"},
        {8000000000, "8GB"},
        {(size_t)8 << 30, "8GiB"},
        {(size_t)3 << 29, "1536MiB"},
        {1024000, "1000KiB"},
        {(size_t)16777215 << 40, "16777215TiB"},
        {SIZE_MAX, "18446744073709551615"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hl_text t = {0};
        size_t back;
        hl_text_append_size(&t, cases[i].bytes);
        assert_string_equal(t.at, cases[i].text);
        assert_true(hl_parse_size(t.at, &back) && back == cases[i].bytes);
        hl_text_free(&t);
    }
}

static void test_ends_in(void **state)
{
    (void)state;
    assert_true(hl_ends_in("a.h5", ".h5"));
    assert_true(hl_ends_in("a.h5", ""));
    assert_false(hl_ends_in(".h5", ".h5"));
    assert_false(hl_ends_in("h5", ".h5"));
    assert_false(hl_ends_in("", ""));
    assert_false(hl_ends_in("a.h5.unproven", ".h5"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_append),           cmocka_unit_test(test_appendf_and_bytes),
        cmocka_unit_test(test_no_memory_sticks), cmocka_unit_test(test_edit_distance),
        cmocka_unit_test(test_nearest),          cmocka_unit_test(test_excerpt),
        cmocka_unit_test(test_ends_in),          cmocka_unit_test(test_parse_size),
        cmocka_unit_test(test_append_size),
    };
    return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
