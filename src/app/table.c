#include "app/table.h"

#include "base/error.h"

#include <string.h>

bool hl_format_named(const char *name, hl_format *format)
{
    static const char *const names[HL_FORMATS] = {"text", "json", "csv", "markdown"};
    for (int f = 0; f < HL_FORMATS; f++) {
        *format = (hl_format)f;
        if (!strcmp(name, names[f]))
            return true;
    }
    return false;
}

/* ------------------------------------------------------------------ cells */

typedef struct cell {
    char number[32];
    const char *text; /* `number`, or a string of the row's */
} cell;

static void read_cell(cell *c, hl_format format, const hl_column *column, const json_t *row)
{
    const json_t *value = json_object_get(row, column->key);
    double unit = format == HL_AS_CSV || column->unit == 0 ? 1 : column->unit;
    c->text = c->number;
    if (json_is_string(value))
        c->text = json_string_value(value);
    else if (!json_is_number(value))
        snprintf(c->number, sizeof c->number, "%s", format == HL_AS_CSV ? "" : "-");
    else if (format == HL_AS_CSV || column->decimals < 0)
        snprintf(c->number, sizeof c->number, "%.12g", json_number_value(value) / unit);
    else
        snprintf(c->number, sizeof c->number, "%.*f", column->decimals, json_number_value(value) / unit);
}

static bool is_shown(hl_format format, const hl_column *column, const json_t *rows)
{
    bool usual = column->usual != NULL;
    for (size_t i = 0; usual && i < json_array_size(rows); i++) {
        cell c;
        read_cell(&c, HL_AS_TEXT, column, json_array_get(rows, i));
        usual = !strcmp(c.text, column->usual);
    }
    return format == HL_AS_CSV || (column->title && !usual);
}

/* Words stand left. A column without a number is one of words. */
static bool is_words(const hl_column *column, const json_t *rows)
{
    for (size_t i = 0; i < json_array_size(rows); i++)
        if (json_is_number(json_object_get(json_array_get(rows, i), column->key)))
            return false;
    return true;
}

/* ------------------------------------------------------------------ text */

/* Characters, not bytes: those that do not continue one in UTF-8. */
static int width_of(const char *s)
{
    int n = 0;
    for (; *s; s++)
        n += ((unsigned char)*s & 0xC0) != 0x80;
    return n;
}

static void append_padded(hl_text *text, const char *s, int width, bool left)
{
    int gap = width - width_of(s);
    if (left)
        hl_text_appendf(text, "%s%*s", s, gap, "");
    else
        hl_text_appendf(text, "%*s%s", gap, "", s);
}

static int width_of_column(const hl_column *column, const json_t *rows)
{
    int width = width_of(column->title);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        cell c;
        read_cell(&c, HL_AS_TEXT, column, json_array_get(rows, i));
        width = width_of(c.text) > width ? width_of(c.text) : width;
    }
    return width;
}

enum { MOST_COLUMNS = 64 };

/* A line of text: the titles (row NULL), or a row. */
static void append_line(hl_text *text, const hl_column *columns, const int *width, const bool *words,
                        const json_t *row)
{
    bool first = true;
    for (int k = 0; columns[k].key; k++) {
        if (width[k] < 0)
            continue;
        cell c = {.text = columns[k].title};
        if (row)
            read_cell(&c, HL_AS_TEXT, &columns[k], row);
        hl_text_append(text, first ? "" : "  ");
        append_padded(text, c.text, width[k], words[k]);
        first = false;
    }
    while (text->size && !text->failed && text->at[text->size - 1] == ' ')
        text->at[--text->size] = 0;
    hl_text_append(text, "\n");
}

static void append_text(hl_text *text, const hl_column *columns, const json_t *rows)
{
    int width[MOST_COLUMNS];
    bool words[MOST_COLUMNS];
    for (int k = 0; columns[k].key; k++) {
        HL_ASSERT(k < MOST_COLUMNS);
        words[k] = is_words(&columns[k], rows);
        width[k] = is_shown(HL_AS_TEXT, &columns[k], rows) ? width_of_column(&columns[k], rows) : -1;
    }
    append_line(text, columns, width, words, NULL);
    for (size_t i = 0; i < json_array_size(rows); i++)
        append_line(text, columns, width, words, json_array_get(rows, i));
}

/* ------------------------------------------------------------------ Markdown and CSV */

static void append_markdown_cell(hl_text *text, const char *s)
{
    hl_text_append(text, " ");
    for (; *s; s++) {
        if (*s == '|')
            hl_text_append(text, "\\");
        hl_text_append_bytes(text, s, 1);
    }
    hl_text_append(text, " |");
}

/* RFC 4180: what has a comma, a quote or a line end stands in quotes, a quote in it twice. */
static void append_csv_cell(hl_text *text, const char *s)
{
    bool quoted = s[strcspn(s, ",\"\r\n")] != 0;
    hl_text_append(text, quoted ? "\"" : "");
    for (; *s; s++) {
        hl_text_append_bytes(text, s, 1);
        if (*s == '"')
            hl_text_append(text, "\"");
    }
    hl_text_append(text, quoted ? "\"" : "");
}

/* The header (row NULL), or a row. */
static void append_cells(hl_text *text, hl_format format, const hl_column *columns, const json_t *rows,
                         const json_t *row)
{
    hl_text_append(text, format == HL_AS_CSV ? "" : "|");
    for (const hl_column *k = columns; k->key; k++) {
        if (!is_shown(format, k, rows))
            continue;
        cell c = {.text = format == HL_AS_CSV ? k->key : k->title};
        if (row)
            read_cell(&c, format, k, row);
        if (format == HL_AS_CSV) {
            hl_text_append(text, k == columns ? "" : ",");
            append_csv_cell(text, c.text);
        } else {
            append_markdown_cell(text, c.text);
        }
    }
    hl_text_append(text, "\n");
}

void hl_table_append(hl_text *text, hl_format format, const hl_column *columns, const json_t *rows)
{
    HL_ASSERT(format != HL_AS_JSON);
    if (format == HL_AS_TEXT) {
        append_text(text, columns, rows);
        return;
    }
    append_cells(text, format, columns, rows, NULL);
    if (format == HL_AS_MARKDOWN) {
        hl_text_append(text, "|");
        for (const hl_column *k = columns; k->key; k++)
            if (is_shown(format, k, rows))
                hl_text_append(text, is_words(k, rows) ? "---|" : "--:|");
        hl_text_append(text, "\n");
    }
    for (size_t i = 0; i < json_array_size(rows); i++)
        append_cells(text, format, columns, rows, json_array_get(rows, i));
}
