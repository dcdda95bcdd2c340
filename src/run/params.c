#include "run/params.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/philox.h"
#include "base/half.h"
#include "graph/graph.h"

#include <math.h>
#include <string.h>

/* The values of an entry in one place and dtype. They are those of `version`; 0: never written. */
typedef struct value {
    void *data;
    uint64_t version;
} value;

typedef struct entry {
    char *name;
    uint64_t hash; /* FNV-1a-64 of name */
    hl_role role;
    hl_shape shape;
    hl_init_rule init;
    hl_dtype dtype;
    int64_t count;
    uint64_t version;      /* of the newest values: one more with each update */
    value host[HL_DTYPES]; /* in dtype the values themselves, in another a copy rounded from them */
    value on_device[HL_DTYPES];
    bool released;
} entry;

struct hl_params {
    uint64_t seed, version;
    int n, room;
    entry *entries;
    int slots;                    /* power of two, at least 2 * room */
    int *slot;                    /* entry index + 1, or 0: open addressing */
    const hl_device_table *table; /* NULL: all sessions run on the host */
    hl_device *device;
    int users; /* sessions that have addresses there */
};

/* ------------------------------------------------------------------ initial values */

/* Random values are a function of (seed, name, index) alone: the hash of the name takes the place of
 * (step, stream) in Philox's counter. So the order of declaration and the number of threads do not
 * matter, and a tensor added to a model leaves the others as they were. */
static hl_philox words(const hl_params *params, const entry *e, int64_t block)
{
    return hl_philox_block(params->seed, (uint32_t)e->hash, (uint32_t)(e->hash >> 32), (uint64_t)block);
}

static float *floats(const entry *e)
{
    return e->host[HL_F32].data;
}

/* One block of four values at 4 * block, fewer at the end. */
static void fill_uniform(const hl_params *params, const entry *e, float bound)
{
    float *data = floats(e);
    int64_t blocks = e->count / 4;
#pragma omp parallel for schedule(static) if (blocks > 4096)
    for (int64_t b = 0; b < blocks; b++) {
        hl_philox w = words(params, e, b);
        for (int k = 0; k < 4; k++)
            data[4 * b + k] = bound * (2.0f * hl_uniform_float(w.v[k]) - 1.0f);
    }
    hl_philox w = words(params, e, blocks);
    for (int64_t i = 4 * blocks; i < e->count; i++)
        data[i] = bound * (2.0f * hl_uniform_float(w.v[i % 4]) - 1.0f);
}

/* Box-Muller (1958), in double so that one libm rounds as another. */
static void fill_normal(const hl_params *params, const entry *e)
{
    const double turn = 6.283185307179586476925286766559;
    float *data = floats(e);
    int64_t blocks = (e->count + 3) / 4;
#pragma omp parallel for schedule(static) if (blocks > 4096)
    for (int64_t b = 0; b < blocks; b++) {
        hl_philox w = words(params, e, b);
        double normal[4];
        for (int k = 0; k < 4; k += 2) {
            double radius = sqrt(-2.0 * log((double)hl_uniform_open(w.v[k])));
            double angle = turn * (double)hl_uniform_float(w.v[k + 1]);
            normal[k] = radius * cos(angle);
            normal[k + 1] = radius * sin(angle);
        }
        for (int k = 0; k < 4 && 4 * b + k < e->count; k++)
            data[4 * b + k] = (float)normal[k];
    }
}

static void fill_constant(const entry *e, float x)
{
    uint16_t bits = e->dtype == HL_BF16 ? hl_float_to_bf16(x) : hl_float_to_f16(x),
             *half = e->host[e->dtype].data;
    for (int64_t i = 0; i < e->count; i++)
        if (e->dtype == HL_F32)
            floats(e)[i] = x;
        else
            half[i] = bits;
}

