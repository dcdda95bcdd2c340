/* Packed weights: the store keeps them for the sessions that share them. */
#include "run/param_entry.h"

#include <string.h>

struct hl_packed {
    hl_packed *next;
    hl_packing what;  /* its key is below */
    uint64_t version; /* of the entry's values that were packed */
    int sessions;
    void *data;
    unsigned char key[];
};

bool hl_packing_equal(const hl_packing *a, const hl_packing *b)
{
    return a->param == b->param && a->dtype == b->dtype && a->on_device == b->on_device &&
           a->offset == b->offset && hl_shape_equal(a->shape, b->shape) && a->kernel == b->kernel &&
           a->bytes == b->bytes && a->key_bytes == b->key_bytes &&
           (!a->key_bytes || !memcmp(a->key, b->key, a->key_bytes));
}

void *hl_packed_data(const hl_packed *packed)
{
    return packed->data;
}

void hl_params_begin_opening(hl_params *params)
{
    pthread_mutex_lock(&params->opening);
}

void hl_params_end_opening(hl_params *params)
{
    pthread_mutex_unlock(&params->opening);
}

hl_packed *hl_params_take_packed(hl_params *params, const hl_packing *what)
{
    pthread_mutex_lock(&params->lock);
    const uint64_t version = hl_entry_at(params, what->param)->version;
    hl_packed *p = params->packed;
    while (p && !(p->version == version && hl_packing_equal(&p->what, what)))
        p = p->next;
    if (p)
        p->sessions++;
    pthread_mutex_unlock(&params->lock);
    return p;
}

static hl_status allocate(const hl_params *params, hl_packed *p, hl_error *err)
{
    const size_t bytes = p->what.bytes;
    hl_status status = HL_OK;
    if (p->what.on_device)
        status = params->table->allocate(params->device, bytes, &p->data, err);
    else if (!(p->data = hl_alloc_tensor(bytes, HL_USE_PACKED)))
        status = hl_fail(err, HL_ERR_MEMORY, "%zu bytes cannot be allocated", bytes);
    else
        hl_poison(p->data, bytes);
    return status == HL_OK ? status : hl_fail_prefix(err, "no memory for packed weights");
}

static void free_packed(const hl_params *params, hl_packed *p)
{
    if (p->what.on_device && p->data)
        params->table->release(params->device, p->data);
    else if (!p->what.on_device)
        hl_free_tensor(p->data, p->what.bytes);
    hl_free(p);
}

/* Of the values at an address that a session holds. */
static uint64_t version_of(hl_params *params, const hl_packing *what, const void *values)
{
    uint64_t version = 0;
    pthread_mutex_lock(&params->lock);
    const hl_values *v = hl_entry_values(hl_entry_at(params, what->param), what->dtype, what->on_device);
    for (int i = 0; i < HL_BUFFERS; i++)
        if (v->buffer[i].data == values)
            version = v->buffer[i].version;
    pthread_mutex_unlock(&params->lock);
    return version;
}

hl_status hl_params_pack(hl_params *params, const hl_packing *what, const hl_call *call, const void *values,
                         hl_packed **packed, hl_error *err)
{
    hl_packed *p = hl_alloc(1, sizeof *p + what->key_bytes);
    if (!p)
        return hl_fail(err, HL_ERR_MEMORY, "no memory for packed weights");
    p->what = *what;
    p->what.key = p->key;
    if (what->key_bytes)
        memcpy(p->key, what->key, what->key_bytes);
    p->version = version_of(params, what, values);
    p->sessions = 1;
    hl_status status = allocate(params, p, err);
    if (status == HL_OK)
        status = call->kernel->pack(call, (const char *)values + what->offset, p->data, err);
    if (status != HL_OK) {
        free_packed(params, p);
        return status;
    }
    pthread_mutex_lock(&params->lock);
    p->next = params->packed;
    params->packed = p;
    pthread_mutex_unlock(&params->lock);
    *packed = p;
    return HL_OK;
}

void hl_params_release_packed(hl_params *params, hl_packed *packed)
{
    pthread_mutex_lock(&params->lock);
    HL_ASSERT(packed->sessions > 0);
    if (!--packed->sessions) {
        hl_packed **at = &params->packed;
        while (*at != packed)
            at = &(*at)->next;
        *at = packed->next;
        free_packed(params, packed);
    }
    pthread_mutex_unlock(&params->lock);
}
