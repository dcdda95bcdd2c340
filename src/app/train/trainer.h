/* One training step as one session: micro-batches, loss, update. And its counterpart for validation. */
#ifndef HL_APP_TRAINER_H
#define HL_APP_TRAINER_H

#include "app/measure.h"
#include "data/loader.h"
#include "layers/model.h"

typedef struct hl_trainer_options {
    hl_model_options model;
    hl_loss_weights weights;
    hl_adamw_options adamw;
    int64_t batch;      /* samples per micro-batch */
    int64_t accumulate; /* micro-batches per update: one graph holds them all */
    bool presence;      /* senses may be missing from samples */
    bool mask;          /* dimensions of the action may not count */
    const char *device;
    hl_precision precision;
    char recompute[64]; /* see hl_session_options; empty: NULL */
    size_t budget;
} hl_trainer_options;

/* Means over the micro-batches of a step. kl is NAN without a bottleneck; norm and skipped are of
 * training only, loss_scale of fp16 only, else NAN. */
typedef struct hl_losses {
    double total, action, reconstruction, kl, information_retained, grad_norm, skipped, loss_scale;
} hl_losses;

/* The session that hl_training_graph is for. Its texts are those of *o, which must live as long. */
hl_session_options hl_training_session(const hl_trainer_options *o);
/* The training step. Declares parameters and optimizer state in params. */
hl_graph *hl_training_graph(hl_params *params, const hl_trainer_options *o);
/* Losses without sampling, dropout or update, of one micro-batch; also the outputs "context",
 * "compressed" and "reconstructed". */
hl_graph *hl_validation_graph(hl_params *params, const hl_trainer_options *o);

/* Copies a batch into the inputs of micro-batch `micro`. */
void hl_feed(hl_session *s, const hl_trainer_options *o, int64_t micro, const hl_batch *batch);
/* What the last run gave. */
hl_losses hl_read_losses(const hl_session *s);
/* Means over the next n batches of a loader, of a session of hl_validation_graph. measure sees every
 * sample; NULL: none. */
hl_status hl_mean_losses(hl_session *s, const hl_trainer_options *o, hl_loader *loader, int64_t n,
                         hl_measure *measure, hl_losses *mean, hl_error *err);

#endif
