/* Whether an exported model is the model that was exported: both act on the same observations, in the same
 * episodes, and are timed in turn. */
#ifndef HL_APP_PARITY_H
#define HL_APP_PARITY_H

#include "app/closed_loop.h"
#include "app/export/windows.h"

/* At these batches latency and memory are told. */
enum { HL_PARITY_BATCHES = 2 };
extern const int64_t hl_parity_batches[HL_PARITY_BATCHES]; /* 1, 16 */

/* How far one vector per sample is from another, over all samples. */
typedef struct hl_distance {
    double largest, mean;        /* |difference| of an element */
    double relative;             /* |difference| / |reference|, of all together (Euclidean) */
    double cosine, cosine_least; /* of a sample: mean, and the least */
} hl_distance;

/* One of the two. */
typedef struct hl_parity_side {
    uint64_t file_bytes; /* 0: there is no file */
    int64_t parameters;
    double opening;                    /* seconds from the file, read before, to a policy for one robot */
    double latency[HL_PARITY_BATCHES]; /* seconds, median */
    size_t memory[HL_PARITY_BATCHES];  /* bytes a session plans for, its weights with them */
    hl_success success;
} hl_parity_side;

typedef struct hl_parity {
    int64_t samples; /* 0: actions were not compared */
    hl_distance action, compressed;
    bool closed_loop;
    hl_parity_side before, after;
} hl_parity;

/* Both files are loaded anew for each batch: sessions take the weights of a checkpoint for themselves. */
typedef struct hl_parity_request {
    const char *before, *after;
    int n_overrides;
    char *const *overrides;
    hl_windows *held_out; /* to act on, as many at a time as the larger of hl_parity_batches; NULL: none */
    int64_t episodes;     /* in the world reach; 0: none */
} hl_parity_request;

/* Parameters and sizes of files are the caller's to fill in. */
hl_status hl_parity_measure(const hl_parity_request *request, const hl_config *cfg, hl_parity *out,
                            hl_error *err);

#endif
