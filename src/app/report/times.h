/* How long the runs of a phase took: its inferences, or the steps of its training. */
#ifndef HL_APP_REPORT_TIMES_H
#define HL_APP_REPORT_TIMES_H

#include "app/report/figure.h"

typedef struct hl_times {
    const json_t *run;                        /* "inference" or "training" of a phase */
    const json_t *latency;                    /* its least, median, ... in ms */
    double deadline;                          /* ms; NaN: none */
    const char *runs;                         /* the word for what is counted */
    const char *histogram, *timeline, *split; /* titles */
} hl_times;

void hl_times_histogram(hl_page *p, const hl_times *t);
void hl_times_timeline(hl_page *p, const hl_times *t);
void hl_times_split(hl_page *p, const hl_times *t);

/* The deadline, where it does not press times up to most together; else NaN. */
double hl_times_deadline_near(const hl_times *t, double most);

#endif
