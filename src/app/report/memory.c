/* Every byte of a phase: over time, planned against measured, and the largest tensors. */
#include "app/report/figure.h"

#include "base/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ------------------------------------------------------------------ over time */

/* The categories stacked on each other, and RSS as a line. */
typedef struct stack {
    hl_rows rows; /* seconds, then for each category the bytes of it and of those below */
    hl_rows rss;  /* seconds, bytes */
    const json_t *names;
    double seconds, most;
} stack;

/* How much of a category there is: what its row adds to that below. */
static double most_of(const hl_rows *rows, size_t category)
{
    double most = 0;
    for (size_t i = 0; i < rows->n; i++)
        most = fmax(most, hl_rows_at(rows, i, category + 1) - (category ? hl_rows_at(rows, i, category) : 0));
    return most;
}

static stack read_stack(const json_t *memory, hl_text *html)
{
    const json_t *categories = json_object_get(memory, "timeline_categories");
    stack s = {.names = json_object_get(categories, "names")};
    double x[2] = {0, 0}, y[2] = {0, 0};
    s.rows = hl_rows_read(json_object_get(categories, "rows"), json_array_size(s.names) + 1, html);
    s.rss = hl_rows_read(json_object_get(memory, "timeline"), 2, html);
    hl_rows_stack(&s.rows, 1);
    hl_rows_thin(&s.rows, HL_FIGURE_MOMENTS, s.rows.columns - 1);
    if (hl_rows_extent(&s.rows, s.rows.columns - 1, y) && hl_rows_extent(&s.rows, 0, x)) {
        s.most = y[1];
        s.seconds = x[1];
    }
    if (hl_rows_extent(&s.rss, 1, y) && hl_rows_extent(&s.rss, 0, x)) {
        s.most = fmax(s.most, y[1]);
        s.seconds = fmax(s.seconds, x[1]);
    }
    return s;
}

/* A number in the thickest place of each area that has room for one. */
static void append_numbers(hl_figure *f, const stack *s)
{
    for (size_t c = 0; c < json_array_size(s->names); c++) {
        double room = 0, x = 0, y = 0;
        for (size_t i = 0; i < s->rows.n; i++) {
            double at = hl_axis_place(&f->x, hl_rows_at(&s->rows, i, 0));
            double top = hl_axis_place(&f->y, hl_rows_at(&s->rows, i, c + 1));
            double bottom = c ? hl_axis_place(&f->y, hl_rows_at(&s->rows, i, c)) : f->y.from;
            /* Of places as good, the one nearest to the middle. */
            bool nearer = fabs(at - HL_FIGURE_WIDTH / 2.0) < fabs(x - HL_FIGURE_WIDTH / 2.0);
            if (isnan(at))
                continue;
            if (bottom - top > room + 1 || (bottom - top > room - 1 && nearer)) {
                room = bottom - top;
                x = at;
                y = (top + bottom) / 2;
            }
        }
        if (room >= 12)
            hl_text_appendf(
                &f->page->html,
                "<text class=\"number\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%zu</text>\n", x, y + 4,
                c + 1);
    }
}

/* From the top down, as the areas lie. */
static void append_keys(hl_page *p, const stack *s)
{
    double rss[2];
    hl_text_append(&p->html, "<ul class=\"keys\">");
    if (hl_rows_extent(&s->rss, 1, rss))
        hl_figure_key(p, "ink", "RSS", rss[1], HL_UNIT_BYTES);
    for (size_t c = json_array_size(s->names); c-- > 0;) {
        char style[16];
        double most = most_of(&s->rows, c);
        if (most <= 0)
            continue;
        snprintf(style, sizeof style, "k%zu", c % HL_KEYS);
        hl_text_appendf(&p->html, "<li><span class=\"key %s\"></span>%zu ", style, c + 1);
        hl_page_text(p, json_string_value(json_array_get(s->names, c)));
        hl_text_append(&p->html, " <b>");
        hl_page_quantity(p, most, HL_UNIT_BYTES, "");
        hl_text_append(&p->html, "</b></li>\n");
    }
    hl_text_append(&p->html, "</ul>\n");
}

