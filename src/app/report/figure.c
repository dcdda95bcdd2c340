#include "app/report/figure.h"

#include "app/draw/chart_line.h"
#include "app/draw/markup.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* A digit of the ticks' letters is about so wide, in the widest of the usual fonts. */
#define LETTER 6.9
enum { RIGHT = HL_FIGURE_WIDTH - 8, TOP = 22 };

void hl_figure_begin(hl_page *p, const char *title)
{
    hl_text_append(&p->html, "<figure><figcaption>");
    hl_page_text(p, title);
    hl_text_append(&p->html, "</figcaption>\n");
}

void hl_figure_end(hl_page *p)
{
    hl_text_append(&p->html, "</figure>\n");
}

void hl_figure_nothing(hl_page *p, const char *title, const char *why)
{
    hl_figure_begin(p, title);
    hl_text_append(&p->html, "<p class=\"nothing\">");
    hl_page_text(p, why);
    hl_text_append(&p->html, "</p>\n");
    hl_figure_end(p);
}

void hl_figure_svg(hl_page *p, const char *title, const char *about, double height)
{
    hl_text *t = &p->html;
    int id = ++p->charts;
    hl_text_appendf(t,
                    "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %.0f\" role=\"img\" "
                    "aria-labelledby=\"t%d d%d\">\n<title id=\"t%d\">",
                    HL_FIGURE_WIDTH, height, id, id, id);
    hl_page_text(p, title);
    hl_text_appendf(t, "</title><desc id=\"d%d\">", id);
    hl_page_text(p, about);
    hl_text_append(t, "</desc>\n");
}

/* ------------------------------------------------------------------ axes */

static double width_of(const char *label)
{
    return LETTER * hl_markup_letters(label);
}

/* Where a label of a place begins that shall not leave the drawing. */
static double begin_inside(double middle, double width)
{
    return fmax(2, fmin(middle - width / 2, HL_FIGURE_WIDTH - 2 - width));
}

static bool is_power_of_ten(double v)
{
    double power = log10(v);
    return fabs(power - round(power)) < 1e-6;
}

/* Which ticks have room for their label: those of powers of ten first. */
static void choose_labels(const hl_axis *x, bool *chosen)
{
    memset(chosen, 0, HL_AXIS_TICKS * sizeof *chosen);
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < x->ticks; i++) {
            if (chosen[i] || (pass == 0 && x->log && !is_power_of_ten(x->tick[i])))
                continue;
            double width = width_of(hl_axis_label(x, i).text);
            double begin = begin_inside(hl_axis_place(x, x->tick[i]), width);
            bool free = true;
            for (int k = 0; k < x->ticks; k++) {
                double other = width_of(hl_axis_label(x, k).text);
                double at = begin_inside(hl_axis_place(x, x->tick[k]), other);
                free = free && (!chosen[k] || begin > at + other + LETTER || at > begin + width + LETTER);
            }
            chosen[i] = free;
        }
}

void hl_figure_x_axis(hl_page *p, const hl_axis *x, double top, double bottom, const char *unit)
{
    hl_text *t = &p->html;
    bool labelled[HL_AXIS_TICKS];
    choose_labels(x, labelled);
    hl_text_append(t, "<path class=\"grid\" d=\"");
    for (int i = 0; i < x->ticks; i++)
        hl_text_appendf(t, "M%.1f %.1fV%.1f", hl_axis_place(x, x->tick[i]), bottom, top);
    hl_text_append(t, "\"/>\n");
    for (int i = 0; i < x->ticks; i++) {
        hl_tick_label label = hl_axis_label(x, i);
        double width = width_of(label.text);
        if (labelled[i])
            hl_text_appendf(t, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%s</text>\n",
                            begin_inside(hl_axis_place(x, x->tick[i]), width) + width / 2, bottom + 14,
                            label.text);
    }
    hl_text_appendf(t, "<text class=\"unit\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n", RIGHT,
                    bottom + 29, unit);
}

static void append_y_axis(hl_page *p, const hl_axis *y, double left, const char *unit)
{
    hl_text *t = &p->html;
    hl_text_append(t, "<path class=\"grid\" d=\"");
    for (int i = 0; i < y->ticks; i++)
        hl_text_appendf(t, "M%.1f %.1fH%d", left, hl_axis_place(y, y->tick[i]), RIGHT);
    hl_text_append(t, "\"/>\n");
    double last = INFINITY;
    for (int i = 0; i < y->ticks; i++) {
        double at = hl_axis_place(y, y->tick[i]);
        if (fabs(at - last) < 11) /* no room for its label */
            continue;
        last = at;
        hl_text_appendf(t, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n", left - 6, at + 4,
                        hl_axis_label(y, i).text);
    }
    hl_text_appendf(t, "<text class=\"unit\" x=\"2\" y=\"12\">%s</text>\n", unit);
}

hl_figure hl_figure_plot(hl_page *p, const hl_figure_frame *frame)
{
    double top = TOP + frame->notes * HL_FIGURE_NOTE, bottom = top + HL_FIGURE_PLOT, left = 0;
    hl_figure f = {.page = p};
    f.y = hl_axis_new(frame->y[0], frame->y[1], frame->log_y, true, 5, bottom, top);
    for (int i = 0; i < f.y.ticks; i++)
        left = fmax(left, width_of(hl_axis_label(&f.y, i).text));
    left += 10;
    f.x = hl_axis_new(frame->x[0], frame->x[1], frame->log_x, frame->widen_x, 6, left, RIGHT);
    hl_figure_svg(p, frame->title, frame->about, bottom + HL_FIGURE_BELOW);
    append_y_axis(p, &f.y, left, frame->y_unit);
    hl_figure_x_axis(p, &f.x, top, bottom, frame->x_unit);
    hl_text_appendf(&p->html, "<path class=\"frame\" d=\"M%.1f %.1fV%.1fH%d\"/>\n", left, top, bottom, RIGHT);
    return f;
}

