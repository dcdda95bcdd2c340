/* One phase of a stress test: its threads are opened, warmed up, watched while they run, and accounted for.
 */
#ifndef HL_APP_STRESS_PHASE_H
#define HL_APP_STRESS_PHASE_H

#include "app/config/config.h"
#include "app/stress/monitor.h"
#include "app/stress/limits.h"
#include "app/tracing.h"
#include "data/dataset.h"

#include <signal.h>

typedef struct hl_phase_setup {
    const hl_config *cfg;
    const hl_stress_phase *phase;
    hl_dataset *data;
    hl_monitor *monitor;
    const volatile sig_atomic_t *stop; /* becomes true: the phase ends */
    hl_tracing *tracing;
} hl_phase_setup;

typedef struct hl_phase_result {
    json_t *json; /* an entry of "phases" (docs/stress.md), which is the caller's */
    hl_figures figures;
    hl_verdict verdict;
} hl_phase_result;

/* After an error there is no result; the message names the phase. */
hl_status hl_phase_run(const hl_phase_setup *setup, hl_phase_result *result, hl_error *err);

#endif
