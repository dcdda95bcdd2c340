/* Event files of TensorBoard: scalars and histograms over steps. A run that resumes opens a new file
 * in the same directory; TensorBoard joins them. */
#ifndef HL_IO_TENSORBOARD_H
#define HL_IO_TENSORBOARD_H

#include "hl.h"

typedef struct hl_tensorboard hl_tensorboard;

/* Seconds since 1970, as wall_time below. */
double hl_tensorboard_now(void);
/* Makes dir if need be, and in it "events.out.tfevents.SECONDS.HOST.PID.NANOSECONDS". */
hl_status hl_tensorboard_open(const char *dir, double wall_time, hl_tensorboard **out, hl_error *err);
const char *hl_tensorboard_path(const hl_tensorboard *tb);
/* One point of the curve tag. After a failed write the file ends in a torn record, so that every later
 * call fails too. */
hl_status hl_tensorboard_scalar(hl_tensorboard *tb, double wall_time, int64_t step, const char *tag,
                                float value, hl_error *err);
/* The distribution of n values, in buckets an eighth of an octave wide from 2^-40 upwards on both sides
 * of zero. Infinities and NaN have no place on that axis: they are left out, and num counts the rest. */
hl_status hl_tensorboard_histogram(hl_tensorboard *tb, double wall_time, int64_t step, const char *tag,
                                   const float *values, size_t n, hl_error *err);
/* Frees tb whatever happens; accepts NULL. */
hl_status hl_tensorboard_close(hl_tensorboard *tb, hl_error *err);

#endif
