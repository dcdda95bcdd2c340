#include "app/report/report.h"
#include "app/report/units.h"
#include "base/file.h"
#include "base/memory.h"

#include "tests/temporary.h"

#include <ctype.h>
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define FIXTURES HL_SOURCE_DIR "/tests/data/"

static json_t *read_result(const char *name)
{
    char path[512], *text = NULL;
    size_t size;
    hl_error err = {0};
    snprintf(path, sizeof path, FIXTURES "%s", name);
    assert_int_equal(hl_file_read_text(path, 1 << 24, &text, &size, &err), HL_OK);
    json_t *result = hl_json_parse(text, size, name, &err);
    if (!result)
        fail_msg("%s", err.message);
    hl_free(text);
    return result;
}

/* ------------------------------------------------------------------ markup */

typedef struct reader {
    const char *at;
    char open[64][24]; /* elements that are not closed yet */
    int depth, ids;
    char id[1024][24];
} reader;

/* '&' begins one of the five entities, and nothing that only XML's writer may say stands in a text. */
static void check_text(const char *from, const char *to)
{
    static const char *const entities[] = {"&amp;", "&lt;", "&gt;", "&quot;"};
    for (const char *c = from; c < to; c++) {
        assert_true((unsigned char)*c >= 0x20 || *c == '\n');
        assert_true(*c != '<' && *c != '>');
        bool known = *c != '&';
        for (size_t i = 0; i < 4; i++)
            known = known || !strncmp(c, entities[i], strlen(entities[i]));
        assert_true(known);
    }
}

/* name="value" until the tag ends; returns whether it ends with '/'. */
static bool read_attributes(reader *r)
{
    for (;;) {
        r->at += strspn(r->at, " \n");
        if (*r->at == '>' || *r->at == '/')
            break;
        size_t n = strcspn(r->at, "=> \n");
        assert_true(n > 0 && r->at[n] == '=' && r->at[n + 1] == '"');
        const char *name = r->at, *value = r->at + n + 2, *end = strchr(value, '"');
        assert_non_null(end);
        check_text(value, end);
        if (n == 2 && !strncmp(name, "id", 2)) {
            assert_true(r->ids < 1024 && end - value < 24);
            snprintf(r->id[r->ids], sizeof r->id[0], "%.*s", (int)(end - value), value);
            for (int i = 0; i < r->ids; i++)
                assert_string_not_equal(r->id[i], r->id[r->ids]);
            r->ids++;
        }
        r->at = end + 1;
    }
    bool closed = *r->at == '/';
    r->at += closed;
    assert_int_equal(*r->at++, '>');
    return closed;
}

static void read_tag(reader *r)
{
    bool end = r->at[1] == '/';
    r->at += end ? 2 : 1;
    size_t n = strcspn(r->at, " />\n");
    assert_true(n > 0 && n < sizeof r->open[0]);
    if (end) {
        assert_true(r->depth > 0);
        r->depth--;
        assert_int_equal(strlen(r->open[r->depth]), n);
        assert_memory_equal(r->open[r->depth], r->at, n);
        assert_int_equal(r->at[n], '>');
        r->at += n + 1;
        return;
    }
    assert_true(r->depth < 64);
    snprintf(r->open[r->depth], sizeof r->open[0], "%.*s", (int)n, r->at);
    r->at += n;
    r->depth += read_attributes(r) ? 0 : 1;
}

/* A number that is none would stand alone, or after a letter of a path: "M12.0 nan". */
static void assert_finite(const char *html, const char *word)
{
    for (const char *at = html; (at = strstr(at, word)); at++)
        if (!isalpha((unsigned char)at[3]) && !islower((unsigned char)at[-1]))
            fail_msg("not a number: %.60s", at - 30);
}

