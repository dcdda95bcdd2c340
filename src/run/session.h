#ifndef HL_RUN_SESSION_H
#define HL_RUN_SESSION_H

#include "run/plan.h"

/* On the host, `arena` is where the caller reads and writes. On a device, `crossing` is: its bytes go to and
 * come from the arena's begin. */
struct hl_session {
    hl_plan *plan;
    hl_params *params;
    const hl_device_table *table; /* of the backend; NULL: the host */
    hl_device *device;
    hl_queue *queue;
    bool attached;                 /* the store to the device */
    unsigned char *arena, *packed; /* in the backend's memory */
    unsigned char *crossing;       /* on a device: in_bytes + out_bytes on the host */
    uint64_t step;
    int pending;   /* steps started and not waited for */
    int plain;     /* steps run call by call since the bindings last changed */
    bool recorded; /* the queue holds a step to replay */
    double warm_up_seconds;
    bool profile;
    double *seconds; /* per call, while profiling */
    uint64_t profiled_runs;
};

/* Opening: memory and addresses (bind.c). */
hl_status hl_session_bind(hl_session *s, hl_error *err);
void hl_session_unbind(hl_session *s);
/* Before a step: brings the store's values that the plan reads to their newest version. After it: tells the
 * store what the step has written. */
hl_status hl_session_refresh(hl_session *s, hl_error *err);
void hl_session_publish(hl_session *s);
/* Where the caller reads or writes what lies there; NULL if the caller cannot. */
void *hl_session_host(const hl_session *s, hl_location at);

#endif
