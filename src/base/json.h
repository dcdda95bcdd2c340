/* JSON is jansson's json_t, used directly; here is only what several callers need. */
#ifndef HL_BASE_JSON_H
#define HL_BASE_JSON_H

#include "base/text.h"
#include "hl.h"

#include <jansson.h>
#include <stdio.h>

/* A new real; NaN and infinities, which JSON cannot say, are null. NULL if there is no memory. */
json_t *hl_json_number(double value);

typedef enum hl_json_style {
    HL_JSON_LINE,   /* one line and its end: an entry of a JSONL file */
    HL_JSON_PRETTY, /* indented by two */
    HL_JSON_COMPACT /* no spaces and no line end: within another format */
} hl_json_style;

/* Appends value, and a line end. Members stay in the order of insertion; reals have 12 digits. A NULL
 * value (what jansson's constructors return without memory) makes text fail. */
void hl_json_append(hl_text *text, const json_t *value, hl_json_style style);
/* Prints it, indented, and flushes. HL_ERR_IO, HL_ERR_MEMORY. */
hl_status hl_json_print(FILE *to, const json_t *value, hl_error *err);

/* An object or array; a key twice in an object is an error. name stands in the message
 * ("NAME:LINE:COLUMN: ..."). NULL on error: HL_ERR_DATA, HL_ERR_MEMORY. json_decref when done. */
json_t *hl_json_parse(const char *text, size_t size, const char *name, hl_error *err);

#endif