static void assert_well_formed(const char *html)
{
    static reader r;
    r = (reader){.at = html};
    static const char doctype[] = "<!DOCTYPE html>\n";
    assert_memory_equal(html, doctype, strlen(doctype));
    r.at += strlen(doctype);
    while (*r.at) {
        const char *text = r.at;
        bool style = r.depth && !strcmp(r.open[r.depth - 1], "style"); /* has > in it, which XML allows */
        r.at += strcspn(r.at, "<");
        if (!style)
            check_text(text, r.at);
        if (*r.at)
            read_tag(&r);
    }
    assert_int_equal(r.depth, 0);
    assert_finite(html, "nan");
    assert_finite(html, "inf");
    assert_null(strstr(html, "<script"));
    assert_null(strstr(html, "src="));
    assert_null(strstr(html, "url("));
}

static char *draw(const json_t *result)
{
    char *html = NULL;
    hl_error err = {0};
    if (hl_report_html(result, &html, &err) != HL_OK)
        fail_msg("%s", err.message);
    assert_well_formed(html);
    return html;
}

static int count(const char *text, const char *part)
{
    int n = 0;
    for (; (text = strstr(text, part)); text += strlen(part))
        n++;
    return n;
}

static void assert_has(const char *html, const char *part)
{
    if (!strstr(html, part))
        fail_msg("the page lacks: %s", part);
}

/* ------------------------------------------------------------------ what it shows */

static void test_published(void **state)
{
    (void)state;
    json_t *result = read_result("stress.json");
    char *html = draw(result);
    assert_has(html,
               "<h1>Stress test <span class=\"pass\">\u2713 passed</span> <small>7 of 7 limits kept</small>");
    assert_null(strstr(html, "Interrupted."));
    assert_int_equal(count(html, "<h2>"), 6);
    assert_int_equal(count(html, "<section id=\"phase-"), 6);
    assert_int_equal(count(html, "\u2713 pass</td>"), 7);
    assert_int_equal(count(html, "<figcaption>Latency</figcaption>"), 5);
    assert_int_equal(count(html, "<figcaption>Step time</figcaption>"), 5);
    assert_int_equal(count(html, "<figcaption>Loss</figcaption>"), 5);
    assert_int_equal(count(html, "<figcaption>Memory over time, by category</figcaption>"), 6);
    assert_int_equal(count(html, "<figcaption>Load of each core</figcaption>"), 6);
    assert_int_equal(count(html, "<figcaption>"), 1 + 5 * 3 + 5 * 4 + 6 * 2);
    assert_int_equal(count(html, "<svg"), count(html, "<figcaption>")); /* no chart is empty */
    assert_int_equal(count(html, "<svg"), count(html, "role=\"img\""));
    assert_int_equal(count(html, "<svg"), count(html, "<desc"));
    assert_int_equal(count(html, "<table>"), count(html, "<caption>"));
    assert_has(html, "not measured: libnvidia-ml.so.1 cannot be opened");
    assert_has(html, "<span class=\"fail\">\u2717 not held</span>");
    assert_has(html, "title=\"1\u202F299\u202F870\u202F300 bytes\">1.21\u00A0GiB<");
    assert_has(html, "95% interval");
    hl_free(html);
    json_decref(result);
}

static void test_interrupted(void **state)
{
    (void)state;
    json_t *result = read_result("stress-interrupted.json");
    char *html = draw(result);
    assert_has(html, "<strong>Interrupted.</strong>");
    assert_has(html, "\u2717 failed</span> <small>1 of 4 limits broken</small>");
    assert_has(html, "configs/&lt;script&gt;alert(&quot;x&quot;)&amp;amp;.yaml");
    assert_has(html, "training &quot;2&quot; &lt;b&gt;&amp;");
    assert_int_equal(count(html, "not judged"), 2);
    static const char *const reasons[] = {
        "the loss was not finite",      "steps were replayed as one recording",
        "/proc/meminfo cannot be read", "the phase was shorter than a sample",
        "/proc/stat cannot be read",    "interrupted before the first sample",
        "this GPU does not tell",       "too few samples"};
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        assert_has(html, reasons[i]);
    assert_has(html, "Example GPU");
    assert_has(html, "61.0\u00A0\u00B0C");
    hl_free(html);
    json_decref(result);
}

