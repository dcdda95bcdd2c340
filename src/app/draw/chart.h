/* A line chart as a stand-alone SVG file, readable on light and dark screens. */
#ifndef HL_APP_CHART_H
#define HL_APP_CHART_H

#include "hl.h"

/* x rises along a line as a rule, but need not. A value that is not finite (or beyond 1e300, or on
 * a log axis below 1e-290) is a gap. */
typedef struct hl_chart_series {
    const char *name; /* in the legend; UTF-8 */
    size_t n;
    const double *x, *y;
} hl_chart_series;

typedef struct hl_chart {
    const char *title, *x_label, *y_label;
    bool log_y;
    size_t n;
    const hl_chart_series *series;
} hl_chart;

/* The file's text (hl_free); NULL if there is no memory. Points closer than a pixel become the first,
 * least, greatest and last of their column, so the size is bounded whatever n is, and spikes stay. */
char *hl_chart_svg(const hl_chart *chart);
/* Replaces path by it. HL_ERR_IO, HL_ERR_MEMORY. */
hl_status hl_chart_save(const hl_chart *chart, const char *path, hl_error *err);

#endif
