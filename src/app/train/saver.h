/* Checkpoints of a run, written beside its training: in a thread of its own, from a snapshot. */
#ifndef HL_APP_SAVER_H
#define HL_APP_SAVER_H

#include "io/checkpoint.h"

typedef struct hl_saver hl_saver;

/* For dir, of whose step files `keep` stay (see hl_checkpoint_save). background false: hl_saver_save returns
 * when the file is there. NULL if there is no memory. */
hl_saver *hl_saver_new(const char *dir, int keep, bool background);
/* Waits for the one under way, then takes a snapshot of params and writes it. meta and what it points to are
 * the caller's until the next call of any of these functions; an error is that of this checkpoint or of the
 * one before. */
hl_status hl_saver_save(hl_saver *saver, hl_params *params, const hl_checkpoint_meta *meta, hl_error *err);
/* Waits until the last one is written. */
hl_status hl_saver_finish(hl_saver *saver, hl_error *err);
/* Waits too; an error is lost then. */
void hl_saver_free(hl_saver *saver);

#endif
