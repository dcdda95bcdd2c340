/* Recorded observations in the robot's units, shown to a policy as it would have seen them. */
#ifndef HL_APP_WINDOWS_H
#define HL_APP_WINDOWS_H

#include "app/setup.h"

typedef struct hl_windows hl_windows;

/* At most so many samples of a split of the configuration's data, `rows` at a time. They lie evenly over the
 * split: neighbours in it are moments of one episode. NULL on error: HL_ERR_DATA if there are none. */
hl_windows *hl_windows_open(const hl_config *cfg, hl_split split, int64_t samples, int64_t rows,
                            hl_error *err);
void hl_windows_close(hl_windows *w);
/* How many there are. */
int64_t hl_windows_count(const hl_windows *w);
/* Which sample of the split the i-th is. */
int64_t hl_windows_index(const hl_windows *w, int64_t i);
/* Reads samples first .. first+rows-1; past the last one it goes on at the first. */
hl_status hl_windows_read(hl_windows *w, int64_t first, hl_error *err);
/* A policy of as many rows begins an episode with what was read, and acts at each of its moments; action
 * [rows,A] is that of the last. */
hl_status hl_windows_act(const hl_windows *w, hl_policy *policy, float *action, hl_error *err);

#endif
