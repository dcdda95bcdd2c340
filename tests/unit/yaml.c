#include "base/memory.h"
#include "io/yaml.h"

#include "tests/temporary.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <cmocka.h>

static hl_yaml *parse(const char *text)
{
    hl_error err = {0};
    hl_yaml *yaml = hl_yaml_parse(text, strlen(text), "x.yaml", &err);
    if (!yaml)
        fail_msg("%s", err.message);
    return yaml;
}

static void assert_refuses_bytes(const char *text, size_t size, const char *message)
{
    hl_error err = {0};
    assert_null(hl_yaml_parse(text, size, "x.yaml", &err));
    assert_int_equal(err.status, HL_ERR_CONFIG);
    if (!strstr(err.message, message))
        fail_msg("'%s' does not say '%s'", err.message, message);
}

static void assert_refuses(const char *text, const char *message)
{
    assert_refuses_bytes(text, strlen(text), message);
}

static void assert_scalar(const hl_yaml_node *n, const char *text, bool plain, int line, int column)
{
    assert_int_equal(n->kind, HL_YAML_SCALAR);
    assert_string_equal(n->text, text);
    assert_int_equal(n->plain, plain);
    assert_int_equal(n->line, line);
    assert_int_equal(n->column, column);
}

static void test_tree(void **state)
{
    (void)state;
    hl_yaml *yaml = parse("a: 1\n"
                          "b:\n"
                          "  - x\n"
                          "  - 'y z'\n"
                          "  - [p, {q: r}]\n"
                          "\xc3\xa9: \"\xc3\xa9\\n\" # comment\n"
                          "d:\n");
    const hl_yaml_node *root = hl_yaml_root(yaml);
    assert_int_equal(root->kind, HL_YAML_MAPPING);
    assert_int_equal(root->count, 4);
    const hl_yaml_node *a = root->first, *b = a->next, *c = b->next, *d = c->next;
    assert_null(d->next);
    assert_string_equal(a->key, "a");
    assert_scalar(a, "1", true, 1, 4);
    assert_string_equal(b->key, "b");
    assert_int_equal(b->key_line, 2);
    assert_int_equal(b->key_column, 1);
    assert_int_equal(b->kind, HL_YAML_SEQUENCE);
    assert_int_equal(b->count, 3);
    assert_scalar(b->first, "x", true, 3, 5);
    assert_null(b->first->key);
    assert_scalar(b->first->next, "y z", false, 4, 5);
    const hl_yaml_node *flow = b->first->next->next;
    assert_int_equal(flow->count, 2);
    assert_int_equal(flow->first->next->kind, HL_YAML_MAPPING);
    assert_scalar(flow->first->next->first, "r", true, 5, 13);
    assert_scalar(c, "\xc3\xa9\n", false, 6, 4); /* columns count characters */
    assert_true(hl_yaml_is_null(d));
    assert_string_equal(hl_yaml_describe(d).text, "nothing");
    assert_string_equal(hl_yaml_describe(b).text, "a list");
    assert_string_equal(hl_yaml_describe(root).text, "a mapping");
    assert_string_equal(hl_yaml_describe(a).text, "'1'");
    assert_string_equal(hl_yaml_describe(b->first->next).text, "the text 'y z'");
    hl_yaml_free(yaml);
    hl_yaml_free(NULL);
}

static void test_nothing_is_an_empty_mapping(void **state)
{
    (void)state;
    static const char *const texts[] = {"",   "\n",          "# only a comment\n", "---\n", "--- \n...\n",
                                        "{}", "\xEF\xBB\xBF"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        hl_yaml *yaml = parse(texts[i]);
        assert_int_equal(hl_yaml_root(yaml)->kind, HL_YAML_MAPPING);
        assert_int_equal(hl_yaml_root(yaml)->count, 0);
        hl_yaml_free(yaml);
    }
    hl_yaml *yaml = parse("''");
    assert_int_equal(hl_yaml_root(yaml)->kind, HL_YAML_SCALAR);
    hl_yaml_free(yaml);
}

