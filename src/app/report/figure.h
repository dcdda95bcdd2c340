/* A chart of the page: axes and marks as inline SVG. Words stand in HTML around it, where they wrap. */
#ifndef HL_APP_REPORT_FIGURE_H
#define HL_APP_REPORT_FIGURE_H

#include "app/draw/chart_axis.h"
#include "app/report/page.h"
#include "app/report/rows.h"

/* In the units of its viewBox; on a screen of 360 pixels they are a little less than one each. */
enum { HL_FIGURE_WIDTH = 400, HL_FIGURE_PLOT = 160, HL_FIGURE_NOTE = 15 };
/* More moments than this beside each other would not be seen. */
enum { HL_FIGURE_MOMENTS = 240 };

/* A figure begins with its title, and ends with keys to its marks. */
void hl_figure_begin(hl_page *p, const char *title);
void hl_figure_end(hl_page *p);
/* A figure that has nothing to show says why. */
void hl_figure_nothing(hl_page *p, const char *title, const char *why);

/* The drawing, so high; about: what it shows, for who does not see it. Ends with </svg>. */
void hl_figure_svg(hl_page *p, const char *title, const char *about, double height);
/* Ticks and labels of an x axis below a plot, and the grid up to its top. */
void hl_figure_x_axis(hl_page *p, const hl_axis *x, double top, double bottom, const char *unit);
enum { HL_FIGURE_BELOW = 34 }; /* the room it takes */

typedef struct hl_figure {
    hl_page *page;
    hl_axis x, y;
} hl_figure;

typedef struct hl_figure_frame {
    const char *title, *about;
    const char *x_unit, *y_unit;
    double x[2], y[2]; /* what the axes cover */
    bool log_x, log_y, widen_x;
    int notes; /* lines above the plot, for hl_figure_marks */
} hl_figure_frame;

/* Opens the drawing and draws the frame. */
hl_figure hl_figure_plot(hl_page *p, const hl_figure_frame *frame);

/* Column y of the rows over column 0 as a line, and the area between two columns; low 0: from the x axis on.
 */
void hl_figure_line(hl_figure *f, const hl_rows *rows, size_t y, const char *style);
void hl_figure_area(hl_figure *f, const hl_rows *rows, size_t low, size_t high, const char *style);
/* A vertical line with a label above the plot. */
typedef struct hl_mark {
    double x; /* NaN: none */
    const char *style;
    char label[96];
} hl_mark;
void hl_figure_marks(hl_figure *f, const hl_mark *marks, int n);
/* A horizontal line. */
void hl_figure_level(hl_figure *f, double y, const char *style);

/* A list of keys to lines, each with a name and a value: <ul class="keys">, then these, then </ul>. */
void hl_figure_key(hl_page *p, const char *style, const char *name, double value, hl_unit unit);

#endif
