/* A run's directory belongs to one run, and to one process at a time. */
#ifndef HL_APP_RUN_DIR_H
#define HL_APP_RUN_DIR_H

#include "hl.h"

/* HL_ERR_USAGE if dir holds a run and `from` does not go on with it: `from` is the argument of --resume,
 * NULL where there is none. Changes nothing. */
hl_status hl_run_dir_check(const char *dir, const char *from, hl_error *err);

/* Makes dir, and holds it until hl_run_dir_release(*hold) or the end of the process. HL_ERR_USAGE if another
 * process holds it; HL_ERR_IO. *hold is -1 on error, and where the file system has no locks. */
hl_status hl_run_dir_hold(const char *dir, int *hold, hl_error *err);
void hl_run_dir_release(int hold); /* accepts -1 */

/* Lets dir/last.h5 lead to the checkpoint of `step`, if that is there: whoever wrote it may have been killed
 * before the link, and a run with no step left would not come to write another. HL_ERR_IO, HL_ERR_MEMORY. */
hl_status hl_run_dir_link_last(const char *dir, int64_t step, hl_error *err);

#endif
