/* A line of a chart on its way to an SVG path. Points closer than a pixel become the first, least, greatest
 * and last of their column, so the size is bounded by the width, and spikes stay. */
#ifndef HL_APP_CHART_LINE_H
#define HL_APP_CHART_LINE_H

#include "base/text.h"

typedef struct hl_line_place {
    double x, y; /* pixels */
} hl_line_place;

/* What is left of the points in one column of pixels, in the order they came. */
typedef struct hl_line_column {
    double at;
    hl_line_place first, least, most, last;
    bool least_first; /* the least came before the greatest */
    bool any;
} hl_line_column;

/* Begin with {.dot_class = ...}: the class of a point that stands alone, which is no line and gets a dot. */
typedef struct hl_line {
    const char *dot_class;
    hl_text path, dots;
    hl_line_column column;
    hl_line_place begin, end; /* of the run since the last gap */
    int points;               /* in the run */
    bool gap;                 /* since the last point */
} hl_line;

void hl_line_to(hl_line *l, double x, double y);
/* A gap: the next point begins anew. One narrower than a pixel cannot be seen, and is not drawn. */
void hl_line_lift(hl_line *l);
/* Appends the path, with line_class, and the dots to t; l is empty again. */
void hl_line_append(hl_line *l, hl_text *t, const char *line_class);

#endif
