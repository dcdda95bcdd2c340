/* Who reads which version of the values, and where the next one is written. */
#include "run/param_entry.h"

#include "base/condition.h"
#include "base/process.h"

#include <math.h>

/* ------------------------------------------------------------------ buffers */

void hl_buffer_hold(hl_buffer *b, bool lasting)
{
    b->holds++;
    b->lasting += lasting;
}

void hl_buffer_release(hl_buffer *b, bool lasting)
{
    HL_ASSERT(b->holds > 0 && b->lasting >= lasting);
    b->holds--;
    b->lasting -= lasting;
}

/* ------------------------------------------------------------------ waiting */

/* Until when to wait for others. A step on the host ends by itself; one on a device ends for the store when
 * its thread waits for it, and that may be the thread that waits here. */
static double patience(bool on_device)
{
    enum { SECONDS = 60 };
    return on_device ? hl_seconds() + SECONDS : INFINITY;
}

static hl_status wait_for_change(hl_params *params, const hl_entry *e, double until, hl_error *err)
{
    (void)hl_condition_wait(&params->change, &params->lock, until); /* who asked looks what has changed */
    if (hl_seconds() < until)
        return HL_OK;
    return hl_fail(
        err, HL_ERR_USAGE,
        "parameter '%s' has long been held by other steps; wait for steps that were started before "
        "the next one that trains",
        e->name);
}

static const hl_values *written_in_place(const hl_entry *e, bool on_device)
{
    const hl_values *v = on_device ? e->on_device : e->host;
    for (int d = 0; d < HL_DTYPES; d++)
        if (v[d].writing && v[d].next == v[d].now)
            return &v[d];
    return NULL;
}

static hl_status settle(hl_params *params, const hl_entry *e, bool on_device, bool *waited, hl_error *err)
{
    const double until = patience(on_device);
    hl_status status = HL_OK;
    for (const hl_values *v; status == HL_OK && (v = written_in_place(e, on_device)) != NULL;) {
        if (pthread_equal(v->writer, pthread_self()))
            return hl_fail(err, HL_ERR_USAGE,
                           "parameter '%s' is being updated by a step that was started and not waited for; "
                           "wait for it first, or open the sessions that read meanwhile as concurrent",
                           e->name);
        params->waiting++;
        status = wait_for_change(params, e, until, err);
        params->waiting--;
        *waited = true;
    }
    return status;
}

hl_status hl_entry_settle(hl_params *params, const hl_entry *e, bool *waited, hl_error *err)
{
    hl_status status = HL_OK;
    for (bool again = true; again && status == HL_OK;) {
        again = false;
        status = settle(params, e, false, &again, err);
        if (status == HL_OK)
            status = settle(params, e, true, &again, err);
        *waited = *waited || again;
    }
    return status;
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

void hl_entry_trim(const hl_params *params, hl_entry *e)
{
    for (int d = 0; d < HL_DTYPES; d++) {
        trim(params, e, &e->host[d], (hl_dtype)d, false);
        trim(params, e, &e->on_device[d], (hl_dtype)d, true);
    }
}

static hl_status check_updates(const hl_params *params, const hl_param_uses *uses, hl_error *err)
{
    for (int i = 0; i < uses->n; i++) {
        const hl_entry *e = entry_of(params, &uses->at[i]);
        if (uses->at[i].updated && hl_entry_is_mapped(e))
            return hl_fail(err, HL_ERR_USAGE,
                           "parameter '%s' lies in a mapped file and is only read: this session would train "
                           "it; train from a checkpoint, in a store of its own",
                           e->name);
    }
    return HL_OK;
}

hl_status hl_params_bind(hl_params *params, const hl_param_uses *uses, bool concurrent, hl_error *err)
{
    pthread_mutex_lock(&params->lock);
    hl_status status = check_updates(params, uses, err);
    for (int i = 0; i < uses->n && status == HL_OK; i++) {
        if (uses->at[i].let_go)
            continue;
        values_of(params, uses, i)->sessions++;
        if (concurrent)
            count_reader(params, uses, i, 1);
    }
    pthread_mutex_unlock(&params->lock);
    return status;
}

static void leave(const hl_params *params, const hl_param_uses *uses, int i, bool concurrent)
{
    values_of(params, uses, i)->sessions--;
    if (concurrent)
        count_reader(params, uses, i, -1);
    hl_entry_trim(params, entry_of(params, &uses->at[i]));
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
    hl_buffer_release(&values_of(params, uses, i)->buffer[held[i]], true);
    held[i] = -1;
    leave(params, uses, i, false);
    uses->at[i].let_go = true;
    uses->at[i].data = uses->at[i].next = NULL;
    pthread_cond_broadcast(&params->change);
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
        hl_buffer_hold(hl_newest(v), lasting);
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
        hl_buffer_release(&v->buffer[held[i]], lasting);
        if (lasting)
            hl_entry_trim(params, entry_of(params, &uses->at[i]));
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

static bool may_work_in_place(const hl_params *params, const hl_values *v)
{
    return !v->readers && !params->waiting && v->buffer[v->now].holds == 1; /* its own */
}

static hl_status find_place(hl_params *params, const hl_entry *e, hl_values *v, bool on_device, hl_error *err)
{
    const double until = patience(on_device);
    v->next = may_work_in_place(params, v) ? v->now : spare(v);
    while (v->next < 0) {
        if (in_vain(v))
            return hl_fail(err, HL_ERR_USAGE,
                           "parameter '%s': all versions are held by snapshots or frozen sessions; free some",
                           e->name);
        hl_status status = wait_for_change(params, e, until, err);
        if (status != HL_OK)
            return status;
        v->next = spare(v);
    }
    return HL_OK;
}

/* That the step has read the newest values, and nobody else is about to replace them. */
static hl_status check_turn(const hl_entry *e, const hl_values *v, const hl_param_use *use, hl_error *err)
{
    if (v->writing)
        return hl_fail(err, HL_ERR_USAGE,
                       "parameter '%s' is being updated by a step of another session: one trains at a time",
                       e->name);
    if (use->data != v->buffer[v->now].data || v->buffer[v->now].version != e->version)
        return hl_fail(err, HL_ERR_USAGE,
                       "parameter '%s' was updated by another session while this step ran: one trains at a "
                       "time",
                       e->name);
    return HL_OK;
}

static hl_status claim(hl_params *params, const hl_param_uses *uses, int i, hl_error *err)
{
    hl_param_use *use = &uses->at[i];
    hl_entry *e = entry_of(params, use);
    hl_values *v = values_of(params, uses, i);
    hl_status status = check_turn(e, v, use, err);
    if (status == HL_OK)
        status = find_place(params, e, v, uses->on_device, err);
    if (status == HL_OK && v->next == v->now)
        trim(params, e, v, use->dtype, uses->on_device); /* another buffer was for who has gone meanwhile */
    else if (status == HL_OK)
        status = hl_buffer_allocate(params, e, use->dtype, uses->on_device, &v->buffer[v->next], err);
    if (status != HL_OK)
        return status;
    v->writing = true;
    v->writer = pthread_self();
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

bool hl_params_publish_first(hl_params *params, const hl_param_uses *uses)
{
    pthread_mutex_lock(&params->lock);
    bool first = params->waiting > 0;
    for (int i = 0; i < uses->n && !first; i++) {
        const hl_values *v = values_of(params, uses, i);
        first = uses->at[i].updated && (v->readers || (v->writing && v->next != v->now));
    }
    pthread_mutex_unlock(&params->lock);
    return first;
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
