/* Values over time in fixed memory, however long it takes: a row holds a span of time, and when the rows are
 * used up the spans double and neighbours become one. Rows added at random or regularly are both fine. One
 * thread at a time. */
#ifndef HL_BASE_TIMELINE_H
#define HL_BASE_TIMELINE_H

#include "base/json.h"
#include "hl.h"

typedef struct hl_timeline hl_timeline;

/* What a column tells of the values within a row's span. */
typedef enum hl_summary {
    HL_SUMMARY_MEAN,
    HL_SUMMARY_MAX,
    HL_SUMMARY_SUM,
    HL_SUMMARY_LAST, /* the latest one */
} hl_summary;

/* rows: 2 or more, even. span: seconds that a row holds at first, above 0. NULL if there is no memory; none
 * is asked for later. */
hl_timeline *hl_timeline_new(int columns, const hl_summary *summary, int rows, double span);
void hl_timeline_free(hl_timeline *t);
/* Forgets all rows; the span is again the first one. */
void hl_timeline_clear(hl_timeline *t);

/* A value per column, at a time of 0 or more (earlier ones may come later). NaN is no value: the column stays
 * as it is. */
void hl_timeline_add(hl_timeline *t, double seconds, const double *values);

/* Adds all that another one has, of the same columns, rows and first span; as exact as the longer rows of the
 * two let it be. */
void hl_timeline_merge(hl_timeline *to, const hl_timeline *from);

/* Rows so far, at most as many as there are. */
int hl_timeline_rows(const hl_timeline *t);
/* Of one of them: the mean time of what was added, and each column's summary; NaN if nothing was. */
double hl_timeline_seconds(const hl_timeline *t, int row);
double hl_timeline_value(const hl_timeline *t, int row, int column);
/* How often something was added, to all rows. */
uint64_t hl_timeline_added(const hl_timeline *t);

/* [[seconds, value, ...], ...] of the rows with something in them, a new reference; NaN is null. NULL if
 * there is no memory. */
json_t *hl_timeline_json(const hl_timeline *t);

#endif