static void initialise(const hl_params *params, const entry *e)
{
    if (!e->count)
        return; /* and the other dimensions may be anything */
    int64_t columns = hl_shape_span(e->shape, 1, e->shape.rank);
    int64_t fan_in = e->init.fan_in ? e->init.fan_in : columns;
    switch (e->init.kind) {
    case HL_ZEROS:
        break; /* as the operating system gave it: not even touched */
    case HL_ONES:
        fill_constant(e, 1);
        break;
    case HL_FILLED:
        if (e->init.value != 0)
            fill_constant(e, e->init.value);
        break;
    case HL_FAN_IN:
        fill_uniform(params, e, (float)(1.0 / sqrt((double)fan_in)));
        break;
    case HL_XAVIER:
        fill_uniform(params, e, (float)sqrt(6.0 / ((double)e->shape.dim[0] + (double)columns)));
        break;
    case HL_NORMAL:
        fill_normal(params, e);
        break;
    }
}

/* ------------------------------------------------------------------ the store */

hl_params *hl_params_new(uint64_t seed)
{
    hl_params *params = hl_alloc(1, sizeof *params);
    if (params)
        params->seed = seed;
    return params;
}

static size_t data_bytes(const entry *e, hl_dtype dtype)
{
    return (size_t)e->count * hl_dtype_size(dtype); /* hl_shape_count saw that it fits */
}

static void free_values(hl_params *params, entry *e)
{
    for (int d = 0; d < HL_DTYPES; d++) {
        hl_free_tensor(e->host[d].data, data_bytes(e, (hl_dtype)d));
        if (e->on_device[d].data)
            params->table->release(params->device, e->on_device[d].data);
    }
}

void hl_params_free(hl_params *params)
{
    if (!params)
        return;
    for (int i = 0; i < params->n; i++) {
        free_values(params, &params->entries[i]);
        hl_free(params->entries[i].name);
    }
    if (params->table)
        params->table->close(params->device);
    hl_free(params->entries);
    hl_free(params->slot);
    hl_free(params);
}

int hl_params_count(const hl_params *params)
{
    return params->n;
}

static entry *entry_at(const hl_params *params, int index)
{
    HL_ASSERT(index >= 0 && index < params->n);
    return &params->entries[index];
}

hl_param_info hl_params_at(const hl_params *params, int index)
{
    const entry *e = entry_at(params, index);
    return (hl_param_info){.name = e->name,
                           .role = e->role,
                           .shape = e->shape,
                           .count = e->count,
                           .dtype = e->dtype,
                           .data = floats(e),
                           .bytes = e->host[e->dtype].data};
}

static uint64_t hash_name(const char *name)
{
    uint64_t hash = 0xCBF29CE484222325u;
    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 0x100000001B3u;
    return hash;
}

/* Where name is, or the free slot where it belongs. */
static int *slot_of(const hl_params *params, const char *name, uint64_t hash)
{
    /* FNV's low bits are its best mixed; equal full hashes still compare names. */
    for (unsigned i = (unsigned)hash;; i++) {
        int *slot = &params->slot[i & (unsigned)(params->slots - 1)];
        if (!*slot ||
            (params->entries[*slot - 1].hash == hash && !strcmp(params->entries[*slot - 1].name, name)))
            return slot;
    }
}

int hl_params_find(const hl_params *params, const char *name)
{
    return params->slots ? *slot_of(params, name, hash_name(name)) - 1 : -1;
}

/* Room for one more entry. A failure leaves the store as it was. */
static bool grow(hl_params *params)
{
    enum { FIRST = 64, LAST = 1 << 28 };
    if (params->n < params->room)
        return true;
    int room = params->room ? 2 * params->room : FIRST;
    if (room > LAST)
        return false;
    int *slot = hl_alloc((size_t)room * 2, sizeof *slot);
    entry *entries = slot ? hl_realloc(params->entries, (size_t)room, sizeof *entries) : NULL;
    if (!entries) {
        hl_free(slot);
        return false;
    }
    hl_free(params->slot);
    params->entries = entries;
    params->room = room;
    params->slot = slot;
    params->slots = 2 * room;
    for (int i = 0; i < params->n; i++)
        *slot_of(params, entries[i].name, entries[i].hash) = i + 1;
    return true;
}

