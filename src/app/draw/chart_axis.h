/* An axis of a chart: what it covers, where a value lies, where its ticks are. */
#ifndef HL_APP_CHART_AXIS_H
#define HL_APP_CHART_AXIS_H

#include "hl.h"

enum { HL_AXIS_TICKS = 64 };

typedef struct hl_axis {
    double low, high; /* values at its ends, low < high */
    double from, to;  /* their places, in pixels */
    bool log;
    double tick[HL_AXIS_TICKS];
    int ticks;
} hl_axis;

/* An axis over [low, high] (finite, low <= high; at least 1e-290 if log is set) with about `wanted` ticks.
 * widen: move the ends outward to ticks. A log axis over less than a factor of 3 becomes linear, for
 * there the two look alike and only linear ticks are dense enough. */
hl_axis hl_axis_new(double low, double high, bool log, bool widen, int wanted, double from, double to);
double hl_axis_place(const hl_axis *a, double value);
/* The label of a tick; no two are the same. */
typedef struct hl_tick_label {
    char text[32];
} hl_tick_label;
hl_tick_label hl_axis_label(const hl_axis *a, int tick);

#endif
