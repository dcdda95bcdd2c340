/* What a backend fills in. A contract below compile and run: it knows ops by their names and typed
 * parameters, never the graph. */
#ifndef HL_RUN_BACKEND_H
#define HL_RUN_BACKEND_H

#include "hl.h"
#include "ops/params.h"

#ifdef __cplusplus
extern "C" {
#endif

/* An operand or result of a call. data is NULL for an absent operand, and for all of them until
 * the session is bound (so in accepts and prepare). */
typedef struct hl_view {
    void *data;
    hl_dtype dtype;
    hl_shape shape;
    int64_t count;
    bool constant; /* a parameter of a frozen session: its content is final */
} hl_view;

/* What random ops draw from, in memory the device reads: a recorded step replays with new values. */
typedef struct hl_clock {
    uint64_t seed;
    uint32_t step;
    uint32_t unused;
} hl_clock;

typedef struct hl_call hl_call;
typedef struct hl_queue hl_queue;

/* One way to run one op. All members but op, name and run may be NULL. */
typedef struct hl_kernel {
    const char *op;
    const char *name; /* "portable", "onednn", ...: shown by hl plan */
    /* False: this kernel does not do such a call (dtypes, shapes); the next one of the op is asked.
     * NULL: any call whose operands are all f32. */
    bool (*accepts)(const hl_call *call);
    /* Once, when the plan is made: sets workspace_bytes, pack_*, state. */
    hl_status (*prepare)(hl_call *call, hl_error *err);
    /* Writes input pack_input, as it lies in the store, into pack_bytes at packed. */
    hl_status (*pack)(const hl_call *call, const void *source, void *packed, hl_error *err);
    /* Once per step: computes, or hands the work to the call's queue and returns. Outputs are overwritten,
     * never accumulated into. Allocates nothing. */
    hl_status (*run)(const hl_call *call, hl_error *err);
    /* Instead of run, for n calls of this kernel that follow each other in the plan and do not read each
     * other's results. NULL: run, n times. */
    hl_status (*run_many)(const hl_call *calls, int n, hl_error *err);
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
    const hl_clock *clock;  /* in the backend's memory, as all data */
    hl_queue *queue;        /* NULL on the CPU, and while preparing */
    size_t workspace_bytes; /* scratch for this call, 64-byte aligned, content lost between calls */
    void *workspace;
    int pack_input; /* valid if pack_bytes > 0 */
    size_t pack_bytes;
    /* What else decides the bytes packed, beside the kernel and the operand's dtype, shape and values:
     * sessions whose keys are equal share them. Lives as long as state; NULL: nothing. */
    const void *pack_key;
    size_t pack_key_bytes;
    void *packed; /* NULL while preparing; then in[pack_input].data may be NULL */
    void *state;
};

/* ------------------------------------------------------------------ devices
 * A device has memory that the host does not touch, and runs what it is handed in the order of a queue. */

typedef struct hl_device hl_device;

/* A step may be recorded for as many sets of addresses and marks. */
enum { HL_RECORDINGS = 8 };

/* One step's traffic: in_bytes go from the host to `inputs`, out_bytes come back from `outputs`, both in
 * the device's memory. */
typedef struct hl_traffic {
    void *inputs;
    const void *outputs;
    size_t in_bytes, out_bytes;
    int marks;   /* hl_device_table.mark is called with 0 .. marks-1 */
    bool urgent; /* before the work of queues that are not */
} hl_traffic;

/* Every function that can fail says why in err. Functions of one queue are called by one thread at a time. */
typedef struct hl_device_table {
    /* How many there are. HL_ERR_UNSUPPORTED, with the reason, where the driver is absent or broken. */
    hl_status (*count)(int *n, hl_error *err);
    hl_status (*describe)(int ordinal, hl_device_info *info, hl_error *err);
    /* The same device opened again is one device, counted; closed as often, it is gone. */
    hl_status (*open)(int ordinal, hl_device **device, hl_error *err);
    void (*close)(hl_device *device);

    /* 256-byte aligned. HL_ERR_MEMORY names the bytes wanted and free. */
    hl_status (*allocate)(hl_device *device, size_t bytes, void **memory, hl_error *err);
    void (*release)(hl_device *device, void *memory);
    /* Return when the copy is done, after everything that any queue of the device was handed before. */
    hl_status (*upload)(hl_device *device, void *to, const void *from, size_t bytes, hl_error *err);
    hl_status (*download)(hl_device *device, void *to, const void *from, size_t bytes, hl_error *err);
    /* Memory of the host that kernels read and write where it lies. *memory is NULL, and nothing wrong, where
     * the device has memory of its own: kernels had better be brought their operands there. */
    hl_status (*share)(hl_device *device, size_t bytes, void **memory, hl_error *err);
    void (*unshare)(hl_device *device, void *memory);

    hl_status (*queue_new)(hl_device *device, const hl_traffic *traffic, hl_queue **queue, hl_error *err);
    void (*queue_free)(hl_queue *queue);
    /* A step: begin takes the inputs (which the caller may change as soon as it returns), then kernels run on
     * the queue or a recording is replayed, finish asks for the outputs, wait blocks until they are at
     * `outputs` in host memory, and tells what went wrong on the device meanwhile. At most two steps may be
     * begun and not waited for; wait is for the oldest.
     * inputs NULL: this step's kernels have the caller's inputs and outputs before them, in shared memory.
     * Nothing is copied, and until it was waited for the caller leaves them alone. */
    hl_status (*begin)(hl_queue *queue, const void *inputs, hl_error *err);
    hl_status (*finish)(hl_queue *queue, hl_error *err);
    hl_status (*wait)(hl_queue *queue, void *outputs, hl_error *err);
    /* What kernels hand to the queue between record and recorded is kept at a place, in [0, HL_RECORDINGS),
     * not run; replay runs it. */
    hl_status (*record)(hl_queue *queue, hl_error *err);
    hl_status (*recorded)(hl_queue *queue, int place, hl_error *err);
    hl_status (*replay)(hl_queue *queue, int place, hl_error *err);
    /* A point in time on the queue, or in what is being recorded; after wait, seconds between two of them. */
    hl_status (*mark)(hl_queue *queue, int index, hl_error *err);
    double (*between)(hl_queue *queue, int first, int second);
} hl_device_table;

/* A kernel set, in order of preference. */
typedef struct hl_backend {
    const char *name;
    const hl_kernel *const *kernels;
    int n_kernels;
    const hl_device_table *device; /* NULL: the host's memory, and kernels run where they are called */
} hl_backend;

/* The first kernel of the backend for this op that takes this call (operands described, not yet bound);
 * NULL if there is none. */
const hl_kernel *hl_kernel_for(const hl_backend *backend, const char *op, const hl_call *call);

/* The CPU with everything built in, and with the portable kernels alone. */
extern const hl_backend hl_backend_cpu;
extern const hl_backend hl_backend_cpu_portable;
/* NVIDIA GPUs: in libhl_cuda.so, see run/plugin.h. hl_cuda_version tells the contract that it was built for.
 */
extern HL_API const hl_backend hl_backend_cuda;
extern HL_API const char *const hl_cuda_version;
/* Changes with hl's version and with these structs. */
#define HL_BACKEND_VERSION HL_VERSION " (backend 5)"

#ifdef __cplusplus
}
#endif
#endif
