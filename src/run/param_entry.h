/* The store from within: entries, and where their values are. */
#ifndef HL_RUN_PARAM_ENTRY_H
#define HL_RUN_PARAM_ENTRY_H

#include "base/error.h"
#include "base/memory.h"
#include "graph/graph.h"
#include "run/params.h"

#include <pthread.h>

/* Values of an entry, as of one version. */
typedef struct hl_buffer {
    void *data;
    uint64_t version; /* of the entry's; 0: never written */
    int holds;        /* who reads it: nobody writes it then */
    int lasting;      /* of these, snapshots and frozen sessions: no use waiting for them */
    bool mapped;      /* memory of somebody else's: only read, and never let go */
} hl_buffer;

/* What is current, what a step writes meanwhile, and two that others may hold on to. */
enum { HL_BUFFERS = 4 };

/* The values of an entry in one place and dtype. One buffer does until somebody holds what is to be written.
 */
typedef struct hl_values {
    hl_buffer buffer[HL_BUFFERS];
    int now;      /* the newest of them */
    bool writing; /* a step writes buffer `next`, which is `now` if it works in place */
    int next;
    pthread_t writer; /* the thread that started it */
    int sessions;     /* bound to it */
    int readers;      /* of these, that run while another trains */
} hl_values;

typedef struct hl_entry {
    uint64_t hash; /* FNV-1a-64 of name */
    hl_role role;
    hl_shape shape;
    hl_init_rule init;
    hl_dtype dtype;
    int64_t count;
    uint64_t version;          /* of the newest values: one more with each update */
    hl_values host[HL_DTYPES]; /* in dtype the values themselves, in another a copy rounded from them */
    hl_values on_device[HL_DTYPES];
    hl_dtype mapped; /* buffer 0 of host[mapped] is mapped; HL_DTYPES: none is */
    bool released;
    char name[];
} hl_entry;

struct hl_params {
    uint64_t seed, version;
    int n, room;
    hl_entry **entries;           /* each stays where it is */
    int slots;                    /* power of two, at least 2 * room */
    int *slot;                    /* entry index + 1, or 0: open addressing */
    hl_packed *packed;            /* what sessions share, newest first */
    const hl_device_table *table; /* NULL: all sessions run on the host */
    hl_device *device;
    int users;               /* sessions that have addresses there */
    pthread_mutex_t opening; /* a session is being opened; taken before lock */
    pthread_mutex_t lock;    /* of everything here but the seed */
    pthread_cond_t change;   /* somebody published or let go of something; by the monotonic clock */
    int waiting;             /* threads that wait for a change, so as to read */
};

/* Who only looks takes the lock, too, which is no part of what the store holds. */
static inline void hl_params_lock(const hl_params *params)
{
    pthread_mutex_lock((pthread_mutex_t *)&params->lock);
}

static inline void hl_params_unlock(const hl_params *params)
{
    pthread_mutex_unlock((pthread_mutex_t *)&params->lock);
}

/* The caller has the lock. */
static inline hl_entry *hl_entry_at(const hl_params *params, int index)
{
    HL_ASSERT(index >= 0 && index < params->n);
    return params->entries[index];
}

static inline bool hl_entry_is_mapped(const hl_entry *e)
{
    return e->mapped != HL_DTYPES;
}

static inline size_t hl_entry_bytes(const hl_entry *e, hl_dtype dtype)
{
    return (size_t)e->count * hl_dtype_size(dtype); /* hl_shape_count saw that it fits */
}

static inline hl_values *hl_entry_values(hl_entry *e, hl_dtype dtype, bool on_device)
{
    return on_device ? &e->on_device[dtype] : &e->host[dtype];
}

static inline hl_buffer *hl_newest(hl_values *v)
{
    return &v->buffer[v->now];
}

static inline hl_use hl_entry_use(const hl_entry *e, hl_dtype dtype)
{
    if (dtype != e->dtype)
        return HL_USE_COPIES;
    return e->role == HL_PARAMETER ? HL_USE_PARAMETERS : HL_USE_OPTIMIZER;
}

/* Writes the initial values to the host's memory, which is there and zero (param_initial.c). */
void hl_entry_initialise(const hl_params *params, const hl_entry *e);

/* Values (param_values.c); the caller has the lock. */
hl_status hl_buffer_allocate(const hl_params *params, const hl_entry *e, hl_dtype dtype, bool on_device,
                             hl_buffer *b, hl_error *err);
void hl_buffer_free(const hl_params *params, const hl_entry *e, hl_dtype dtype, bool on_device, hl_buffer *b);
bool hl_values_fresh(const hl_entry *e, hl_dtype dtype, bool on_device);
/* Brings values to the newest version. The entry has settled. */
hl_status hl_values_freshen(hl_params *params, hl_entry *e, hl_dtype dtype, bool on_device, hl_error *err);

/* Who reads (param_versions.c); the caller has the lock. lasting: for longer than a step. */
void hl_buffer_hold(hl_buffer *b, bool lasting);
void hl_buffer_release(hl_buffer *b, bool lasting);
/* Lets memory go that nobody needs: all but the newest values, and the second buffer where others read while
 * one is written. */
void hl_entry_trim(const hl_params *params, hl_entry *e);

/* Waits until no step writes the entry in place; the caller has the lock, which is let go meanwhile, and
 * *waited set. HL_ERR_USAGE if it is a step of this very thread. */
hl_status hl_entry_settle(hl_params *params, const hl_entry *e, bool *waited, hl_error *err);

#endif
