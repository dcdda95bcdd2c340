/* Rows of numbers of a result, as a chart reads them. */
#ifndef HL_APP_REPORT_ROWS_H
#define HL_APP_REPORT_ROWS_H

#include "base/json.h"

typedef struct hl_rows {
    size_t n, columns;
    double *at; /* [n][columns]; NaN: null, or too large to be drawn */
} hl_rows;

/* A JSON list of rows, each of that many columns; null is no rows. Without memory there are none, and html
 * fails. */
hl_rows hl_rows_read(const json_t *list, size_t columns, hl_text *html);
void hl_rows_free(hl_rows *r);
double hl_rows_at(const hl_rows *r, size_t row, size_t column);
/* Multiplies the columns from..to-1. */
void hl_rows_scale(hl_rows *r, size_t from, size_t to, double factor);
/* Makes each column from one on the sum of itself and those before it, from there on; null and negative
 * values add nothing. */
void hl_rows_stack(hl_rows *r, size_t from);
/* Leaves at most so many rows: of those that become one, the one with the greatest value in a column. */
void hl_rows_thin(hl_rows *r, size_t most, size_t column);

/* Least and greatest value of a column; false: there is none. */
bool hl_rows_extent(const hl_rows *r, size_t column, double extent[2]);

#endif
