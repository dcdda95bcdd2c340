/* Who reads which version of the values, and where the next one is written. */
#include "run/param_entry.h"

#include <time.h>

/* ------------------------------------------------------------------ buffers */

static void hold(hl_buffer *b, bool lasting)
{
    b->holds++;
    b->lasting += lasting;
}

static void release(hl_buffer *b, bool lasting)
{
    HL_ASSERT(b->holds > 0 && b->lasting >= lasting);
    b->holds--;
    b->lasting -= lasting;
}

/* ------------------------------------------------------------------ waiting */

/* A step of another thread ends soon; one that its own thread has started and does not wait for, never. */
static hl_status wait_for_change(hl_params *params, const hl_entry *e, hl_error *err)
{
    enum { PATIENCE = 60 }; /* seconds */
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += PATIENCE;
    if (!pthread_cond_timedwait(&params->change, &params->lock, &until))
        return HL_OK;
    return hl_fail(err, HL_ERR_USAGE,
                   "parameter '%s' has been held by other steps for %d seconds; wait for steps that were "
                   "started before the next one that trains",
                   e->name, PATIENCE);
}

static bool written_in_place(const hl_entry *e)
{
    for (int d = 0; d < HL_DTYPES; d++)
        if ((e->host[d].writing && e->host[d].next == e->host[d].now) ||
            (e->on_device[d].writing && e->on_device[d].next == e->on_device[d].now))
            return true;
    return false;
}

hl_status hl_entry_settle(hl_params *params, const hl_entry *e, bool *waited, hl_error *err)
{
    while (written_in_place(e)) {
        if (pthread_equal(params->writer, pthread_self()))
            return hl_fail(err, HL_ERR_USAGE,
                           "parameter '%s' is being updated by a step that was started and not waited for; "
                           "wait for it first, or open the sessions that read meanwhile as concurrent",
                           e->name);
        params->waiting++;
        hl_status status = wait_for_change(params, e, err);
        params->waiting--;
        if (status != HL_OK)
            return status;
        *waited = true;
    }
    return HL_OK;
}

/* ------------------------------------------------------------------ sessions */

static hl_entry *entry_of(const hl_params *params, const hl_param_use *use)
{
    return hl_entry_at(params, use->param);
}

static hl_values *values_of(const hl_params *params, const hl_param_uses *uses, int i)
{
    const hl_param_use *use = &uses->at[i];
    return hl_entry_values(entry_of(params, use), use->dtype, uses->on_device);
}

/* What a copy is rounded from must not be written in place either. */
static void count_reader(const hl_params *params, const hl_param_uses *uses, int i, int change)
{
    hl_entry *e = entry_of(params, &uses->at[i]);
    values_of(params, uses, i)->readers += change;
    if (uses->at[i].copy)
        hl_entry_values(e, e->dtype, uses->on_device)->readers += change;
}

/* Lets memory go that nobody needs: all but the newest values, and the second buffer where others read while
 * one is written. */
static void trim(const hl_params *params, const hl_entry *e, hl_values *v, hl_dtype dtype, bool on_device)
{
    int live = 0;
    for (int i = 0; i < HL_BUFFERS; i++)
        live += v->buffer[i].data != NULL;
    for (int i = 0; i < HL_BUFFERS && live > (v->readers ? 2 : 1); i++) {
        hl_buffer *b = &v->buffer[i];
        if (i == v->now || !b->data || b->holds || (v->writing && v->next == i))
            continue;
        hl_buffer_free(params, e, dtype, on_device, b);
        live--;
    }
}

static void trim_entry(const hl_params *params, hl_entry *e)
{
    for (int d = 0; d < HL_DTYPES; d++) {
        trim(params, e, &e->host[d], (hl_dtype)d, false);
        trim(params, e, &e->on_device[d], (hl_dtype)d, true);
    }
}

void hl_params_bind(hl_params *params, const hl_param_uses *uses, bool concurrent)
{
    pthread_mutex_lock(&params->lock);
    for (int i = 0; i < uses->n; i++) {
        values_of(params, uses, i)->sessions++;
        if (concurrent)
            count_reader(params, uses, i, 1);
    }
    pthread_mutex_unlock(&params->lock);
}

static void leave(const hl_params *params, const hl_param_uses *uses, int i, bool concurrent)
{
    values_of(params, uses, i)->sessions--;
    if (concurrent)
        count_reader(params, uses, i, -1);
    trim_entry(params, entry_of(params, &uses->at[i]));
}

void hl_params_unbind(hl_params *params, const hl_param_uses *uses, bool concurrent)
{
    pthread_mutex_lock(&params->lock);
    for (int i = 0; i < uses->n; i++)
        if (!uses->at[i].let_go)
            leave(params, uses, i, concurrent);
    pthread_mutex_unlock(&params->lock);
}

void hl_params_let_go(hl_params *params, const hl_param_uses *uses, int i, int *held)
{
    pthread_mutex_lock(&params->lock);
    release(&values_of(params, uses, i)->buffer[held[i]], true);
    held[i] = -1;
    leave(params, uses, i, false);
    uses->at[i].let_go = true;
    uses->at[i].data = uses->at[i].next = NULL;
    pthread_mutex_unlock(&params->lock);
}

