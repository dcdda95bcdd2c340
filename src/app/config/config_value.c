/* One value of the configuration, from a YAML node, with its checks. */
#include "app/config/config_room.h"

#include "base/error.h"
#include "base/memory.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ------------------------------------------------------------------ limits */

/* "[least, most]" of app/config/config.def. */
typedef struct range {
    double least, most;
    bool least_open, most_open;
} range;

static range parse_range(const char *limits)
{
    range r;
    char first, last;
    int n = sscanf(limits, "%c%lf, %lf%c", &first, &r.least, &r.most, &last);
    HL_ASSERT(n == 4 && strchr("[(", first) && strchr("])", last));
    r.least_open = first == '(';
    r.most_open = last == ')';
    return r;
}

/* found is the value as it was written. */
static hl_status check_range(const char *limits, double value, const char *found, hl_error *err)
{
    range r = parse_range(limits);
    hl_excerpt text = hl_excerpt_of(found);
    const char *what = NULL;
    double end = r.least;
    if (value < r.least)
        what = "below";
    else if (r.least_open && value == r.least)
        what = "not above";
    if (!what) {
        end = r.most;
        what = value > r.most ? "above" : r.most_open && value == r.most ? "not below" : NULL;
    }
    if (!what)
        return HL_OK;
    return hl_fail(err, HL_ERR_CONFIG, "%s is %s %.15g", text.text, what, end);
}

/* Index of text among "name|name", or -1; then *nearest says which was meant, perhaps ("" if none). */
static int find_choice(const char *choices, const char *text, hl_excerpt *nearest)
{
    char copy[128];
    const char *names[16];
    size_t n = 0;
    int length = snprintf(copy, sizeof copy, "%s", choices);
    HL_ASSERT(length < (int)sizeof copy);
    for (char *at = copy; at; n++) {
        char *end = strchr(at, '|');
        HL_ASSERT(n < sizeof names / sizeof *names);
        names[n] = at;
        if (end)
            *end++ = 0;
        at = end;
    }
    for (size_t i = 0; i < n; i++)
        if (!strcmp(names[i], text))
            return (int)i;
    const char *meant = hl_nearest(text, names, n);
    *nearest = hl_excerpt_of(meant ? meant : "");
    return -1;
}

/* "a|b|c" -> "a, b or c" */
static void append_choices(hl_text *t, const char *choices)
{
    for (const char *at = choices; *at;) {
        const char *end = strchr(at, '|');
        size_t n = end ? (size_t)(end - at) : strlen(at);
        hl_text_append_bytes(t, at, n);
        at += n + (end != NULL);
        if (*at)
            hl_text_append(t, strchr(at, '|') ? ", " : " or ");
    }
}

/* ------------------------------------------------------------------ reading */

static hl_status wrong(const hl_yaml_node *value, const char *expected, hl_error *err)
{
    const char *hint = value->kind == HL_YAML_SCALAR && !value->plain ? " (drop the quotes)" : "";
    return hl_fail(err, HL_ERR_CONFIG, "expected %s, found %s%s", expected, hl_yaml_describe(value).text,
                   hint);
}

static hl_status no_memory(hl_error *err)
{
    return hl_fail(err, HL_ERR_MEMORY, "no memory for its value");
}

static bool is_plain(const hl_yaml_node *value)
{
    return value->kind == HL_YAML_SCALAR && value->plain && *value->text;
}

/* Digits with a sign, as YAML's core schema has them; no more. */
static bool is_integer(const char *text)
{
    text += *text == '-' || *text == '+';
    return *text && !text[strspn(text, "0123456789")];
}

static hl_status read_int(const char *limits, const hl_yaml_node *value, int64_t *out, hl_error *err)
{
    if (!is_plain(value) || !is_integer(value->text))
        return wrong(value, "a whole number", err);
    errno = 0;
    long long n = strtoll(value->text, NULL, 10);
    if (errno == ERANGE)
        return hl_fail(err, HL_ERR_CONFIG, "%s does not fit in 64 bits", hl_excerpt_of(value->text).text);
    *out = n;
    return check_range(limits, (double)n, value->text, err);
}

