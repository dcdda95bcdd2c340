#include "base/timeline.h"

#include "base/error.h"
#include "base/memory.h"

#include <math.h>

/* One column of one row. n 0: no value yet. */
typedef struct cell {
    double value; /* the summary itself */
    uint64_t n;
    double latest; /* time of the latest value */
} cell;

/* Row i holds the times from i to i + 1 spans. Its column 0 is the mean of the times, as of any column. */
struct hl_timeline {
    int columns, rows; /* with the time's */
    int used;          /* rows from here on are empty */
    double span, first_span;
    uint64_t added;
    hl_summary *summary;
    cell *cells; /* [rows, columns] */
};

hl_timeline *hl_timeline_new(int columns, const hl_summary *summary, int rows, double span)
{
    size_t cells;
    HL_ASSERT(columns >= 1 && rows >= 2 && rows % 2 == 0 && span > 0 && isfinite(span));
    hl_timeline *t = hl_alloc(1, sizeof *t);
    if (!t)
        return NULL;
    *t = (hl_timeline){.columns = columns + 1, .rows = rows, .span = span, .first_span = span};
    t->summary = hl_alloc((size_t)columns + 1, sizeof *t->summary);
    if (hl_size_mul((size_t)columns + 1, (size_t)rows, &cells))
        t->cells = hl_alloc(cells, sizeof *t->cells);
    if (!t->summary || !t->cells) {
        hl_timeline_free(t);
        return NULL;
    }
    t->summary[0] = HL_SUMMARY_MEAN;
    for (int c = 0; c < columns; c++)
        t->summary[c + 1] = summary[c];
    return t;
}

void hl_timeline_free(hl_timeline *t)
{
    if (!t)
        return;
    hl_free(t->summary);
    hl_free(t->cells);
    hl_free(t);
}

static cell *row_at(const hl_timeline *t, int row)
{
    return t->cells + (size_t)row * (size_t)t->columns;
}

static void clear_row(hl_timeline *t, int row)
{
    for (int c = 0; c < t->columns; c++)
        row_at(t, row)[c] = (cell){0};
}

void hl_timeline_clear(hl_timeline *t)
{
    for (int i = 0; i < t->used; i++)
        clear_row(t, i);
    t->used = 0;
    t->added = 0;
    t->span = t->first_span;
}

/* A value that is added is a cell of one value: adding and merging are the same. */
static void join(cell *a, const cell *b, hl_summary summary)
{
    if (!b->n)
        return;
    if (!a->n) {
        *a = *b;
        return;
    }
    if (summary == HL_SUMMARY_MEAN)
        a->value += (b->value - a->value) * ((double)b->n / (double)(a->n + b->n));
    else if (summary == HL_SUMMARY_MAX)
        a->value = fmax(a->value, b->value);
    else if (summary == HL_SUMMARY_SUM)
        a->value += b->value;
    else if (b->latest >= a->latest)
        a->value = b->value;
    a->n += b->n;
    a->latest = fmax(a->latest, b->latest);
}

static void halve(hl_timeline *t)
{
    for (int i = 0; i < t->used; i++) {
        cell *from = row_at(t, i), *to = row_at(t, i / 2);
        if (from != to) {
            if (i % 2 == 0) /* what was there has moved already */
                clear_row(t, i / 2);
            for (int c = 0; c < t->columns; c++)
                join(&to[c], &from[c], t->summary[c]);
        }
    }
    for (int i = (t->used + 1) / 2; i < t->used; i++)
        clear_row(t, i);
    t->used = (t->used + 1) / 2;
    t->span *= 2;
}

void hl_timeline_add(hl_timeline *t, double seconds, const double *values)
{
    HL_ASSERT(seconds >= 0 && isfinite(seconds));
    while (seconds / t->span >= t->rows)
        halve(t);
    int row = (int)(seconds / t->span);
    t->used = row < t->used ? t->used : row + 1;
    t->added++;
    for (int c = 0; c < t->columns; c++) {
        double value = c ? values[c - 1] : seconds;
        const cell one = {value, !isnan(value), seconds};
        join(&row_at(t, row)[c], &one, t->summary[c]);
    }
}

void hl_timeline_merge(hl_timeline *to, const hl_timeline *from)
{
    HL_ASSERT(to->columns == from->columns && to->rows == from->rows && to->first_span == from->first_span);
    while (to->span < from->span)
        halve(to);
    const int ratio = (int)(to->span / from->span); /* a power of two */
    for (int i = 0; i < from->used; i++)
        for (int c = 0; c < to->columns; c++)
            join(&row_at(to, i / ratio)[c], &row_at(from, i)[c], to->summary[c]);
    const int used = (from->used + ratio - 1) / ratio;
    to->used = to->used > used ? to->used : used;
    to->added += from->added;
}

int hl_timeline_rows(const hl_timeline *t)
{
    return t->used;
}

static double value_at(const hl_timeline *t, int row, int column)
{
    HL_ASSERT(row >= 0 && row < t->used && column >= 0 && column < t->columns);
    const cell *c = &row_at(t, row)[column];
    return c->n ? c->value : NAN;
}

double hl_timeline_seconds(const hl_timeline *t, int row)
{
    return value_at(t, row, 0);
}

double hl_timeline_value(const hl_timeline *t, int row, int column)
{
    return value_at(t, row, column + 1);
}

uint64_t hl_timeline_added(const hl_timeline *t)
{
    return t->added;
}

json_t *hl_timeline_json(const hl_timeline *t)
{
    json_t *rows = json_array();
    bool whole = rows != NULL;
    for (int i = 0; i < t->used && whole; i++) {
        if (!row_at(t, i)->n)
            continue;
        json_t *row = json_array();
        for (int c = 0; c < t->columns && whole; c++)
            whole = json_array_append_new(row, hl_json_number(value_at(t, i, c))) == 0;
        whole = json_array_append_new(rows, row) == 0 && whole;
    }
    if (whole)
        return rows;
    json_decref(rows);
    return NULL;
}
