/* Where a phase's memory is: what was planned beside what was measured, category by category. */
#ifndef HL_APP_STRESS_ACCOUNT_H
#define HL_APP_STRESS_ACCOUNT_H

#include "app/stress/monitor.h"
#include "base/json.h"
#include "hl.h"

enum { HL_ACCOUNT_SESSIONS = 65 };

/* Sessions that are open, the one that trains first, if any. */
typedef struct hl_planned_sessions {
    int n;
    const hl_session *at[HL_ACCOUNT_SESSIONS];
    bool trains;
    size_t batches; /* bytes of samples beside them */
    bool on_device; /* the plans are of a device's memory */
} hl_planned_sessions;

/* "memory" of a phase's result (docs/stress.md), of now, while the sessions are open and after the monitor
 * has stopped; *peak_bytes is the largest measured sum of what is ours. NULL if there is no memory. */
json_t *hl_stress_account(const hl_planned_sessions *sessions, const hl_monitor *monitor, double *peak_bytes);

#endif
