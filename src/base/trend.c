#include "base/trend.h"

#include "base/error.h"

#include <math.h>

/* P(|T| <= t) with t = sqrt(degrees) * tan(angle), a finite sum for whole degrees of freedom (Abramowitz &
 * Stegun 1964, 26.7.3 and 26.7.4). */
static double student_inside(double angle, int degrees)
{
    double c = cos(angle), s = sin(angle), sum = 0, term = degrees % 2 ? c : 1;
    for (int k = degrees % 2 ? 3 : 2; k <= degrees; k += 2) {
        sum += term;
        term *= c * c * (k - 1) / k;
    }
    return degrees % 2 ? 2 / M_PI * (angle + s * sum) : s * sum;
}

double hl_student_t(double inside, int degrees)
{
    double low = 0, high = M_PI / 2;
    HL_ASSERT(inside >= 0 && inside < 1 && degrees >= 1);
    for (int i = 0; i < 60; i++) { /* until no number lies between */
        double middle = (low + high) / 2;
        *(student_inside(middle, degrees) < inside ? &low : &high) = middle;
    }
    return sqrt(degrees) * tan((low + high) / 2);
}

/* ------------------------------------------------------------------ a line */

enum { MOST_BLOCKS = 30, FEW_BLOCKS = 8, BLOCK_SAMPLES = 10 };

/* Neighbouring samples of memory or temperature resemble each other. Fitted one by one they would claim a
 * certainty that they do not have, for the usual interval counts each as new evidence: of 300 samples without
 * a trend of which each keeps 0.9 of the one before, two in three were given one. Two things against it.
 * Means of blocks resemble each other less the longer the blocks are: 30 of them, of 10 samples or more,
 * fewer in a short run. And what likeness is left between neighbouring blocks widens the interval (see
 * likeness). Then it was one in fifteen, where the 95% interval of independent samples should have one in
 * twenty. */
static int blocks_for(int samples)
{
    int blocks = samples / BLOCK_SAMPLES;
    blocks = blocks < FEW_BLOCKS ? FEW_BLOCKS : blocks;
    blocks = blocks > MOST_BLOCKS ? MOST_BLOCKS : blocks;
    return samples < blocks ? samples : blocks;
}

typedef struct block {
    double x, y;
    int n;
} block;

static bool is_sample(double x, double y)
{
    return !isnan(x) && !isnan(y);
}

/* Means of equally many neighbours each, give or take one. */
static void fill_blocks(int n, const double *x, const double *y, const hl_trend *trend, block *blocks)
{
    int64_t k = 0;
    for (int i = 0; i < n; i++) {
        if (!is_sample(x[i], y[i]))
            continue;
        block *b = &blocks[k++ * trend->blocks / trend->samples];
        b->n++;
        b->x += (x[i] - b->x) / b->n;
        b->y += (y[i] - b->y) / b->n;
    }
}

static double residual(const hl_trend *trend, const block *b, const block *mean, int i)
{
    return b[i].y - mean->y - trend->slope * (b[i].x - mean->x);
}

/* By how much the slope's variance grows if blocks are a first-order autoregression: (1 + r) / (1 - r), r the
 * correlation of neighbouring residuals; fitting two numbers has taken about 2 / n of it away (Santer et al.
 * 2000 reason likewise for trends of temperature). */
static double likeness(const hl_trend *trend, const block *b, const block *mean, double squares)
{
    double products = 0;
    for (int i = 1; i < trend->blocks; i++)
        products += residual(trend, b, mean, i) * residual(trend, b, mean, i - 1);
    double r = fmin(fmax(products / squares + 2.0 / trend->blocks, 0), 0.9);
    return (1 + r) / (1 - r);
}

/* Least squares; the interval is slope +- t * sqrt(variance of the residuals / spread of x * likeness). */
static void fit(hl_trend *trend, const block *b)
{
    int n = trend->blocks;
    block mean = {0};
    double xx = 0, xy = 0, squares = 0;
    for (int i = 0; i < n; i++) {
        mean.x += (b[i].x - mean.x) / (i + 1);
        mean.y += (b[i].y - mean.y) / (i + 1);
    }
    for (int i = 0; i < n; i++) {
        xx += (b[i].x - mean.x) * (b[i].x - mean.x);
        xy += (b[i].x - mean.x) * (b[i].y - mean.y);
    }
    if (!(xx > 0))
        return;
    trend->slope = xy / xx;
    for (int i = 0; i < n; i++)
        squares += pow(residual(trend, b, &mean, i), 2);
    double variance = squares / (n - 2) / xx;
    if (squares > 0)
        variance *= likeness(trend, b, &mean, squares);
    double reach = hl_student_t(0.95, n - 2) * sqrt(variance);
    trend->low = trend->slope - reach;
    trend->high = trend->slope + reach;
}

hl_trend hl_trend_fit(int n, const double *seconds, const double *values)
{
    hl_trend trend = {.slope = NAN, .low = NAN, .high = NAN};
    block blocks[MOST_BLOCKS] = {0};
    for (int i = 0; i < n; i++)
        trend.samples += is_sample(seconds[i], values[i]);
    trend.blocks = blocks_for(trend.samples);
    if (trend.samples < 3)
        return trend;
    fill_blocks(n, seconds, values, &trend, blocks);
    fit(&trend, blocks);
    return trend;
}
