#ifndef HL_RUN_SESSION_H
#define HL_RUN_SESSION_H

#include "run/params.h"
#include "run/plan.h"

enum { HL_STEPS = 2 }; /* most that may be started and not waited for */

/* Which points in time of a step are taken (marks.c). */
typedef enum hl_marking {
    HL_MARK_NOTHING,
    HL_MARK_PARTS, /* where one part of the step ends and the next begins */
    HL_MARK_CALLS, /* before and after every group of calls, which are then not replayed */
} hl_marking;

/* Parts of a step (parts.c). */
typedef struct hl_parts {
    bool on;
    int n;
    hl_part *list;
    int *of; /* by call, that of its group */
} hl_parts;

/* A step that is under way reads these buffers of the store (hold.c). */
typedef struct hl_hold {
    int *buffer; /* by the plan's uses; -1: none */
    uint64_t version;
    bool claimed; /* the step is writing to the store */
} hl_hold;

/* What a recorded step depends on besides the plan. */
typedef struct hl_recording {
    void **addresses; /* in the store, that the calls have: data and next of each use */
    bool direct;      /* they are those of a direct step */
    int marks;        /* of which step under way it sets; -1: none */
} hl_recording;

/* On the host, `arena` is where the caller reads and writes. On a device, `crossing` is: its bytes go to and
 * come from the arena's begin. Where host and device share it, a step that is waited for before the caller
 * gets to write again is `direct`: kernels read and write there. */
struct hl_session {
    hl_plan *plan;
    hl_params *params;
    hl_param_uses uses; /* the plan's */
    bool concurrent;
    bool bound;                   /* to the store */
    const hl_device_table *table; /* of the backend; NULL: the host */
    hl_device *device;
    hl_queue *queue;
    bool attached;           /* the store to the device */
    unsigned char *arena;    /* in the backend's memory */
    unsigned char *crossing; /* on a device: in_bytes + out_bytes on the host */
    bool shared;             /* crossing is memory of the device's, too */
    bool direct;             /* the calls' addresses are those of a direct step */
    hl_packed **packed;      /* of a frozen session, by call; the store's. NULL: the call packs nothing */
    uint64_t step;
    int pending;       /* steps started and not waited for */
    bool delivered;    /* of these, the oldest has ended and its outputs are here */
    hl_status outcome; /* of the one delivered last */
    uint64_t started;  /* step i has hold i % HL_STEPS; a frozen session has hold 0 for its life */
    hl_hold holds[HL_STEPS];
    uint64_t version; /* of the store, that the step waited for last has read */
    void **addresses; /* that the calls have now, as in hl_recording */
    hl_recording recorded[HL_RECORDINGS];
    int recordings; /* made so far */
    int plain;      /* steps run call by call */
    double warm_up_seconds;
    bool profile;
    double *seconds; /* per call, while profiling */
    uint64_t profiled_runs;
    hl_parts parts;
    hl_marking marking[HL_STEPS]; /* of each step under way */
    double *moments;              /* the host's, by call */
    double anchored;              /* on the host's clock, when a device's anchor was marked */
    struct hl_track *track;       /* NULL: it is not traced */
};

/* Opening: memory and addresses (bind.c). */
hl_status hl_session_bind(hl_session *s, hl_error *err);
void hl_session_unbind(hl_session *s);
/* Gives the calls from one on the addresses of their operands and results. */
void hl_session_address(hl_session *s, int first);
/* Gives them those of a step that is direct, or is not. */
void hl_session_direct(hl_session *s, bool direct);
/* Where the caller reads or writes what lies there; NULL if the caller cannot. */
void *hl_session_host(const hl_session *s, hl_location at);

/* A frozen session (freeze.c) takes what others have packed before it binds to the store, for what is packed
 * need not be read; packs the rest, and lets go of what it reads no more. */
void hl_session_take_packed(hl_session *s);
hl_status hl_session_freeze(hl_session *s, hl_error *err);
void hl_session_release_packed(hl_session *s);

/* What a step has to do with the store (hold.c). hold: it will read the newest values. claim: it is about to
 * write. let_go: it has ended; done: what it wrote is right. */
hl_status hl_session_hold(hl_session *s, hl_error *err);
hl_status hl_session_claim(hl_session *s, hl_hold *hold, hl_error *err);
void hl_session_let_go(hl_session *s, hl_hold *hold, bool done);

/* Points in time of the step that starts (marks.c): hl_session_mark takes one, if it is wanted, before the
 * call of an index, or (n_calls) after the last, or one of the two at the step's begin and end. */
enum { HL_BEFORE_INPUTS = 1, HL_AFTER_OUTPUTS = 2, HL_MARKS = 3 }; /* beyond n_calls */
/* How many a session has. */
int hl_session_marks(const hl_session *s);
hl_status hl_session_begin_marks(hl_session *s, hl_error *err);
hl_status hl_session_mark(hl_session *s, int at, hl_error *err);
/* Once the step of a slot has ended: the seconds between two points, and when on the host's clock it began.
 */
double hl_session_between(const hl_session *s, int slot, int first, int second);
double hl_session_began(const hl_session *s, int slot);

/* What is told of those times: of all steps by call (profile.c), of each by call (trace.c) and of the last by
 * part (parts.c). */
void hl_profile_add(hl_session *s, int slot);
/* Whether the step that starts is to be recorded. */
bool hl_trace_wants(const hl_session *s);
void hl_trace_take(hl_session *s, int slot);
bool hl_parts_open(hl_session *s); /* false: no memory */
void hl_parts_close(hl_session *s);
/* Whether another part begins at a call. */
bool hl_parts_change(const hl_session *s, int call);
void hl_parts_take(hl_session *s, int slot);

#endif
