/* The parameter store, inside the library: what graphs, sessions and checkpoints need beyond hl.h.
 * Any thread may declare, look and open sessions, and steps and snapshots may be of several threads; whoever
 * allocates values so as to write them does so alone. */
#ifndef HL_RUN_PARAMS_H
#define HL_RUN_PARAMS_H

#include "run/backend.h"

/* The longest name, in bytes. A name may not be empty, "." or hold '/' or control characters, because
 * names are those of HDF5 data sets. */
enum { HL_PARAM_NAME_MAX = 255 };

/* Finds name, or declares it, without allocating its data. *index is its place in the store, which
 * never changes. init counts at the first declaration only. HL_ERR_SHAPE: known with another shape (both
 * are named), or a shape that is no shape; HL_ERR_USAGE: known in the other role, or a bad name. */
hl_status hl_params_declare(hl_params *params, const char *name, hl_role role, hl_dtype dtype, hl_shape shape,
                            hl_init_rule init, int *index, hl_error *err);
/* Declares an entry whose values lie at `values` for the store's life and are only read: a mapped file. f16
 * and bf16: an entry of f32 whose copy in 16 bits is there; f32 values are made from it when somebody reads
 * them. HL_ERR_USAGE: the name is known, or the values are not aligned to the dtype. Sessions that would
 * update such an entry, and hl_params_allocate, are refused. */
hl_status hl_params_map(hl_params *params, const char *name, hl_dtype dtype, hl_shape shape,
                        const void *values, int *index, hl_error *err);
/* In which dtype an entry is mapped; HL_DTYPES: it is not. */
hl_dtype hl_params_mapped(const hl_params *params, int index);
/* The leaf of an entry of any dtype, which is declared with zeros if its name is new. */
hl_tensor hl_param_leaf(hl_graph *g, hl_params *params, const char *name, hl_dtype dtype, hl_shape shape);
/* Memory on the host for one entry, zeroed if new and else left as it is: for those who overwrite all of
 * it (a checkpoint). hl_params_materialize will not initialise this entry any more, and what else holds its
 * values (a device, 16-bit copies) takes the new ones over. */
hl_status hl_params_allocate(hl_params *params, int index, hl_error *err);
/* Lets the host's values of one dtype go, unless a session is bound to them: the caller has them in a form of
 * its own. Of the entry's own dtype: hl_params_materialize refuses such a store, for it cannot bring the
 * values back; hl_params_allocate (a checkpoint) can. Mapped values stay, and what was made from them can be
 * made again. */
void hl_params_release_data(hl_params *params, int index, hl_dtype dtype);
/* Allocates and initialises one entry, if it has no data yet. */
hl_status hl_params_materialize_at(hl_params *params, int index, hl_error *err);
uint64_t hl_params_seed(const hl_params *params);

/* For a session on this device, until hl_params_detach: the store's values go there when it asks for them. A
 * store is on one device at a time: from another one they come back first; HL_ERR_USAGE while sessions are
 * there. */
hl_status hl_params_attach(hl_params *params, const hl_device_table *table, int ordinal, hl_error *err);
void hl_params_detach(hl_params *params);

/* ------------------------------------------------------------------ opening sessions
 * Sessions of a store are opened one after the other. What kernels of a frozen one pack belongs to the store,
 * and is there until the last session that shares it ends. */

void hl_params_begin_opening(hl_params *params);
void hl_params_end_opening(hl_params *params);

/* All that decides the bytes of a packed operand: where it lies in the store, and what is made of it. */
typedef struct hl_packing {
    int param;
    hl_dtype dtype;
    bool on_device;
    size_t offset;  /* from the begin of the entry's values */
    hl_shape shape; /* of the operand */
    const hl_kernel *kernel;
    size_t bytes;
    const void *key; /* see hl_call.pack_key */
    size_t key_bytes;
} hl_packing;

bool hl_packing_equal(const hl_packing *a, const hl_packing *b);

typedef struct hl_packed hl_packed;
void *hl_packed_data(const hl_packed *packed);
/* What is packed from the newest values, for one session more; NULL: nobody has packed it. */
hl_packed *hl_params_take_packed(hl_params *params, const hl_packing *what);
/* Packs it, for this session and those that come. values: of the entry, which the session holds. */
hl_status hl_params_pack(hl_params *params, const hl_packing *what, const hl_call *call, const void *values,
                         hl_packed **packed, hl_error *err);
void hl_params_release_packed(hl_params *params, hl_packed *packed);

/* ------------------------------------------------------------------ steps
 * An entry's values may be in several places and dtypes at once; a version per place tells which are the
 * newest. Any dtype but the entry's own is a copy rounded from it.
 *
 * A step holds the newest values that it reads, all of one version: nobody writes them until it lets go. A
 * step that updates them claims where to write: in place if nobody else may want to read meanwhile, else in
 * another buffer; and publishes it as the newest. */

/* What a session has to do with an entry. The array of them is the session's; the store fills in the rest. */
typedef struct hl_param_use {
    int param;
    hl_dtype dtype;
    bool copy;    /* rounded from the entry's own values */
    bool updated; /* its steps write it */
    bool let_go;  /* the session has the values in a form of its own and reads them here no more */
    void *data;   /* where the step reads */
    void *next;   /* where it writes */
} hl_param_use;

typedef struct hl_param_uses {
    hl_param_use *at;
    int n;
    bool on_device;
    int claims; /* the session's steps that are writing: one after the other, in place if there are several */
} hl_param_uses;

/* Sessions come and go. concurrent: its steps may run while another session's step updates what it reads.
 * HL_ERR_USAGE: it would update mapped values. */
hl_status hl_params_bind(hl_params *params, const hl_param_uses *uses, bool concurrent, hl_error *err);
void hl_params_unbind(hl_params *params, const hl_param_uses *uses, bool concurrent);
/* The session, which holds them for long, reads use i no more: sets let_go, and held[i] to -1. */
void hl_params_let_go(hl_params *params, const hl_param_uses *uses, int i, int *held);

/* Waits while they are being written in place, brings them to the newest version, sets data (and next) and
 * held[i], the buffer. lasting: until the session ends. *version (may be NULL): of the store. */
hl_status hl_params_hold(hl_params *params, const hl_param_uses *uses, bool lasting, int *held,
                         uint64_t *version, hl_error *err);
void hl_params_release(hl_params *params, const hl_param_uses *uses, bool lasting, const int *held);
/* For a step that holds them: sets next of what it updates. Waits for steps of other threads that read what
 * it could write to. */
hl_status hl_params_claim(hl_params *params, hl_param_uses *uses, hl_error *err);
/* Whether the session's step that is under way is to be published before its next one holds and claims:
 * others read what it updates, or wait to, or it writes elsewhere than the next one would read. */
bool hl_params_publish_first(hl_params *params, const hl_param_uses *uses);
/* What the oldest claim was for is written: it is the newest now, and the store's version one higher. */
void hl_params_publish(hl_params *params, hl_param_uses *uses);
/* That step failed. What it wrote in another buffer is nobody's; in place, the values are as it left them. */
void hl_params_abandon(hl_params *params, hl_param_uses *uses);

#endif
