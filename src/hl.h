/* hl: a small autograd framework that trains and deploys the H-L robot model.
 *
 *   define     ops append nodes to an hl_graph; nothing runs
 *   compile    hl_session_new differentiates, simplifies, plans memory, binds kernels
 *   run        hl_session_run executes a list of kernel calls over one arena, allocating nothing
 *
 * Shapes are written with one alphabet: B batch, T tokens or time, C channels, N heads,
 * D head width, H W image height and width, Z latent, A action.  Tensors are row-major,
 * the last dimension contiguous.
 *
 * Objects are opaque and belong to whoever made them: every *_new has a *_free, which accepts
 * NULL.  Strings passed in are copied.  The library never prints and never exits; a broken
 * invariant of its own (a bug) aborts, see hl_on_bug. */
#ifndef HL_H
#define HL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HL_VERSION "0.1.0"

#if defined(__GNUC__)
#define HL_API          __attribute__((visibility("default")))
#define HL_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define HL_API
#define HL_PRINTF(f, a)
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------ errors */

typedef enum hl_status {
    HL_OK = 0,
    HL_ERR_USAGE,       /* a call or a command line that makes no sense */
    HL_ERR_CONFIG,      /* the configuration: syntax, unknown key, out of range */
    HL_ERR_SHAPE,       /* operands that do not fit together */
    HL_ERR_DATA,        /* a file or an input whose content is wrong */
    HL_ERR_IO,          /* the operating system said no */
    HL_ERR_MEMORY,      /* no memory, or a size that overflows */
    HL_ERR_UNSUPPORTED, /* no kernel, no such device, not built in */
    HL_ERR_DEVICE,      /* the device failed */
    HL_ERR_NUMERIC,     /* a value that is not finite where it must be */
} hl_status;

/* What went wrong, in one sentence that names the culprit and the way out.  Start with {0}. */
typedef struct hl_error {
    hl_status status;
    char message[1024];
} hl_error;

/* A bug of the library's own, an invariant that does not hold, is no error of the caller's: what was computed
 * can be trusted no more, and abort() ends the program. Before that `tell` gets a sentence that says where;
 * NULL, which it is at first: nobody does. It may write a log, from whatever thread it is. */
HL_API void hl_on_bug(void (*tell)(const char *sentence));

/* ------------------------------------------------------------------ tensors */

/* The floats first. HL_I8: integers that stand for reals by a scale beside them. */
typedef enum hl_dtype { HL_F32, HL_F16, HL_BF16, HL_I8, HL_DTYPES } hl_dtype;

enum { HL_FLOATS = HL_I8, HL_MAX_RANK = 6 };

/* A tensor of a graph.  id 0 is no tensor: an absent operand, or the result of a failed op. */
typedef struct hl_tensor {
    int32_t id;
} hl_tensor;

typedef struct hl_shape {
    int rank;                 /* 0: a scalar */
    int64_t dim[HL_MAX_RANK]; /* unused entries are 0 */
} hl_shape;

/* ------------------------------------------------------------------ parameters */

/* Parameters live by name in a store, apart from graphs; sessions bind to it.  The store also
 * holds what training keeps beside them (optimizer moments, counters). */
typedef struct hl_params hl_params;

typedef enum hl_role {
    HL_PARAMETER, /* trained, part of the model */
    HL_OPTIMIZER, /* moments and counters of the optimizer */
    HL_ROLES
} hl_role;

typedef enum hl_init {
    HL_ZEROS,
    HL_ONES,
    HL_FAN_IN, /* uniform in +-1/sqrt(fan_in): PyTorch's Linear, Conv2d, LSTM and their biases */
    HL_XAVIER, /* uniform in +-sqrt(6/(rows+columns)): MultiheadAttention's in_proj */
    HL_NORMAL, /* standard normal */
    HL_FILLED,
} hl_init;

/* fan_in: for HL_FAN_IN; 0 takes the product of all dims but the first. */
typedef struct hl_init_rule {
    hl_init kind;
    int64_t fan_in;
    float value; /* for HL_FILLED */
} hl_init_rule;

/* One entry of the store, in the host's memory.  data is NULL until a session, hl_params_materialize or a
 * checkpoint needs it, and as of the last hl_params_pull if a session trains on a device of its own memory.
 * A training step moves it where a concurrent session or a snapshot holds the values. */
