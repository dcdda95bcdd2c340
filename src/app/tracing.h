/* --trace FILE: what sessions of a command did, as a file that a browser draws. */
#ifndef HL_APP_TRACING_H
#define HL_APP_TRACING_H

#include "hl.h"

/* As the command line has it. */
typedef struct hl_tracing_request {
    const char *path; /* NULL: not given */
    int64_t steps;    /* of each session; 0: not given */
} hl_tracing_request;

/* For a list of hl_flag. */
#define HL_TRACING_FLAGS(request)                                                                            \
    {"trace", HL_FLAG_TEXT, &(request).path, "FILE.json",                                                    \
     "record steps, kernel calls and memory for ui.perfetto.dev (docs/profiling.md)"},                       \
    {                                                                                                        \
        "trace-steps", HL_FLAG_INT, &(request).steps, "N", "how many steps of each session (default 20)"     \
    }

/* NULL stands for one that nobody asked for, and is fine everywhere. */
typedef struct hl_tracing hl_tracing;

/* Finds out whether the file can be written, before anything runs. It must not be `input`, which the command
 * reads (NULL: nothing). */
hl_status hl_tracing_open(const hl_tracing_request *request, const char *input, hl_tracing **tracing,
                          hl_error *err);
/* Records the next steps of a session, see hl_session_trace. */
hl_status hl_tracing_add(hl_tracing *t, hl_session *s, const char *name, hl_error *err);
/* How many steps of each session are recorded at most. */
int hl_tracing_steps(const hl_tracing *t);
/* Writes the file, and tells on stderr what is in it. */
hl_status hl_tracing_write(hl_tracing *t, hl_error *err);
/* After the sessions are gone. What was not written leaves no file. */
void hl_tracing_free(hl_tracing *t);

#endif
