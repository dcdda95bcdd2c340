/* What a backend fills in. A contract below compile and run: it knows ops by their names and typed
 * parameters, never the graph. */
#ifndef HL_RUN_BACKEND_H
#define HL_RUN_BACKEND_H

#include "hl.h"
#include "ops/params.h"

/* An operand or result of a call. data is NULL for an absent operand, and for all of them until
 * the session is bound (so in accepts and prepare). */
typedef struct hl_view {
    void *data;
    hl_dtype dtype;
    hl_shape shape;
    int64_t count;
    bool constant; /* a parameter of a frozen session: its content is final */
} hl_view;

/* What random ops draw from, in memory the device reads: a captured step replays with new values. */
typedef struct hl_clock {
    uint64_t seed;
    uint32_t step;
} hl_clock;

typedef struct hl_call hl_call;

/* One way to run one op. All members but op, name and run may be NULL. */
typedef struct hl_kernel {
    const char *op;
    const char *name; /* "portable", "onednn", ...: shown by hl plan */
    /* False: this kernel does not do such a call (dtypes, shapes); the next one of the op is asked.
     * NULL: any call whose operands are all f32. */
    bool (*accepts)(const hl_call *call);
    /* Once, when the plan is made: sets workspace, pack_bytes, pack_input, state. */
    hl_status (*prepare)(hl_call *call, hl_error *err);
    /* Writes input pack_input, as it lies in the store, into pack_bytes at packed. */
    hl_status (*pack)(const hl_call *call, const void *source, void *packed, hl_error *err);
    /* Once per step. Outputs are overwritten, never accumulated into. Allocates nothing. */
    hl_status (*run)(const hl_call *call, hl_error *err);
    /* Frees state. */
    void (*release)(hl_call *call);
} hl_kernel;

enum { HL_CALL_MAX_OUT = 4 };

struct hl_call {
    const hl_kernel *kernel;
    const void *params; /* the op's struct in ops/params.h */
    int n_in, n_out;
    hl_view *in;
    hl_view out[HL_CALL_MAX_OUT];
    const hl_clock *clock;
    size_t workspace_bytes; /* scratch for this call, 64-byte aligned, content lost between calls */
    void *workspace;
    int pack_input; /* valid if pack_bytes > 0 */
    size_t pack_bytes;
    void *packed; /* NULL while preparing; then in[pack_input].data may be NULL */
    void *state;
};

/* A kernel set, in order of preference. */
typedef struct hl_backend {
    const char *name;
    const hl_kernel *const *kernels;
    int n_kernels;
} hl_backend;

/* The first kernel of the backend for this op that takes this call (operands described, not yet bound);
 * NULL if there is none. */
const hl_kernel *hl_kernel_for(const hl_backend *backend, const char *op, const hl_call *call);

/* The CPU with everything built in, and with the portable kernels alone. */
extern const hl_backend hl_backend_cpu;
extern const hl_backend hl_backend_cpu_portable;

#endif