static void test_no_phases(void **state)
{
    (void)state;
    json_t *result = read_result("stress.json");
    json_array_clear(json_object_get(result, "phases"));
    json_array_clear(json_object_get(result, "limits"));
    json_object_set_new(result, "verdict", json_string("no limits"));
    json_object_set_new(result, "interrupted", json_true());
    char *html = draw(result);
    assert_has(html, "No phase ran.");
    assert_has(html, "no limits were set");
    assert_has(html, "Interrupted.");
    assert_int_equal(count(html, "<svg"), 0);
    hl_free(html);
    json_decref(result);
}

/* ------------------------------------------------------------------ any value anywhere */

/* Lists of rows and of objects become lists of two: every value can then be changed in turn. */
static void shorten(json_t *value)
{
    size_t i;
    const char *key;
    json_t *child, *first = json_array_get(value, 0);
    while ((json_is_array(first) || json_is_object(first)) && json_array_size(value) > 2)
        json_array_remove(value, 2);
    json_array_foreach(value, i, child) shorten(child);
    json_object_foreach(value, key, child) shorten(child);
}

/* What a value is changed to in turn; NULL: it is removed. */
static json_t *variant(int k)
{
    switch (k) {
    case 0:
        return json_null();
    case 1:
        return json_integer(-1);
    case 2:
        return json_integer(INT64_MAX);
    case 3:
        return json_real(DBL_MAX);
    case 4:
        return json_real(-5e-324);
    case 5:
        return json_integer(0);
    case 6:
        return json_string("<&\"\x7f\u202E\xEF\xBF\xBF");
    case 7:
        return json_array();
    case 8:
        return json_object();
    case 9:
        return json_true();
    default:
        return NULL;
    }
}

enum { VARIANTS = 11 };

typedef struct tally {
    int drawn, refused;
} tally;

/* The page is drawn, or what was changed is named. */
static void try(tally *n, const json_t *result, const char *changed)
{
    char *html = NULL;
    hl_error err = {0};
    if (hl_report_html(result, &html, &err) == HL_OK) {
        assert_well_formed(html);
        n->drawn++;
    } else {
        assert_int_equal(err.status, HL_ERR_DATA);
        assert_non_null(strstr(err.message, changed));
        assert_non_null(strstr(err.message, ", expected "));
        n->refused++;
    }
    hl_free(html);
}

static void change_all(tally *n, const json_t *result, json_t *value)
{
    char place[24];
    for (size_t i = 0; i < json_array_size(value); i++) {
        json_t *child = json_incref(json_array_get(value, i));
        snprintf(place, sizeof place, "[%zu]", i);
        for (int k = 0; k < VARIANTS - 1; k++) {
            json_array_set_new(value, i, variant(k));
            try(n, result, place);
        }
        json_array_set_new(value, i, child);
        change_all(n, result, child);
    }
    void *at = json_object_iter(value);
    for (size_t left = json_object_size(value); left; left--) {
        const char *key = json_object_iter_key(at);
        json_t *child = json_incref(json_object_iter_value(at));
        for (int k = 0; k < VARIANTS - 1; k++) {
            json_object_set_new(value, key, variant(k));
            /* Two lists are as long as rows beside them are wide. */
            bool widths = !strcmp(key, "names") || !strcmp(key, "cpu_percent");
            try(n, result, widths ? "" : key);
        }
        json_object_set(value, key, child);
        change_all(n, result, child);
        json_decref(child);
        at = json_object_iter_next(value, at);
    }
}

static void test_any_value(void **state)
{
    (void)state;
    static const char *const names[] = {"stress.json", "stress-interrupted.json"};
    for (size_t i = 0; i < 2; i++) {
        tally n = {0};
        json_t *result = read_result(names[i]);
        shorten(result);
        hl_free(draw(result));
        change_all(&n, result, result);
        hl_free(draw(result)); /* it is what it was */
        json_decref(result);
        assert_true(n.drawn > 500 && n.refused > 500);
    }
}

