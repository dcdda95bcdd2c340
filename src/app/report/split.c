/* What the time went to. */
#include "app/report/times.h"

#include <math.h>
#include <stdio.h>

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
             hl_page_ms(sum).text);
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

void hl_times_split(hl_page *p, const hl_times *t)
{
    const json_t *split = json_object_get(t->run, "split_ms");
    const char *const heads[] = {"part", "mean", "share", "p50", "p99"};
    double sum = sum_of_means(split);
    if (!json_array_size(split)) {
        hl_figure_nothing(p, t->split, hl_page_reason(t->run, "split_ms", "It was not measured."));
        return;
    }
    hl_figure_begin(p, t->split);
    if (sum > 0 && isfinite(sum))
        draw_parts(p, split, sum, t->split);
    hl_page_table(p, "Time of each part", "lrrrr", heads);
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
