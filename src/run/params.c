/* The parameter store: entries by name. */
#include "run/param_entry.h"

#include "base/condition.h"

#include <string.h>

hl_params *hl_params_new(uint64_t seed)
{
    hl_params *params = hl_alloc(1, sizeof *params);
    if (!params)
        return NULL;
    params->seed = seed;
    if (pthread_mutex_init(&params->opening, NULL)) {
        hl_free(params);
        return NULL;
    }
    if (hl_condition_init(&params->change, &params->lock))
        return params;
    pthread_mutex_destroy(&params->opening);
    hl_free(params);
    return NULL;
}

static void free_values(hl_params *params, hl_entry *e)
{
    for (int d = 0; d < HL_DTYPES; d++)
        for (int i = 0; i < HL_BUFFERS; i++) {
            hl_buffer_free(params, e, (hl_dtype)d, false, &e->host[d].buffer[i]);
            hl_buffer_free(params, e, (hl_dtype)d, true, &e->on_device[d].buffer[i]);
        }
}

void hl_params_free(hl_params *params)
{
    if (!params)
        return;
    HL_ASSERT(!params->packed); /* its sessions are gone */
    for (int i = 0; i < params->n; i++) {
        free_values(params, params->entries[i]);
        hl_free(params->entries[i]);
    }
    if (params->table)
        params->table->close(params->device);
    hl_free((void *)params->entries);
    hl_free(params->slot);
    hl_condition_destroy(&params->change, &params->lock);
    pthread_mutex_destroy(&params->opening);
    hl_free(params);
}

int hl_params_count(const hl_params *params)
{
    hl_params_lock(params);
    int n = params->n;
    hl_params_unlock(params);
    return n;
}

hl_param_info hl_params_at(const hl_params *params, int index)
{
    hl_params_lock(params);
    hl_entry *e = hl_entry_at(params, index);
    hl_param_info info = {.name = e->name,
                          .role = e->role,
                          .shape = e->shape,
                          .count = e->count,
                          .dtype = e->dtype,
                          .data = hl_newest(&e->host[HL_F32])->data,
                          .bytes = hl_newest(&e->host[e->dtype])->data};
    hl_params_unlock(params);
    return info;
}

hl_dtype hl_params_mapped(const hl_params *params, int index)
{
    hl_params_lock(params);
    hl_dtype mapped = hl_entry_at(params, index)->mapped;
    hl_params_unlock(params);
    return mapped;
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
            (params->entries[*slot - 1]->hash == hash && !strcmp(params->entries[*slot - 1]->name, name)))
            return slot;
    }
}

/* The caller has the lock. */
static int find(const hl_params *params, const char *name)
{
    return params->slots ? *slot_of(params, name, hash_name(name)) - 1 : -1;
}

int hl_params_find(const hl_params *params, const char *name)
{
    hl_params_lock(params);
    int index = find(params, name);
    hl_params_unlock(params);
    return index;
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
    hl_entry **entries = slot ? hl_realloc((void *)params->entries, (size_t)room, sizeof *entries) : NULL;
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
        *slot_of(params, entries[i]->name, entries[i]->hash) = i + 1;
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

static hl_status check_new(const hl_entry *e, const char *name, hl_error *err)
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

static hl_status check_known(const hl_entry *e, hl_role role, hl_dtype dtype, hl_shape shape, hl_error *err)
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

/* A new entry like e, but for its name. */
static hl_status add(hl_params *params, const char *name, const hl_entry *e, int *index, hl_error *err)
{
    hl_status status = check_new(e, name, err);
    if (status != HL_OK)
        return status;
    hl_entry *added = grow(params) ? hl_alloc(1, sizeof *added + strlen(name) + 1) : NULL;
    if (!added)
        return hl_fail(err, HL_ERR_MEMORY, "parameter '%s': no memory to declare it", name);
    *added = *e;
    strcpy(added->name, name);
    added->hash = hash_name(name);
    *slot_of(params, name, added->hash) = params->n + 1;
    *index = params->n;
    params->entries[params->n++] = added;
    return HL_OK;
}

hl_status hl_params_declare(hl_params *params, const char *name, hl_role role, hl_dtype dtype, hl_shape shape,
                            hl_init_rule init, int *index, hl_error *err)
{
    HL_ASSERT((role == HL_PARAMETER || role == HL_OPTIMIZER) && shape.rank >= 0 && shape.rank <= HL_MAX_RANK);
    HL_ASSERT(init.kind >= HL_ZEROS && init.kind <= HL_FILLED);
    HL_ASSERT(dtype == HL_F32 || init.kind == HL_FILLED);
    const hl_entry e = {.role = role,
                        .shape = shape,
                        .init = init,
                        .dtype = dtype,
                        .count = hl_shape_count(shape),
                        .mapped = HL_DTYPES};
    pthread_mutex_lock(&params->lock);
    const int known = find(params, name);
    if (known >= 0)
        *index = known;
    hl_status status = known >= 0 ? check_known(params->entries[known], role, dtype, shape, err)
                                  : add(params, name, &e, index, err);
    pthread_mutex_unlock(&params->lock);
    return status;
}

/* ------------------------------------------------------------------ mapped entries */

static hl_status check_mapping(const hl_params *params, const char *name, hl_dtype dtype, const void *values,
                               hl_error *err)
{
    const size_t unit = hl_dtype_size(dtype);
    if (find(params, name) >= 0)
        return hl_fail(err, HL_ERR_USAGE,
                       "parameter '%s' cannot be mapped: the store has one of that name already", name);
    if ((uintptr_t)values % unit)
        return hl_fail(err, HL_ERR_USAGE,
                       "parameter '%s' cannot be mapped: its %s values begin at an address that is no "
                       "multiple of %zu; copy them to one that is",
                       name, hl_dtype_name(dtype), unit);
    return HL_OK;
}

hl_status hl_params_map(hl_params *params, const char *name, hl_dtype dtype, hl_shape shape,
                        const void *values, int *index, hl_error *err)
{
    HL_ASSERT(dtype < HL_DTYPES && shape.rank >= 0 && shape.rank <= HL_MAX_RANK && values);
    hl_entry e = {.role = HL_PARAMETER,
                  .shape = shape,
                  .dtype = dtype == HL_F16 || dtype == HL_BF16 ? HL_F32 : dtype,
                  .count = hl_shape_count(shape),
                  .mapped = dtype,
                  .version = 1};
    e.host[dtype].buffer[0] = (hl_buffer){.data = (void *)values, .version = 1, .mapped = true};
    pthread_mutex_lock(&params->lock);
    hl_status status = check_mapping(params, name, dtype, values, err);
    if (status == HL_OK)
        status = add(params, name, &e, index, err);
    pthread_mutex_unlock(&params->lock);
    return status;
}

/* ------------------------------------------------------------------ seed and version */

uint64_t hl_params_seed(const hl_params *params)
{
    return params->seed;
}

uint64_t hl_params_version(hl_params *params)
{
    pthread_mutex_lock(&params->lock);
    uint64_t version = params->version;
    pthread_mutex_unlock(&params->lock);
    return version;
}
