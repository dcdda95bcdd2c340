/* Values of the store: on the host and on a device, in their dtype and in copies; which are the newest. */
#include "run/param_entry.h"

#include "base/half.h"

/* ------------------------------------------------------------------ values on the host */

static hl_status host_memory(hl_entry *e, hl_dtype dtype, hl_error *err)
{
    hl_value *v = &e->host[dtype];
    if (!v->data)
        v->data = hl_alloc_tensor(hl_entry_bytes(e, dtype), hl_entry_use(e, dtype));
    if (!v->data)
        return hl_fail(err, HL_ERR_MEMORY, "parameter '%s': no memory for its %zu bytes; use a smaller model",
                       e->name, hl_entry_bytes(e, dtype));
    return HL_OK;
}

void hl_params_touch(hl_params *params, int index)
{
    hl_entry *e = hl_entry_at(params, index);
    e->host[e->dtype].version = ++e->version;
}

hl_status hl_params_allocate(hl_params *params, int index, hl_error *err)
{
    hl_entry *e = hl_entry_at(params, index);
    hl_status status = host_memory(e, e->dtype, err);
    if (status == HL_OK) {
        e->released = false;
        hl_params_touch(params, index);
    }
    return status;
}

void hl_params_release_data(hl_params *params, int index, hl_dtype dtype)
{
    hl_entry *e = hl_entry_at(params, index);
    hl_value *v = &e->host[dtype];
    e->released |= v->data && dtype == e->dtype;
    hl_free_tensor(v->data, hl_entry_bytes(e, dtype));
    *v = (hl_value){0};
}

hl_status hl_params_materialize_at(hl_params *params, int index, hl_error *err)
{
    hl_entry *e = hl_entry_at(params, index);
    if (e->version && (e->host[e->dtype].data || e->on_device[e->dtype].data))
        return HL_OK;
    if (e->released)
        return hl_fail(
            err, HL_ERR_USAGE,
            "parameter '%s' was let go by a frozen session; load a checkpoint into the store first", e->name);
    hl_status status = hl_params_allocate(params, index, err);
    if (status == HL_OK)
        hl_entry_initialise(params, e);
    return status;
}

hl_status hl_params_materialize(hl_params *params, hl_error *err)
{
    hl_status status = HL_OK;
    for (int i = 0; i < params->n && status == HL_OK; i++)
        status = hl_params_materialize_at(params, i, err);
    return status;
}

static void round_to(hl_dtype dtype, uint16_t *to, const float *from, int64_t n)
{
#pragma omp parallel for schedule(static) if (n > 65536)
    for (int64_t i = 0; i < n; i++)
        to[i] = dtype == HL_BF16 ? hl_float_to_bf16(from[i]) : hl_float_to_f16(from[i]);
}

/* Brings the host's values of that dtype to the newest version. */
static hl_status freshen_host(hl_params *params, hl_entry *e, hl_dtype dtype, hl_error *err)
{
    hl_value *v = &e->host[dtype];
    hl_status status = host_memory(e, dtype, err);
    if (status != HL_OK || v->version == e->version)
        return status;
    if (e->on_device[dtype].version == e->version) {
        status = params->table->download(params->device, v->data, e->on_device[dtype].data,
                                         hl_entry_bytes(e, dtype), err);
    } else {
        HL_ASSERT(dtype != e->dtype); /* the values themselves are somewhere */
        status = freshen_host(params, e, e->dtype, err);
        if (status == HL_OK)
            round_to(dtype, v->data, e->host[e->dtype].data, e->count);
    }
    if (status == HL_OK)
        v->version = e->version;
    return status;
}

hl_status hl_params_pull(hl_params *params, hl_error *err)
{
    hl_status status = HL_OK;
    for (int i = 0; i < params->n && status == HL_OK; i++) {
        hl_entry *e = &params->entries[i];
        if (e->version && e->host[e->dtype].version != e->version &&
            e->on_device[e->dtype].version == e->version)
            status = freshen_host(params, e, e->dtype, err);
    }
    return status;
}

/* ------------------------------------------------------------------ values on a device */

/* Newest values back to the host, and the device's memory given back. */
static hl_status leave_device(hl_params *params, hl_error *err)
{
    hl_status status = hl_params_pull(params, err);
    for (int i = 0; i < params->n && status == HL_OK; i++) {
        hl_entry *e = &params->entries[i];
        for (int d = 0; d < HL_DTYPES; d++) {
            if (e->on_device[d].data)
                params->table->release(params->device, e->on_device[d].data);
            e->on_device[d] = (hl_value){0};
        }
    }
    if (status == HL_OK)
        params->table->close(params->device);
    return status;
}

hl_status hl_params_attach(hl_params *params, const hl_device_table *table, int ordinal, hl_error *err)
{
    hl_device *device;
    hl_status status = table->open(ordinal, &device, err);
    if (status != HL_OK)
        return status;
    if (params->table == table && params->device == device) {
        table->close(device); /* one count is enough */
        params->users++;
        return HL_OK;
    }
    if (params->users)
        status = hl_fail(err, HL_ERR_USAGE,
                         "the parameters are in use on another device: free its sessions first");
    else if (params->table)
        status = leave_device(params, err);
    if (status != HL_OK) {
        table->close(device);
        return status;
    }
    params->table = table;
    params->device = device;
    params->users = 1;
    return HL_OK;
}

void hl_params_detach(hl_params *params)
{
    HL_ASSERT(params->users > 0);
    params->users--;
}

static hl_status freshen_device(hl_params *params, hl_entry *e, hl_dtype dtype, hl_error *err)
{
    hl_value *v = &e->on_device[dtype];
    hl_status status = HL_OK;
    HL_ASSERT(params->table);
    if (!v->data &&
        (status = params->table->allocate(params->device, hl_entry_bytes(e, dtype), &v->data, err)) != HL_OK)
        return hl_fail_prefix(err, "parameter '%s'", e->name);
    if (v->version == e->version)
        return HL_OK;
    status = freshen_host(params, e, dtype, err);
    if (status == HL_OK)
        status = params->table->upload(params->device, v->data, e->host[dtype].data, hl_entry_bytes(e, dtype),
                                       err);
    if (status == HL_OK)
        v->version = e->version;
    return status;
}

hl_status hl_params_freshen(hl_params *params, int index, hl_dtype dtype, bool on_device, void **data,
                            hl_error *err)
{
    hl_entry *e = hl_entry_at(params, index);
    bool fresh = e->version && hl_params_fresh(params, index, dtype, on_device);
    hl_status status = fresh ? HL_OK : hl_params_materialize_at(params, index, err);
    if (status == HL_OK)
        status = on_device ? freshen_device(params, e, dtype, err) : freshen_host(params, e, dtype, err);
    if (status == HL_OK)
        *data = on_device ? e->on_device[dtype].data : e->host[dtype].data;
    return status;
}

bool hl_params_fresh(const hl_params *params, int index, hl_dtype dtype, bool on_device)
{
    const hl_entry *e = hl_entry_at(params, index);
    return (on_device ? &e->on_device[dtype] : &e->host[dtype])->version == e->version;
}

void hl_params_updated(hl_params *params, int index, bool on_device)
{
    hl_entry *e = hl_entry_at(params, index);
    hl_value *v = on_device ? e->on_device : e->host;
    v[e->dtype].version = ++e->version;
}

void hl_params_updated_copy(hl_params *params, int index, hl_dtype dtype, bool on_device)
{
    hl_entry *e = hl_entry_at(params, index);
    (on_device ? e->on_device : e->host)[dtype].version = e->version;
}
