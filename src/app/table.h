/* Rows as a table to read, as CSV, or as Markdown. */
#ifndef HL_APP_TABLE_H
#define HL_APP_TABLE_H

#include "base/json.h"

typedef enum hl_format { HL_AS_TEXT, HL_AS_JSON, HL_AS_CSV, HL_AS_MARKDOWN, HL_FORMATS } hl_format;

/* False: there is no format of that name. */
bool hl_format_named(const char *name, hl_format *format);

/* One column: which member of a row it shows, and how. */
typedef struct hl_column {
    const char *key;   /* NULL ends a list; the header of CSV, where values stand as they are */
    const char *title; /* the header for people; NULL: they are not shown it */
    int decimals;      /* of numbers; -1: as many as the number has */
    double unit;       /* what people see is the number divided by it; 0: 1 */
    const char *usual; /* people are not shown a column in which every cell is this; NULL: always */
} hl_column;

/* Appends a table of rows, an array of objects. What a row does not have, or has as null, is "-", in CSV
 * nothing. format is not HL_AS_JSON. */
void hl_table_append(hl_text *text, hl_format format, const hl_column *columns, const json_t *rows);

#endif
