/* Values of the store: on the host and on a device, in their dtype and in copies; which are the newest. */
#include "run/param_entry.h"

#include "base/half.h"

/* ------------------------------------------------------------------ memory */

hl_status hl_buffer_allocate(const hl_params *params, const hl_entry *e, hl_dtype dtype, bool on_device,
                             hl_buffer *b, hl_error *err)
{
    const size_t bytes = hl_entry_bytes(e, dtype);
    if (b->data)
        return HL_OK;
    if (on_device) {
        hl_status status = params->table->allocate(params->device, bytes, &b->data, err);
        return status == HL_OK ? HL_OK : hl_fail_prefix(err, "parameter '%s'", e->name);
    }
    b->data = hl_alloc_tensor(bytes, hl_entry_use(e, dtype));
    if (!b->data)
        return hl_fail(err, HL_ERR_MEMORY, "parameter '%s': no memory for its %zu bytes; use a smaller model",
                       e->name, bytes);
    return HL_OK;
}

void hl_buffer_free(const hl_params *params, const hl_entry *e, hl_dtype dtype, bool on_device, hl_buffer *b)
{
    HL_ASSERT(!b->holds);
    if (b->mapped)
        return;
    if (on_device && b->data)
        params->table->release(params->device, b->data);
    else if (b->data)
        hl_free_tensor(b->data, hl_entry_bytes(e, dtype));
    *b = (hl_buffer){0};
}

/* Where values may be written that nobody reads: a buffer that nobody holds. */
static hl_buffer *unheld(hl_values *v)
{
    if (!hl_newest(v)->holds)
        return hl_newest(v);
    for (int pass = 0; pass < 2; pass++) /* one that has memory, if there is */
        for (int i = 0; i < HL_BUFFERS; i++)
            if (!v->buffer[i].holds && !(v->writing && v->next == i) && (pass || v->buffer[i].data))
                return &v->buffer[i];
    return NULL;
}

/* ------------------------------------------------------------------ initial values */

static void touch(hl_entry *e)
{
    hl_newest(&e->host[e->dtype])->version = ++e->version;
}

void hl_params_touch(hl_params *params, int index)
{
    pthread_mutex_lock(&params->lock);
    HL_ASSERT(!hl_entry_is_mapped(hl_entry_at(params, index))); /* nobody could have written them */
    touch(hl_entry_at(params, index));
    pthread_mutex_unlock(&params->lock);
}

/* Memory for new values, in a buffer that nobody reads. */
static hl_status take_unheld(const hl_params *params, hl_entry *e, hl_dtype dtype, bool on_device,
                             hl_buffer **b, hl_error *err)
{
    *b = unheld(hl_entry_values(e, dtype, on_device));
    if (*b)
        return hl_buffer_allocate(params, e, dtype, on_device, *b, err);
    return hl_fail(err, HL_ERR_USAGE,
                   "parameter '%s': %d versions of it are held; free a snapshot or a frozen session", e->name,
                   HL_BUFFERS);
}

static hl_status allocate(const hl_params *params, hl_entry *e, hl_error *err)
{
    hl_values *v = &e->host[e->dtype];
    hl_buffer *b;
    if (hl_entry_is_mapped(e))
        return hl_fail(
            err, HL_ERR_USAGE,
            "parameter '%s' lies in a mapped file and is only read; other values belong in a store "
            "of their own",
            e->name);
    hl_status status = take_unheld(params, e, e->dtype, false, &b, err);
    if (status == HL_OK) {
        v->now = (int)(b - v->buffer);
        e->released = false;
        touch(e);
    }
    return status;
}

hl_status hl_params_allocate(hl_params *params, int index, hl_error *err)
{
    pthread_mutex_lock(&params->lock);
    hl_status status = allocate(params, hl_entry_at(params, index), err);
    pthread_mutex_unlock(&params->lock);
    return status;
}