static void test_refusals(void **state)
{
    (void)state;
    assert_refuses("a: 1\nb: 2\na: 3\n", "x.yaml:3:1: the key 'a' is here twice; the first is at line 1");
    assert_refuses("z: {k: 1, m: 2, 'k': 3}", "x.yaml:1:17: the key 'k' is here twice");
    assert_refuses("a: &n 1\n", "x.yaml:1:4: anchors");
    assert_refuses("a: &n [1]\n", "x.yaml:1:4: anchors");
    assert_refuses("a: &n {b: 1}\n", "x.yaml:1:4: anchors");
    assert_refuses("a: 1\nb: *n\n", "x.yaml:2:4: aliases");
    assert_refuses("a: !!int 1\n", "x.yaml:1:4: tags");
    assert_refuses("a: !x [1]\n", "x.yaml:1:4: tags");
    assert_refuses("[a]: 1\n", "x.yaml:1:1: a key must be a word");
    assert_refuses("? {a: b}\n: 1\n", "a key must be a word");
    assert_refuses("a: 1\n---\nb: 2\n", "x.yaml:2:1: a second document");
    assert_refuses("a: \"x\\0y\"\n", "x.yaml:1:4: a text with a zero byte");
    assert_refuses("a: [1, 2\nb: 3\n", "x.yaml:2:");
    assert_refuses("a: 1\n\tb: 2\n", "x.yaml:2:1: ");
    assert_refuses("a: \"x\n", "while scanning a quoted scalar that starts at line 1");
    assert_refuses("a: b: c\n", "x.yaml:1:5: mapping values are not allowed");
}

static void test_bytes_that_are_no_text(void **state)
{
    (void)state;
    assert_refuses_bytes("a: 1\nb\0: 2", 11, "x.yaml:2:2: a zero byte");
    assert_refuses_bytes("\0", 1, "x.yaml:1:1: a zero byte");
    assert_refuses("a: 1\n\xc3\xa9 \xff", "x.yaml:2:3: invalid UTF-8");
    assert_refuses("a: \xc3", "x.yaml:1:4: invalid UTF-8");
    assert_refuses("a: \xed\xa0\x80", "invalid UTF-8"); /* a surrogate */
    assert_refuses("a: \xc0\xaf", "invalid UTF-8");     /* overlong */
    assert_refuses("a: \x01", "x.yaml:1:4: a control character");
    assert_refuses_bytes("\xff\xfe"
                         "a\0",
                         4, "x.yaml:1:1: ");
}

static void test_depth(void **state)
{
    (void)state;
    char text[2 * 10000 + 1];
    for (int depth = 31; depth <= 33; depth++) {
        memset(text, '[', (size_t)depth);
        memset(text + depth, ']', (size_t)depth);
        text[2 * depth] = 0;
        if (depth <= HL_YAML_DEPTH)
            hl_yaml_free(parse(text));
        else
            assert_refuses(text, "x.yaml:1:33: nested more than 32 levels deep");
    }
    memset(text, '[', 10000);
    memset(text + 10000, ']', 10000);
    text[20000] = 0;
    assert_refuses(text, "nested more than 32");
    memset(text, '{', 10000);
    text[10000] = 0;
    assert_refuses(text, "x.yaml:1:");
    for (int i = 0; i < 10000; i++)
        memcpy(text + 2 * i, "- ", 2);
    assert_refuses(text, "nested more than 32");
    for (int i = 0; i < 10000; i++)
        memcpy(text + 2 * i, "? ", 2);
    assert_refuses(text, "a key must be a word");
}

static void test_alias_bomb(void **state)
{
    (void)state;
    assert_refuses("a: &a [x,x,x,x,x,x,x,x,x]\n"
                   "b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
                   "c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"
                   "d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\n",
                   "x.yaml:1:4: anchors");
}

