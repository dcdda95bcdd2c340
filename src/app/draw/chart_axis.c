#include "app/draw/chart_axis.h"

#include <math.h>
#include <stdio.h>

/* Below this, steps are no longer what pow(10, k) gives. */
#define TINY 1e-290

/* 1, 2 or 5 times a power of ten: the largest up to x (direction -1) or the smallest from x (+1). */
static double round_step(double x, int direction)
{
    static const double factors[] = {1, 2, 5, 10};
    double power = pow(10, floor(log10(x)));
    const double slack = 1e-9; /* what lies on a step stays there, whatever log10 and pow round */
    if (direction > 0) {
        for (int i = 0; i < 4; i++)
            if (factors[i] * power >= x * (1 - slack))
                return factors[i] * power;
        return 10 * power;
    }
    for (int i = 3; i >= 0; i--)
        if (factors[i] * power <= x * (1 + slack))
            return factors[i] * power;
    return power / 2;
}

static void add_tick(hl_axis *a, double value)
{
    double slack = a->log ? 0 : (a->high - a->low) * 1e-9;
    double low = a->log ? a->low * (1 - 1e-9) : a->low - slack;
    double high = a->log ? a->high * (1 + 1e-9) : a->high + slack;
    if (value >= low && value <= high && a->ticks < HL_AXIS_TICKS)
        a->tick[a->ticks++] = value;
}

static void linear_ticks(hl_axis *a, bool widen, int wanted)
{
    double step = round_step((a->high - a->low) / wanted, 1);
    if (widen) {
        a->low = floor(a->low / step + 1e-9) * step;
        a->high = ceil(a->high / step - 1e-9) * step;
    }
    double first = ceil(a->low / step - 1e-9);
    for (int i = 0; i < HL_AXIS_TICKS; i++)
        add_tick(a, (first + i) * step);
}

static void log_ticks(hl_axis *a, bool widen, int wanted)
{
    static const int factors[] = {1, 2, 5};
    if (widen) {
        a->low = round_step(a->low, -1);
        a->high = round_step(a->high, 1);
    }
    int least = (int)floor(log10(a->low) + 1e-9), most = (int)ceil(log10(a->high) - 1e-9);
    int stride = (most - least + wanted - 1) / wanted;
    for (int k = least; k <= most; k++) {
        if (a->high / a->low < 4000)
            for (int i = 0; i < 3; i++)
                add_tick(a, factors[i] * pow(10, k));
        else if ((k - least) % stride == 0)
            add_tick(a, pow(10, k));
    }
}

hl_axis hl_axis_new(double low, double high, bool log, bool widen, int wanted, double from, double to)
{
    hl_axis a = {
        .low = low, .high = high, .from = from, .to = to, .log = log && low >= TINY && high / low >= 3};
    /* One value above all, or less apart than the digits of a double can say: room on both sides. */
    double size = fmax(fabs(low), fabs(high));
    if (high - low <= fmax(1e-12 * size, TINY)) {
        double room = size > TINY ? size / 2 : 1;
        a.low -= room;
        a.high += room;
    }
    if (a.log)
        log_ticks(&a, widen, wanted);
    else
        linear_ticks(&a, widen, wanted);
    return a;
}

double hl_axis_place(const hl_axis *a, double value)
{
    double part = a->log ? log(value / a->low) / log(a->high / a->low)
                         : (value - a->low) / (a->high - a->low);
    return a->from + part * (a->to - a->from);
}

hl_tick_label hl_axis_label(const hl_axis *a, int tick)
{
    hl_tick_label l;
    double value = a->tick[tick], most = fmax(fabs(a->low), fabs(a->high));
    double step = a->ticks > 1 ? a->tick[1] - a->tick[0] : most;
    if (a->log) {
        snprintf(l.text, sizeof l.text, "%g", value);
    } else if (fabs(value) < step / 2) {
        snprintf(l.text, sizeof l.text, "0");
    } else if (most < 1e7 && step >= 0.99e-4) {
        int decimals = (int)fmax(0, -floor(log10(step) + 1e-9));
        snprintf(l.text, sizeof l.text, "%.*f", decimals, value);
    } else {
        int digits = (int)fmin(17, fmax(1, ceil(log10(most / step)) + 1));
        snprintf(l.text, sizeof l.text, "%.*g", digits, value);
    }
    return l;
}