/* ------------------------------------------------------------------ what is refused, in words */

static json_t *at(json_t *value, const char *path)
{
    char part[64];
    while (*path) {
        size_t n = strcspn(path, "/");
        snprintf(part, sizeof part, "%.*s", (int)n, path);
        value = isdigit((unsigned char)*part) ? json_array_get(value, (size_t)atoi(part))
                                              : json_object_get(value, part);
        assert_non_null(value);
        path += n + (path[n] == '/');
    }
    return value;
}

static void refused(const char *in, const char *key, json_t *value, const char *sentence)
{
    json_t *result = read_result("stress.json");
    hl_error err = {0};
    if (value)
        json_object_set_new(at(result, in), key, value);
    else
        json_object_del(at(result, in), key);
    assert_int_equal(hl_report_check(result, &err), HL_ERR_DATA);
    assert_string_equal(err.message, sentence);
    json_decref(result);
}

static void test_refused(void **state)
{
    (void)state;
    refused("", "verdict", NULL, "verdict: missing, expected a text");
    refused("", "kind", json_string("bench"), "kind: found \"bench\", expected \"stress\"");
    refused("", "verdict", json_string("maybe"),
            "verdict: found \"maybe\", expected \"pass\" or \"fail\" or \"no limits\"");
    refused("", "interrupted", json_integer(1), "interrupted: found 1, expected true or false");
    refused("phases/2/inference/latency_ms", "p99", NULL,
            "phases[2].inference.latency_ms.p99: missing, expected a number or null");
    refused("phases/2/inference", "batch", json_real(1.5),
            "phases[2].inference.batch: found 1.5, expected a whole number of 0 or more");
    refused("phases/0/memory", "rss", json_integer(-4),
            "phases[0].memory.rss: found -4, expected a whole number of 0 or more");
    refused("phases/0/memory", "timeline", json_pack("[[i,i],[i]]", 1, 2, 3),
            "phases[0].memory.timeline[1]: found a list, expected a row of 2 numbers, not of 1");
    refused("phases/0/memory", "timeline", json_pack("[[n,i]]", 2),
            "phases[0].memory.timeline[0][0]: found null, expected a number");
    refused("phases/0/system", "cpu_percent", json_pack("[f]", 1.0),
            "phases[0].system.timeline[0]: found a list, expected a row of 2 numbers, not of 3");
    refused(
        "phases/0", "kind", json_string("x"),
        "phases[0].kind: found \"x\", expected \"inference\" or \"training\" or \"mixed\" or \"control\"");
    refused("phases/0", "limits", json_null(), "phases[0].limits: found null, expected a list");
    json_t *list = json_array();
    hl_error err = {0};
    assert_int_equal(hl_report_check(list, &err), HL_ERR_DATA);
    assert_string_equal(err.message, "the result: found a list, expected an object");
    json_decref(list);
}

/* What a newer hl may add does not matter. */
static void test_unknown_keys(void **state)
{
    (void)state;
    json_t *result = read_result("stress.json");
    json_object_set_new(at(result, "phases/0/memory"), "news", json_string("x"));
    hl_free(draw(result));
    json_decref(result);
}

/* ------------------------------------------------------------------ large */

enum { BINS = 600, CORES = 64 };

