/* The configuration as YAML, and its table as a page of documentation. */
#include "app/config/config_room.h"

#include "base/error.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ------------------------------------------------------------------ values */

/* Code point at *at, which moves behind it. A byte that is not UTF-8 is one "replacement character". */
static uint32_t next_character(const char **at)
{
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    const unsigned char *s = (const unsigned char *)(*at)++;
    int more = *s < 0x80 ? 0 : *s < 0xC0 ? -1 : *s < 0xE0 ? 1 : *s < 0xF0 ? 2 : 3;
    uint32_t c = more > 0 ? *s & (0x3Fu >> more) : *s;
    for (int i = 1; i <= more; i++) {
        if ((s[i] & 0xC0) != 0x80)
            return 0xFFFD;
        c = c << 6 | (s[i] & 0x3Fu);
    }
    if (more < 0 || c < least[more])
        return 0xFFFD;
    *at += more;
    return c;
}

/* What a YAML reader refuses, or would fold as a line break. */
static bool must_escape(uint32_t c)
{
    return c < 0x20 || (c >= 0x7F && c <= 0x9F) || c == 0x2028 || c == 0x2029 || c == 0xFEFF || c == 0xFFFE ||
           c == 0xFFFF;
}

void hl_config_quote(hl_text *t, const char *string)
{
    hl_text_append(t, "\"");
    for (const char *at = string, *start = at; *at; start = at) {
        uint32_t c = next_character(&at);
        if (must_escape(c) && (unsigned char)*start < 0x80)
            hl_text_appendf(t, "\\x%02X", c);
        else if (must_escape(c))
            hl_text_appendf(t, "\\u%04X", c);
        else if (c == '"' || c == '\\')
            hl_text_appendf(t, "\\%c", (char)c);
        else
            hl_text_append_bytes(t, start, (size_t)(at - start));
    }
    hl_text_append(t, "\"");
}

/* A text that every YAML reader takes for a text without quotes. */
static bool is_word(const char *string)
{
    static const char *const other[] = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"};
    if (!isalpha((unsigned char)*string) && *string != '/' && *string != '_')
        return false;
    for (const char *at = string; *at; at++)
        if ((unsigned char)*at >= 0x80 || (!isalnum((unsigned char)*at) && !strchr("_./-", *at)))
            return false;
    for (size_t i = 0; i < sizeof other / sizeof *other; i++)
        if (!strcasecmp(string, other[i]))
            return false;
    return true;
}

static void append_string(hl_text *t, const char *string)
{
    if (is_word(string))
        hl_text_append(t, string);
    else
        hl_config_quote(t, string);
}

/* With the fewest digits that read back as the same number. "1.0e-08", not "1e-08": what has no point is
 * a text to readers of YAML 1.1. */
static void append_float(hl_text *t, double x)
{
    char text[40];
    if (isinf(x)) {
        hl_text_append(t, x < 0 ? "-.inf" : ".inf");
        return;
    }
    for (int digits = 6; digits <= 17; digits++) { /* %g drops zeros at the end, and 20 is not 2e+01 */
        snprintf(text, sizeof text, "%.*g", digits, x);
        if (strtod(text, NULL) == x)
            break;
    }
    size_t mantissa = strcspn(text, "e");
    hl_text_append_bytes(t, text, mantissa);
    if (text[mantissa] && !strchr(text, '.'))
        hl_text_append(t, ".0");
    hl_text_append(t, text + mantissa);
}

/* The name of an ENUM's value. */
static void append_choice(hl_text *t, const char *choices, int value)
{
    const char *at = choices;
    for (int i = 0; i < value; i++) {
        at = strchr(at, '|');
        HL_ASSERT(at);
        at++;
    }
    hl_text_append_bytes(t, at, strcspn(at, "|"));
}