static hl_status materialize(const hl_params *params, hl_entry *e, hl_error *err)
{
    if (hl_entry_is_mapped(e))
        return HL_OK;
    if (e->version && (hl_newest(&e->host[e->dtype])->data || hl_newest(&e->on_device[e->dtype])->data))
        return HL_OK;
    if (e->released)
        return hl_fail(
            err, HL_ERR_USAGE,
            "parameter '%s' was let go by a frozen session, which has it in another form; load a checkpoint "
            "into the store first",
            e->name);
    hl_status status = allocate(params, e, err);
    if (status == HL_OK)
        hl_entry_initialise(params, e);
    return status;
}

hl_status hl_params_materialize_at(hl_params *params, int index, hl_error *err)
{
    pthread_mutex_lock(&params->lock);
    hl_entry *e = hl_entry_at(params, index);
    hl_status status = materialize(params, e, err);
    if (status == HL_OK && hl_entry_is_mapped(e))
        status = hl_values_freshen(params, e, e->dtype, false, err);
    pthread_mutex_unlock(&params->lock);
    return status;
}

hl_status hl_params_materialize(hl_params *params, hl_error *err)
{
    hl_status status = HL_OK;
    for (int i = 0; i < hl_params_count(params) && status == HL_OK; i++)
        status = hl_params_materialize_at(params, i, err);
    return status;
}

void hl_params_release_data(hl_params *params, int index, hl_dtype dtype)
{
    pthread_mutex_lock(&params->lock);
    hl_entry *e = hl_entry_at(params, index);
    hl_values *v = &e->host[dtype];
    if (!v->sessions) {
        e->released |= hl_newest(v)->data && dtype == e->dtype && !hl_entry_is_mapped(e);
        for (int i = 0; i < HL_BUFFERS; i++)
            if (!v->buffer[i].holds)
                hl_buffer_free(params, e, dtype, false, &v->buffer[i]);
    }
    pthread_mutex_unlock(&params->lock);
}

/* ------------------------------------------------------------------ the newest values */

bool hl_values_fresh(const hl_entry *e, hl_dtype dtype, bool on_device)
{
    const hl_values *v = on_device ? &e->on_device[dtype] : &e->host[dtype];
    return e->version && v->buffer[v->now].data && v->buffer[v->now].version == e->version;
}

static void widen(hl_dtype dtype, float *to, const uint16_t *from, int64_t n)
{
#pragma omp parallel for schedule(static) if (n > 65536)
    for (int64_t i = 0; i < n; i++)
        to[i] = dtype == HL_BF16 ? hl_bf16_to_float(from[i]) : hl_f16_to_float(from[i]);
}

static void round_to(hl_dtype dtype, uint16_t *to, const float *from, int64_t n)
{
#pragma omp parallel for schedule(static) if (n > 65536)
    for (int64_t i = 0; i < n; i++)
        to[i] = dtype == HL_BF16 ? hl_float_to_bf16(from[i]) : hl_float_to_f16(from[i]);
}

/* Writes the newest values to `to`, on the host. */
static hl_status fill_host(hl_params *params, hl_entry *e, hl_dtype dtype, void *to, hl_error *err)
{
    if (hl_values_fresh(e, dtype, true))
        return params->table->download(params->device, to, hl_newest(&e->on_device[dtype])->data,
                                       hl_entry_bytes(e, dtype), err);
    if (dtype == e->dtype) { /* the values themselves are somewhere */
        HL_ASSERT(e->mapped == HL_F16 || e->mapped == HL_BF16);
        widen(e->mapped, to, hl_newest(&e->host[e->mapped])->data, e->count);
        return HL_OK;
    }
    HL_ASSERT(e->dtype == HL_F32 && dtype != HL_I8);
    hl_status status = hl_values_freshen(params, e, e->dtype, false, err);
    if (status == HL_OK)
        round_to(dtype, to, hl_newest(&e->host[e->dtype])->data, e->count);
    return status;
}