/* ------------------------------------------------------------------ marks */

/* Where a row lies; y is NaN if it has no place. */
static hl_line_place place_row(const hl_figure *f, const hl_rows *rows, size_t i, size_t column)
{
    double x = hl_rows_at(rows, i, 0), y = hl_rows_at(rows, i, column);
    if (isnan(x) || isnan(y) || (f->x.log && x <= 0))
        return (hl_line_place){NAN, NAN};
    bool below = f->y.log && y < f->y.low;
    return (hl_line_place){hl_axis_place(&f->x, x), below ? f->y.from : hl_axis_place(&f->y, y)};
}

void hl_figure_line(hl_figure *f, const hl_rows *rows, size_t y, const char *style)
{
    char class[64], dot[64];
    snprintf(class, sizeof class, "line %s", style);
    snprintf(dot, sizeof dot, "dot %s", style);
    hl_line line = {.dot_class = dot};
    for (size_t i = 0; i < rows->n; i++) {
        hl_line_place at = place_row(f, rows, i, y);
        if (isnan(at.y))
            hl_line_lift(&line);
        else
            hl_line_to(&line, at.x, at.y);
    }
    hl_line_append(&line, &f->page->html, class);
}

/* One edge of an area, from row i to row end-1 or back. Points between two of the same height are left out.
 */
static void append_edge(hl_figure *f, const hl_rows *rows, size_t y, size_t i, size_t end, bool back)
{
    double before = NAN;
    for (size_t k = i; k < end; k++) {
        size_t row = back ? end - 1 - (k - i) : k;
        hl_line_place at = place_row(f, rows, row, y);
        double next = k + 1 < end ? place_row(f, rows, back ? row - 1 : row + 1, y).y : NAN;
        if (fabs(at.y - before) < 0.05 && fabs(at.y - next) < 0.05)
            continue;
        hl_text_appendf(&f->page->html, "%s%.1f %.1f", k == i && !back ? "M" : "L", at.x, at.y);
        before = at.y;
    }
}

/* The area of the rows i..end-1, which have places. */
static void append_run(hl_figure *f, const hl_rows *rows, size_t low, size_t high, size_t i, size_t end)
{
    hl_text *t = &f->page->html;
    double first = place_row(f, rows, i, high).x;
    append_edge(f, rows, high, i, end, false);
    if (end == i + 1) /* has no width: a sliver */
        hl_text_append(t, "h2");
    if (low)
        append_edge(f, rows, low, i, end, true);
    else
        hl_text_appendf(t, "V%.1fH%.1f", f->y.from, first);
    hl_text_append(t, "z");
}

void hl_figure_area(hl_figure *f, const hl_rows *rows, size_t low, size_t high, const char *style)
{
    hl_text_appendf(&f->page->html, "<path class=\"area %s\" d=\"", style);
    for (size_t i = 0; i < rows->n; i++) {
        size_t end = i;
        while (end < rows->n && !isnan(place_row(f, rows, end, high).y) &&
               (!low || !isnan(place_row(f, rows, end, low).y)))
            end++;
        if (end > i)
            append_run(f, rows, low, high, i, end);
        i = end;
    }
    hl_text_append(&f->page->html, "\"/>\n");
}

static void append_mark(hl_figure *f, const hl_mark *m, int line)
{
    double at = hl_axis_place(&f->x, m->x), y = f->y.to - 5 - line * HL_FIGURE_NOTE;
    bool left = at + 4 + width_of(m->label) > HL_FIGURE_WIDTH - 2;
    hl_text_appendf(
        &f->page->html,
        "<path class=\"mark %s\" d=\"M%.1f %.1fV%.1f\"/><text class=\"note\" x=\"%.1f\" y=\"%.1f\" "
        "text-anchor=\"%s\">%s</text>\n",
        m->style, at, f->y.from, y - 9, at + (left ? -4 : 4), y, left ? "end" : "start", m->label);
}

/* The rightmost has the lowest line: no line then crosses the label of another, which is to its right. */
void hl_figure_marks(hl_figure *f, const hl_mark *marks, int n)
{
    for (int i = 0; i < n; i++) {
        int line = 0;
        for (int k = 0; k < n; k++)
            line += marks[k].x > marks[i].x || (marks[k].x == marks[i].x && k < i);
        if (marks[i].x >= f->x.low && marks[i].x <= f->x.high)
            append_mark(f, &marks[i], line);
    }
}

void hl_figure_level(hl_figure *f, double y, const char *style)
{
    if (!isnan(y) && y >= f->y.low && y <= f->y.high)
        hl_text_appendf(&f->page->html, "<path class=\"mark %s\" d=\"M%.1f %.1fH%d\"/>\n", style, f->x.from,
                        hl_axis_place(&f->y, y), RIGHT);
}

void hl_figure_key(hl_page *p, const char *style, const char *name, double value, hl_unit unit)
{
    hl_text_appendf(&p->html, "<li><span class=\"key stroke %s\"></span>", style);
    hl_page_text(p, name);
    if (!isnan(value)) {
        hl_text_append(&p->html, " <b>");
        hl_page_quantity(p, value, unit, "");
        hl_text_append(&p->html, "</b>");
    }
    hl_text_append(&p->html, "</li>\n");
}