/* ------------------------------------------------------------------ reading */

/* All are of the newest version and nobody writes them in place: then nothing changes until the lock is let
 * go. The values themselves come before copies of them, which may need them. */
static hl_status settle_all(hl_params *params, const hl_param_uses *uses, hl_error *err)
{
    hl_status status = HL_OK;
    for (bool waited = true; waited && status == HL_OK;) {
        waited = false;
        for (int i = 0; i < uses->n && status == HL_OK; i++)
            if (!uses->at[i].let_go && !(uses->claims && uses->at[i].updated)) /* its own step comes before */
                status = hl_entry_settle(params, entry_of(params, &uses->at[i]), &waited, err);
    }
    for (int copies = 0; copies < 2; copies++)
        for (int i = 0; i < uses->n && status == HL_OK; i++)
            if (!uses->at[i].let_go && uses->at[i].copy == copies)
                status = hl_values_freshen(params, entry_of(params, &uses->at[i]), uses->at[i].dtype,
                                           uses->on_device, err);
    return status;
}

hl_status hl_params_hold(hl_params *params, const hl_param_uses *uses, bool lasting, int *held,
                         uint64_t *version, hl_error *err)
{
    pthread_mutex_lock(&params->lock);
    hl_status status = settle_all(params, uses, err);
    for (int i = 0; i < uses->n && status == HL_OK; i++) {
        held[i] = -1;
        if (uses->at[i].let_go)
            continue;
        hl_values *v = values_of(params, uses, i);
        hold(hl_newest(v), lasting);
        held[i] = v->now;
        uses->at[i].data = uses->at[i].next = hl_newest(v)->data;
    }
    if (version)
        *version = params->version;
    pthread_mutex_unlock(&params->lock);
    return status;
}

void hl_params_release(hl_params *params, const hl_param_uses *uses, bool lasting, const int *held)
{
    pthread_mutex_lock(&params->lock);
    for (int i = 0; i < uses->n; i++) {
        if (held[i] < 0)
            continue;
        hl_values *v = values_of(params, uses, i);
        release(&v->buffer[held[i]], lasting);
        if (lasting)
            trim_entry(params, entry_of(params, &uses->at[i]));
    }
    pthread_cond_broadcast(&params->change);
    pthread_mutex_unlock(&params->lock);
}

/* ------------------------------------------------------------------ writing */

/* A buffer that may be written while others read the newest one: -1 if each is held. Memory for two of them
 * that steps use is enough; who holds one for long gets it replaced. */
static int spare(const hl_values *v)
{
    int in_use = 0, empty = -1;
    for (int i = 0; i < HL_BUFFERS; i++) {
        const hl_buffer *b = &v->buffer[i];
        if (i != v->now && !b->holds && b->data)
            return i;
        in_use += b->data && !b->lasting;
        empty = empty < 0 && !b->data ? i : empty;
    }
    return in_use < 2 ? empty : -1;
}

/* Nobody will soon let go of what this step could write to. */
static bool in_vain(const hl_values *v)
{
    for (int i = 0; i < HL_BUFFERS; i++)
        if (i != v->now && v->buffer[i].data && !v->buffer[i].lasting)
            return false;
    return true;
}

static hl_status find_place(hl_params *params, const hl_entry *e, hl_values *v, hl_error *err)
{
    v->next = !v->readers && !params->waiting && hl_newest(v)->holds == 1 ? v->now : spare(v);
    while (v->next < 0) {
        if (in_vain(v))
            return hl_fail(err, HL_ERR_USAGE,
                           "parameter '%s': all versions are held by snapshots or frozen sessions; free some",
                           e->name);
        hl_status status = wait_for_change(params, e, err);
        if (status != HL_OK)
            return status;
        v->next = spare(v);
    }
    return HL_OK;
}

static hl_status claim(hl_params *params, const hl_param_uses *uses, int i, hl_error *err)
{
    hl_param_use *use = &uses->at[i];
    hl_entry *e = entry_of(params, use);
    hl_values *v = values_of(params, uses, i);
    if (v->writing)
        return hl_fail(err, HL_ERR_USAGE,
                       "parameter '%s' is being updated by a step of another session: one trains at a time",
                       e->name);
    hl_status status = find_place(params, e, v, err);
    if (status == HL_OK)
        status = hl_buffer_allocate(params, e, use->dtype, uses->on_device, &v->buffer[v->next], err);
    if (status != HL_OK)
        return status;
    v->writing = true;
    use->next = v->buffer[v->next].data;
    return HL_OK;
}

static void stop_writing(const hl_params *params, const hl_param_uses *uses, int n)
{
    for (int i = 0; i < n; i++)
        if (uses->at[i].updated)
            values_of(params, uses, i)->writing = false;
}

