#include "app/report/rows.h"

#include "base/memory.h"

#include <math.h>
#include <string.h>

/* Beyond this, sums and scales would no longer be finite. */
#define MOST 1e290

hl_rows hl_rows_read(const json_t *list, size_t columns, hl_text *html)
{
    hl_rows r = {json_array_size(list), columns, NULL};
    size_t count = 0;
    if (r.n && (!hl_size_mul(r.n, columns, &count) || !(r.at = hl_alloc(count, sizeof *r.at)))) {
        html->failed = true;
        r.n = 0;
    }
    for (size_t i = 0; i < r.n; i++)
        for (size_t c = 0; c < columns; c++) {
            const json_t *value = json_array_get(json_array_get(list, i), c);
            double v = json_is_number(value) ? json_number_value(value) : NAN;
            r.at[i * columns + c] = fabs(v) <= MOST ? v : NAN;
        }
    return r;
}

void hl_rows_free(hl_rows *r)
{
    hl_free(r->at);
    *r = (hl_rows){0};
}

double hl_rows_at(const hl_rows *r, size_t row, size_t column)
{
    return r->at[row * r->columns + column];
}

void hl_rows_scale(hl_rows *r, size_t from, size_t to, double factor)
{
    for (size_t i = 0; i < r->n; i++)
        for (size_t c = from; c < to; c++)
            r->at[i * r->columns + c] *= factor;
}

void hl_rows_stack(hl_rows *r, size_t from)
{
    for (size_t i = 0; i < r->n; i++) {
        double sum = 0;
        for (size_t c = from; c < r->columns; c++) {
            double *v = &r->at[i * r->columns + c];
            sum += *v > 0 ? *v : 0;
            *v = sum;
        }
    }
}

void hl_rows_thin(hl_rows *r, size_t most, size_t column)
{
    size_t group = (r->n + most - 1) / most, kept = 0;
    for (size_t i = 0; group > 1 && i < r->n; i += group) {
        size_t best = i;
        for (size_t k = i; k < i + group && k < r->n; k++)
            if (isnan(hl_rows_at(r, best, column)) || hl_rows_at(r, k, column) > hl_rows_at(r, best, column))
                best = k;
        memmove(r->at + kept++ * r->columns, r->at + best * r->columns, r->columns * sizeof *r->at);
    }
    r->n = group > 1 ? kept : r->n;
}

bool hl_rows_extent(const hl_rows *r, size_t column, double extent[2])
{
    bool any = false;
    for (size_t i = 0; i < r->n; i++) {
        double v = hl_rows_at(r, i, column);
        if (isnan(v) || isnan(hl_rows_at(r, i, 0)))
            continue;
        extent[0] = any ? fmin(extent[0], v) : v;
        extent[1] = any ? fmax(extent[1], v) : v;
        any = true;
    }
    return any;
}
