/* How long runs took: as a whole and part by part, each of them counted, and over the time of the phase. */
#ifndef HL_APP_STRESS_TIMING_H
#define HL_APP_STRESS_TIMING_H

#include "base/histogram.h"
#include "base/json.h"

enum { HL_TIMING_PARTS = 8 };

typedef struct hl_timing hl_timing;

/* names: of the n parts, n <= HL_TIMING_PARTS; they live longer. NULL if there is no memory. */
hl_timing *hl_timing_new(int n, const char *const *names);
void hl_timing_free(hl_timing *t);
/* A run that ended `at` seconds after the phase's begin. Allocates nothing. */
void hl_timing_record(hl_timing *t, double at, double whole, const double *parts);
/* Adds all runs of another one with the same parts. */
void hl_timing_merge(hl_timing *to, const hl_timing *from);
const hl_histogram *hl_timing_whole(const hl_timing *t);

/* Of a result (docs/stress.md), new references, NULL if there is no memory: {"min", "mean", "p50", ...} in
 * ms; [{"name", "mean", "p50", "p99"}, ...]; [[low, high, count], ...]; [[seconds, mean, max, runs], ...]. */
json_t *hl_timing_latency(const hl_timing *t);
json_t *hl_timing_split(const hl_timing *t);
json_t *hl_timing_histogram(const hl_timing *t);
json_t *hl_timing_timeline(const hl_timing *t);

#endif
