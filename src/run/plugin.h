#ifndef HL_RUN_PLUGIN_H
#define HL_RUN_PLUGIN_H

#include "run/backend.h"

/* The CUDA backend, or NULL with the reason. Safe from any thread. */
const hl_backend *hl_cuda_backend(hl_error *why);

#endif
