#include "run/trace.h"

#include "base/error.h"
#include "base/process.h"
#include "run/memory_map.h"
#include "run/session.h"

#include <stdio.h>
#include <string.h>

struct hl_trace {
    int steps;
    double began;
    hl_track *first;
    hl_arena *texts; /* of plans that may be gone when they are read */
};

hl_trace *hl_trace_new(int steps, hl_error *err)
{
    hl_trace *t = hl_alloc(1, sizeof *t);
    HL_ASSERT(steps > 0);
    if (!t || !(t->texts = hl_arena_new())) {
        hl_free(t);
        hl_fail(err, HL_ERR_MEMORY, "no memory for a trace");
        return NULL;
    }
    t->steps = steps;
    t->began = hl_seconds();
    return t;
}

static void free_track(hl_track *track)
{
    if (!track)
        return;
    hl_free(track->steps ? track->steps[0].moments : NULL);
    hl_free(track->steps);
    hl_free(track->calls);
    hl_free(track);
}

void hl_trace_free(hl_trace *t)
{
    while (t && t->first) {
        hl_track *track = t->first;
        t->first = track->next;
        free_track(track);
    }
    if (t)
        hl_arena_free(t->texts);
    hl_free(t);
}

const hl_track *hl_trace_tracks(const hl_trace *t)
{
    return t->first;
}

double hl_trace_began(const hl_trace *t)
{
    return t->began;
}

/* ------------------------------------------------------------------ a session's track */

static hl_status describe_call(hl_track *track, const hl_session *s, const hl_memory_map *map, int index,
                               hl_arena *texts)
{
    hl_traced_call *c = &track->calls[track->n_calls++];
    c->info = hl_session_call(s, index);
    c->calls = s->plan->together[index];
    for (int k = 1; k < c->calls; k++) {
        hl_call_info more = hl_session_call(s, index + k);
        c->info.flops += more.flops;
        c->info.bytes_read += more.bytes_read;
        c->info.bytes_written += more.bytes_written;
    }
    memcpy(c->alive, map->alive[index], sizeof c->alive);
    c->info.section = hl_arena_strdup(texts, c->info.section);
    return c->info.section ? HL_OK : HL_ERR_MEMORY;
}

static hl_status describe_calls(hl_track *track, const hl_session *s, hl_arena *texts, hl_error *err)
{
    const hl_plan *p = s->plan;
    hl_memory_map *map = hl_memory_map_new(p, err);
    hl_status status = map ? HL_OK : err->status;
    for (int i = 0; i < p->n_calls && status == HL_OK; i += p->together[i])
        status = describe_call(track, s, map, i, texts);
    hl_memory_map_free(map);
    return status;
}

/* As many steps as asked for, or as there is room for. */
static hl_status make_room(hl_track *track, int steps)
{
    const int moments = track->n_calls + 3, most = HL_TRACE_MOST / moments;
    track->capacity = most < 1 ? 1 : steps < most ? steps : most;
    track->steps = hl_alloc((size_t)track->capacity, sizeof *track->steps);
    double *all = track->steps ? hl_alloc((size_t)track->capacity * (size_t)moments, sizeof *all) : NULL;
    for (int i = 0; i < track->capacity && all; i++)
        track->steps[i].moments = all + (size_t)i * (size_t)moments;
    return all ? HL_OK : HL_ERR_MEMORY;
}

static hl_status add_track(hl_session *s, hl_trace *t, const char *name, hl_error *err)
{
    hl_track *track = hl_alloc(1, sizeof *track), **end = &t->first;
    hl_status status = HL_ERR_MEMORY;
    if (track && (track->calls = hl_alloc((size_t)s->plan->n_calls + 1, sizeof *track->calls)))
        status = describe_calls(track, s, t->texts, err);
    if (status == HL_OK)
        status = make_room(track, t->steps);
    if (status != HL_OK) {
        free_track(track);
        return hl_fail(err, HL_ERR_MEMORY, "no memory to trace %s: %d calls in %d steps", name,
                       s->plan->n_calls, t->steps);
    }
    snprintf(track->name, sizeof track->name, "%s", name);
    snprintf(track->device, sizeof track->device, "%s", s->plan->device);
    while (*end)
        end = &(*end)->next;
    *end = s->track = track;
    return HL_OK;
}

hl_status hl_session_trace(hl_session *s, hl_trace *t, const char *name, hl_error *err)
{
    s->track = NULL;
    return t ? add_track(s, t, name, err) : HL_OK;
}

/* ------------------------------------------------------------------ recording */

bool hl_trace_wants(const hl_session *s)
{
    return s->track && s->track->n_steps < s->track->capacity;
}

/* Steps that follow each other do not overlap, however their times were rounded. */
static double begin_of(const hl_session *s, int slot)
{
    const hl_track *track = s->track;
    const double began = hl_session_began(s, slot);
    if (!track->n_steps)
        return began;
    const double before = track->steps[track->n_steps - 1].moments[track->n_calls + 2];
    return began > before ? began : before;
}

void hl_trace_take(hl_session *s, int slot)
{
    const hl_plan *p = s->plan;
    hl_track *track = s->track;
    if (!track)
        return;
    if (s->marking[slot] != HL_MARK_CALLS || !hl_trace_wants(s)) {
        track->missed++;
        return;
    }
    hl_traced_step *step = &track->steps[track->n_steps];
    double *moment = step->moments;
    const double began = *moment++ = begin_of(s, slot);
    for (int i = 0; i < p->n_calls; i += p->together[i])
        *moment++ = began + hl_session_between(s, slot, p->n_calls + HL_BEFORE_INPUTS, i);
    *moment++ = began + hl_session_between(s, slot, p->n_calls + HL_BEFORE_INPUTS, p->n_calls);
    *moment++ = began +
                hl_session_between(s, slot, p->n_calls + HL_BEFORE_INPUTS, p->n_calls + HL_AFTER_OUTPUTS);
    step->step = s->step - 1 - (uint64_t)s->pending;
    step->version = s->version;
    step->rss = hl_resident_bytes();
    track->n_steps++;
}
