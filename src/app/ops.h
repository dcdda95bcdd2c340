/* Which kernel runs which op: op x storage type x backend. */
#ifndef HL_APP_OPS_H
#define HL_APP_OPS_H

#include "ops/ops.h"
#include "run/backend.h"

typedef struct hl_op_samples hl_op_samples;

/* One call of every op that runs, as the compiler would make it. NULL on error. */
hl_op_samples *hl_op_samples_new(hl_error *err);
void hl_op_samples_free(hl_op_samples *samples);
/* Whether the op runs at all: leaves, views and what the compiler expands do not. */
bool hl_op_runs(const hl_op_samples *samples, const hl_op_def *op);
/* Whether it takes operands of 16 bits. */
bool hl_op_takes_low(const hl_op_def *op);
/* The kernel of a backend for the op with operands of that storage type, or NULL. */
const hl_kernel *hl_op_kernel(const hl_op_samples *samples, const hl_op_def *op, hl_dtype dtype,
                              const hl_backend *backend);

#endif
