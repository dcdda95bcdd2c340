/* What a command measures or plans: a configuration, or an exported model with its own. */
#ifndef HL_APP_SUBJECT_H
#define HL_APP_SUBJECT_H

#include "app/loaded.h"

typedef struct hl_subject {
    const hl_config *cfg;
    hl_model *exported; /* which only acts; NULL: a configuration alone */
    hl_config own;      /* cfg, if it is one alone */
    hl_loaded loaded;
} hl_subject;

/* path: NULL: the configuration of no file, defaults and overrides. It points into itself, so it stays where
 * it is. After an error there is nothing to close. */
hl_status hl_subject_open(hl_subject *s, const char *path, int n_overrides, char *const *overrides,
                          hl_error *err);
void hl_subject_close(hl_subject *s);

#endif
