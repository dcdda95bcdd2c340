#ifndef HL_RUN_SESSION_H
#define HL_RUN_SESSION_H

#include "run/plan.h"

struct hl_session {
    hl_plan *plan;
    hl_params *params;
    unsigned char *arena;
    unsigned char *packed;
    hl_clock clock;
    uint64_t step;
    bool profile;
    double *seconds; /* per call, while profiling */
    uint64_t profiled_runs;
};

#endif
