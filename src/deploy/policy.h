/* Acting over any session of a graph that has the names of a deployed one (hl.h): hl_policy_new opens that of
 * a model, and who has a session of another kind gives it here. */
#ifndef HL_DEPLOY_POLICY_H
#define HL_DEPLOY_POLICY_H

#include "hl.h"

/* Where the graph's units are not the robot's. */
typedef struct hl_policy_units {
    /* One row of a sense, in place: from the robot's units to the graph's. */
    void (*observation)(const void *context, const char *sense, float *row);
    /* One row of an action, in place: from the graph's units to the robot's. */
    void (*action)(const void *context, float *row);
    const void *context;
} hl_policy_units;

/* Takes the session, also on error. units NULL: they are the same. */
hl_policy *hl_policy_over(hl_session *session, float smoothing, const hl_policy_units *units, hl_error *err);

#endif