typedef struct hl_param_info {
    const char *name;
    hl_role role;
    hl_shape shape;
    int64_t count; /* elements */
    hl_dtype dtype;
    float *data; /* NULL if the dtype is not f32 */
    void *bytes; /* the same memory, whatever the dtype */
} hl_param_info;

HL_API hl_params *hl_params_new(uint64_t seed);
HL_API void hl_params_free(hl_params *params);
HL_API int hl_params_count(const hl_params *params);
HL_API hl_param_info hl_params_at(const hl_params *params, int index);
/* Index of a name, or -1. */
HL_API int hl_params_find(const hl_params *params, const char *name);
/* Allocates and initialises every entry that has no data yet. */
HL_API hl_status hl_params_materialize(hl_params *params, hl_error *err);
/* Brings the values that sessions on a device have changed back into the host's memory. */
HL_API hl_status hl_params_pull(hl_params *params, hl_error *err);
/* Tells that the caller wrote data of an entry: sessions on a device, and 16-bit copies, take it over. (Data
 * of a mapped file cannot be written.) */
HL_API void hl_params_touch(hl_params *params, int index);
/* Counts the updates that sessions have made: one more after each training step. */
HL_API uint64_t hl_params_version(hl_params *params);

/* The values of a store as they are now, which stay as they are while sessions train on: a training step that
 * would overwrite them writes elsewhere. Waits for a step of another thread that is overwriting some. Freed
 * before the store is. */
typedef struct hl_snapshot hl_snapshot;
HL_API hl_snapshot *hl_snapshot_take(hl_params *params, hl_error *err);
HL_API void hl_snapshot_free(hl_snapshot *snapshot);
HL_API int hl_snapshot_count(const hl_snapshot *snapshot);
/* As hl_params_at; data is NULL for what has no values. */
HL_API hl_param_info hl_snapshot_at(const hl_snapshot *snapshot, int index);
HL_API uint64_t hl_snapshot_version(const hl_snapshot *snapshot);

/* ------------------------------------------------------------------ graph */

typedef struct hl_graph hl_graph;

HL_API hl_graph *hl_graph_new(void);
HL_API void hl_graph_free(hl_graph *g);
/* The first error of a builder call on this graph, or NULL. Ops after an error do nothing. */
HL_API const char *hl_graph_error(const hl_graph *g);
/* Sets that error from a layer of one's own, if there is none yet. */
HL_API void hl_graph_reject(hl_graph *g, const char *message);
HL_API hl_shape hl_shape_of(const hl_graph *g, hl_tensor t);
HL_API hl_dtype hl_dtype_of(const hl_graph *g, hl_tensor t);
/* Writes one line per node to text (as snprintf: returns the length needed). */
HL_API size_t hl_graph_print(const hl_graph *g, char *text, size_t size);

/* Nodes built from here on belong to this section of the model ("H-module"; NULL or "": none); what is told
 * about memory and time speaks of sections. Returns the section before, which lives as long as the graph. */
HL_API const char *hl_section(hl_graph *g, const char *name);

/* Which part of a step a node belongs to: the library finds out. */
typedef enum hl_phase {
    HL_PHASE_FORWARD,
    HL_PHASE_BACKWARD, /* gradients, and what is computed again for them */
    HL_PHASE_CLIP,     /* the norm of the gradients, and whether the step counts */
    HL_PHASE_UPDATE,
    HL_PHASES
} hl_phase;

HL_API const char *hl_phase_name(hl_phase phase);

/* A value the caller writes before a run.  Names are unique in a graph. */
HL_API hl_tensor hl_input(hl_graph *g, const char *name, hl_dtype dtype, int rank, const int64_t *dim);
/* A rank-0 f32 input with a value it holds until hl_session_set changes it. The same name again
 * is the same input. */
HL_API hl_tensor hl_scalar(hl_graph *g, const char *name, float value);
/* A value the caller reads after a run. */
HL_API void hl_output(hl_graph *g, const char *name, hl_tensor t);
/* A parameter: declared in the store if its name is new there, else its shape must agree. */
HL_API hl_tensor hl_param(hl_graph *g, hl_params *params, const char *name, int rank, const int64_t *dim,
                          hl_init_rule init);
/* State of the optimizer, all `value` at first; see hl_param. */
HL_API hl_tensor hl_state(hl_graph *g, hl_params *params, const char *name, hl_dtype dtype, float value,
                          int rank, const int64_t *dim);
