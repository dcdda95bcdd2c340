/* What the kernels on oneDNN share. */
#ifndef HL_KERNELS_CPU_ONEDNN_ENGINE_H
#define HL_KERNELS_CPU_ONEDNN_ENGINE_H

#include "kernels/cpu/common.h"
#include "kernels/cpu/onednn/dnnl_compat.h"

/* The CPU engine of the process, made on first use and never freed: primitives that oneDNN keeps in
 * its cache refer to it. Any thread may call this and share the engine; streams and primitives are
 * the caller's own. */
dnnl_status_t hl_onednn_engine(dnnl_engine_t *engine);

/* "oneDNN refuses <what>: <name of the status> (status <code>)", as a memory error, an unsupported
 * case, or a failure of the device. */
hl_status hl_onednn_fail(hl_error *err, const char *what, dnnl_status_t status);

/* Every operand there is is f32 and not empty, and its dimensions fit what oneDNN counts in. */
bool hl_onednn_fits(const hl_call *call);

#endif
