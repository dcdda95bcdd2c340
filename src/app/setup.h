/* From a configuration, or a checkpoint, to the things it describes. */
#ifndef HL_APP_SETUP_H
#define HL_APP_SETUP_H

#include "app/config/config.h"
#include "app/train/trainer.h"
#include "data/demos.h"
#include "io/checkpoint.h"

hl_trainer_options hl_setup_trainer(const hl_config *cfg);
hl_data_shape hl_setup_data_shape(const hl_model_options *o);
/* NULL on error, which names the key or the file. */
hl_dataset *hl_setup_dataset(const hl_config *cfg, hl_error *err);
/* What the configuration says of its demonstrations; data.format is not reach.  Lives as long as cfg. */
hl_demos_options hl_setup_demos(const hl_config *cfg);
/* Tells on stderr, a line each, what a person should know before a long run on this data: senses of the model
 * that have no keys, and what will be slow. */
void hl_setup_tell_data(const hl_config *cfg, const hl_dataset *data);
/* Threads for kernels: the configuration's number, or one per core. */
void hl_setup_threads(const hl_config *cfg);

/* Declares every parameter of the model in a store, without memory for them. */
hl_status hl_setup_declare(const hl_model_options *o, bool decoder, hl_params *params, hl_error *err);
/* Whether a checkpoint has the decoder's: hl export leaves them out. */
bool hl_setup_has_decoder(const hl_checkpoint *c);

/* ------------------------------------------------------------------ a trained model */

/* What a checkpoint gives: its configuration, statistics and parameters. */
typedef struct hl_trained {
    hl_config config;
    hl_model_options model;
    hl_normalization normalization;
    hl_params *params;
    bool decoder; /* is among them: without it there is no loss */
    uint64_t step;
} hl_trained;

/* After an error *t is {0}. Overrides as in hl_config_load. */
hl_status hl_trained_load(hl_trained *t, const char *path, int n_overrides, char *const *overrides,
                          hl_error *err);
void hl_trained_free(hl_trained *t);

/* Normalisation statistics as arrays of a checkpoint, which point into n; returns how many. */
enum { HL_SETUP_ARRAYS = 2 * (HL_SENSES + 1) };
int hl_normalization_arrays(const hl_normalization *n, hl_checkpoint_array out[HL_SETUP_ARRAYS]);
/* And back: a copy. */
hl_status hl_normalization_from(const hl_checkpoint_meta *meta, const hl_model_options *o, const char *path,
                                hl_normalization *n, hl_error *err);

#endif
