/* What the machine did in a phase: each core over time, and the GPU. */
#include "app/report/figure.h"

#include <math.h>
#include <stdio.h>

/* ------------------------------------------------------------------ cores */

/* One row of the chart per core: its load as an area between 0 and 100%. Rows are as low as many cores ask
 * for. */
typedef struct cores {
    hl_rows rows; /* seconds, percent of each core */
    const json_t *mean;
    size_t n;
    double height;
    hl_axis x;
} cores;

enum { NAME = 66, LOAD = 44, HEAD = 6 };

/* Of all cores together, so that many cores do not make a large file. */
enum { POINTS = 4000 };

static void append_core(hl_page *p, const cores *c, size_t core, bool labelled)
{
    hl_text *t = &p->html;
    double bottom = HEAD + (core + 1) * c->height - 2;
    hl_axis y = hl_axis_new(0, 100, false, false, 2, bottom, bottom - c->height + 3);
    hl_figure f = {p, c->x, y};
    hl_text_appendf(t, "<path class=\"grid\" d=\"M%.1f %.1fH%.1f\"/>\n", c->x.from, bottom, c->x.to);
    hl_figure_area(&f, &c->rows, 0, core + 1, "k0");
    if (!labelled)
        return;
    hl_text_appendf(t, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">core %zu</text>\n", c->x.from - 6,
                    bottom - c->height / 2 + 5, core);
    double mean = json_is_number(json_array_get(c->mean, core))
                      ? json_number_value(json_array_get(c->mean, core))
                      : NAN;
    if (!isnan(mean))
        hl_text_appendf(t, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n", HL_FIGURE_WIDTH - 4,
                        bottom - c->height / 2 + 5, hl_quantity_of(mean, HL_UNIT_PERCENT).shown.text);
}

static void draw_cores(hl_page *p, cores *c, const double seconds[2])
{
    char about[256];
    c->height = fmin(40, fmax(7, 400.0 / (double)c->n));
    c->x = hl_axis_new(fmin(0, seconds[0]), seconds[1], false, false, 5, NAME, HL_FIGURE_WIDTH - LOAD);
    double bottom = HEAD + (double)c->n * c->height;
    snprintf(about, sizeof about,
             "The load of %zu cores, each a row from 0 to 100%%, with its mean at the right.", c->n);
    hl_figure_begin(p, "Load of each core");
    hl_figure_svg(p, "Load of each core", about, bottom + HL_FIGURE_BELOW);
    hl_figure_x_axis(p, &c->x, HEAD, bottom, "seconds");
    size_t every = (size_t)ceil(13 / c->height); /* a label needs so much room */
    for (size_t i = 0; i < c->n; i++)
        append_core(p, c, i, i % every == 0);
    hl_text_append(&p->html, "</svg>\n");
    hl_figure_end(p);
}

/* ------------------------------------------------------------------ GPU */

static void append_gpu(hl_page *p, const json_t *system)
{
    const json_t *gpu = json_object_get(system, "gpu"), *machine = json_object_get(p->result, "machine");
    hl_page_fact(p, "GPU");
    if (json_is_object(gpu))
        hl_page_text(p, *hl_page_string(machine, "gpu") ? hl_page_string(machine, "gpu") : "of unknown name");
    else
        hl_page_absent(p, hl_page_reason(system, "gpu", hl_page_reason(machine, "gpu", "")));
    hl_page_fact_end(p);
    if (!json_is_object(gpu))
        return;
    hl_page_fact_value(p, "GPU load", gpu, "utilisation_percent", HL_UNIT_PERCENT);
    hl_page_fact_value(p, "GPU memory in use", gpu, "memory_used_bytes", HL_UNIT_BYTES);
    hl_page_fact_value(p, "GPU clock", gpu, "clock_mhz", HL_UNIT_MHZ);
    hl_page_fact_value(p, "GPU memory clock", gpu, "memory_clock_mhz", HL_UNIT_MHZ);
    hl_page_fact_value(p, "GPU temperature", gpu, "temperature_c", HL_UNIT_CELSIUS);
    hl_page_fact_value(p, "GPU power", gpu, "power_w", HL_UNIT_WATT);
}

void hl_page_system(hl_page *p, const json_t *system)
{
    cores c = {.mean = json_object_get(system, "cpu_percent")};
    double seconds[2];
    c.n = json_array_size(c.mean);
    c.rows = hl_rows_read(json_object_get(system, "timeline"), c.n + 1, &p->html);
    hl_text_append(&p->html, "<div class=\"cards\">\n");
    if (c.n && hl_rows_extent(&c.rows, 0, seconds)) {
        double most = fmin(fmax(24, POINTS / (double)c.n), HL_FIGURE_MOMENTS);
        hl_rows_thin(&c.rows, (size_t)most, 0); /* the last of those that become one */
        draw_cores(p, &c, seconds);
    } else {
        hl_figure_nothing(p, "Load of each core",
                          hl_page_reason(system, "timeline", "No moment was recorded."));
    }
    hl_text_append(&p->html, "<dl class=\"facts\">\n");
    hl_page_fact_value(p, "CPU of the process (100% is one core)", system, "process_cpu_percent",
                       HL_UNIT_PERCENT);
    append_gpu(p, system);
    hl_text_append(&p->html, "</dl>\n</div>\n");
    hl_rows_free(&c.rows);
}
