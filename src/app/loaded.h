/* A model from a file: a checkpoint, or an exported one. */
#ifndef HL_APP_LOADED_H
#define HL_APP_LOADED_H

#include "app/setup.h"

typedef struct hl_loaded {
    /* Of an exported model: its configuration, and what follows from it; no parameters and no statistics,
     * which are within its graph. */
    hl_trained trained;
    hl_model *exported; /* NULL: a checkpoint */
} hl_loaded;

/* Whether the content is that of an exported model, or of other tensors in such a file: then hl_loaded_open
 * says what it is. */
hl_status hl_loaded_is_exported(const char *path, bool *exported, hl_error *err);
/* Which of the two the content says. Of an exported model every weight is looked at: all are finite. After an
 * error *l is {0}. Overrides as in hl_config_load. */
hl_status hl_loaded_open(hl_loaded *l, const char *path, int n_overrides, char *const *overrides,
                         hl_error *err);
void hl_loaded_close(hl_loaded *l);
/* What acts; l must outlive it. A checkpoint's lets its weights go (hl_session_options.frozen): there can be
 * one. An exported model's precision is its own, whatever options say. NULL on error. */
hl_policy *hl_loaded_policy(const hl_loaded *l, const hl_policy_options *options, hl_error *err);

#endif
