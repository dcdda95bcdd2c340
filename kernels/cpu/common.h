/* What the portable kernels share. */
#ifndef HL_KERNELS_CPU_COMMON_H
#define HL_KERNELS_CPU_COMMON_H

#include "kernels/cpu/threads.h"
#include "run/backend.h"

#define HL_PRAGMA(text) _Pragma(#text)
/* A loop over n elements shared by the threads when there is enough to share. */
#define HL_PARALLEL_FOR(work)     HL_PRAGMA(omp parallel for schedule(static) if ((double)(work) > hl_cpu_grain.elements))

static inline const float *hl_in(const hl_call *c, int k)
{
    return (const float *)c->in[k].data;
}

static inline float *hl_out(const hl_call *c, int k)
{
    return (float *)c->out[k].data;
}

#endif
