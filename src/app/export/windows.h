/* Recorded observations in the robot's units, shown to a policy as it would have seen them. */
#ifndef HL_APP_WINDOWS_H
#define HL_APP_WINDOWS_H

#include "app/setup.h"

typedef struct hl_windows hl_windows;

/* The samples of a split of the configuration's data, `rows` at a time. NULL on error: HL_ERR_DATA if there
 * are none. */
hl_windows *hl_windows_open(const hl_config *cfg, hl_split split, int64_t rows, hl_error *err);
void hl_windows_close(hl_windows *w);
int64_t hl_windows_count(const hl_windows *w);
/* Reads samples first .. first+rows-1; past the last one it goes on at the first. */
hl_status hl_windows_read(hl_windows *w, int64_t first, hl_error *err);
/* A policy of as many rows begins an episode with what was read, and acts at each of its moments; action
 * [rows,A] is that of the last. */
hl_status hl_windows_act(const hl_windows *w, hl_policy *policy, float *action, hl_error *err);

#endif
