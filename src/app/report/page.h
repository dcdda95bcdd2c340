/* The page under construction: its text, and what its parts have in common. */
#ifndef HL_APP_REPORT_PAGE_H
#define HL_APP_REPORT_PAGE_H

#include "app/report/units.h"
#include "base/json.h"

typedef struct hl_page {
    hl_text html;
    int charts; /* so far: their titles have ids */
    const json_t *result;
} hl_page;

/* ------------------------------------------------------------------ values */

/* NaN if it is not there or null. */
double hl_page_number(const json_t *object, const char *key);
/* "" likewise. */
const char *hl_page_string(const json_t *object, const char *key);
/* Why a value is null: what KEY_absent beside it says, or else otherwise. */
const char *hl_page_reason(const json_t *object, const char *key, const char *otherwise);

/* Text of the world. */
void hl_page_text(hl_page *p, const char *text);
/* The value with its unit; NaN is "not measured" and the reason; "": it is not known. */
void hl_page_quantity(hl_page *p, double value, hl_unit unit, const char *reason);
void hl_page_absent(hl_page *p, const char *reason);
/* Milliseconds as text. */
hl_digits hl_page_ms(double ms);
/* The quantity of a key. */
void hl_page_value(hl_page *p, const json_t *object, const char *key, hl_unit unit);

/* ------------------------------------------------------------------ facts and tables */

/* A list of facts: <dl class="facts">, then these, then </dl>. What the fact is comes between the two. */
void hl_page_fact(hl_page *p, const char *name);
void hl_page_fact_end(hl_page *p);
/* A fact that is a value. */
void hl_page_fact_value(hl_page *p, const char *name, const json_t *object, const char *key, hl_unit unit);

/* A table in a box of its own, which scrolls where the screen is narrower. Heads come between the first two,
 * rows after them. */
void hl_page_table_begin(hl_page *p, const char *caption);
void hl_page_table_body(hl_page *p);
/* Both, and heads: as many as sides has letters, words at the left (l), numbers at the right (r). */
void hl_page_table(hl_page *p, const char *caption, const char *sides, const char *const *heads);
void hl_page_table_end(hl_page *p);
/* A row begins with its name; key: the number it has in the chart beside, HL_NO_KEY: none. */
enum { HL_KEYS = 11, HL_NO_KEY = -1 }; /* as many colours as keys: style.c */
void hl_page_row(hl_page *p, const char *name, int key);
void hl_page_row_end(hl_page *p);
void hl_page_cell(hl_page *p, const json_t *object, const char *key, hl_unit unit);
void hl_page_cell_quantity(hl_page *p, double value, hl_unit unit, const char *reason);
void hl_page_cell_text(hl_page *p, const char *text);

/* ------------------------------------------------------------------ the parts */

extern const char *const hl_page_style[]; /* NULL ends it */
void hl_page_summary(hl_page *p);
/* The latencies of all phases in one chart. */
void hl_page_ranges(hl_page *p);
void hl_page_phase(hl_page *p, const json_t *phase, size_t index);
/* The latency of a phase's inference, or the step times of its training. */
void hl_page_times(hl_page *p, const json_t *run, bool training);
void hl_page_loss(hl_page *p, const json_t *training);
void hl_page_memory(hl_page *p, const json_t *memory);
void hl_page_memory_stack(hl_page *p, const json_t *memory);
void hl_page_system(hl_page *p, const json_t *system);

#endif