void hl_config_append(hl_text *t, const void *record, const hl_config_line *line)
{
    const void *member = (const char *)record + line->offset;
    const hl_widths *ints = member;
    const hl_strings *strings = member;
    switch (line->type) {
    case HL_CONFIG_TYPE_INT:
        hl_text_appendf(t, "%lld", (long long)*(const int64_t *)member);
        break;
    case HL_CONFIG_TYPE_SEED:
        hl_text_appendf(t, "%llu", (unsigned long long)*(const uint64_t *)member);
        break;
    case HL_CONFIG_TYPE_SIZE:
        hl_text_append_size(t, *(const size_t *)member);
        break;
    case HL_CONFIG_TYPE_FLOAT:
        append_float(t, *(const double *)member);
        break;
    case HL_CONFIG_TYPE_BOOL:
        hl_text_append(t, *(const bool *)member ? "true" : "false");
        break;
    case HL_CONFIG_TYPE_ENUM:
        append_choice(t, line->limits, *(const int *)member);
        break;
    case HL_CONFIG_TYPE_TEXT:
        append_string(t, *(char *const *)member);
        break;
    case HL_CONFIG_TYPE_INTS:
        for (int i = 0; i < ints->n; i++)
            hl_text_appendf(t, "%s%lld", i ? ", " : "[", (long long)ints->at[i]);
        hl_text_append(t, ints->n ? "]" : "[]");
        break;
    case HL_CONFIG_TYPE_TEXTS:
        hl_text_append(t, "[");
        for (int i = 0; i < strings->n; i++) {
            hl_text_append(t, i ? ", " : "");
            append_string(t, strings->at[i]);
        }
        hl_text_append(t, "]");
        break;
    default:
        HL_ASSERT(!"what holds keys has no value");
    }
}

/* ------------------------------------------------------------------ pages */

static int depth_of(const char *key)
{
    int dots = 0;
    for (; *key; key++)
        dots += *key == '.';
    return dots;
}

/* The keys of a record, by that many spaces to the right; those of a list's entry have a dash before the
 * first. */
static void append_record(hl_text *t, const hl_config_kind *kind, const void *record, int indent, bool entry)
{
    for (int i = 0; i < kind->n; i++) {
        const hl_config_line *line = &kind->line[i];
        int right = indent + 2 * depth_of(line->key);
        hl_text_appendf(t, "%*s%s%s:", entry && !i ? right - 2 : right, "", entry && !i ? "- " : "",
                        hl_config_last_part(line->key));
        if (hl_config_has_value(line)) {
            hl_text_append(t, " ");
            hl_config_append(t, record, line);
        }
        int n = line->type == HL_CONFIG_TYPE_LIST ? hl_config_list_of(record, line).n : 0;
        hl_text_append(t, line->type == HL_CONFIG_TYPE_LIST && !n ? " []\n" : "\n");
        if (line->type == HL_CONFIG_TYPE_PART)
            append_record(t, line->of, (const char *)record + line->offset, right + 2, false);
        for (int k = 0; k < n; k++)
            append_record(t, line->of, hl_config_entry(record, line, k), right + 4, true);
    }
}

char *hl_config_print(const hl_config *c)
{
    hl_text t = {0};
    append_record(&t, hl_config_table, c, 0, false);
    return hl_text_take(&t);
}