static hl_status check_name(const char *name, hl_error *err)
{
    size_t n = strlen(name);
    if (!n || n > HL_PARAM_NAME_MAX)
        return hl_fail(err, HL_ERR_USAGE, "a parameter's name has 1 to %d bytes, '%.40s' has %zu",
                       HL_PARAM_NAME_MAX, name, n);
    for (size_t i = 0; i < n; i++)
        if (name[i] == '/' || (unsigned char)name[i] < ' ' || name[i] == 127)
            return hl_fail(
                err, HL_ERR_USAGE,
                "parameter '%s': byte %zu is '/' or a control character; use letters, digits, '_' and '.'",
                name, i);
    if (!strcmp(name, "."))
        return hl_fail(err, HL_ERR_USAGE, "parameter '.': a name needs more than a dot");
    return HL_OK;
}

static hl_status check_new(const entry *e, const char *name, hl_error *err)
{
    hl_status status = check_name(name, err);
    if (status != HL_OK)
        return status;
    if (e->count < 0)
        return hl_fail(err, HL_ERR_SHAPE, "parameter '%s': shape %s has a negative dimension or is too large",
                       name, hl_shape_print(e->shape).text);
    if (e->init.fan_in < 0)
        return hl_fail(err, HL_ERR_USAGE, "parameter '%s': a fan-in of %lld is below 0", name,
                       (long long)e->init.fan_in);
    if (e->init.kind == HL_XAVIER && e->shape.rank < 2)
        return hl_fail(err, HL_ERR_SHAPE,
                       "parameter '%s': Xavier's rule needs rows and columns, but its shape is %s", name,
                       hl_shape_print(e->shape).text);
    return HL_OK;
}

static const char *role_name(hl_role role)
{
    return role == HL_PARAMETER ? "a parameter" : "state of the optimizer";
}

static hl_status check_known(const entry *e, hl_role role, hl_dtype dtype, hl_shape shape, hl_error *err)
{
    if (e->role != role)
        return hl_fail(err, HL_ERR_USAGE,
                       "'%s' is declared as %s, but the store has it as %s; choose another name", e->name,
                       role_name(role), role_name(e->role));
    if (!hl_shape_equal(e->shape, shape))
        return hl_fail(err, HL_ERR_SHAPE,
                       "parameter '%s' is declared with shape %s, but the store has it with shape %s",
                       e->name, hl_shape_print(shape).text, hl_shape_print(e->shape).text);
    if (e->dtype != dtype)
        return hl_fail(err, HL_ERR_USAGE, "'%s' is declared as %s, but the store has it as %s", e->name,
                       hl_dtype_name(dtype), hl_dtype_name(e->dtype));
    return HL_OK;
}

hl_status hl_params_declare(hl_params *params, const char *name, hl_role role, hl_dtype dtype, hl_shape shape,
                            hl_init_rule init, int *index, hl_error *err)
{
    HL_ASSERT((role == HL_PARAMETER || role == HL_OPTIMIZER) && shape.rank >= 0 && shape.rank <= HL_MAX_RANK);
    HL_ASSERT(init.kind >= HL_ZEROS && init.kind <= HL_FILLED);
    HL_ASSERT(dtype == HL_F32 || init.kind == HL_FILLED);
    int known = hl_params_find(params, name);
    if (known >= 0) {
        *index = known;
        return check_known(&params->entries[known], role, dtype, shape, err);
    }
    entry e = {.hash = hash_name(name),
               .role = role,
               .shape = shape,
               .init = init,
               .dtype = dtype,
               .count = hl_shape_count(shape)};
    hl_status status = check_new(&e, name, err);
    if (status != HL_OK)
        return status;
    if (!grow(params) || !(e.name = hl_strdup(name)))
        return hl_fail(err, HL_ERR_MEMORY, "parameter '%s': no memory to declare it", name);
    *slot_of(params, name, e.hash) = params->n + 1;
    *index = params->n;
    params->entries[params->n++] = e;
    return HL_OK;
}

/* ------------------------------------------------------------------ values on the host */

