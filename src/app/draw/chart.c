#include "app/draw/chart.h"

#include "app/draw/chart_axis.h"
#include "app/draw/chart_line.h"
#include "app/draw/markup.h"
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Pixels. The legend's rows come between title and plot, and move the plot down. */
enum { WIDTH = 860, PLOT_HEIGHT = 360, LEFT = 76, RIGHT = 836, TOP = 44, LEGEND_ROW = 22, BELOW = 58 };
enum { COLOURS = 8 };

static const char style[] =
    "<style>\n"
    "text{font:13px system-ui,-apple-system,'Segoe UI',sans-serif;fill:#3a3f47}\n"
    ".title{font-size:16px;font-weight:600}.tick{font-size:12px}\n"
    ".page{fill:#fff}.grid{stroke:#e3e6ea;stroke-width:1}.frame{stroke:#8b929c;stroke-width:1;fill:none}\n"
    ".line{fill:none;stroke-width:1.8;stroke-linejoin:round;stroke-linecap:round}\n"
    ".dash1{stroke-dasharray:7 4}.dash2{stroke-dasharray:2 4}\n"
    ".c0{stroke:#1f6fb4}.c1{stroke:#d1531b}.c2{stroke:#0f8a63}.c3{stroke:#a8458f}\n"
    ".c4{stroke:#8a6d00}.c5{stroke:#22262b}.c6{stroke:#6b6b6b}.c7{stroke:#c2274d}\n"
    ".d0{fill:#1f6fb4}.d1{fill:#d1531b}.d2{fill:#0f8a63}.d3{fill:#a8458f}\n"
    ".d4{fill:#8a6d00}.d5{fill:#22262b}.d6{fill:#6b6b6b}.d7{fill:#c2274d}\n"
    "@media (prefers-color-scheme:dark){\n"
    "text{fill:#d5d9df}.page{fill:#15181d}.grid{stroke:#2b3038}.frame{stroke:#6d7580}\n"
    ".c0{stroke:#6cb2f0}.c1{stroke:#ff9259}.c2{stroke:#45cfa0}.c3{stroke:#e08cc9}\n"
    ".c4{stroke:#e6c24d}.c5{stroke:#f3f5f7}.c6{stroke:#b5b5b5}.c7{stroke:#ff7f9b}\n"
    ".d0{fill:#6cb2f0}.d1{fill:#ff9259}.d2{fill:#45cfa0}.d3{fill:#e08cc9}\n"
    ".d4{fill:#e6c24d}.d5{fill:#f3f5f7}.d6{fill:#b5b5b5}.d7{fill:#ff7f9b}\n"
    "}\n"
    "</style>\n";

static bool is_drawn(double x, double y, bool log_y)
{
    return fabs(x) <= 1e300 && fabs(y) <= 1e300 && (!log_y || y >= 1e-290);
}

/* ------------------------------------------------------------------ lines */

static const char *dash_of(size_t series)
{
    static const char *const dashes[] = {"", " dash1", " dash2"};
    return dashes[series / COLOURS % 3];
}

static void append_series(hl_text *t, const hl_chart_series *s, size_t index, const hl_axis *x,
                          const hl_axis *y)
{
    char dot_class[16], line_class[32];
    snprintf(dot_class, sizeof dot_class, "d%d", (int)(index % COLOURS));
    snprintf(line_class, sizeof line_class, "line c%d%s", (int)(index % COLOURS), dash_of(index));
    hl_line line = {.dot_class = dot_class};
    for (size_t i = 0; i < s->n; i++) {
        if (is_drawn(s->x[i], s->y[i], y->log))
            hl_line_to(&line, hl_axis_place(x, s->x[i]), hl_axis_place(y, s->y[i]));
        else
            hl_line_lift(&line);
    }
    hl_line_append(&line, t, line_class);
}

/* ------------------------------------------------------------------ around them */

/* Width of a text in the legend's letters, about. */
static int text_width(const char *string)
{
    return 8 * hl_markup_letters(string);
}

/* Returns its number of rows; t NULL only counts them. */
static int append_legend(hl_text *t, const hl_chart *chart)
{
    int row = 0, x = LEFT;
    for (size_t i = 0; i < chart->n; i++) {
        hl_excerpt name = hl_excerpt_of(chart->series[i].name);
        int width = 32 + text_width(name.text) + 18;
        if (x > LEFT && x + width > RIGHT) {
            x = LEFT;
            row++;
        }
        int y = TOP + row * LEGEND_ROW + 8;
        if (t) {
            hl_text_appendf(t, "<path class=\"line c%d%s\" d=\"M%d %dh24\"/><text x=\"%d\" y=\"%d\">",
                            (int)(i % COLOURS), dash_of(i), x, y - 4, x + 32, y);
            hl_markup_append(t, name.text);
            hl_text_append(t, "</text>\n");
        }
        x += width;
    }
    return chart->n ? row + 1 : 0;
}

