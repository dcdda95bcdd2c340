/* Frozen sessions of the small model, and what they compute. */
#ifndef HL_TESTS_FROZEN_SESSION_H
#define HL_TESTS_FROZEN_SESSION_H

#include "tests/mapped_store.h"

enum { LARGE = 16, ACTIONS = 3, MOST = LARGE * ACTIONS };

static inline hl_session *open_frozen(hl_params *params, int64_t batch, hl_error *err)
{
    hl_graph *g = acting_graph(params, batch);
    hl_session *s = hl_session_open(g, params, &(hl_session_options){.frozen = true}, err);
    hl_graph_free(g);
    return s;
}

static inline hl_session *need_frozen(hl_params *params, int64_t batch)
{
    hl_error err = {0};
    hl_session *s = open_frozen(params, batch, &err);
    if (!s)
        fail_msg("%s", err.message);
    return s;
}

static inline bool act(hl_session *s, float action[MOST])
{
    hl_error err = {0};
    const hl_shape shape = hl_session_shape(s, "action");
    small_model_inputs(s, 0, 1);
    if (hl_session_run(s, &err) != HL_OK)
        return false;
    memcpy(action, hl_session_output(s, "action"), (size_t)shape.dim[0] * ACTIONS * sizeof *action);
    return true;
}

/* What a session has that is alone with its store. */
static inline void act_alone(int64_t batch, float action[MOST])
{
    mapped_store m = mapped_small_model(HL_F32);
    hl_session *s = need_frozen(m.params, batch);
    memset(action, 0, MOST * sizeof *action);
    assert_true(act(s, action));
    hl_session_free(s);
    free_mapped(&m);
}

#endif
