/* Two documents of hl bench beside each other. */
#include "app/bench/bench.h"
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------ reading */

/* What makes a row the same row as another. */
static const char *const words[] = {"what", "precision"}, *const numbers[] = {"batch", "threads", "streams",
                                                                              "sparsity"};
enum { WORDS = 2, NUMBERS = 4 };

static hl_status check_row(const json_t *row, size_t index, const char *path, hl_error *err)
{
    const char *missing = NULL;
    for (int i = NUMBERS - 1; i >= 0; i--)
        missing = json_is_number(json_object_get(row, numbers[i])) ? missing : numbers[i];
    for (int i = WORDS - 1; i >= 0; i--)
        missing = json_is_string(json_object_get(row, words[i])) ? missing : words[i];
    const json_t *median = json_object_get(row, "median_ms");
    if (!missing && median && !(json_number_value(median) > 0))
        missing = "median_ms above 0";
    if (!missing)
        return HL_OK;
    return hl_fail(
        err, HL_ERR_DATA,
        "%s: result %zu has no %s; compare with what this version of 'hl bench ... --json' has printed", path,
        index + 1, missing);
}

static hl_status check_document(const json_t *other, const char *path, hl_error *err)
{
    const json_t *rows = json_object_get(other, "results");
    hl_status status = HL_OK;
    if (!json_array_size(rows))
        return hl_fail(err, HL_ERR_DATA,
                       "%s: there are no 'results'; compare with what 'hl bench ... --json' has printed",
                       path);
    for (size_t i = 0; i < json_array_size(rows) && status == HL_OK; i++)
        status = check_row(json_array_get(rows, i), i, path, err);
    return status;
}

json_t *hl_bench_read(const char *path, hl_error *err)
{
    enum { LIMIT = 64 << 20 };
    char *text;
    size_t size;
    if (hl_file_read_text(path, LIMIT, &text, &size, err) != HL_OK)
        return NULL;
    json_t *other = hl_json_parse(text, size, path, err);
    hl_free(text);
    if (other && check_document(other, path, err) != HL_OK) {
        json_decref(other);
        return NULL;
    }
    return other;
}

/* ------------------------------------------------------------------ rows */

static bool same_row(const json_t *a, const json_t *b)
{
    for (int i = 0; i < WORDS; i++)
        if (!json_equal(json_object_get(a, words[i]), json_object_get(b, words[i])))
            return false;
    for (int i = 0; i < NUMBERS; i++) /* 12 digits of them are in a file */
        if (fabs(json_number_value(json_object_get(a, numbers[i])) -
                 json_number_value(json_object_get(b, numbers[i]))) > 1e-9)
            return false;
    return true;
}

static json_t *find_row(const json_t *rows, const json_t *row)
{
    for (size_t i = 0; i < json_array_size(rows); i++)
        if (same_row(json_array_get(rows, i), row))
            return json_array_get(rows, i);
    return NULL;
}

/* Medians nearer than this are not told apart. */
static const double same_within = 0.05;

static const char *verdict_of(double here, double there)
{
    if (!(here > 0) || !(there > 0))
        return here > 0 ? "only here" : there > 0 ? "only there" : "-";
    return here < there * (1 - same_within) ? "faster" : here > there * (1 + same_within) ? "slower" : "same";
}

static int compare_row(json_t *row, const json_t *other)
{
    double here = json_number_value(json_object_get(row, "median_ms"));
    double there = json_number_value(json_object_get(other, "median_ms"));
    return json_object_set_new(row, "other_median_ms", there > 0 ? json_real(there) : json_null()) |
           json_object_set_new(row, "ratio", here > 0 && there > 0 ? json_real(here / there) : json_null()) |
           json_object_set_new(row, "verdict", json_string(verdict_of(here, there)));
}

/* A row that is in the other document alone: what it is, and its median. */
static json_t *row_of_there(const json_t *other)
{
    json_t *row = json_object();
    int failed = !row;
    for (int i = 0; i < WORDS; i++)
        failed |= json_object_set(row, words[i], json_object_get(other, words[i]));
    for (int i = 0; i < NUMBERS; i++)
        failed |= json_object_set(row, numbers[i], json_object_get(other, numbers[i]));
    if (!failed && !compare_row(row, other))
        return row;
    json_decref(row);
    return NULL;
}

/* ------------------------------------------------------------------ documents */

/* A sentence for each thing that is not the same. NULL: no memory. */
static json_t *differences(const json_t *document, const json_t *other)
{
    static const char *const keys[] = {"processor", "cores", "device", "config", "version"};
    json_t *differs = json_array();
    int failed = !differs;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const json_t *here = json_object_get(document, keys[i]), *there = json_object_get(other, keys[i]);
        if (json_equal(here, there))
            continue;
        char *a = json_dumps(here, JSON_ENCODE_ANY), *b = json_dumps(there, JSON_ENCODE_ANY);
        failed |= json_array_append_new(differs, json_sprintf("another %s: %s here, %s there", keys[i],
                                                              a ? a : "unknown", b ? b : "unknown"));
        free(a);
        free(b);
    }
    if (!failed)
        return differs;
    json_decref(differs);
    return NULL;
}

bool hl_bench_compare(json_t *document, const json_t *other, const char *path)
{
    json_t *rows = json_object_get(document, "results"), *others = json_object_get(other, "results");
    json_t *only_there = json_array();
    int failed = !only_there;
    for (size_t i = 0; i < json_array_size(rows); i++)
        failed |= compare_row(json_array_get(rows, i), find_row(others, json_array_get(rows, i)));
    for (size_t i = 0; i < json_array_size(others); i++)
        if (!find_row(rows, json_array_get(others, i)))
            failed |= json_array_append_new(only_there, row_of_there(json_array_get(others, i)));
    failed |= json_object_set_new(document, "compare",
                                  json_pack("{s:s, s:o, s:o}", "file", path, "differs",
                                            differences(document, other), "only_there", only_there));
    return !failed;
}
