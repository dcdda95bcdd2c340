#include "app/tracing.h"

#include "app/command.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"
#include "io/chrome_trace.h"

#include <stdio.h>

struct hl_tracing {
    hl_file *file; /* NULL: it is written */
    char *path;
    int steps;
    hl_trace *trace;
};

static hl_status check(const hl_tracing_request *r, const char *input, hl_error *err)
{
    if (!r->path)
        return r->steps
                   ? hl_fail(err, HL_ERR_USAGE, "--trace-steps is of --trace FILE.json, which is missing")
                   : HL_OK;
    if (r->steps > HL_TRACE_MOST)
        return hl_fail(err, HL_ERR_USAGE, "--trace-steps: %lld is not in 1..%d", (long long)r->steps,
                       HL_TRACE_MOST);
    if (input && hl_same_file(r->path, input))
        return hl_fail(err, HL_ERR_USAGE, "--trace: %s is what is read; write to another file",
                       hl_excerpt_of(r->path).text);
    return HL_OK;
}

hl_status hl_tracing_open(const hl_tracing_request *r, const char *input, hl_tracing **tracing, hl_error *err)
{
    enum { STEPS = 20 }; /* of the full model: 150 KB each */
    hl_status status = check(r, input, err);
    *tracing = NULL;
    if (status != HL_OK || !r->path)
        return status;
    hl_tracing *t = hl_alloc(1, sizeof *t);
    if (!t || !(t->path = hl_strdup(r->path))) {
        hl_free(t);
        return hl_fail(err, HL_ERR_MEMORY, "no memory for a trace");
    }
    t->steps = r->steps ? (int)r->steps : STEPS;
    status = hl_file_replace(t->path, &t->file, err);
    if (status == HL_OK && !(t->trace = hl_trace_new(t->steps, err)))
        status = err->status;
    if (status == HL_OK)
        *tracing = t;
    else
        hl_tracing_free(t);
    return status;
}

hl_status hl_tracing_add(hl_tracing *t, hl_session *s, const char *name, hl_error *err)
{
    return t ? hl_session_trace(s, t->trace, name, err) : HL_OK;
}

int hl_tracing_steps(const hl_tracing *t)
{
    return t ? t->steps : 0;
}

static void tell(const hl_tracing *t)
{
    unsigned long long recorded = 0, missed = 0;
    int sessions = 0;
    for (const hl_track *track = hl_trace_tracks(t->trace); track; track = track->next) {
        recorded += (unsigned long long)track->n_steps;
        missed += track->missed;
        sessions++;
    }
    fprintf(stderr, "hl: %s: %llu step%s of %d session%s recorded", t->path, recorded,
            recorded == 1 ? "" : "s", sessions, sessions == 1 ? "" : "s");
    if (missed)
        fprintf(stderr, ", the %llu after %s not (--trace-steps %d)", missed, missed == 1 ? "it" : "them",
                t->steps);
    fprintf(stderr, "\n");
}

hl_status hl_tracing_write(hl_tracing *t, hl_error *err)
{
    if (!t)
        return HL_OK;
    hl_status status = hl_chrome_trace_write(t->file, t->trace, err);
    if (status == HL_OK) {
        status = hl_file_commit(t->file, err);
        t->file = NULL;
    }
    if (status == HL_OK)
        tell(t);
    return status;
}

void hl_tracing_free(hl_tracing *t)
{
    if (!t)
        return;
    if (t->file)
        hl_file_abort(t->file);
    hl_trace_free(t->trace);
    hl_free(t->path);
    hl_free(t);
}