/* Each phase with that many moments, busy in every one, and a loss of 100,000 points. */
static void enlarge(json_t *phase)
{
    json_t *latency = json_array(), *rss = json_array(), *load = json_array(), *rows = json_array(),
           *loss = json_array(), *cores = json_array();
    for (int i = 0; i < BINS; i++) {
        double noise = (i * 7919 % 100) / 100.0;
        json_array_append_new(latency, json_pack("[f,f,f,i]", i * 0.1, 40 + noise, 60 + 9 * noise, 3));
        json_array_append_new(rss, json_pack("[f,I]", i * 0.1, (json_int_t)7e9 + (json_int_t)(noise * 1e8)));
        json_t *row = json_pack("[f]", i * 0.1), *busy = json_pack("[f]", i * 0.1);
        for (int c = 0; c < 11; c++)
            json_array_append_new(row, json_integer((json_int_t)(6e8 + 1e8 * (i * (c + 3) * 31 % 10))));
        for (int c = 0; c < CORES; c++)
            json_array_append_new(busy, json_real(100.0 * (i * (c + 7) % 97) / 97));
        json_array_append_new(rows, row);
        json_array_append_new(load, busy);
    }
    for (int i = 0; i < 100000; i++)
        json_array_append_new(loss, json_pack("[i,f]", i, 1.0 + (i * 7919 % 1000) / 1000.0));
    for (int c = 0; c < CORES; c++)
        json_array_append_new(cores, json_real(50));
    json_object_set(at(phase, "inference"), "timeline", latency);
    json_object_set(at(phase, "training"), "timeline", latency);
    json_object_set(at(phase, "training"), "loss", loss);
    json_object_set(at(phase, "memory"), "timeline", rss);
    json_object_set(at(phase, "memory/timeline_categories"), "rows", rows);
    json_object_set(at(phase, "system"), "timeline", load);
    json_object_set(at(phase, "system"), "cpu_percent", cores);
    json_decref(latency), json_decref(rss), json_decref(load), json_decref(rows), json_decref(loss);
    json_decref(cores);
}

static void test_large(void **state)
{
    (void)state;
    json_t *result = read_result("stress.json"), *phases = at(result, "phases");
    json_t *mixed = json_incref(at(result, "phases/2"));
    enlarge(mixed);
    json_array_clear(phases);
    for (int i = 0; i < 6; i++)
        json_array_append(phases, mixed);
    json_decref(mixed);
    char *html = draw(result);
    assert_int_equal(count(html, "<section id=\"phase-"), 6);
    if (strlen(html) >= 1000000)
        fail_msg("%zu bytes", strlen(html));
    hl_free(html);
    json_decref(result);
}

/* ------------------------------------------------------------------ units */

static void assert_quantity(double value, hl_unit unit, const char *shown, const char *exact)
{
    hl_quantity q = hl_quantity_of(value, unit);
    assert_string_equal(q.shown.text, shown);
    assert_string_equal(q.exact.text, exact);
}

static void test_units(void **state)
{
    (void)state;
    assert_quantity(44.24, HL_UNIT_MS, "44.2\u00A0ms", "44.24\u00A0ms");
    assert_quantity(0, HL_UNIT_MS, "0\u00A0ms", "");
    assert_quantity(999.4, HL_UNIT_MS, "999\u00A0ms", "999.4\u00A0ms");
    assert_quantity(999.96, HL_UNIT_MS, "1.00\u00A0s", "0.99996\u00A0s");
    assert_quantity(0.9996, HL_UNIT_MS, "1.00\u00A0ms", "0.9996\u00A0ms");
    assert_quantity(0.0123, HL_UNIT_MS, "12.3\u00A0\u00B5s", "");
    assert_quantity(2e-6, HL_UNIT_MS, "2.00\u00A0ns", "2\u00A0ns");
    assert_quantity(123456, HL_UNIT_MS, "123\u00A0s", "123.456\u00A0s");
    assert_quantity(9.996, HL_UNIT_NONE, "10.0", "9.996");
    assert_quantity(99.96, HL_UNIT_NONE, "100", "99.96");
    assert_quantity(1234.5, HL_UNIT_NONE, "1234", "1234.5");
    assert_quantity(1.5e9, HL_UNIT_NONE, "1.50e+09", "1.5e+09");
    assert_quantity(5e-324, HL_UNIT_NONE, "4.94e-324", "4.94065646e-324");
    assert_quantity(-0.25, HL_UNIT_NONE, "-0.250", "-0.25");
    assert_quantity(0, HL_UNIT_BYTES, "0\u00A0B", "");
    assert_quantity(1023, HL_UNIT_BYTES, "1\u202F023\u00A0B", "");
    assert_quantity(1024, HL_UNIT_BYTES, "1.00\u00A0KiB", "1\u202F024 bytes");
    assert_quantity(-1536, HL_UNIT_BYTES_PER_MINUTE, "-1.50\u00A0KiB/min", "-1\u202F536 bytes/min");
    assert_quantity(8589934592, HL_UNIT_BYTES, "8.00\u00A0GiB", "8\u202F589\u202F934\u202F592 bytes");
    assert_quantity(324967575, HL_UNIT_COUNT, "324\u202F967\u202F575", "");
    assert_quantity(0.0123, HL_UNIT_FRACTION, "1.23%", "");
    assert_quantity(DBL_MAX, HL_UNIT_FRACTION, "\u221E%", "");
    assert_quantity(NAN, HL_UNIT_MS, "not measured", "");
}