/* All parameters (role HL_PARAMETER) of the graph in order of declaration; returns their number,
 * writes at most max.  names may be NULL. */
HL_API int hl_graph_params(const hl_graph *g, hl_tensor *tensors, const char **names, int max);

/* ------------------------------------------------------------------ ops */
/* Elementwise binary ops broadcast as NumPy does. */

HL_API hl_tensor hl_fill(hl_graph *g, int rank, const int64_t *dim, float value);
HL_API hl_tensor hl_add(hl_graph *g, hl_tensor a, hl_tensor b);
HL_API hl_tensor hl_sub(hl_graph *g, hl_tensor a, hl_tensor b);
HL_API hl_tensor hl_mul(hl_graph *g, hl_tensor a, hl_tensor b);
HL_API hl_tensor hl_div(hl_graph *g, hl_tensor a, hl_tensor b);
/* x * factor + offset */
HL_API hl_tensor hl_affine(hl_graph *g, hl_tensor x, float factor, float offset);
HL_API hl_tensor hl_scale(hl_graph *g, hl_tensor x, float factor);
HL_API hl_tensor hl_exp(hl_graph *g, hl_tensor x);
HL_API hl_tensor hl_relu(hl_graph *g, hl_tensor x);
/* x * Phi(x), with erf (Hendrycks & Gimpel 2016) */
HL_API hl_tensor hl_gelu(hl_graph *g, hl_tensor x);
HL_API hl_tensor hl_cast(hl_graph *g, hl_tensor x, hl_dtype dtype);

/* Same elements, other shape; one dim may be -1. */
HL_API hl_tensor hl_reshape(hl_graph *g, hl_tensor x, int rank, const int64_t *dim);
/* Output dimension i is input dimension order[i]. */
HL_API hl_tensor hl_transpose(hl_graph *g, hl_tensor x, const int *order);
/* Elements [begin, end) of one axis; a negative axis counts from the last. */
HL_API hl_tensor hl_slice(hl_graph *g, hl_tensor x, int axis, int64_t begin, int64_t end);
HL_API hl_tensor hl_concat(hl_graph *g, int n, const hl_tensor *x, int axis);
/* Zeros before and after along one axis. */
HL_API hl_tensor hl_pad(hl_graph *g, hl_tensor x, int axis, int64_t before, int64_t after);
/* Repeats x to a shape it broadcasts to. */
HL_API hl_tensor hl_expand(hl_graph *g, hl_tensor x, int rank, const int64_t *dim);

/* Sum over one axis, which is dropped. */
HL_API hl_tensor hl_sum(hl_graph *g, hl_tensor x, int axis);
/* Sum, mean and unbiased variance of all elements: scalars. */
HL_API hl_tensor hl_sum_all(hl_graph *g, hl_tensor x);
HL_API hl_tensor hl_mean(hl_graph *g, hl_tensor x);
HL_API hl_tensor hl_variance(hl_graph *g, hl_tensor x);
/* mean((a-b)^2), a scalar */
HL_API hl_tensor hl_mse(hl_graph *g, hl_tensor a, hl_tensor b);

/* a [M,K] b [K,N] -> [M,N]; transpose_* reads the operand as its transpose. */
HL_API hl_tensor hl_matmul(hl_graph *g, hl_tensor a, bool transpose_a, hl_tensor b, bool transpose_b);
/* x [...,I] w [O,I] b [O] or {0} -> [...,O] */
HL_API hl_tensor hl_linear(hl_graph *g, hl_tensor x, hl_tensor w, hl_tensor b);
/* x [B,I,H,W] w [O,I,h,w] b [O] or {0} -> [B,O,(H+2p-h)/s+1,(W+2p-w)/s+1] */
HL_API hl_tensor hl_conv2d(hl_graph *g, hl_tensor x, hl_tensor w, hl_tensor b, int stride, int padding);
/* x [B,C,H,W] -> [B,C,h,w]; window i covers rows floor(iH/h) .. ceil((i+1)H/h)-1 */
HL_API hl_tensor hl_adaptive_avg_pool(hl_graph *g, hl_tensor x, int64_t h, int64_t w);
/* Over the last dimension, eps 1e-5; gain and bias [C] */
HL_API hl_tensor hl_layer_norm(hl_graph *g, hl_tensor x, hl_tensor gain, hl_tensor bias);
/* Over the last dimension */
HL_API hl_tensor hl_softmax(hl_graph *g, hl_tensor x);
/* softmax(q k^T / sqrt(D)) v per head, with dropout on the probabilities.
 * q [B or 1,T,N*D] (1: the same queries for every sample), k and v [B,S,N*D] -> [B,T,N*D] */
