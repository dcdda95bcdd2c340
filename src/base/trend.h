/* Does a measured quantity grow with time? The slope of a straight line, and how sure that is. */
#ifndef HL_BASE_TREND_H
#define HL_BASE_TREND_H

#include "hl.h"

typedef struct hl_trend {
    double slope;     /* per second, by least squares; NAN with fewer than 3 samples or all at one time */
    double low, high; /* its 95% confidence interval */
    int samples;      /* that had a time and a value */
    int blocks;       /* of neighbouring samples, whose means were fitted: 3 .. 30 */
} hl_trend;

/* Pairs in the order of time; those in which either is NaN are passed over. */
hl_trend hl_trend_fit(int n, const double *seconds, const double *values);

/* The t for which Student's distribution with so many degrees of freedom (1 or more) has P(|T| <= t) = inside
 * (0 <= inside < 1), within 1e-9 of it. */
double hl_student_t(double inside, int degrees);

#endif
