/* The latencies of all phases in one chart: what a phase costs, and how far its tail goes. */
#include "app/report/figure.h"

#include <math.h>
#include <stdio.h>

enum { ROW = 36, TOP = 4, EDGE = 10 };

/* The latency of a phase's inference; NULL: there is none that can be drawn. */
static const json_t *latency_of(const json_t *phase)
{
    const json_t *latency = json_object_get(json_object_get(phase, "inference"), "latency_ms");
    double least = hl_page_number(latency, "min"), most = hl_page_number(latency, "max");
    return least > 0 && most >= least && most < 1e290 ? latency : NULL;
}

/* From the least to the greatest as a line, from there to p99 as a bar, the median and the deadline as
 * strokes. */
static void append_range(hl_page *p, const json_t *phase, const hl_axis *x, double factor, double y)
{
    hl_text *t = &p->html;
    const json_t *latency = latency_of(phase);
    double least = hl_page_number(latency, "min") * factor, most = hl_page_number(latency, "max") * factor;
    double p50 = hl_page_number(latency, "p50") * factor, p99 = hl_page_number(latency, "p99") * factor;
    double deadline = hl_page_number(json_object_get(phase, "inference"), "deadline_ms") * factor;
    double from = hl_axis_place(x, least);
    hl_text_appendf(t, "<text class=\"note\" x=\"%d\" y=\"%.1f\">", EDGE, y + 12);
    hl_page_text(p, hl_excerpt_of(hl_page_string(phase, "name")).text);
    hl_text_appendf(t, "</text>\n<path class=\"line k0\" d=\"M%.1f %.1fH%.1f\"/>\n", from, y + 23,
                    hl_axis_place(x, most));
    if (p99 >= least && p99 <= most)
        hl_text_appendf(t, "<path class=\"area k0\" d=\"M%.1f %.1fv8H%.1fv-8z\"/>\n", from, y + 19,
                        hl_axis_place(x, p99));
    if (p50 >= least && p50 <= most)
        hl_text_appendf(t, "<path class=\"line k1 thick\" d=\"M%.1f %.1fv14\"/>\n", hl_axis_place(x, p50),
                        y + 16);
    if (deadline >= x->low && deadline <= x->high)
        hl_text_appendf(t, "<path class=\"mark late\" d=\"M%.1f %.1fv18\"/>\n", hl_axis_place(x, deadline),
                        y + 14);
}

static void draw(hl_page *p, const json_t *phases, int n, double least, double most)
{
    static const char title[] = "Latency of the phases";
    hl_unit_scale scale = hl_unit_scale_of(most, HL_UNIT_MS);
    hl_axis x = hl_axis_new(least * scale.factor, most * scale.factor, true, true, 6, EDGE,
                            HL_FIGURE_WIDTH - EDGE);
    double y = TOP;
    hl_figure_begin(p, title);
    hl_figure_svg(p, title, "The table beside it has the numbers.", TOP + n * ROW + HL_FIGURE_BELOW);
    hl_figure_x_axis(p, &x, TOP, TOP + n * ROW, scale.unit);
    for (size_t i = 0; i < json_array_size(phases); i++)
        if (latency_of(json_array_get(phases, i))) {
            append_range(p, json_array_get(phases, i), &x, scale.factor, y);
            y += ROW;
        }
    hl_text_append(&p->html, "</svg>\n<ul class=\"keys\">");
    hl_figure_key(p, "k0", "least to greatest; thick: to p99", NAN, HL_UNIT_MS);
    hl_figure_key(p, "k1", "median", NAN, HL_UNIT_MS);
    hl_figure_key(p, "late", "deadline", NAN, HL_UNIT_MS);
    hl_text_append(&p->html, "</ul>\n");
    hl_figure_end(p);
}

void hl_page_ranges(hl_page *p)
{
    const json_t *phases = json_object_get(p->result, "phases");
    double least = INFINITY, most = 0;
    int n = 0;
    for (size_t i = 0; i < json_array_size(phases); i++) {
        const json_t *phase = json_array_get(phases, i), *latency = latency_of(phase);
        double deadline = hl_page_number(json_object_get(phase, "inference"), "deadline_ms");
        if (!latency)
            continue;
        n++;
        least = fmin(least, hl_page_number(latency, "min"));
        most = fmax(most, hl_page_number(latency, "max"));
        if (deadline > 0 && deadline < 1e290) {
            least = fmin(least, deadline);
            most = fmax(most, deadline);
        }
    }
    if (n > 1) /* of one phase its own charts say more */
        draw(p, phases, n, least, most);
}