static void draw_stack(hl_page *p, stack *s)
{
    static const char title[] = "Memory over time, by category";
    hl_unit_scale scale = hl_unit_scale_of(s->most, HL_UNIT_BYTES);
    char about[256];
    snprintf(about, sizeof about, "At most %s; the keys below give the most of each category.",
             hl_quantity_of(s->most, HL_UNIT_BYTES).shown.text);
    hl_figure_begin(p, title);
    hl_rows_scale(&s->rows, 1, s->rows.columns, scale.factor);
    hl_rows_scale(&s->rss, 1, 2, scale.factor);
    hl_figure f = hl_figure_plot(p, &(hl_figure_frame){.title = title,
                                                       .about = about,
                                                       .x_unit = "seconds",
                                                       .y_unit = scale.unit,
                                                       .x = {0, s->seconds},
                                                       .y = {0, s->most * scale.factor}});
    for (size_t c = json_array_size(s->names);
         c-- > 0;) { /* each area covers the lower part of the one above */
        char style[32];
        snprintf(style, sizeof style, "k%zu", c % HL_KEYS);
        hl_figure_area(&f, &s->rows, 0, c + 1, style);
    }
    hl_figure_line(&f, &s->rss, 1, "ink");
    append_numbers(&f, s);
    hl_text_append(&p->html, "</svg>\n");
    hl_rows_scale(&s->rows, 1, s->rows.columns, 1 / scale.factor);
    hl_rows_scale(&s->rss, 1, 2, 1 / scale.factor);
    append_keys(p, s);
    hl_figure_end(p);
}

/* ------------------------------------------------------------------ tables */

static double over(double measured, double planned)
{
    return planned > 0 ? measured / planned - 1 : NAN;
}

static void append_categories(hl_page *p, const json_t *memory)
{
    static const char *const heads[] = {"category", "planned", "now", "peak", "over plan"};
    const json_t *list = json_object_get(memory, "categories");
    hl_page_table(p, "Planned and measured memory by category", "lrrrr", heads);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *c = json_array_get(list, i);
        double planned = hl_page_number(c, "planned");
        hl_page_row(p, hl_page_string(c, "name"), (int)i);
        if (isnan(planned))
            hl_text_append(&p->html, "<td>not planned</td>");
        else
            hl_page_cell(p, c, "planned", HL_UNIT_BYTES);
        hl_page_cell(p, c, "current", HL_UNIT_BYTES);
        hl_page_cell(p, c, "peak", HL_UNIT_BYTES);
        double more = over(hl_page_number(c, "peak"), planned);
        if (isnan(more))
            hl_text_append(&p->html, "<td>\u2013</td>");
        else
            hl_page_cell_quantity(p, more, HL_UNIT_FRACTION, "");
        hl_page_row_end(p);
    }
    hl_page_table_end(p);
}

static void append_largest(hl_page *p, const json_t *memory)
{
    static const char *const heads[] = {"tensor", "part", "bytes"};
    const json_t *list = json_object_get(memory, "largest");
    double most = 0;
    hl_page_table(p, "Largest tensors alive at the peak", "llr", heads);
    for (size_t i = 0; i < json_array_size(list); i++)
        most = fmax(most, hl_page_number(json_array_get(list, i), "bytes"));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *t = json_array_get(list, i);
        hl_page_row(p, hl_page_string(t, "name"), HL_NO_KEY);
        hl_page_cell_text(p, hl_page_string(t, "section"));
        hl_text_append(&p->html, "<td class=\"bar\">");
        hl_text_appendf(&p->html, "<span style=\"width:%.1f%%\"></span>",
                        most > 0 ? 100 * hl_page_number(t, "bytes") / most : 0);
        hl_page_value(p, t, "bytes", HL_UNIT_BYTES);
        hl_text_append(&p->html, "</td>");
        hl_page_row_end(p);
    }
    hl_page_table_end(p);
}

static void append_peak(hl_page *p, const json_t *memory)
{
    const json_t *at = json_object_get(memory, "peak_at");
    hl_page_fact(p, "peak was at");
    if (json_is_object(at)) {
        hl_page_text(p, hl_page_string(at, "session"));
        hl_text_append(&p->html, ", call ");
        hl_page_value(p, at, "call", HL_UNIT_COUNT);
        hl_text_append(&p->html, ": ");
        hl_page_text(p, hl_page_string(at, "op"));
        hl_text_append(&p->html, *hl_page_string(at, "section") ? " in " : "");
        hl_page_text(p, hl_page_string(at, "section"));
    } else {
        hl_page_absent(p, hl_page_reason(memory, "peak_at", ""));
    }
    hl_page_fact_end(p);
}