/* A mebibyte of the worst there is takes a moment, not minutes. */
static void test_a_mebibyte(void **state)
{
    (void)state;
    static char text[HL_YAML_BYTES + 2];
    clock_t begin = clock();
    size_t n = 0;
    for (int i = 0; n + 16 < HL_YAML_BYTES; i++)
        n += (size_t)sprintf(text + n, "%x:\n", i);
    hl_yaml *yaml = parse(text);
    assert_true(hl_yaml_root(yaml)->count > 100000);
    hl_yaml_free(yaml);
    memset(text, 'a', HL_YAML_BYTES);
    hl_yaml_free(parse(text));
    text[HL_YAML_BYTES] = 'a';
    assert_refuses(text, "1048577 bytes, expected at most 1 MiB");
    memset(text, '[', HL_YAML_BYTES);
    assert_refuses_bytes(text, HL_YAML_BYTES, "nested more than 32");
    memset(text, '-', HL_YAML_BYTES);
    hl_error err = {0};
    hl_yaml_free(hl_yaml_parse(text, HL_YAML_BYTES, "x.yaml", &err));
    for (size_t i = 0; i < HL_YAML_BYTES; i++)
        text[i] = "[,a"[i < 1 ? 0 : 1 + (i & 1)];
    assert_refuses_bytes(text, HL_YAML_BYTES, "did not find expected ',' or ']'");
    assert_true((double)(clock() - begin) / CLOCKS_PER_SEC < 30); /* sanitizers and all */
}

/* Every prefix of a text, and every byte of it damaged, ends in a tree or a sentence. */
static void test_damage(void **state)
{
    (void)state;
    const char *whole = "a: {b: [1, 'x', \"\\u00e9\"], c: |\n  text\n}\nd:\n  - e: >-\n     f\n  - ~\n";
    char text[128];
    size_t n = strlen(whole);
    for (size_t i = 0; i <= n; i++) {
        hl_error err = {0};
        hl_yaml *yaml = hl_yaml_parse(whole, i, "x.yaml", &err);
        assert_true(yaml || !strncmp(err.message, "x.yaml:", 7));
        hl_yaml_free(yaml);
        for (int byte = 0; byte < 256 && i < n; byte++) {
            memcpy(text, whole, n);
            text[i] = (char)byte;
            err = (hl_error){0};
            yaml = hl_yaml_parse(text, n, "x.yaml", &err);
            assert_true(yaml || !strncmp(err.message, "x.yaml:", 7));
            hl_yaml_free(yaml);
        }
    }
}

static void test_files(void **state)
{
    (void)state;
    hl_error err = {0};
    const char *path = temporary_path("a.yaml");
    assert_null(hl_yaml_load(path, &err));
    assert_int_equal(err.status, HL_ERR_IO);
    assert_non_null(strstr(err.message, "a.yaml"));
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs("a: 1\n", f);
    fclose(f);
    hl_yaml *yaml = hl_yaml_load(path, &err);
    assert_non_null(yaml);
    assert_string_equal(hl_yaml_root(yaml)->first->text, "1");
    hl_yaml_free(yaml);
    f = fopen(path, "w");
    for (int i = 0; i <= HL_YAML_BYTES; i++)
        fputc('#', f);
    fclose(f);
    assert_null(hl_yaml_load(path, &err));
    assert_int_equal(err.status, HL_ERR_CONFIG);
    assert_non_null(strstr(err.message, "a.yaml: 1048577 bytes"));
    f = fopen(path, "w");
    fclose(f);
    yaml = hl_yaml_load(path, &err);
    assert_non_null(yaml);
    hl_yaml_free(yaml);
    assert_null(hl_yaml_load(temporary_dir, &err));
    assert_int_equal(err.status, HL_ERR_IO);
}

static void test_no_memory(void **state)
{
    (void)state;
    for (uint64_t n = 1;; n++) {
        hl_error err = {0};
        hl_alloc_fail_at(n);
        hl_yaml *yaml = hl_yaml_parse("a: [1, 2]\nb: {c: d}\n", 20, "x.yaml", &err);
        hl_alloc_fail_at(0);
        hl_yaml_free(yaml);
        if (yaml) {
            assert_true(n > 3);
            return;
        }
        assert_int_equal(err.status, HL_ERR_MEMORY);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tree),       cmocka_unit_test(test_nothing_is_an_empty_mapping),
        cmocka_unit_test(test_refusals),   cmocka_unit_test(test_bytes_that_are_no_text),
        cmocka_unit_test(test_depth),      cmocka_unit_test(test_alias_bomb),
        cmocka_unit_test(test_a_mebibyte), cmocka_unit_test(test_damage),
        cmocka_unit_test(test_files),      cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests_name("yaml", tests, temporary_make, temporary_drop);
}
