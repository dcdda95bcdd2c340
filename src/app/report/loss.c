#include "app/report/figure.h"

#include <stdio.h>
#include <math.h>

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
