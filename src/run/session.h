#ifndef HL_RUN_SESSION_H
#define HL_RUN_SESSION_H

#include "run/params.h"
#include "run/plan.h"

enum { HL_STEPS = 2 }; /* most that may be started and not waited for */

/* A step that is under way reads these buffers of the store (hold.c). */
typedef struct hl_hold {
    int *buffer; /* by the plan's uses; -1: none */
    uint64_t version;
    bool claimed; /* the step is writing to the store */
} hl_hold;

/* On the host, `arena` is where the caller reads and writes. On a device, `crossing` is: its bytes go to and
 * come from the arena's begin. */
struct hl_session {
    hl_plan *plan;
    hl_params *params;
    hl_param_uses uses; /* the plan's */
    bool concurrent;
    bool bound;                   /* to the store */
    const hl_device_table *table; /* of the backend; NULL: the host */
    hl_device *device;
    hl_queue *queue;
    bool attached;                 /* the store to the device */
    unsigned char *arena, *packed; /* in the backend's memory */
    unsigned char *crossing;       /* on a device: in_bytes + out_bytes on the host */
    uint64_t step;
    int pending;      /* steps started and not waited for */
    bool delivered;   /* of these, the oldest has ended and its outputs are here */
    uint64_t started; /* step i has hold i % HL_STEPS; a frozen session has hold 0 for its life */
    hl_hold holds[HL_STEPS];
    uint64_t version;               /* of the store, that the step waited for last has read */
    void **addresses;               /* in the store, that the calls have: data and next of each use */
    void **recorded[HL_RECORDINGS]; /* those of what the queue has recorded */
    int recordings;                 /* made so far */
    int plain;                      /* steps run call by call */
    double warm_up_seconds;
    bool profile;
    double *seconds; /* per call, while profiling */
    uint64_t profiled_runs;
};

/* Opening: memory and addresses (bind.c). */
hl_status hl_session_bind(hl_session *s, hl_error *err);
void hl_session_unbind(hl_session *s);
/* Gives the calls from one on the addresses of their operands and results. */
void hl_session_address(hl_session *s, int first);
/* Where the caller reads or writes what lies there; NULL if the caller cannot. */
void *hl_session_host(const hl_session *s, hl_location at);

/* What a step has to do with the store (hold.c). hold: it will read the newest values. claim: it is about to
 * write. let_go: it has ended; done: what it wrote is right. */
hl_status hl_session_hold(hl_session *s, hl_error *err);
hl_status hl_session_claim(hl_session *s, hl_hold *hold, hl_error *err);
void hl_session_let_go(hl_session *s, hl_hold *hold, bool done);

#endif
