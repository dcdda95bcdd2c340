/* How long runs took: their distribution, over time, and what the time went to. */
#include "app/report/figure.h"

#include <math.h>
#include <stdio.h>

/* What differs between the runs of an inference and the steps of a training. */
typedef struct kind {
    const char *latency, *runs; /* a key of the result, and the word for what is counted */
    const char *histogram, *timeline, *split;
} kind;

static const kind kinds[] = {
    {"latency_ms", "runs", "Latency", "Latency over time", "What an inference spends its time on"},
    {"step_ms", "steps", "Step time", "Step time over time", "What a training step spends its time on"}};

/* A deadline is drawn where it does not press the rest together. */
static double deadline_near(const json_t *run, double most)
{
    double deadline = hl_page_number(run, "deadline_ms");
    return deadline <= 4 * most ? deadline : NAN;
}

static hl_digits shown_ms(double ms)
{
    return hl_quantity_of(ms, HL_UNIT_MS).shown;
}

static hl_digits shown(const json_t *latency, const char *key)
{
    return shown_ms(hl_page_number(latency, key));
}

/* ------------------------------------------------------------------ histogram */

enum { LOW, HIGH, COUNT, BIN };
enum { COLUMNS = 64 };

static bool is_bin(const hl_rows *bins, size_t i)
{
    return hl_rows_at(bins, i, COUNT) > 0 && hl_rows_at(bins, i, LOW) <= hl_rows_at(bins, i, HIGH);
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

/* Bins are of many widths, columns of one: the runs of a bin are spread over the columns it covers. */
static void fill_columns(const hl_rows *bins, const hl_axis *unit, double column[COLUMNS])
{
    for (size_t i = 0; i < bins->n; i++) {
        if (!is_bin(bins, i))
            continue;
        double from = hl_axis_place(unit, low_of(bins, i)),
               to = hl_axis_place(unit, hl_rows_at(bins, i, HIGH));
        int first = (int)fmin(fmax(from, 0), COLUMNS - 1), last = (int)fmin(fmax(to, 0), COLUMNS - 1);
        double count = hl_rows_at(bins, i, COUNT);
        if (first == last)
            column[first] += count;
        else
            for (int c = first; c <= last; c++)
                column[c] += count * (fmin(to, c + 1) - fmax(from, c)) / (to - from);
    }
}

static double value_at(const hl_axis *a, double part)
{
    return a->log ? a->low * pow(a->high / a->low, part) : a->low + (a->high - a->low) * part;
}

static void append_columns(hl_figure *f, const double column[COLUMNS], const char *unit, const char *runs)
{
    double width = (f->x.to - f->x.from) / COLUMNS;
    for (int c = 0; c < COLUMNS; c++) {
        if (!(column[c] > 0))
            continue;
        /* One run among thousands is what a tail is made of: it can be seen, whatever the scale. */
        double height = fmax(1.5, f->y.from - hl_axis_place(&f->y, column[c]));
        hl_text_appendf(
            &f->page->html,
            "<path class=\"area k0\" d=\"M%.1f %.1fv-%.1fh%.1fv%.1fz\"><title>%.3g to %.3g %s: %.0f "
            "%s</title></path>\n",
            f->x.from + c * width, f->y.from, height, width - 0.6, height,
            value_at(&f->x, (double)c / COLUMNS), value_at(&f->x, (c + 1.0) / COLUMNS), unit,
            fmax(1, column[c]), runs);
    }
}

typedef struct histogram {
    double x[2]; /* in the scale's unit, as all below */
    hl_unit_scale scale;
    bool log;
    double column[COLUMNS], most; /* runs in each, and in the fullest */
    hl_mark marks[3];
    int n_marks;
} histogram;

static void add_mark(histogram *h, const char *name, double ms, const char *style)
{
    hl_mark *m = &h->marks[h->n_marks];
    *m = (hl_mark){ms * h->scale.factor, style, ""};
    snprintf(m->label, sizeof m->label, "%s %s", name, hl_quantity_of(ms, HL_UNIT_MS).shown.text);
    h->n_marks += !isnan(ms);
}

/* false: there is no run in it. */
static bool count_runs(histogram *h, hl_rows *bins, const json_t *run, const json_t *latency)
{
    double ms[2];
    if (!bins_extent(bins, ms))
        return false;
    double p50 = hl_page_number(latency, "p50"), deadline = deadline_near(run, ms[1]);
    h->scale = hl_unit_scale_of(ms[1], HL_UNIT_MS);
    h->x[0] = ms[0] * h->scale.factor;
    h->x[1] = fmax(ms[1], isnan(deadline) ? 0 : deadline) * h->scale.factor;
    hl_rows_scale(bins, LOW, COUNT, h->scale.factor);
    bool long_tail = ms[1] > 3 * p50 && h->x[0] > 0;
    hl_axis unit = hl_axis_new(h->x[0], h->x[1], long_tail, false, 1, 0, COLUMNS);
    h->log = unit.log;
    fill_columns(bins, &unit, h->column);
    for (int c = 0; c < COLUMNS; c++)
        h->most = fmax(h->most, h->column[c]);
    add_mark(h, "p50", p50, "ink");
    add_mark(h, "p99", hl_page_number(latency, "p99"), "ink");
    add_mark(h, "deadline", deadline, "late");
    return true;
}

static void append_histogram(hl_page *p, const json_t *run, const kind *k)
{
    const json_t *latency = json_object_get(run, k->latency);
    hl_rows bins = hl_rows_read(json_object_get(run, "histogram"), BIN, &p->html);
    histogram h = {0};
    if (count_runs(&h, &bins, run, latency)) {
        char about[256];
        snprintf(about, sizeof about,
                 "How many %s took how long. Half took less than %s, 99%% less than %s, all %s or less.",
                 k->runs, shown(latency, "p50").text, shown(latency, "p99").text, shown(latency, "max").text);
        hl_figure_begin(p, k->histogram);
        hl_figure f = hl_figure_plot(p, &(hl_figure_frame){.title = k->histogram,
                                                           .about = about,
                                                           .x_unit = h.scale.unit,
                                                           .y_unit = k->runs,
                                                           .x = {h.x[0], h.x[1]},
                                                           .y = {0, h.most},
                                                           .log_x = h.log,
                                                           .notes = h.n_marks});
        append_columns(&f, h.column, h.scale.unit, k->runs);
        hl_figure_marks(&f, h.marks, h.n_marks);
        hl_text_append(&p->html, "</svg>\n");
        hl_figure_end(p);
    } else {
        hl_figure_nothing(p, k->histogram, hl_page_reason(run, "histogram", "No run was recorded."));
    }
    hl_rows_free(&bins);
}

/* ------------------------------------------------------------------ over time */

enum { SECONDS, MEDIAN, MOST, RUNS, MOMENT };

/* Moments without a run have no latency. */
static hl_rows read_moments(const json_t *list, hl_text *html)
{
    hl_rows r = hl_rows_read(list, MOMENT, html);
    for (size_t i = 0; i < r.n; i++)
        if (hl_rows_at(&r, i, RUNS) <= 0)
            r.at[i * MOMENT + MEDIAN] = r.at[i * MOMENT + MOST] = NAN;
    hl_rows_thin(&r, HL_FIGURE_WIDTH, MOST);
    return r;
}

static void draw_timeline(hl_page *p, const json_t *run, const kind *k, hl_rows *moments)
{
    double seconds[2] = {0, 0}, median[2] = {0, 0}, most[2] = {0, 0};
    hl_rows_extent(moments, SECONDS, seconds);
    hl_rows_extent(moments, MEDIAN, median);
    hl_rows_extent(moments, MOST, most);
    double deadline = deadline_near(run, most[1]);
    hl_unit_scale scale = hl_unit_scale_of(most[1], HL_UNIT_MS);
    hl_rows_scale(moments, MEDIAN, RUNS, scale.factor);
    bool spikes = most[1] > 20 * median[1] && median[0] > 0;
    char about[256], unit[32];
    snprintf(about, sizeof about, "Median between %s and %s, greatest %s.", shown_ms(median[0]).text,
             shown_ms(median[1]).text, shown_ms(most[1]).text);
    snprintf(unit, sizeof unit, "%s%s", scale.unit, spikes ? ", logarithmic" : "");
    hl_figure_begin(p, k->timeline);
    hl_figure f = hl_figure_plot(
        p, &(hl_figure_frame){.title = k->timeline,
                              .about = about,
                              .x_unit = "seconds",
                              .y_unit = unit,
                              .x = {fmin(0, seconds[0]), seconds[1]},
                              .y = {spikes ? median[0] * scale.factor : 0,
                                    fmax(most[1], isnan(deadline) ? 0 : deadline) * scale.factor},
                              .log_y = spikes});
    hl_figure_area(&f, moments, MOST, "k4 faint");
    hl_figure_area(&f, moments, MEDIAN, "k0 faint");
    hl_figure_line(&f, moments, MOST, "k4");
    hl_figure_line(&f, moments, MEDIAN, "k0 strong");
    hl_figure_level(&f, deadline * scale.factor, "late");
    hl_text_append(&p->html, "</svg>\n<ul class=\"keys\">");
    hl_figure_key(p, "k4", "greatest", most[1], HL_UNIT_MS);
    hl_figure_key(p, "k0", "median", hl_page_number(json_object_get(run, k->latency), "p50"), HL_UNIT_MS);
    if (!isnan(deadline))
        hl_figure_key(p, "late", "deadline", deadline, HL_UNIT_MS);
    hl_text_append(&p->html, "</ul>\n");
    hl_figure_end(p);
}

static void append_timeline(hl_page *p, const json_t *run, const kind *k)
{
    double most[2];
    hl_rows moments = read_moments(json_object_get(run, "timeline"), &p->html);
    if (hl_rows_extent(&moments, MOST, most))
        draw_timeline(p, run, k, &moments);
    else
        hl_figure_nothing(p, k->timeline, hl_page_reason(run, "timeline", "No run was recorded."));
    hl_rows_free(&moments);
}

/* ------------------------------------------------------------------ split */

static double sum_of_means(const json_t *split)
{
    double sum = 0;
    for (size_t i = 0; i < json_array_size(split); i++)
        sum += fmax(0, hl_page_number(json_array_get(split, i), "mean")); /* of a NaN it is 0 */
    return sum;
}

static void draw_parts(hl_page *p, const json_t *split, double sum, const char *title)
{
    enum { BAR = 30, EDGE = 8 };
    hl_unit_scale scale = hl_unit_scale_of(sum, HL_UNIT_MS);
    hl_axis x = hl_axis_new(0, sum * scale.factor, false, false, 6, EDGE, HL_FIGURE_WIDTH - EDGE);
    char about[256];
    snprintf(about, sizeof about, "The parts of %s on average, one after the other; the table names them.",
             shown_ms(sum).text);
    hl_figure_svg(p, title, about, BAR + 8 + HL_FIGURE_BELOW);
    hl_figure_x_axis(p, &x, 4, BAR + 8, scale.unit);
    double before = 0;
    for (size_t i = 0; i < json_array_size(split); i++) {
        double mean = fmax(0, hl_page_number(json_array_get(split, i), "mean")) * scale.factor;
        double from = hl_axis_place(&x, before), to = hl_axis_place(&x, before + mean);
        hl_text_appendf(&p->html, "<path class=\"area k%zu\" d=\"M%.1f 6H%.1fv%dH%.1fz\"/>\n", i % HL_KEYS,
                        from, to, BAR, from);
        if (to - from > 16)
            hl_text_appendf(&p->html,
                            "<text class=\"number\" x=\"%.1f\" y=\"26\" text-anchor=\"middle\">%zu</text>\n",
                            (from + to) / 2, i + 1);
        before += mean;
    }
    hl_text_append(&p->html, "</svg>\n");
}

static void append_split(hl_page *p, const json_t *run, const kind *k)
{
    const json_t *split = json_object_get(run, "split_ms");
    const char *const heads[] = {"part", "mean", "share", "p50", "p99", NULL};
    double sum = sum_of_means(split);
    if (!json_array_size(split)) {
        hl_figure_nothing(p, k->split, hl_page_reason(run, "split_ms", "It was not measured."));
        return;
    }
    hl_figure_begin(p, k->split);
    if (sum > 0 && isfinite(sum))
        draw_parts(p, split, sum, k->split);
    hl_page_table(p, "Milliseconds of each part", heads);
    for (size_t i = 0; i < json_array_size(split); i++) {
        const json_t *part = json_array_get(split, i);
        hl_page_row(p, hl_page_string(part, "name"), (int)i);
        hl_page_cell(p, part, "mean", HL_UNIT_MS);
        hl_page_cell_quantity(p, sum > 0 ? hl_page_number(part, "mean") / sum : NAN, HL_UNIT_FRACTION,
                              "there is no mean");
        hl_page_cell(p, part, "p50", HL_UNIT_MS);
        hl_page_cell(p, part, "p99", HL_UNIT_MS);
        hl_page_row_end(p);
    }
    hl_page_table_end(p);
    hl_figure_end(p);
}

void hl_page_times(hl_page *p, const json_t *run, bool training)
{
    const kind *k = &kinds[training];
    append_histogram(p, run, k);
    append_timeline(p, run, k);
    append_split(p, run, k);
}

/* ------------------------------------------------------------------ loss */

void hl_page_loss(hl_page *p, const json_t *training)
{
    enum { ITERATION, LOSS, POINT };
    hl_rows points = hl_rows_read(json_object_get(training, "loss"), POINT, &p->html);
    double x[2], y[2];
    if (!hl_rows_extent(&points, LOSS, y) || !hl_rows_extent(&points, ITERATION, x)) {
        hl_figure_nothing(p, "Loss", hl_page_reason(training, "loss", "No loss was recorded."));
        hl_rows_free(&points);
        return;
    }
    char about[256];
    snprintf(about, sizeof about, "Loss from %s to %s.", hl_quantity_of(y[0], HL_UNIT_NONE).shown.text,
             hl_quantity_of(y[1], HL_UNIT_NONE).shown.text);
    bool decades = y[0] > 0 && y[1] > 30 * y[0];
    hl_figure_begin(p, "Loss");
    hl_figure f = hl_figure_plot(p, &(hl_figure_frame){.title = "Loss",
                                                       .about = about,
                                                       .x_unit = "iteration",
                                                       .y_unit = decades ? "loss, logarithmic" : "loss",
                                                       .x = {x[0], x[1]},
                                                       .y = {decades ? y[0] : fmin(0, y[0]), y[1]},
                                                       .log_y = decades});
    hl_figure_line(&f, &points, LOSS, "k0 strong");
    hl_text_append(&p->html, "</svg>\n");
    hl_figure_end(p);
    hl_rows_free(&points);
}