HL_API hl_tensor hl_attention(hl_graph *g, hl_tensor q, hl_tensor k, hl_tensor v, int heads, float dropout);
/* One layer, one direction, from zero state (gates in PyTorch's order i,f,g,o).
 * x [B,T,I] w_input [4H,I] w_hidden [4H,H] b_input, b_hidden [4H] -> h [B,T,H] */
HL_API hl_tensor hl_lstm(hl_graph *g, hl_tensor x, hl_tensor w_input, hl_tensor w_hidden, hl_tensor b_input,
                         hl_tensor b_hidden, bool reverse);
/* Keeps each element with probability 1-p and scales it by 1/(1-p).  p = 0 is x itself.  What is
 * kept is a function of (seed, step, op, index): Philox4x32-10 (Salmon et al. 2011). */
HL_API hl_tensor hl_dropout(hl_graph *g, hl_tensor x, float p);
/* Standard normal noise, drawn likewise (Box-Muller). */
HL_API hl_tensor hl_normal(hl_graph *g, int rank, const int64_t *dim);

/* d loss / d wrt[i] -> gradients[i], shaped as wrt[i]; zeros where the loss does not depend on it. */
HL_API void hl_gradient(hl_graph *g, hl_tensor loss, int n, const hl_tensor *wrt, hl_tensor *gradients);

/* ------------------------------------------------------------------ layers */
/* Parameters are named SCOPE.weight, SCOPE.bias, as in PyTorch. */

HL_API hl_tensor hl_dense(hl_graph *g, hl_params *params, const char *scope, hl_tensor x, int64_t out);
HL_API hl_tensor hl_norm(hl_graph *g, hl_params *params, const char *scope, hl_tensor x);
HL_API hl_tensor hl_conv(hl_graph *g, hl_params *params, const char *scope, hl_tensor x, int64_t out,
                         int kernel, int stride, int padding);

/* ------------------------------------------------------------------ optimizer */

/* AdamW (Loshchilov & Hutter 2019), zero fields take the defaults in brackets. */
typedef struct hl_adamw_options {
    float beta1, beta2;    /* [0.9, 0.999] */
    float eps;             /* [1e-8] */
    float weight_decay;    /* decoupled; [0] */
    float clip;            /* global gradient norm, summed in double; [0: no clipping] */
    bool no_decay_vectors; /* norms and biases (rank < 2) are not decayed */
    hl_dtype state;        /* of the moments: HL_F32 or HL_BF16 (rounded stochastically) */
    float loss_scale;      /* where it starts; [0: none, the loss is not scaled] */
    int scale_interval;    /* good steps in a row after which it doubles [2000] */
} hl_adamw_options;

/* Appends the update of every parameter of g by the gradient of loss, in section "optimizer".  Adds the
 * scalars "lr" (0 until set) and the outputs "grad_norm" (before clipping) and "skipped" (steps skipped so
 * far because loss or gradient was not finite: such a step leaves parameters and moments as they were). */
HL_API void hl_adamw(hl_graph *g, hl_params *params, hl_tensor loss, hl_adamw_options options);
/* Its parts, for other optimizers. sqrt of the sum of squares of all elements, summed in double: a scalar. */
HL_API hl_tensor hl_global_norm(hl_graph *g, int n, const hl_tensor *x);
/* Decides whether a step counts: norm and loss finite -> updates count += 1, factor = min(1,
 * clip/(norm+1e-6)) / loss_scale (1 / loss_scale if clip is 0); else skipped += 1 and factor = -1. count and
 * skipped are state. norm is that of the unscaled gradients. loss_scale {0}: 1. */
typedef struct hl_gate {
    hl_tensor count, skipped, factor;
} hl_gate;
HL_API hl_gate hl_update_gate(hl_graph *g, hl_tensor count, hl_tensor skipped, hl_tensor norm, hl_tensor loss,
                              hl_tensor loss_scale, float clip);
/* The dynamic loss scale (Micikevicius et al. 2018): halved when gate skipped the step, doubled after
 * `interval` good steps in a row; 1..2^24. loss_scale and good are state. */
