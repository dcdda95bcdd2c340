#include "base/json.h"
#include "base/memory.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static char *line(json_t *value)
{
    hl_text t = {0};
    hl_json_append(&t, value, HL_JSON_LINE);
    json_decref(value);
    return hl_text_take(&t);
}

static void assert_line(json_t *value, const char *expected)
{
    char *text = line(value);
    assert_non_null(text);
    assert_string_equal(text, expected);
    hl_free(text);
}

static void test_numbers(void **state)
{
    (void)state;
    assert_line(hl_json_number(0.1), "0.1\n");
    assert_line(hl_json_number(-0.0), "-0.0\n");
    assert_line(hl_json_number(1e-7), "1e-7\n");
    assert_line(hl_json_number(NAN), "null\n");
    assert_line(hl_json_number(INFINITY), "null\n");
    assert_line(hl_json_number(-INFINITY), "null\n");
}

static void test_lines(void **state)
{
    (void)state;
    json_t *o = json_object();
    json_object_set_new(o, "step", json_integer(7));
    json_object_set_new(o, "loss", hl_json_number(NAN));
    json_object_set_new(o, "a", json_string("x\n\"\xc3\xa9"));
    assert_line(o, "{\"step\": 7, \"loss\": null, \"a\": \"x\\n\\\"\xc3\xa9\"}\n");
    assert_null(line(NULL));
    hl_text t = {0};
    json_t *n = json_integer(1);
    hl_json_append(&t, n, HL_JSON_LINE);
    hl_json_append(&t, n, HL_JSON_LINE);
    json_decref(n);
    assert_string_equal(t.at, "1\n1\n");
    hl_text_free(&t);
    o = json_pack("{s:[i,i], s:{}}", "a", 1, 2, "b");
    hl_json_append(&t, o, HL_JSON_COMPACT);
    json_decref(o);
    assert_string_equal(t.at, "{\"a\":[1,2],\"b\":{}}");
    hl_text_free(&t);
    hl_alloc_fail_at(1);
    assert_null(line(json_integer(1)));
    hl_alloc_fail_at(0);
}

static void test_print(void **state)
{
    (void)state;
    hl_error err = {0};
    char text[64] = "";
    json_t *o = json_pack("{s:i, s:[i,i]}", "a", 1, "b", 2, 3);
    FILE *f = tmpfile();
    assert_non_null(f);
    assert_int_equal(hl_json_print(f, o, &err), HL_OK);
    rewind(f);
    assert_true(fread(text, 1, sizeof text - 1, f) > 0);
    assert_string_equal(text, "{\n  \"a\": 1,\n  \"b\": [\n    2,\n    3\n  ]\n}\n");
    fclose(f);
    f = fopen("/dev/full", "w");
    if (f) {
        assert_int_equal(hl_json_print(f, o, &err), HL_ERR_IO);
        assert_non_null(strstr(err.message, "No space left"));
        fclose(f);
    }
    hl_alloc_fail_at(1);
    assert_int_equal(hl_json_print(stdout, o, &err), HL_ERR_MEMORY);
    hl_alloc_fail_at(0);
    json_decref(o);
}

static void assert_refuses(const char *text, size_t size, const char *message)
{
    hl_error err = {0};
    assert_null(hl_json_parse(text, size, "m.json", &err));
    assert_int_equal(err.status, HL_ERR_DATA);
    if (!strstr(err.message, message))
        fail_msg("'%s' does not say '%s'", err.message, message);
}

static void test_parse(void **state)
{
    (void)state;
    hl_error err = {0};
    json_t *o = hl_json_parse("{\"a\": [1, 2.5, null]}", 21, "m.json", &err);
    assert_non_null(o);
    assert_int_equal(json_array_size(json_object_get(o, "a")), 3);
    json_decref(o);
    assert_refuses("{\"a\": 1, \"a\": 2}", 16, "m.json:1:");
    assert_refuses("{\"a\": 1, \"a\": 2}", 16, "duplicate");
    assert_refuses("{\n\"a\": }", 8, "m.json:2:");
    assert_refuses("", 0, "m.json:");
    assert_refuses("{\"a\": \"\xff\"}", 10, "unable to decode byte 0xff");
    assert_refuses("{\"a\": 1}x", 9, "m.json:1:");
    assert_refuses("{\"a\": NaN}", 10, "m.json:1:");
    char deep[10000];
    memset(deep, '[', sizeof deep);
    assert_refuses(deep, sizeof deep, "m.json:1:");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_print),
        cmocka_unit_test(test_parse),
    };
    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
