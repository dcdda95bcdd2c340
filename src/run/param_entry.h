/* The store from within: entries, and where their values are. */
#ifndef HL_RUN_PARAM_ENTRY_H
#define HL_RUN_PARAM_ENTRY_H

#include "base/error.h"
#include "base/memory.h"
#include "graph/graph.h"
#include "run/params.h"

/* The values of an entry in one place and dtype. They are those of `version`; 0: never written. */
typedef struct hl_value {
    void *data;
    uint64_t version;
} hl_value;

typedef struct hl_entry {
    char *name;
    uint64_t hash; /* FNV-1a-64 of name */
    hl_role role;
    hl_shape shape;
    hl_init_rule init;
    hl_dtype dtype;
    int64_t count;
    uint64_t version;         /* of the newest values: one more with each update */
    hl_value host[HL_DTYPES]; /* in dtype the values themselves, in another a copy rounded from them */
    hl_value on_device[HL_DTYPES];
    bool released;
} hl_entry;

struct hl_params {
    uint64_t seed, version;
    int n, room;
    hl_entry *entries;
    int slots;                    /* power of two, at least 2 * room */
    int *slot;                    /* entry index + 1, or 0: open addressing */
    const hl_device_table *table; /* NULL: all sessions run on the host */
    hl_device *device;
    int users; /* sessions that have addresses there */
};

static inline hl_entry *hl_entry_at(const hl_params *params, int index)
{
    HL_ASSERT(index >= 0 && index < params->n);
    return &params->entries[index];
}

static inline size_t hl_entry_bytes(const hl_entry *e, hl_dtype dtype)
{
    return (size_t)e->count * hl_dtype_size(dtype); /* hl_shape_count saw that it fits */
}

static inline hl_use hl_entry_use(const hl_entry *e, hl_dtype dtype)
{
    if (dtype != e->dtype)
        return HL_USE_COPIES;
    return e->role == HL_PARAMETER ? HL_USE_PARAMETERS : HL_USE_OPTIMIZER;
}

/* Writes the initial values to the host's memory, which is there and zero (param_initial.c). */
void hl_entry_initialise(const hl_params *params, const hl_entry *e);

#endif