HL_API void hl_update_loss_scale(hl_graph *g, hl_tensor loss_scale, hl_tensor good, hl_gate gate,
                                 int interval);
/* One parameter's update; m and v are its moments. Does nothing where gate.factor is below 0. */
HL_API void hl_adamw_update(hl_graph *g, hl_tensor p, hl_tensor m, hl_tensor v, hl_tensor gradient,
                            hl_gate gate, hl_tensor lr, float weight_decay, hl_adamw_options options);
/* loss times the loss scale that options ask for (loss itself if they ask for none): what gradients are to be
 * taken of for hl_adamw_apply. */
HL_API hl_tensor hl_adamw_loss(hl_graph *g, hl_params *params, hl_tensor loss, hl_adamw_options options);
/* hl_adamw from gradients made elsewhere (accumulated over micro-batches, say): gradients[i] is
 * that of the i-th of hl_graph_params, of hl_adamw_loss; loss is the unscaled one. */
HL_API void hl_adamw_apply(hl_graph *g, hl_params *params, hl_tensor loss, int n, const hl_tensor *gradients,
                           hl_adamw_options options);

/* ------------------------------------------------------------------ sessions */

typedef struct hl_plan hl_plan;
typedef struct hl_session hl_session;

typedef enum hl_memory_kind {
    HL_MEM_PARAMETERS,
    HL_MEM_COPIES, /* of parameters in 16 bits */
    HL_MEM_GRADIENTS,
    HL_MEM_OPTIMIZER,
    HL_MEM_ACTIVATIONS,
    HL_MEM_WORKSPACE, /* scratch of kernels */
    HL_MEM_PACKED,    /* weights in the layout a kernel wants */
    HL_MEM_IO,        /* inputs and outputs */
    HL_MEM_MAPPED,    /* parameters read where a mapped file has them: not allocated, in no sum */
    HL_MEM_KINDS
} hl_memory_kind;

HL_API const char *hl_memory_kind_name(hl_memory_kind kind);

/* Bytes a plan needs, known before anything runs.  Gradients, activations, workspace and io share
 * one arena, so by_kind holds what is live of each at the fullest step. */
typedef struct hl_memory {
    size_t by_kind[HL_MEM_KINDS];
    size_t arena;       /* size of the arena */
    size_t lower_bound; /* no placement can need a smaller arena */
    size_t total;       /* arena + parameters + copies + optimizer + packed; not what is mapped */
    int peak_step;      /* index of the fullest kernel call, and its op */
    const char *peak_op;
} hl_memory;

/* ------------------------------------------------------------------ devices */

/* What hl_devices tells of one. */
typedef struct hl_device_info {
    char device[16];     /* what hl_session_options.device takes: "cpu", "cuda:0" */
    char name[128];      /* "NVIDIA H200" */
    size_t memory, free; /* bytes */
    int major, minor;    /* compute capability; 0.0 for a CPU */
    int processors;      /* cores, streaming multiprocessors */
    char driver[32], runtime[32];
} hl_device_info;

/* All devices that can be used, the CPU first: returns their number and writes at most max. why: where
 * another kind of device is absent, the reason (a static string or NULL). */
HL_API int hl_devices(hl_device_info *info, int max, hl_error *why);

/* How products are computed and what is stored in 16 bits. Norms, softmax, losses, sums and updates are f32
 * always, and the parameters themselves: products read a 16-bit copy that the optimizer writes. */
typedef enum hl_precision {
    HL_PRECISION_FP32,
    HL_PRECISION_TF32, /* fp32, products with 10 bits of mantissa: CUDA only */
    HL_PRECISION_BF16,
    HL_PRECISION_FP16, /* trains with a loss scale (hl_adamw_options) */
    HL_PRECISIONS
} hl_precision;

HL_API const char *hl_precision_name(hl_precision precision);

/* device: "cpu" (fastest kernels built in), "cpu:portable" (plain C kernels only), "cuda" or "cuda:N" (an
 * NVIDIA GPU), "auto" (the first GPU, or the CPU where there is none). NULL: "cpu". */