static void append_slope(hl_page *p, const json_t *memory)
{
    const json_t *slope = json_object_get(memory, "rss_slope");
    hl_page_fact(p, "RSS grows by");
    if (json_is_object(slope)) {
        hl_page_value(p, slope, "bytes_per_minute", HL_UNIT_BYTES_PER_MINUTE);
        hl_text_append(&p->html, "<small>95% interval ");
        hl_page_value(p, slope, "low", HL_UNIT_BYTES_PER_MINUTE);
        hl_text_append(&p->html, " to ");
        hl_page_value(p, slope, "high", HL_UNIT_BYTES_PER_MINUTE);
        hl_text_append(&p->html, ", ");
        hl_page_value(p, slope, "samples", HL_UNIT_COUNT);
        hl_text_append(&p->html, " samples</small>");
    } else {
        hl_page_absent(p, hl_page_reason(memory, "rss_slope", "too few samples"));
    }
    hl_page_fact_end(p);
}

static void append_facts(hl_page *p, const json_t *memory)
{
    hl_text_append(&p->html, "<dl class=\"facts\">\n");
    hl_page_fact(p, "planned peak");
    hl_page_value(p, memory, "planned_peak", HL_UNIT_BYTES);
    hl_text_append(&p->html, "<small>lower bound ");
    hl_page_value(p, memory, "lower_bound", HL_UNIT_BYTES);
    hl_text_append(&p->html, "</small>");
    hl_page_fact_end(p);
    hl_page_fact(p, "measured peak");
    hl_page_value(p, memory, "measured_peak", HL_UNIT_BYTES);
    hl_text_append(&p->html, "<small>off the plan by ");
    hl_page_value(p, memory, "difference_percent", HL_UNIT_PERCENT);
    hl_text_append(&p->html, "</small>");
    hl_page_fact_end(p);
    append_peak(p, memory);
    hl_page_fact(p, "RSS");
    hl_page_value(p, memory, "rss", HL_UNIT_BYTES);
    hl_text_append(&p->html, "<small>peak ");
    hl_page_value(p, memory, "rss_peak", HL_UNIT_BYTES);
    hl_text_append(&p->html, "</small>");
    hl_page_fact_end(p);
    append_slope(p, memory);
    hl_page_fact(p, "unaccounted");
    hl_page_value(p, memory, "unaccounted", HL_UNIT_BYTES);
    hl_text_append(&p->html, "<small>");
    hl_page_value(p, memory, "unaccounted_percent", HL_UNIT_PERCENT);
    hl_text_append(&p->html, " of RSS</small>");
    hl_page_fact_end(p);
    hl_page_fact(p, "device memory");
    bool cpu = !strcmp(hl_page_string(p->result, "device"), "cpu");
    hl_page_quantity(p, hl_page_number(memory, "device_bytes"), HL_UNIT_BYTES,
                     hl_page_reason(memory, "device_bytes", cpu ? "the CPU has none of its own" : ""));
    hl_page_fact_end(p);
    hl_page_fact_value(p, "fragmentation", memory, "fragmentation", HL_UNIT_FRACTION);
    hl_page_fact_value(p, "versions of the parameters", memory, "versions", HL_UNIT_COUNT);
    hl_page_fact_value(p, "allocations in steady state", memory, "allocations", HL_UNIT_COUNT);
    hl_text_append(&p->html, "</dl>\n");
}

void hl_page_memory(hl_page *p, const json_t *memory)
{
    stack s = read_stack(memory, &p->html);
    append_facts(p, memory);
    hl_text_append(&p->html, "<div class=\"cards wide\">\n");
    if (s.most > 0)
        draw_stack(p, &s);
    else
        hl_figure_nothing(p, "Memory over time, by category",
                          hl_page_reason(memory, "timeline", "No moment was recorded."));
    append_categories(p, memory);
    append_largest(p, memory);
    hl_text_append(&p->html, "</div>\n");
    hl_rows_free(&s.rows);
    hl_rows_free(&s.rss);
}