/* Likewise, on the device. */
static hl_status fill_device(hl_params *params, hl_entry *e, hl_dtype dtype, void *to, hl_error *err)
{
    hl_status status = hl_values_freshen(params, e, dtype, false, err);
    if (status == HL_OK)
        status = params->table->upload(params->device, to, hl_newest(&e->host[dtype])->data,
                                       hl_entry_bytes(e, dtype), err);
    return status;
}

hl_status hl_values_freshen(hl_params *params, hl_entry *e, hl_dtype dtype, bool on_device, hl_error *err)
{
    hl_values *v = hl_entry_values(e, dtype, on_device);
    if (hl_values_fresh(e, dtype, on_device))
        return HL_OK;
    hl_status status = materialize(params, e, err);
    if (status != HL_OK || hl_values_fresh(e, dtype, on_device))
        return status;
    HL_ASSERT(!on_device || params->table);
    hl_buffer *b;
    status = take_unheld(params, e, dtype, on_device, &b, err);
    if (status == HL_OK)
        status = on_device ? fill_device(params, e, dtype, b->data, err)
                           : fill_host(params, e, dtype, b->data, err);
    if (status == HL_OK) {
        b->version = e->version;
        v->now = (int)(b - v->buffer);
    }
    return status;
}

static hl_status pull(hl_params *params, hl_error *err)
{
    hl_status status = HL_OK;
    for (int i = 0; i < params->n && status == HL_OK; i++) {
        hl_entry *e = hl_entry_at(params, i);
        status = hl_entry_settle(params, e, &(bool){false}, err);
        if (status == HL_OK && hl_values_fresh(e, e->dtype, true) && !hl_entry_is_mapped(e))
            status = hl_values_freshen(params, e, e->dtype, false, err);
    }
    return status;
}

hl_status hl_params_pull(hl_params *params, hl_error *err)
{
    pthread_mutex_lock(&params->lock);
    hl_status status = pull(params, err);
    pthread_mutex_unlock(&params->lock);
    return status;
}

/* ------------------------------------------------------------------ a device */

/* Newest values back to the host, and the device's memory given back. */
static hl_status leave_device(hl_params *params, hl_error *err)
{
    hl_status status = pull(params, err);
    for (int i = 0; i < params->n && status == HL_OK; i++) {
        hl_entry *e = hl_entry_at(params, i);
        for (int d = 0; d < HL_DTYPES; d++) {
            for (int k = 0; k < HL_BUFFERS; k++)
                hl_buffer_free(params, e, (hl_dtype)d, true, &e->on_device[d].buffer[k]);
            e->on_device[d] = (hl_values){0};
        }
    }
    if (status == HL_OK)
        params->table->close(params->device);
    return status;
}

static hl_status move_to(hl_params *params, const hl_device_table *table, hl_device *device, hl_error *err)
{
    hl_status status = HL_OK;
    if (params->users)
        return hl_fail(err, HL_ERR_USAGE,
                       "the parameters are in use on another device: free its sessions first");
    if (params->table)
        status = leave_device(params, err);
    if (status != HL_OK)
        return status;
    params->table = table;
    params->device = device;
    return HL_OK;
}

hl_status hl_params_attach(hl_params *params, const hl_device_table *table, int ordinal, hl_error *err)
{
    hl_device *device;
    hl_status status = table->open(ordinal, &device, err);
    if (status != HL_OK)
        return status;
    pthread_mutex_lock(&params->lock);
    bool there = params->table == table && params->device == device;
    if (!there)
        status = move_to(params, table, device, err);
    params->users += status == HL_OK;
    pthread_mutex_unlock(&params->lock);
    if (there || status != HL_OK)
        table->close(device); /* one count is enough */
    return status;
}

void hl_params_detach(hl_params *params)
{
    pthread_mutex_lock(&params->lock);
    HL_ASSERT(params->users > 0);
    params->users--;
    pthread_mutex_unlock(&params->lock);
}