static hl_status read_seed(const hl_yaml_node *value, uint64_t *out, hl_error *err)
{
    if (!is_plain(value) || !is_integer(value->text))
        return wrong(value, "a whole number", err);
    if (*value->text == '-' && strspn(value->text + 1, "0") < strlen(value->text + 1))
        return hl_fail(err, HL_ERR_CONFIG, "%s is below 0", hl_excerpt_of(value->text).text);
    errno = 0;
    unsigned long long n = strtoull(value->text, NULL, 10);
    if (errno == ERANGE)
        return hl_fail(err, HL_ERR_CONFIG, "%s is above 18446744073709551615",
                       hl_excerpt_of(value->text).text);
    *out = n;
    return HL_OK;
}

static hl_status read_size(const hl_yaml_node *value, size_t *out, hl_error *err)
{
    if (!is_plain(value) || !hl_parse_size(value->text, out))
        return wrong(value, "a size, such as 512MiB, 8GiB or 1048576", err);
    return HL_OK;
}

/* As YAML writes infinity, and without its point. */
static bool is_infinity(const char *text)
{
    text += *text == '-' || *text == '+';
    return !strcasecmp(text, ".inf") || !strcasecmp(text, "inf");
}

static hl_status read_float(const char *limits, const hl_yaml_node *value, double *out, hl_error *err)
{
    char *end = NULL;
    if (is_plain(value) && is_infinity(value->text)) {
        *out = *value->text == '-' ? -INFINITY : INFINITY;
        return check_range(limits, *out, value->text, err);
    }
    if (!is_plain(value) || value->text[strspn(value->text, "+-.0123456789eE")])
        return wrong(value, "a number", err);
    double x = strtod(value->text, &end);
    if (end == value->text || *end)
        return wrong(value, "a number", err);
    if (!isfinite(x))
        return hl_fail(err, HL_ERR_CONFIG, "%s is too large a number", hl_excerpt_of(value->text).text);
    *out = x;
    return check_range(limits, x, value->text, err);
}

static hl_status read_bool(const hl_yaml_node *value, bool *out, hl_error *err)
{
    bool yes = is_plain(value) && !strcmp(value->text, "true");
    if (!yes && !(is_plain(value) && !strcmp(value->text, "false")))
        return wrong(value, "true or false", err);
    *out = yes;
    return HL_OK;
}

static hl_status read_choice(const char *limits, const hl_yaml_node *value, int *out, hl_error *err)
{
    hl_excerpt nearest = {""};
    int i = value->kind == HL_YAML_SCALAR ? find_choice(limits, value->text, &nearest) : -1;
    if (i < 0) {
        hl_text expected = {0};
        append_choices(&expected, limits);
        char *names = hl_text_take(&expected);
        if (!names)
            return no_memory(err);
        hl_fail(err, HL_ERR_CONFIG, "expected %s, found %s%s%s%s", names, hl_yaml_describe(value).text,
                *nearest.text ? "; did you mean '" : "", nearest.text, *nearest.text ? "'?" : "");
        hl_free(names);
        return HL_ERR_CONFIG;
    }
    *out = i;
    return HL_OK;
}

static hl_status read_text(const char *limits, const hl_yaml_node *value, char **out, hl_error *err)
{
    if (value->kind != HL_YAML_SCALAR || hl_yaml_is_null(value))
        return wrong(value, "a text", err);
    if (!*value->text && !strcmp(limits, "not empty"))
        return hl_fail(err, HL_ERR_CONFIG, "must not be empty");
    char *copy = hl_strdup(value->text);
    if (!copy)
        return no_memory(err);
    hl_free(*out);
    *out = copy;
    return HL_OK;
}

/* ------------------------------------------------------------------ lists */

/* "1-8 of [least, most]" or "4 of [least, most]" */
static hl_status read_ints(const char *limits, const hl_yaml_node *value, hl_widths *out,
                           const hl_yaml_node **culprit, hl_error *err)
{
    int least, most;
    const char *each = strstr(limits, " of ");
    int n = sscanf(limits, "%d-%d", &least, &most);
    HL_ASSERT(each && n >= 1);
    most = n == 2 ? most : least;
    HL_ASSERT(most <= HL_MODEL_LAYERS);
    if (value->kind != HL_YAML_SEQUENCE)
        return wrong(value, "a list of whole numbers, such as [1, 2]", err);
    if (value->count < least || value->count > most)
        return hl_fail(err, HL_ERR_CONFIG, "expected %d%s numbers, found %d", most,
                       least < most ? " or fewer, at least one," : "", value->count);
    hl_widths list = {0};
    for (const hl_yaml_node *element = value->first; element; element = element->next) {
        *culprit = element;
        hl_status status = read_int(each + 4, element, &list.at[list.n++], err);
        if (status != HL_OK)
            return status;
    }
    *out = list;
    return HL_OK;
}

