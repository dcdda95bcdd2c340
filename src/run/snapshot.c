/* Snapshots: values as of one version, held for long. */
#include "run/param_entry.h"

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
            status = hl_entry_settle(params, hl_entry_at(params, i), &waited, err);
    }
    for (int i = 0; i < s->n && status == HL_OK; i++) {
        hl_entry *e = hl_entry_at(params, i);
        if (hl_values_fresh(e, e->dtype, true) || hl_entry_is_mapped(e))
            status = hl_values_freshen(params, e, e->dtype, false, err);
    }
    for (int i = 0; i < s->n && status == HL_OK; i++) {
        hl_entry *e = hl_entry_at(params, i);
        hl_values *v = &e->host[e->dtype];
        s->held[i] = hl_newest(v)->data ? v->now : -1;
        if (s->held[i] >= 0)
            hl_buffer_hold(hl_newest(v), true);
    }
    s->version = params->version;
    return status;
}

hl_snapshot *hl_snapshot_take(hl_params *params, hl_error *err)
{
    hl_snapshot *s = hl_alloc(1, sizeof *s);
    const int n = hl_params_count(params);
    if (s)
        s->held = hl_alloc((size_t)n + 1, sizeof *s->held);
    if (!s || !s->held) {
        hl_free(s);
        hl_fail(err, HL_ERR_MEMORY, "no memory for a snapshot of %d parameters", n);
        return NULL;
    }
    s->params = params;
    s->n = n;
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
        hl_entry *e = hl_entry_at(params, i);
        if (s->held[i] < 0)
            continue;
        hl_buffer_release(&e->host[e->dtype].buffer[s->held[i]], true);
        hl_entry_trim(params, e);
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
    hl_params_lock(s->params);
    const hl_entry *e = hl_entry_at(s->params, index);
    hl_params_unlock(s->params);
    void *bytes = s->held[index] < 0 ? NULL : e->host[e->dtype].buffer[s->held[index]].data;
    return (hl_param_info){.name = e->name,
                           .role = e->role,
                           .shape = e->shape,
                           .count = e->count,
                           .dtype = e->dtype,
                           .data = e->dtype == HL_F32 ? bytes : NULL,
                           .bytes = bytes};
}
