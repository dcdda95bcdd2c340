/* What sessions did, and when: the kernel calls of their next steps, in memory that is allocated before. */
#ifndef HL_RUN_TRACE_H
#define HL_RUN_TRACE_H

#include "hl.h"

typedef struct hl_trace hl_trace;

enum { HL_TRACE_MOST = 1000000 }; /* calls of a session */

/* For at most `steps` steps of each session, or as many as make HL_TRACE_MOST calls. */
hl_trace *hl_trace_new(int steps, hl_error *err);
void hl_trace_free(hl_trace *t);
/* Records the steps that a session starts from here on, under a name, until there is no more room; called by
 * the session's thread. A device runs such steps call by call. The trace must outlive the session; a NULL one
 * ends this. One session at a time is added to a trace; recording is then each session's own. */
hl_status hl_session_trace(hl_session *s, hl_trace *t, const char *name, hl_error *err);

/* ------------------------------------------------------------------ what was recorded: for reading */

/* A kernel call, or several that were handed over together. */
typedef struct hl_traced_call {
    hl_call_info info; /* of the first one; flops and bytes are those of all */
    int calls;
    size_t alive[HL_MEM_KINDS]; /* bytes while the first runs */
} hl_traced_call;

typedef struct hl_traced_step {
    uint64_t step;    /* that randomness was drawn from */
    uint64_t version; /* of the parameters that it read */
    double rss;       /* bytes of the process that were resident after it; NAN: not told */
    double *moments;  /* seconds: it began, before each call, after the last, it ended: n_calls + 3 */
} hl_traced_step;

/* A session's. */
typedef struct hl_track {
    char name[96], device[32];
    int n_calls;
    hl_traced_call *calls;
    int n_steps, capacity;
    hl_traced_step *steps;
    uint64_t missed; /* steps that it ran when there was no room */
    struct hl_track *next;
} hl_track;

/* In the order in which they were added; NULL: none. */
const hl_track *hl_trace_tracks(const hl_trace *t);
/* On the clock of moments, when the trace was made. */
double hl_trace_began(const hl_trace *t);

#endif
