/* How far a long run has come, for the person watching: a bar that redraws itself on a terminal, else a
 * line per interval. Time is monotonic. */
#ifndef HL_APP_PROGRESS_H
#define HL_APP_PROGRESS_H

#include "hl.h"

#include <stdio.h>

enum { HL_PROGRESS_VALUES = 8 };

typedef struct hl_progress_value {
    const char *name; /* short: "loss", "kl", "grad" */
    double value;     /* NaN is shown as such: it means trouble */
} hl_progress_value;

/* Where a run is. */
typedef struct hl_progress_state {
    int64_t step;    /* steps done */
    int64_t samples; /* of all steps since hl_progress_new; 0: no rate of samples is shown */
    int n;           /* at most HL_PROGRESS_VALUES */
    hl_progress_value value[HL_PROGRESS_VALUES];
} hl_progress_state;

typedef enum hl_progress_look {
    HL_PROGRESS_AUTO, /* a bar if the stream is a terminal that can redraw (TERM is not "dumb") */
    HL_PROGRESS_BAR,
    HL_PROGRESS_LINES
} hl_progress_look;

typedef struct hl_progress_options {
    FILE *to;         /* stderr as a rule */
    int64_t first;    /* steps done before: a resumed run */
    int64_t steps;    /* of the whole run */
    int64_t every;    /* lines: steps between two of them (the last step has one too) */
    const char *unit; /* "samples", "episodes": what is counted per second */
    hl_progress_look look;
    double (*now)(void); /* seconds; NULL: hl_seconds of base/process.h */
} hl_progress_options;

typedef struct hl_progress hl_progress;

/* NULL if there is no memory: the calls below accept it and show nothing. Colours are used by a bar
 * unless NO_COLOR is set (https://no-color.org). */
hl_progress *hl_progress_new(const hl_progress_options *options);
/* Call after each step. A bar is drawn ten times a second at most. */
void hl_progress_show(hl_progress *p, const hl_progress_state *state);
/* Prints a line of its own, above the bar if there is one (to stderr if p is NULL). */
void hl_progress_note(hl_progress *p, const char *format, ...) HL_PRINTF(2, 3);
/* Leaves the bar as it last was, on its own line, and frees p. */
void hl_progress_free(hl_progress *p);

#endif