typedef struct hl_session_options {
    const char *device;
    /* Parameters will not change: they are packed once, and the store lets go of what no session reads as it
     * lies. Then only sessions that read the same forms can be opened; of a mapped file, any. */
    bool frozen;
    /* Runs while another session, in another thread, trains the same parameters. Each run reads one version
     * of them from start to end, and the training keeps two for that. */
    bool concurrent;
    hl_precision precision;
    /* Values may be let go and computed again when they are read next, in these sections ("H-module,decoder";
     * "*": all; NULL: all if there is a budget, else none): without a budget wherever that makes the plan
     * smaller. */
    const char *recompute;
    size_t budget; /* bytes that hl_memory.total must not pass, else HL_ERR_MEMORY; 0: none */
} hl_session_options;

/* Compiles without allocating parameters or the arena. */
HL_API hl_plan *hl_plan_new(const hl_graph *g, const hl_session_options *options, hl_error *err);
HL_API void hl_plan_free(hl_plan *plan);
HL_API hl_memory hl_plan_memory(const hl_plan *plan);
/* One line per kernel call, as snprintf. */
HL_API size_t hl_plan_print(const hl_plan *plan, char *text, size_t size);

/* Compiles g and binds it to params, which must outlive the session; g may go. NULL on error. Frozen sessions
 * of a store that nobody trains may be opened, and their graphs built, by any thread at any time; what their
 * kernels packed they share. Other sessions of a store are opened one at a time, while no step runs. Then
 * each may run in a thread of its own. */
HL_API hl_session *hl_session_new(const hl_graph *g, hl_params *params, const char *device, hl_error *err);
HL_API hl_session *hl_session_open(const hl_graph *g, hl_params *params, const hl_session_options *options,
                                   hl_error *err);
HL_API void hl_session_free(hl_session *s);
/* Where to write an input, row-major; NULL if there is none of that name. Valid for the session's
 * life; its content persists from run to run. */
HL_API float *hl_session_input(hl_session *s, const char *name);
HL_API const float *hl_session_output(const hl_session *s, const char *name);
HL_API hl_shape hl_session_shape(const hl_session *s, const char *name);
HL_API hl_status hl_session_set(hl_session *s, const char *scalar, float value);
/* The step number that randomness is drawn from; each run adds one. */
HL_API void hl_session_set_step(hl_session *s, uint64_t step);
HL_API uint64_t hl_session_step(const hl_session *s);
HL_API hl_status hl_session_run(hl_session *s, hl_error *err);
/* Its halves. Between them the caller may write the next inputs; outputs are those of the step waited for,
 * until another one is started. At most two steps may be started and not waited for, on the CPU one. */
HL_API hl_status hl_session_start(hl_session *s, hl_error *err);
HL_API hl_status hl_session_wait(hl_session *s, hl_error *err);
/* The store's version that the last step waited for has read. */
HL_API uint64_t hl_session_version(const hl_session *s);
/* Runs a session that updates nothing until its kernels are chosen and its steps recorded, so that the next
 * run is as fast as any; the step number stays. *seconds (may be NULL): how long that took. */
HL_API hl_status hl_session_warm_up(hl_session *s, double *seconds, hl_error *err);
HL_API hl_memory hl_session_memory(const hl_session *s);
/* Lives as long as the session. */
HL_API const hl_plan *hl_session_plan(const hl_session *s);
/* Where it runs: "cpu", "cuda:0". Valid for the session's life. */
HL_API const char *hl_session_device(const hl_session *s);
/* Times every kernel call from when it is switched on. On a device such steps are run call by call. */
HL_API void hl_session_profile(hl_session *s, bool on);

/* One kernel call of a session: what it computes and moves, and its time while profiling. */
typedef struct hl_call_info {
    int index;               /* in the order of a step */
    const char *op, *kernel; /* "matmul", "onednn" */
    const char *section;     /* "compressor"; "": none */
    hl_phase phase;
    char shapes[96];                  /* "[16,4096] [256,4096] -> [16,256]", cut where it is longer */
    double flops;                     /* 2 per multiply-add */
    double bytes_read, bytes_written; /* of operands and results, each counted once; of weights as packed */
    double seconds; /* of all runs together. Calls handed over together are timed at the first of them */
    uint64_t runs;  /* since profiling was switched on */
} hl_call_info;

/* How many calls a step has, and one of them; all zero: none has that index. */
HL_API int hl_session_calls(const hl_session *s);
HL_API hl_call_info hl_session_call(const hl_session *s, int index);
/* Their seconds per run as text, dearest first. */
HL_API size_t hl_session_profile_print(const hl_session *s, char *text, size_t size);

/* The calls of one section and phase of a step, together. On a device also "input copy" (first) and "output
 * copy" (last): what a step waits for its inputs, and takes to give its outputs back. */