hl_status hl_params_claim(hl_params *params, hl_param_uses *uses, hl_error *err)
{
    hl_status status = HL_OK;
    pthread_mutex_lock(&params->lock);
    params->writer = pthread_self();
    for (int i = 0; i < uses->n && !uses->claims && status == HL_OK; i++) {
        if (uses->at[i].updated)
            status = claim(params, uses, i, err);
        if (status != HL_OK) {
            stop_writing(params, uses, i);
            pthread_cond_broadcast(&params->change);
        }
    }
    uses->claims += status == HL_OK;
    pthread_mutex_unlock(&params->lock);
    return status;
}

bool hl_params_shared(hl_params *params, const hl_param_uses *uses)
{
    pthread_mutex_lock(&params->lock);
    bool shared = params->waiting > 0;
    for (int i = 0; i < uses->n; i++)
        shared = shared || (uses->at[i].updated && values_of(params, uses, i)->readers);
    pthread_mutex_unlock(&params->lock);
    return shared;
}

static void end_claim(hl_params *params, hl_param_uses *uses)
{
    HL_ASSERT(uses->claims > 0);
    if (!--uses->claims)
        stop_writing(params, uses, uses->n);
    pthread_cond_broadcast(&params->change);
}

void hl_params_abandon(hl_params *params, hl_param_uses *uses)
{
    pthread_mutex_lock(&params->lock);
    end_claim(params, uses);
    pthread_mutex_unlock(&params->lock);
}

void hl_params_publish(hl_params *params, hl_param_uses *uses)
{
    pthread_mutex_lock(&params->lock);
    for (int copies = 0; copies < 2; copies++)
        for (int i = 0; i < uses->n; i++) {
            if (!uses->at[i].updated || uses->at[i].copy != copies)
                continue;
            hl_entry *e = entry_of(params, &uses->at[i]);
            hl_values *v = values_of(params, uses, i);
            HL_ASSERT(v->writing);
            v->now = v->next;
            hl_newest(v)->version = copies ? e->version : ++e->version;
        }
    params->version++;
    end_claim(params, uses);
    pthread_mutex_unlock(&params->lock);
}

/* ------------------------------------------------------------------ snapshots */

struct hl_snapshot {
    hl_params *params;
    uint64_t version;
    int n;
    int *held; /* buffer of each entry; -1: it has no values */
};

static hl_status take(hl_snapshot *s, hl_error *err)
{
    hl_params *params = s->params;
    hl_status status = HL_OK;
    for (bool waited = true; waited && status == HL_OK;) {
        waited = false;
        for (int i = 0; i < s->n && status == HL_OK; i++)
            status = hl_entry_settle(params, &params->entries[i], &waited, err);
    }
    for (int i = 0; i < s->n && status == HL_OK; i++) {
        hl_entry *e = &params->entries[i];
        if (hl_values_fresh(e, e->dtype, true))
            status = hl_values_freshen(params, e, e->dtype, false, err);
    }
    for (int i = 0; i < s->n && status == HL_OK; i++) {
        hl_entry *e = &params->entries[i];
        hl_values *v = &e->host[e->dtype];
        s->held[i] = hl_newest(v)->data ? v->now : -1;
        if (s->held[i] >= 0)
            hold(hl_newest(v), true);
    }
    s->version = params->version;
    return status;
}

hl_snapshot *hl_snapshot_take(hl_params *params, hl_error *err)
{
    hl_snapshot *s = hl_alloc(1, sizeof *s);
    if (s)
        s->held = hl_alloc((size_t)params->n + 1, sizeof *s->held);
    if (!s || !s->held) {
        hl_free(s);
        hl_fail(err, HL_ERR_MEMORY, "no memory for a snapshot of %d parameters", params->n);
        return NULL;
    }
    s->params = params;
    s->n = params->n;
    for (int i = 0; i < s->n; i++)
        s->held[i] = -1;
    pthread_mutex_lock(&params->lock);
    hl_status status = take(s, err);
    pthread_mutex_unlock(&params->lock);
    if (status == HL_OK)
        return s;
    hl_snapshot_free(s);
    return NULL;
}

void hl_snapshot_free(hl_snapshot *s)
{
    if (!s)
        return;
    hl_params *params = s->params;
    pthread_mutex_lock(&params->lock);
    for (int i = 0; i < s->n; i++) {
        hl_entry *e = &params->entries[i];
        if (s->held[i] < 0)
            continue;
        release(&e->host[e->dtype].buffer[s->held[i]], true);
        trim_entry(params, e);
    }
    pthread_cond_broadcast(&params->change);
    pthread_mutex_unlock(&params->lock);
    hl_free(s->held);
    hl_free(s);
}

int hl_snapshot_count(const hl_snapshot *s)
{
    return s->n;
}

uint64_t hl_snapshot_version(const hl_snapshot *s)
{
    return s->version;
}

hl_param_info hl_snapshot_at(const hl_snapshot *s, int index)
{
    HL_ASSERT(index >= 0 && index < s->n);
    const hl_entry *e = &s->params->entries[index];
    void *bytes = s->held[index] < 0 ? NULL : e->host[e->dtype].buffer[s->held[index]].data;
    return (hl_param_info){.name = e->name,
                           .role = e->role,
                           .shape = e->shape,
                           .count = e->count,
                           .dtype = e->dtype,
                           .data = e->dtype == HL_F32 ? bytes : NULL,
                           .bytes = bytes};
}