static void append_grid(hl_text *t, const hl_axis *x, const hl_axis *y)
{
    for (int i = 0; i < y->ticks; i++) {
        double at = hl_axis_place(y, y->tick[i]);
        hl_text_appendf(t,
                        "<path class=\"grid\" d=\"M%d %.1fH%d\"/><text class=\"tick\" x=\"%d\" y=\"%.1f\" "
                        "text-anchor=\"end\">%s</text>\n",
                        LEFT, at, RIGHT, LEFT - 8, at + 4, hl_axis_label(y, i).text);
    }
    for (int i = 0; i < x->ticks; i++) {
        double at = hl_axis_place(x, x->tick[i]);
        hl_text_appendf(
            t,
            "<path class=\"grid\" d=\"M%.1f %.1fV%.1f\"/><text class=\"tick\" x=\"%.1f\" y=\"%.1f\" "
            "text-anchor=\"middle\">%s</text>\n",
            at, y->to, y->from, at, y->from + 18, hl_axis_label(x, i).text);
    }
    hl_text_appendf(t, "<path class=\"frame\" d=\"M%d %.1fV%.1fH%d\"/>\n", LEFT, y->to, y->from, RIGHT);
}

static void append_labels(hl_text *t, const hl_chart *chart, const hl_axis *y)
{
    double middle = (y->from + y->to) / 2;
    hl_text_appendf(t, "<text class=\"title\" x=\"%d\" y=\"28\">", LEFT);
    hl_markup_append(t, chart->title);
    hl_text_appendf(t, "</text>\n<text x=\"%d\" y=\"%.1f\" text-anchor=\"middle\">", (LEFT + RIGHT) / 2,
                    y->from + 42);
    hl_markup_append(t, chart->x_label);
    hl_text_appendf(t, "</text>\n<text transform=\"translate(18 %.1f) rotate(-90)\" text-anchor=\"middle\">",
                    middle);
    hl_markup_append(t, chart->y_label);
    hl_text_append(t, "</text>\n");
}

/* What all points that can be drawn cover. */
typedef struct extent {
    double x[2], y[2];
    bool any;
} extent;

static extent measure(const hl_chart *chart)
{
    extent e = {{0, 1}, {chart->log_y ? 0.1 : 0, 1}, false};
    for (size_t k = 0; k < chart->n; k++) {
        const hl_chart_series *s = &chart->series[k];
        for (size_t i = 0; i < s->n; i++) {
            if (!is_drawn(s->x[i], s->y[i], chart->log_y))
                continue;
            if (!e.any)
                e = (extent){{s->x[i], s->x[i]}, {s->y[i], s->y[i]}, true};
            e.x[0] = fmin(e.x[0], s->x[i]);
            e.x[1] = fmax(e.x[1], s->x[i]);
            e.y[0] = fmin(e.y[0], s->y[i]);
            e.y[1] = fmax(e.y[1], s->y[i]);
        }
    }
    return e;
}

char *hl_chart_svg(const hl_chart *chart)
{
    hl_text t = {0};
    int top = TOP + append_legend(NULL, chart) * LEGEND_ROW;
    int bottom = top + PLOT_HEIGHT, height = bottom + BELOW;
    extent e = measure(chart);
    hl_axis x = hl_axis_new(e.x[0], e.x[1], false, false, 8, LEFT, RIGHT);
    hl_axis y = hl_axis_new(e.y[0], e.y[1], chart->log_y, true, 7, bottom, top);

    hl_text_appendf(
        &t,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" "
        "role=\"img\">\n<title>",
        WIDTH, height, WIDTH, height);
    hl_markup_append(&t, chart->title);
    hl_text_append(&t, "</title>\n");
    hl_text_append(&t, style);
    hl_text_appendf(&t, "<rect class=\"page\" width=\"%d\" height=\"%d\"/>\n", WIDTH, height);
    append_grid(&t, &x, &y);
    append_labels(&t, chart, &y);
    append_legend(&t, chart);
    for (size_t i = 0; i < chart->n; i++)
        append_series(&t, &chart->series[i], i, &x, &y);
    if (!e.any)
        hl_text_appendf(&t, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">no data</text>\n",
                        (LEFT + RIGHT) / 2, (top + bottom) / 2);
    hl_text_append(&t, "</svg>\n");
    return hl_text_take(&t);
}

hl_status hl_chart_save(const hl_chart *chart, const char *path, hl_error *err)
{
    char *svg = hl_chart_svg(chart);
    if (!svg)
        return hl_fail(err, HL_ERR_MEMORY, "%s: no memory for the chart", path);
    hl_status status = hl_file_save(path, svg, strlen(svg), err);
    hl_free(svg);
    return status;
}