/* ------------------------------------------------------------------ memory, files */

static char *read_text(const char *path)
{
    char *text = NULL;
    size_t size;
    assert_int_equal(hl_file_read_text(path, 1 << 24, &text, &size, NULL), HL_OK);
    return text;
}

/* The n-th call of a kind fails, for every n: path is the old page or, once that is in place, the new one,
 * never a part, and nothing lies beside it. Returns the first n without a failure. */
static uint64_t fail_each(void (*fail_at)(uint64_t), hl_status expected)
{
    json_t *result = read_result("stress-interrupted.json");
    const char *path = temporary_path("report.html");
    char *page = draw(result);
    hl_status status = expected;
    uint64_t n = 0;
    while (status != HL_OK) {
        hl_error err = {0};
        assert_int_equal(hl_file_save(path, "old", 3, NULL), HL_OK);
        fail_at(++n);
        status = hl_report_write(result, path, &err);
        fail_at(0);
        char *there = read_text(path);
        assert_true((status != HL_OK && !strcmp(there, "old")) || !strcmp(there, page));
        hl_free(there);
        assert_int_equal(temporary_count(temporary_dir, ""), 1);
        assert_true(status == HL_OK || (status == expected && *err.message));
    }
    temporary_remove(path);
    hl_free(page);
    json_decref(result);
    return n;
}

static void test_no_memory(void **state)
{
    (void)state;
    assert_true(fail_each(hl_alloc_fail_at, HL_ERR_MEMORY) > 30);
    json_t *result = json_object(); /* the sentence needs memory too */
    hl_error err = {0};
    hl_alloc_fail_at(1);
    assert_int_equal(hl_report_check(result, &err), HL_ERR_MEMORY);
    hl_alloc_fail_at(0);
    json_decref(result);
}

static void test_full_disk(void **state)
{
    (void)state;
    assert_true(fail_each(hl_file_fail_at, HL_ERR_IO) > 3);
    json_t *result = read_result("stress-interrupted.json");
    hl_error err = {0};
    assert_int_equal(hl_report_write(result, temporary_path("no/such/report.html"), &err), HL_ERR_IO);
    assert_non_null(strstr(err.message, "report.html"));
    assert_int_equal(hl_report_write(result, temporary_dir, &err), HL_ERR_IO);
    json_decref(result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published), cmocka_unit_test(test_interrupted),
        cmocka_unit_test(test_no_phases), cmocka_unit_test(test_any_value),
        cmocka_unit_test(test_refused),   cmocka_unit_test(test_unknown_keys),
        cmocka_unit_test(test_large),     cmocka_unit_test(test_units),
        cmocka_unit_test(test_no_memory), cmocka_unit_test(test_full_disk),
    };
    return cmocka_run_group_tests_name("report", tests, temporary_make, temporary_drop);
}
