/* A histogram of durations in which every sample counts, as HdrHistogram has it (Tene 2012): buckets of
 * 1 ns up to 2048 ns, from there 1024 to an octave, so a value is known within 0.1%. Durations go in and come
 * out as seconds; within they are whole nanoseconds, of which least, largest and sum are exact.
 *
 * Of fixed size (264 KiB); recording takes constant time and allocates nothing. One thread at a time: give
 * each its own and merge them. */
#ifndef HL_BASE_HISTOGRAM_H
#define HL_BASE_HISTOGRAM_H

#include "hl.h"

typedef struct hl_histogram hl_histogram;

/* NULL if there is no memory. */
hl_histogram *hl_histogram_new(void);
void hl_histogram_free(hl_histogram *h);
/* As it was when it was new. */
void hl_histogram_clear(hl_histogram *h);

/* 0 .. 4398 s (2^42 ns) become samples. What is longer, and what is no duration (below 0, NaN), is counted
 * apart and part of nothing else here. */
void hl_histogram_record(hl_histogram *h, double seconds);
uint64_t hl_histogram_too_long(const hl_histogram *h);
uint64_t hl_histogram_invalid(const hl_histogram *h);
/* Adds all that the other has. */
void hl_histogram_merge(hl_histogram *to, const hl_histogram *from);

/* Of the samples; NAN where there are none. */
uint64_t hl_histogram_count(const hl_histogram *h);
double hl_histogram_min(const hl_histogram *h);
double hl_histogram_max(const hl_histogram *h);
double hl_histogram_mean(const hl_histogram *h);
/* By nearest rank: the smallest duration that at least percent (0 .. 100) of the samples do not exceed. Told
 * as the upper end of its bucket, so never too small and at most 0.1% too large, and never above the maximum.
 */
double hl_histogram_percentile(const hl_histogram *h, double percent);

typedef enum hl_spacing { HL_SPACING_LINEAR, HL_SPACING_LOG } hl_spacing;

/* Samples of low <= duration < high; of a bucket that lies across, all are where its middle is. */
typedef struct hl_bar {
    double low, high;
    uint64_t count;
} hl_bar;

/* Draws it with at most n bars of equal width, or of equal ratio, over all samples: writes those that are not
 * empty, in order, and returns their number. */
int hl_histogram_bars(const hl_histogram *h, hl_spacing spacing, int n, hl_bar *bars);

#endif
