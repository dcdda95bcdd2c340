/* The memory of a phase over time: its categories stacked on each other, and RSS as a line. */
#include "app/report/figure.h"

#include <math.h>
#include <stdio.h>

typedef struct stack {
    hl_rows
        rows;    /* seconds, then for each category the bytes of it and of those below, in the scale's unit */
    hl_rows rss; /* seconds, bytes in the scale's unit */
    const json_t *names;
    double seconds[2], most;
    hl_unit_scale scale;
} stack;

/* How much of a category there is at most: what its column adds to that below. */
static double most_of(const stack *s, size_t category)
{
    double most = 0;
    for (size_t i = 0; i < s->rows.n; i++) {
        double below = category ? hl_rows_at(&s->rows, i, category) : 0;
        most = fmax(most, hl_rows_at(&s->rows, i, category + 1) - below);
    }
    return most;
}

static void cover(stack *s, const hl_rows *rows, size_t column)
{
    double x[2], y[2];
    if (!hl_rows_extent(rows, 0, x) || !hl_rows_extent(rows, column, y))
        return;
    s->seconds[0] = fmin(s->seconds[0], x[0]);
    s->seconds[1] = fmax(s->seconds[1], x[1]);
    s->most = fmax(s->most, y[1]);
}

static stack read_stack(const json_t *memory, hl_text *html)
{
    const json_t *categories = json_object_get(memory, "timeline_categories");
    stack s = {.names = json_object_get(categories, "names")};
    s.rows = hl_rows_read(json_object_get(categories, "rows"), json_array_size(s.names) + 1, html);
    s.rss = hl_rows_read(json_object_get(memory, "timeline"), 2, html);
    hl_rows_stack(&s.rows, 1);
    hl_rows_thin(&s.rows, HL_FIGURE_MOMENTS, s.rows.columns - 1);
    cover(&s, &s.rows, s.rows.columns - 1);
    cover(&s, &s.rss, 1);
    s.scale = hl_unit_scale_of(s.most, HL_UNIT_BYTES);
    hl_rows_scale(&s.rows, 1, s.rows.columns, s.scale.factor);
    hl_rows_scale(&s.rss, 1, 2, s.scale.factor);
    return s;
}

/* A number in the thickest place of the area of a category, if there is room for one. */
static void append_number(hl_figure *f, const stack *s, size_t category)
{
    const double middle = HL_FIGURE_WIDTH / 2.0;
    double room = 0, x = 0, y = 0;
    for (size_t i = 0; i < s->rows.n; i++) {
        if (isnan(hl_rows_at(&s->rows, i, 0)))
            continue;
        double at = hl_axis_place(&f->x, hl_rows_at(&s->rows, i, 0));
        double top = hl_axis_place(&f->y, hl_rows_at(&s->rows, i, category + 1));
        double bottom = category ? hl_axis_place(&f->y, hl_rows_at(&s->rows, i, category)) : f->y.from;
        bool nearer = fabs(at - middle) < fabs(x - middle); /* decides between places as good */
        if (bottom - top > room + 1 || (bottom - top > room - 1 && nearer)) {
            room = bottom - top;
            x = at;
            y = (top + bottom) / 2;
        }
    }
    if (room >= 12)
        hl_text_appendf(&f->page->html,
                        "<text class=\"number\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%zu</text>\n", x,
                        y + 4, category + 1);
}

/* From the top down, as the areas lie. */
static void append_keys(hl_page *p, const stack *s)
{
    double rss[2];
    hl_text_append(&p->html, "<ul class=\"keys\">");
    if (hl_rows_extent(&s->rss, 1, rss))
        hl_figure_key(p, "ink", "RSS", rss[1] / s->scale.factor, HL_UNIT_BYTES);
    for (size_t c = json_array_size(s->names); c-- > 0;) {
        double most = most_of(s, c) / s->scale.factor;
        if (most <= 0)
            continue;
        hl_text_appendf(&p->html, "<li><span class=\"key k%zu\"></span>%zu ", c % HL_KEYS, c + 1);
        hl_page_text(p, json_string_value(json_array_get(s->names, c)));
        hl_text_append(&p->html, " <b>");
        hl_page_quantity(p, most, HL_UNIT_BYTES, "");
        hl_text_append(&p->html, "</b></li>\n");
    }
    hl_text_append(&p->html, "</ul>\n");
}

static const char title[] = "Memory over time, by category";

static void draw(hl_page *p, const stack *s)
{
    char about[256];
    snprintf(about, sizeof about, "At most %s; the keys below give the most of each category.",
             hl_quantity_of(s->most, HL_UNIT_BYTES).shown.text);
    hl_figure_begin(p, title);
    hl_figure f = hl_figure_plot(p, &(hl_figure_frame){.title = title,
                                                       .about = about,
                                                       .x_unit = "seconds",
                                                       .y_unit = s->scale.unit,
                                                       .x = {s->seconds[0], s->seconds[1]},
                                                       .y = {0, s->most * s->scale.factor}});
    for (size_t c = json_array_size(s->names); c-- > 0;) { /* each covers the lower part of the one above */
        char style[32];
        snprintf(style, sizeof style, "k%zu", c % HL_KEYS);
        hl_figure_area(&f, &s->rows, 0, c + 1, style);
    }
    hl_figure_line(&f, &s->rss, 1, "ink");
    for (size_t c = 0; c < json_array_size(s->names); c++)
        append_number(&f, s, c);
    hl_text_append(&p->html, "</svg>\n");
    append_keys(p, s);
    hl_figure_end(p);
}

void hl_page_memory_stack(hl_page *p, const json_t *memory)
{
    stack s = read_stack(memory, &p->html);
    if (s.most > 0)
        draw(p, &s);
    else
        hl_figure_nothing(p, title, hl_page_reason(memory, "timeline", "No moment was recorded."));
    hl_rows_free(&s.rows);
    hl_rows_free(&s.rss);
}