/* "a|b" as `a`, `b`. */
static void append_values(hl_text *t, const hl_config_line *line)
{
    static const char *const names[] = {
        [HL_CONFIG_TYPE_INT] = "whole number in ",
        [HL_CONFIG_TYPE_SEED] = "whole number below 2^64",
        [HL_CONFIG_TYPE_SIZE] = "size",
        [HL_CONFIG_TYPE_FLOAT] = "number in ",
        [HL_CONFIG_TYPE_BOOL] = "`true`, `false`",
        [HL_CONFIG_TYPE_ENUM] = "",
        [HL_CONFIG_TYPE_TEXT] = "text",
        [HL_CONFIG_TYPE_INTS] = "whole numbers: ",
        [HL_CONFIG_TYPE_TEXTS] = "texts",
    };
    hl_text_append(t, names[line->type]);
    if (line->type == HL_CONFIG_TYPE_TEXT || line->type == HL_CONFIG_TYPE_TEXTS)
        hl_text_append(t, !*line->limits ? "" : line->type == HL_CONFIG_TYPE_TEXT ? ", " : ": ");
    if (!strchr(line->limits, '|')) {
        hl_text_append(t, line->limits);
        return;
    }
    const char *space = strrchr(line->limits, ' '), *choices = space ? space + 1 : line->limits;
    hl_text_append_bytes(t, line->limits, (size_t)(choices - line->limits));
    for (const char *at = choices; *at;) {
        size_t n = strcspn(at, "|");
        hl_text_appendf(t, "`%.*s`", (int)n, at);
        at += n + (at[n] == '|');
        hl_text_append(t, *at ? ", " : "");
    }
}

static const char introduction[] =
    "# The configuration\n"
    "\n"
    "Made from `src/app/config/config.def`; `build/tests/test_config --write` writes this page anew.\n"
    "\n"
    "A configuration is a YAML file of the keys below, nested by the dots: `optim.lr` is `lr` under "
    "`optim`.\n"
    "Keys that are not there have their defaults. On a command line `optim.lr=1e-3` overrides one key and\n"
    "`model.senses=[audio, tactile]` gives a list (quote it for the shell). Unknown keys, values of another\n"
    "type or out of range, keys set twice, anchors, aliases and tags are errors that name file, line and "
    "column.\n"
    "In ranges, `[` and `]` belong to them, `(` and `)` do not. A size is a number of bytes or has a unit: "
    "B, "
    "kB, MB,\n"
    "GB and TB of 1000, KiB, MiB, GiB and TiB of 1024. `inf`, in a file also `.inf`, is infinity.\n"
    "\n"
    "A list of groups has an entry of keys after each dash:\n"
    "\n"
    "    stress:\n"
    "      phases:\n"
    "        - {kind: inference, batch: 16, seconds: 30}\n"
    "        - kind: training\n"
    "          iterations: 100\n"
    "\n"
    "Its entries are counted from 0: `stress.phases[1].iterations=5` overrides a key of the second, which "
    "must be\n"
    "there. Who wants more or fewer gives the list anew, in one piece: "
    "`stress.phases=[{kind: training, seconds: 5}]`.\n";

static void append_section(hl_text *t, const char *key, const char *help)
{
    hl_text_appendf(t, "\n## %s\n\n%s.\n", key, help);
}

/* path: what stands before the record's keys, "" or "stress." */
static void append_keys(hl_text *t, const hl_config_kind *kind, const char *path)
{
    bool in_table = false;
    for (int i = 0; i < kind->n; i++) {
        const hl_config_line *line = &kind->line[i];
        char key[HL_CONFIG_KEY];
        bool list = line->type == HL_CONFIG_TYPE_LIST;
        snprintf(key, sizeof key, "%s%s%s", path, line->key, list ? "[i]" : "");
        if (!hl_config_has_value(line)) {
            append_section(t, key, line->help);
            if (list)
                hl_text_appendf(t, "A list of at most %d groups.\n", HL_CONFIG_ENTRIES);
            if (line->of) {
                snprintf(key + strlen(key), sizeof key - strlen(key), ".");
                append_keys(t, line->of, key);
            }
            in_table = false;
            continue;
        }
        if (!in_table)
            hl_text_append(t, "\n| key | default | values | |\n|---|---|---|---|\n");
        in_table = true;
        hl_text_appendf(t, "| `%s` | `%s` | ", key, line->value);
        append_values(t, line);
        hl_text_appendf(t, " | %s |\n", line->help);
    }
}

char *hl_config_markdown(void)
{
    hl_text t = {0};
    hl_text_append(&t, introduction);
    append_keys(&t, hl_config_table, "");
    return hl_text_take(&t);
}
