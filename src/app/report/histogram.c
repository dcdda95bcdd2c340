#include "app/report/times.h"

#include <math.h>
#include <stdio.h>

enum { LOW, HIGH, COUNT, BIN }; /* a row: ms, ms, runs */
enum { COLUMNS_LEAST = 12, COLUMNS_MOST = 90 };

typedef struct histogram {
    hl_unit_scale scale;
    hl_axis x; /* in the scale's unit; its places are columns */
    int columns;
    double column[COLUMNS_MOST], fullest; /* runs in each, and in the fullest */
    hl_mark marks[3];
    int n_marks;
} histogram;

static bool is_bin(const hl_rows *bins, size_t i)
{
    double low = hl_rows_at(bins, i, LOW);
    return hl_rows_at(bins, i, COUNT) > 0 && low >= 0 && low <= hl_rows_at(bins, i, HIGH);
}

/* A bin that begins at 0 is drawn from half its end: a log axis has no 0. */
static double low_of(const hl_rows *bins, size_t i)
{
    double low = hl_rows_at(bins, i, LOW);
    return low > 0 ? low : hl_rows_at(bins, i, HIGH) / 2;
}

static bool bins_extent(const hl_rows *bins, double extent[2])
{
    bool any = false;
    for (size_t i = 0; i < bins->n; i++) {
        if (!is_bin(bins, i))
            continue;
        extent[0] = any ? fmin(extent[0], low_of(bins, i)) : low_of(bins, i);
        extent[1] = any ? fmax(extent[1], hl_rows_at(bins, i, HIGH)) : hl_rows_at(bins, i, HIGH);
        any = true;
    }
    return any;
}

/* As many as the widest bin allows: what happened within a bin is not known. */
static int count_columns(const hl_rows *bins, const hl_axis *whole)
{
    double widest = 0;
    for (size_t i = 0; i < bins->n; i++)
        if (is_bin(bins, i))
            widest = fmax(widest, hl_axis_place(whole, hl_rows_at(bins, i, HIGH)) -
                                      hl_axis_place(whole, low_of(bins, i)));
    return (int)fmin(fmax(widest > 0 ? 1 / widest : COLUMNS_MOST, COLUMNS_LEAST), COLUMNS_MOST);
}

/* Bins are of many widths, columns of one: the runs of a bin are spread over the columns it covers. */
static void fill_columns(histogram *h, const hl_rows *bins)
{
    for (size_t i = 0; i < bins->n; i++) {
        if (!is_bin(bins, i))
            continue;
        double from = hl_axis_place(&h->x, low_of(bins, i));
        double to = hl_axis_place(&h->x, hl_rows_at(bins, i, HIGH)), count = hl_rows_at(bins, i, COUNT);
        int first = (int)fmin(fmax(from, 0), h->columns - 1), last = (int)fmin(fmax(to, 0), h->columns - 1);
        for (int c = first; c <= last; c++)
            h->column[c] += first == last ? count : count * (fmin(to, c + 1) - fmax(from, c)) / (to - from);
    }
    for (int c = 0; c < h->columns; c++)
        h->fullest = fmax(h->fullest, h->column[c]);
}

static void add_mark(histogram *h, const char *name, double ms, const char *style)
{
    hl_mark *m = &h->marks[h->n_marks];
    *m = (hl_mark){ms * h->scale.factor, style, ""};
    snprintf(m->label, sizeof m->label, "%s %s", name, hl_quantity_of(ms, HL_UNIT_MS).shown.text);
    h->n_marks += !isnan(ms);
}

/* false: there is no run in it. */
static bool count_runs(histogram *h, hl_rows *bins, const hl_times *t)
{
    double ms[2];
    if (!bins_extent(bins, ms))
        return false;
    double p50 = hl_page_number(t->latency, "p50"), deadline = hl_times_deadline_near(t, ms[1]);
    bool long_tail = ms[1] > 3 * p50 && ms[0] > 0;
    h->scale = hl_unit_scale_of(ms[1], HL_UNIT_MS);
    hl_rows_scale(bins, LOW, COUNT, h->scale.factor);
    double low = ms[0] * h->scale.factor,
           high = fmax(ms[1], isnan(deadline) ? 0 : deadline) * h->scale.factor;
    h->x = hl_axis_new(low, high, long_tail, false, 1, 0, 1);
    h->columns = count_columns(bins, &h->x);
    h->x.to = h->columns;
    fill_columns(h, bins);
    add_mark(h, "p50", p50, "ink");
    add_mark(h, "p99", hl_page_number(t->latency, "p99"), "ink");
    add_mark(h, "deadline", deadline, "late");
    return true;
}

static double value_at(const hl_axis *a, double place)
{
    double part = place / a->to;
    return a->log ? a->low * pow(a->high / a->low, part) : a->low + (a->high - a->low) * part;
}

static void append_columns(hl_figure *f, const histogram *h, const char *runs)
{
    double width = (f->x.to - f->x.from) / h->columns;
    for (int c = 0; c < h->columns; c++) {
        if (!(h->column[c] > 0))
            continue;
        /* One run among thousands is what a tail is made of: it can be seen, whatever the scale. */
        double height = fmax(1.5, f->y.from - hl_axis_place(&f->y, h->column[c]));
        hl_text_appendf(&f->page->html,
                        "<path class=\"area k0\" d=\"M%.1f %.1fv-%.1fh%.1fv%.1fz\"><title>%.3g to %.3g %s: "
                        "%.0f %s</title></path>\n",
                        f->x.from + c * width, f->y.from, height, width - 0.5, height, value_at(&h->x, c),
                        value_at(&h->x, c + 1), h->scale.unit, fmax(1, h->column[c]), runs);
    }
}

static void draw(hl_page *p, const histogram *h, const hl_times *t)
{
    char about[256];
    snprintf(about, sizeof about,
             "How many %s took how long. Half took less than %s, 99%% less than %s, all %s or less.", t->runs,
             hl_page_ms(hl_page_number(t->latency, "p50")).text,
             hl_page_ms(hl_page_number(t->latency, "p99")).text,
             hl_page_ms(hl_page_number(t->latency, "max")).text);
    hl_figure_begin(p, t->histogram);
    hl_figure f = hl_figure_plot(p, &(hl_figure_frame){.title = t->histogram,
                                                       .about = about,
                                                       .x_unit = h->scale.unit,
                                                       .y_unit = t->runs,
                                                       .x = {h->x.low, h->x.high},
                                                       .y = {0, fmax(5, h->fullest)},
                                                       .log_x = h->x.log,
                                                       .notes = h->n_marks});
    append_columns(&f, h, t->runs);
    hl_figure_marks(&f, h->marks, h->n_marks);
    hl_text_append(&p->html, "</svg>\n");
    hl_figure_end(p);
}

void hl_times_histogram(hl_page *p, const hl_times *t)
{
    hl_rows bins = hl_rows_read(json_object_get(t->run, "histogram"), BIN, &p->html);
    histogram h = {0};
    if (count_runs(&h, &bins, t))
        draw(p, &h, t);
    else
        hl_figure_nothing(p, t->histogram, hl_page_reason(t->run, "histogram", "No run was recorded."));
    hl_rows_free(&bins);
}
