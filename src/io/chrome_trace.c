#include "io/chrome_trace.h"

#include "base/memory.h"
#include "io/json_stream.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* One session's events. */
typedef struct writer {
    hl_json_stream *to;
    const hl_track *track;
    int tid;
    double began; /* of the trace */
} writer;

/* Nanoseconds, whole, so that slices that touch still do when they are read again. */
static double nanoseconds(const writer *w, double moment)
{
    return round(1e9 * (moment - w->began));
}

/* ------------------------------------------------------------------ events */

/* Takes args. */
static void put_name(const writer *w, const char *event, json_t *args)
{
    hl_json_stream_put(w->to, json_pack("{s:s, s:s, s:i, s:i, s:o}", "name", event, "ph", "M", "pid", 1,
                                        "tid", w->tid, "args", args));
}

static void put_slice(const writer *w, const char *name, const char *category, double from, double to,
                      json_t *args)
{
    const double ts = nanoseconds(w, from), end = nanoseconds(w, to);
    hl_json_stream_put(w->to, json_pack("{s:s, s:s, s:s, s:f, s:f, s:i, s:i, s:o}", "name", name, "cat",
                                        category, "ph", "X", "ts", ts / 1e3, "dur", (end - ts) / 1e3, "pid",
                                        1, "tid", w->tid, "args", args));
}

/* Takes values. */
static void put_counter(const writer *w, const char *name, double moment, json_t *values)
{
    hl_json_stream_put(w->to,
                       json_pack("{s:s, s:s, s:f, s:i, s:i, s:o}", "name", name, "ph", "C", "ts",
                                 nanoseconds(w, moment) / 1e3, "pid", 1, "tid", w->tid, "args", values));
}

/* Counters are the process's: the session is in their names. */
static void put_counter_of(const writer *w, const char *what, double moment, json_t *values)
{
    char name[160];
    snprintf(name, sizeof name, "%s: %s", w->track->name, what);
    put_counter(w, name, moment, values);
}

/* What shares the arena. */
static const hl_memory_kind in_arena[] = {HL_MEM_IO, HL_MEM_WORKSPACE, HL_MEM_ACTIVATIONS, HL_MEM_GRADIENTS};

static void put_arena(const writer *w, double moment, const size_t alive[HL_MEM_KINDS])
{
    json_t *values = json_object();
    int failed = !values;
    for (size_t k = 0; k < sizeof in_arena / sizeof *in_arena; k++)
        failed |= json_object_set_new(values, hl_memory_kind_name(in_arena[k]),
                                      json_integer((json_int_t)alive[in_arena[k]]));
    if (failed) {
        json_decref(values);
        values = NULL;
    }
    put_counter_of(w, "bytes alive in the arena", moment, values);
}

/* ------------------------------------------------------------------ a step */

static bool same_part(const hl_call_info *a, const hl_call_info *b)
{
    return a->phase == b->phase && !strcmp(a->section, b->section);
}

static void put_parts(const writer *w, const hl_traced_step *step)
{
    const hl_traced_call *calls = w->track->calls;
    for (int first = 0, end; first < w->track->n_calls; first = end) {
        const hl_call_info *part = &calls[first].info;
        char name[160];
        for (end = first + 1; end < w->track->n_calls && same_part(part, &calls[end].info);)
            end++;
        snprintf(name, sizeof name, "%s%s%s", part->section, part->section[0] ? " " : "",
                 hl_phase_name(part->phase));
        put_slice(w, name, "part", step->moments[first + 1], step->moments[end + 1], json_object());
    }
}

static void put_call(const writer *w, const hl_traced_call *c, double from, double to)
{
    const hl_call_info *i = &c->info;
    put_slice(w, i->op, i->section[0] ? i->section : "none", from, to,
              json_pack("{s:i, s:i, s:s, s:s, s:s, s:s, s:f, s:f}", "call", i->index, "calls", c->calls,
                        "kernel", i->kernel, "shapes", i->shapes, "section", i->section, "phase",
                        hl_phase_name(i->phase), "flops", i->flops, "bytes",
                        i->bytes_read + i->bytes_written));
}

static void put_step(const writer *w, const hl_traced_step *step)
{
    const hl_track *track = w->track;
    const double *moments = step->moments, end = moments[track->n_calls + 2];
    size_t idle[HL_MEM_KINDS] = {0};
    char name[64];
    snprintf(name, sizeof name, "step %llu", (unsigned long long)step->step);
    put_slice(w, name, "step", moments[0], end,
              json_pack("{s:I, s:I}", "step", (json_int_t)step->step, "version", (json_int_t)step->version));
    put_parts(w, step);
    for (int i = 0; i < track->n_calls; i++) {
        const hl_traced_call *c = &track->calls[i];
        put_call(w, c, moments[i + 1], moments[i + 2]);
        if (i == 0 || memcmp(c->alive, c[-1].alive, sizeof c->alive))
            put_arena(w, moments[i + 1], c->alive);
        idle[HL_MEM_IO] = c->alive[HL_MEM_IO];
    }
    put_arena(w, moments[track->n_calls + 1], idle);
    put_counter_of(w, "version of the parameters", moments[0],
                   json_pack("{s:I}", "version", (json_int_t)step->version));
    put_counter(w, "resident bytes", end, json_pack("{s:o}", "bytes", hl_json_number(step->rss)));
}

/* ------------------------------------------------------------------ the file */

static void put_track(hl_json_stream *to, const hl_trace *trace, const hl_track *track, int tid)
{
    const writer w = {to, track, tid, hl_trace_began(trace)};
    put_name(&w, "thread_name", json_pack("{s:s}", "name", track->name));
    put_name(&w, "thread_sort_index", json_pack("{s:i}", "sort_index", tid));
    for (int i = 0; i < track->n_steps; i++)
        put_step(&w, &track->steps[i]);
}

/* What a reader of the times has to know of each session. */
static json_t *about(const hl_track *track)
{
    const char *times =
        strncmp(track->device, "cpu", 3)
            ? "of the device, laid onto the host's clock where its queue was idle; each kernel "
              "was launched by itself, where a step that is not traced is replayed as a whole"
            : "of the host's clock";
    return json_pack("{s:s, s:s, s:i, s:I, s:s}", "session", track->name, "device", track->device,
                     "steps_recorded", track->n_steps, "steps_not_recorded", (json_int_t)track->missed,
                     "times", times);
}

hl_status hl_chrome_trace_write(hl_file *file, const hl_trace *trace, hl_error *err)
{
    hl_json_stream to = {.file = file};
    int tid = 0;
    hl_json_stream_open(&to, "{\"displayTimeUnit\": \"ms\",\n\"otherData\": {\"hl\": \"" HL_VERSION
                             "\", \"sessions\": [\n");
    for (const hl_track *t = hl_trace_tracks(trace); t; t = t->next)
        hl_json_stream_put(&to, about(t));
    hl_json_stream_open(&to, "]},\n\"traceEvents\": [\n");
    put_name(&(writer){.to = &to}, "process_name", json_pack("{s:s}", "name", "hl"));
    for (const hl_track *t = hl_trace_tracks(trace); t; t = t->next)
        put_track(&to, trace, t, ++tid);
    return hl_json_stream_end(&to, "]}\n", err);
}
