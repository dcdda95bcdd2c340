#include "app/report/report.h"

#include "app/report/schema.h"
#include "base/error.h"

#include <stdio.h>
#include <string.h>

/* Where a value lies: the key or index of each step down to it, innermost first. */
typedef struct place {
    const struct place *in; /* NULL: the result itself */
    const char *key;        /* NULL: an index */
    size_t index;
} place;

static void append_place(hl_text *t, const place *at)
{
    if (!at || (!at->in && !at->key))
        return;
    append_place(t, at->in);
    if (at->key)
        hl_text_appendf(t, "%s%s", t->size ? "." : "", hl_excerpt_of(at->key).text);
    else
        hl_text_appendf(t, "[%zu]", at->index);
}

static void append_found(hl_text *t, const json_t *value)
{
    static const char *const names[] = {"an object", "a list", "a text", "a whole number",
                                        "a number",  "true",   "false",  "null"};
    if (!value)
        hl_text_append(t, "missing");
    else if (json_is_string(value))
        hl_text_appendf(t, "found \"%s\"", hl_excerpt_of(json_string_value(value)).text);
    else if (json_is_integer(value))
        hl_text_appendf(t, "found %" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_real(value))
        hl_text_appendf(t, "found %g", json_real_value(value));
    else
        hl_text_appendf(t, "found %s", names[json_typeof(value)]);
}

static hl_status refuse(const place *at, const json_t *value, const char *expected, hl_error *err)
{
    hl_text where = {0}, found = {0};
    append_place(&where, at);
    append_found(&found, value);
    hl_status status = where.failed || found.failed
                           ? hl_fail(err, HL_ERR_MEMORY, "no memory to say what is wrong with the result")
                           : hl_fail(err, HL_ERR_DATA, "%s: %s, expected %s",
                                     where.size ? where.at : "the result", found.at, expected);
    hl_text_free(&where);
    hl_text_free(&found);
    return status;
}

static hl_status check_fields(const json_t *object, const hl_schema_field *fields, const place *at,
                              hl_error *err);

/* Rows of numbers; columns 0: any number of them. */
static hl_status check_rows(const json_t *rows, size_t columns, const place *at, hl_error *err)
{
    char expected[64];
    if (!json_is_array(rows))
        return refuse(at, rows, "a list of rows of numbers", err);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        place here = {at, NULL, i};
        size_t n = json_array_size(row);
        if (!json_is_array(row))
            return refuse(&here, row, "a row of numbers", err);
        if (columns && n != columns) {
            snprintf(expected, sizeof expected, "a row of %zu numbers, not of %zu", columns, n);
            return refuse(&here, row, expected, err);
        }
        for (size_t c = 0; c < n; c++)
            if (!json_is_number(json_array_get(row, c)) && (!c || !json_is_null(json_array_get(row, c))))
                return refuse(&(place){&here, NULL, c}, json_array_get(row, c),
                              c ? "a number or null" : "a number", err);
    }
    return HL_OK;
}

static hl_status check_list(const json_t *list, const hl_schema_field *f, const place *at, hl_error *err)
{
    if (!json_is_array(list))
        return refuse(at, list, "a list", err);
    hl_status status = HL_OK;
    for (size_t i = 0; i < json_array_size(list) && status == HL_OK; i++) {
        const json_t *entry = json_array_get(list, i);
        place here = {at, NULL, i};
        if (f->kind == LIST)
            status = check_fields(entry, f->of, &here, err);
        else if (f->kind == NAMES && !json_is_string(entry))
            status = refuse(&here, entry, "a text", err);
        else if (f->kind == SERIES && !json_is_number(entry) && !json_is_null(entry))
            status = refuse(&here, entry, "a number or null", err);
    }
    return status;
}

static hl_status check_text(const json_t *value, const hl_schema_field *f, const place *at, hl_error *err)
{
    char expected[96] = "";
    if (!json_is_string(value))
        return refuse(at, value, f->or_null ? "a text or null" : "a text", err);
    if (!f->choice)
        return HL_OK;
    for (const char *const *c = f->choice; *c; c++) {
        if (!strcmp(json_string_value(value), *c))
            return HL_OK;
        size_t n = strlen(expected);
        snprintf(expected + n, sizeof expected - n, "%s\"%s\"", n ? " or " : "", *c);
    }
    return refuse(at, value, expected, err);
}

static hl_status check_field(const json_t *value, const hl_schema_field *f, const place *at, hl_error *err)
{
    if (f->or_null && json_is_null(value))
        return HL_OK;
    switch (f->kind) {
    case TEXT:
        return check_text(value, f, at, err);
    case FLAG:
        return json_is_boolean(value) ? HL_OK : refuse(at, value, "true or false", err);
    case NUMBER:
        return json_is_number(value) ? HL_OK
                                     : refuse(at, value, f->or_null ? "a number or null" : "a number", err);
    case WHOLE:
        return json_is_integer(value) ? HL_OK : refuse(at, value, "a whole number or null", err);
    case COUNT:
        return json_is_integer(value) && json_integer_value(value) >= 0
                   ? HL_OK
                   : refuse(at, value, "a whole number of 0 or more", err);
    case OBJECT:
        return check_fields(value, f->of, at, err);
    case ROWS:
        return check_rows(value, f->columns, at, err);
    default:
        return check_list(value, f, at, err);
    }
}

static hl_status check_fields(const json_t *object, const hl_schema_field *fields, const place *at,
                              hl_error *err)
{
    if (!json_is_object(object))
        return refuse(at, object, "an object", err);
    hl_status status = HL_OK;
    for (const hl_schema_field *f = fields; f->key && status == HL_OK; f++)
        status = check_field(json_object_get(object, f->key), f, &(place){at, f->key, 0}, err);
    return status;
}

/* Rows that are as wide as a list beside them is long, and the time before it. */
static hl_status check_widths(const json_t *phases, hl_error *err)
{
    hl_status status = HL_OK;
    place root = {NULL, "phases", 0};
    for (size_t i = 0; i < json_array_size(phases) && status == HL_OK; i++) {
        const json_t *p = json_array_get(phases, i), *sys = json_object_get(p, "system");
        const json_t *m = json_object_get(json_object_get(p, "memory"), "timeline_categories");
        const json_t *cores = json_object_get(sys, "cpu_percent"), *names = json_object_get(m, "names");
        place in_phase = {&root, NULL, i};
        place in_system = {&in_phase, "system", 0}, in_memory = {&in_phase, "memory", 0};
        place categories = {&in_memory, "timeline_categories", 0};
        const json_t *timeline = json_object_get(sys, "timeline");
        if (json_is_array(timeline) && json_is_array(cores))
            status = check_rows(timeline, json_array_size(cores) + 1, &(place){&in_system, "timeline", 0},
                                err);
        if (status == HL_OK && json_is_object(m))
            status = check_rows(json_object_get(m, "rows"), json_array_size(names) + 1,
                                &(place){&categories, "rows", 0}, err);
    }
    return status;
}

hl_status hl_report_check(const json_t *result, hl_error *err)
{
    place root = {0};
    hl_status status = check_fields(result, hl_schema, &root, err);
    return status == HL_OK ? check_widths(json_object_get(result, "phases"), err) : status;
}