static void free_strings(hl_strings *s)
{
    for (int i = 0; i < s->n; i++)
        hl_free(s->at[i]);
    hl_free(s->at);
    *s = (hl_strings){0};
}

/* Elements from a choice: known, and each once. */
static hl_status check_element(const char *choices, const hl_yaml_node *element, const hl_strings *before,
                               hl_error *err)
{
    int ignored;
    if (element->kind != HL_YAML_SCALAR || hl_yaml_is_null(element))
        return wrong(element, "a text", err);
    if (!*choices)
        return *element->text ? HL_OK : hl_fail(err, HL_ERR_CONFIG, "an element is empty");
    hl_status status = read_choice(choices, element, &ignored, err);
    for (int i = 0; status == HL_OK && i < before->n; i++)
        if (!strcmp(before->at[i], element->text))
            status = hl_fail(err, HL_ERR_CONFIG, "'%s' is listed twice", element->text);
    return status;
}

/* "some of name|name", "any of name|name", "" */
static hl_status read_texts(const char *limits, const hl_yaml_node *value, hl_strings *out,
                            const hl_yaml_node **culprit, hl_error *err)
{
    bool some = !strncmp(limits, "some of ", 8), any = !strncmp(limits, "any of ", 7);
    const char *choices = limits + (some ? 8 : any ? 7 : 0);
    HL_ASSERT(some || any || !*limits);
    if (value->kind != HL_YAML_SEQUENCE)
        return wrong(value, "a list of texts, such as [a, b]", err);
    if (!value->count && some)
        return hl_fail(err, HL_ERR_CONFIG, "the list is empty, expected at least one");
    hl_strings list = {.at = hl_alloc((size_t)value->count, sizeof(char *))};
    hl_status status = list.at ? HL_OK : no_memory(err);
    for (const hl_yaml_node *element = value->first; element && status == HL_OK; element = element->next) {
        *culprit = element;
        status = check_element(choices, element, &list, err);
        char *copy = status == HL_OK ? hl_strdup(element->text) : NULL;
        if (copy)
            list.at[list.n++] = copy;
        else if (status == HL_OK)
            status = no_memory(err);
    }
    if (status != HL_OK) {
        free_strings(&list);
        return status;
    }
    free_strings(out);
    *out = list;
    return HL_OK;
}

/* ------------------------------------------------------------------ by type */

hl_status hl_config_set(void *record, const hl_config_line *line, const hl_yaml_node *value,
                        const hl_yaml_node **culprit, hl_error *err)
{
    void *member = hl_config_member(record, line);
    *culprit = value;
    switch (line->type) {
    case HL_CONFIG_TYPE_INT:
        return read_int(line->limits, value, member, err);
    case HL_CONFIG_TYPE_SEED:
        return read_seed(value, member, err);
    case HL_CONFIG_TYPE_SIZE:
        return read_size(value, member, err);
    case HL_CONFIG_TYPE_FLOAT:
        return read_float(line->limits, value, member, err);
    case HL_CONFIG_TYPE_BOOL:
        return read_bool(value, member, err);
    case HL_CONFIG_TYPE_ENUM:
        return read_choice(line->limits, value, member, err);
    case HL_CONFIG_TYPE_TEXT:
        return read_text(line->limits, value, member, err);
    case HL_CONFIG_TYPE_INTS:
        return read_ints(line->limits, value, member, culprit, err);
    case HL_CONFIG_TYPE_TEXTS:
        return read_texts(line->limits, value, member, culprit, err);
    default:
        HL_ASSERT(!"what holds keys has no value");
    }
    return HL_ERR_CONFIG;
}

void hl_config_release(void *record, const hl_config_line *line)
{
    void *member = hl_config_member(record, line);
    if (line->type == HL_CONFIG_TYPE_TEXT)
        hl_free(*(char **)member);
    else if (line->type == HL_CONFIG_TYPE_TEXTS)
        free_strings(member);
}