static hl_status host_memory(entry *e, hl_dtype dtype, hl_error *err)
{
    value *v = &e->host[dtype];
    if (!v->data)
        v->data = hl_alloc_tensor(data_bytes(e, dtype));
    if (!v->data)
        return hl_fail(err, HL_ERR_MEMORY, "parameter '%s': no memory for its %zu bytes; use a smaller model",
                       e->name, data_bytes(e, dtype));
    return HL_OK;
}

void hl_params_touch(hl_params *params, int index)
{
    entry *e = entry_at(params, index);
    e->host[e->dtype].version = ++e->version;
}

hl_status hl_params_allocate(hl_params *params, int index, hl_error *err)
{
    entry *e = entry_at(params, index);
    hl_status status = host_memory(e, e->dtype, err);
    if (status == HL_OK) {
        e->released = false;
        hl_params_touch(params, index);
    }
    return status;
}

void hl_params_release_data(hl_params *params, int index, hl_dtype dtype)
{
    entry *e = entry_at(params, index);
    value *v = &e->host[dtype];
    e->released |= v->data && dtype == e->dtype;
    hl_free_tensor(v->data, data_bytes(e, dtype));
    *v = (value){0};
}

hl_status hl_params_materialize_at(hl_params *params, int index, hl_error *err)
{
    entry *e = entry_at(params, index);
    if (e->version && (e->host[e->dtype].data || e->on_device[e->dtype].data))
        return HL_OK;
    if (e->released)
        return hl_fail(
            err, HL_ERR_USAGE,
            "parameter '%s' was let go by a frozen session; load a checkpoint into the store first", e->name);
    hl_status status = hl_params_allocate(params, index, err);
    if (status == HL_OK)
        initialise(params, e);
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
static hl_status freshen_host(hl_params *params, entry *e, hl_dtype dtype, hl_error *err)
{
    value *v = &e->host[dtype];
    hl_status status = host_memory(e, dtype, err);
    if (status != HL_OK || v->version == e->version)
        return status;
    if (e->on_device[dtype].version == e->version) {
        status = params->table->download(params->device, v->data, e->on_device[dtype].data,
                                         data_bytes(e, dtype), err);
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
        entry *e = &params->entries[i];
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
        entry *e = &params->entries[i];
        for (int d = 0; d < HL_DTYPES; d++) {
            if (e->on_device[d].data)
                params->table->release(params->device, e->on_device[d].data);
            e->on_device[d] = (value){0};
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

static hl_status freshen_device(hl_params *params, entry *e, hl_dtype dtype, hl_error *err)
{
    value *v = &e->on_device[dtype];
    hl_status status = HL_OK;
    HL_ASSERT(params->table);
    if (!v->data &&
        (status = params->table->allocate(params->device, data_bytes(e, dtype), &v->data, err)) != HL_OK)
        return hl_fail_prefix(err, "parameter '%s'", e->name);
    if (v->version == e->version)
        return HL_OK;
    status = freshen_host(params, e, dtype, err);
    if (status == HL_OK)
        status = params->table->upload(params->device, v->data, e->host[dtype].data, data_bytes(e, dtype),
                                       err);
    if (status == HL_OK)
        v->version = e->version;
    return status;
}

hl_status hl_params_freshen(hl_params *params, int index, hl_dtype dtype, bool on_device, void **data,
                            hl_error *err)
{
    entry *e = entry_at(params, index);
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
    const entry *e = entry_at(params, index);
    return (on_device ? &e->on_device[dtype] : &e->host[dtype])->version == e->version;
}

void hl_params_updated(hl_params *params, int index, bool on_device)
{
    entry *e = entry_at(params, index);
    value *v = on_device ? e->on_device : e->host;
    v[e->dtype].version = ++e->version;
}

void hl_params_updated_copy(hl_params *params, int index, hl_dtype dtype, bool on_device)
{
    entry *e = entry_at(params, index);
    (on_device ? e->on_device : e->host)[dtype].version = e->version;
}

uint64_t hl_params_seed(const hl_params *params)
{
    return params->seed;
}

uint64_t hl_params_version(const hl_params *params)
{
    return params->version;
}

void hl_params_advance(hl_params *params)
{
    params->version++;
}