typedef struct hl_part {
    const char *section; /* "": none */
    hl_phase phase;
    double seconds; /* in the step waited for last that was timed */
} hl_part;

/* Times parts of the steps that start from here on; cheap enough to stay on. A device goes on to replay
 * steps, after it has recorded them anew. */
HL_API void hl_session_time_parts(hl_session *s, bool on);
/* How many parts a step has, in the order in which they begin, and one of them; all zero: none has that
 * index. */
HL_API int hl_session_parts(const hl_session *s);
HL_API hl_part hl_session_part(const hl_session *s, int index);

/* ------------------------------------------------------------------ deployed models */

/* A model as `hl export` writes it, one .safetensors file: the graph it computes, for any batch, its weights,
 * and texts about both. The file is mapped into memory: weights are read where they lie, when they are
 * needed.
 *
 * Any thread may open, use and free sessions and policies of one model at any time; each session and policy
 * is one thread's at a time. What kernels make of weights is there once for all of them. */
typedef struct hl_model hl_model;

/* NULL on error: HL_ERR_DATA names file and tensor, HL_ERR_UNSUPPORTED a format newer than this library.
 * Reads the graph, checks that it and the tensors belong together, and that scales and vectors (biases,
 * norms) are finite; matrices are not looked at: hl_model_check does. */
HL_API hl_model *hl_model_open(const char *path, hl_error *err);
/* After its sessions and policies. */
HL_API void hl_model_free(hl_model *m);
/* Reads every weight: HL_ERR_DATA names tensor and element of one that is NaN or infinite. */
HL_API hl_status hl_model_check(const hl_model *m, hl_error *err);
/* What the file says under a key: "precision" ("fp32", "bf16", "fp16", "int8"), "hl_version", "config", and
 * what else its writer put there; NULL where it says nothing. */
HL_API const char *hl_model_about(const hl_model *m, const char *key);

/* An input or output, for a batch of 1; without a name where there is none of that index. */
typedef struct hl_model_value {
    const char *name;
    hl_dtype dtype;
    hl_shape shape;
} hl_model_value;

HL_API int hl_model_inputs(const hl_model *m);
HL_API hl_model_value hl_model_input(const hl_model *m, int index);
HL_API int hl_model_outputs(const hl_model *m);
HL_API hl_model_value hl_model_output(const hl_model *m, int index);

/* A session of the model at a batch. options NULL: the CPU. It is frozen whatever they say, and where they
 * leave the precision at fp32 it is the model's own. */
HL_API hl_session *hl_model_session(hl_model *m, int64_t batch, const hl_session_options *options,
                                    hl_error *err);

/* What such a session needs, without opening it. */
HL_API hl_plan *hl_model_plan(const hl_model *m, int64_t batch, const hl_session_options *options,
                              hl_error *err);

/* A model that acts: a session, with history and smoothing, behind observe -> action. Rows are robots that
 * share a batch. */
typedef struct hl_policy hl_policy;

typedef struct hl_policy_options {
    int64_t rows;       /* 0: 1 */
    float smoothing;    /* weight of the previous action, 0..1 */
    const char *device; /* as in hl_session_options */
    hl_precision precision;
} hl_policy_options;

/* options NULL: all zero. HL_ERR_DATA: the model does not act, or not for so many rows. */
HL_API hl_policy *hl_policy_new(hl_model *m, const hl_policy_options *options, hl_error *err);
HL_API void hl_policy_free(hl_policy *p);
/* Where to write raw observations before hl_policy_act, [rows, ...]; NULL: the model does not read this
 * sense. */
HL_API float *hl_policy_sense(hl_policy *p, const char *name);
/* Computes action [rows, A], in the robot's units; allocates nothing. HL_ERR_DATA names sense, row and
 * element of an observation that is not finite, HL_ERR_NUMERIC row and element of a result that is not, since
 * the observation is beyond what the precision holds: then no row has moved on, and action is none. */
HL_API hl_status hl_policy_act(hl_policy *p, float *action, hl_error *err);
/* A row starts a new episode: no previous action, and its history is its first observation, repeated.
 * HL_ERR_USAGE: there is no such row. */
HL_API hl_status hl_policy_reset(hl_policy *p, int64_t row);
HL_API hl_session *hl_policy_session(hl_policy *p);

#ifdef __cplusplus
}
#endif
#endif
