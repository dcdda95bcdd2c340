/* What the portable kernels share. */
#ifndef HL_KERNELS_CPU_COMMON_H
#define HL_KERNELS_CPU_COMMON_H

#include "run/backend.h"

/* Below this many elements one thread is faster than waking the others. */
enum { HL_GRAIN = 1 << 14 };

#define HL_PRAGMA(text) _Pragma(#text)
/* A loop over n elements shared by the threads when there is enough to share. */
#define HL_PARALLEL_FOR(work)     HL_PRAGMA(omp parallel for schedule(static) if ((work) > HL_GRAIN))

static inline const float *hl_in(const hl_call *c, int k)
{
    return (const float *)c->in[k].data;
}

static inline float *hl_out(const hl_call *c, int k)
{
    return (float *)c->out[k].data;
}

#endif
