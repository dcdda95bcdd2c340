#ifndef HL_KERNELS_CPU_WIDENED_H
#define HL_KERNELS_CPU_WIDENED_H

#include "run/backend.h"

/* The members of a kernel that widens its operands for the f32 kernel of the same op in `backend`. */
bool hl_widened_accepts(const hl_call *call);
hl_status hl_widened_prepare(const hl_backend *backend, hl_call *call, hl_error *err);
hl_status hl_widened_run(const hl_call *call, hl_error *err);
void hl_widened_release(hl_call *call);

#endif
