/* Sessions of the small model, for tests of what sessions tell about themselves. */
#ifndef HL_TESTS_SMALL_SESSION_H
#define HL_TESTS_SMALL_SESSION_H

#include "app/train/trainer.h"
#include "tests/small_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static inline hl_session *small_session(hl_graph *g, hl_params *params, const hl_session_options *o)
{
    hl_error err = {0};
    hl_session *s = hl_session_open(g, params, o, &err);
    if (!s)
        fail_msg("%s", err.message);
    hl_graph_free(g);
    return s;
}

static inline hl_session *small_training(hl_params *params)
{
    hl_trainer_options o = {.model = small_model(HL_HYBRID),
                            .weights = {1, 0.1f, 0.01f},
                            .adamw = {.clip = 1},
                            .batch = 3,
                            .accumulate = 1};
    return small_session(hl_training_graph(params, &o), params, NULL);
}

static inline hl_session *small_inference(hl_params *params, bool frozen)
{
    hl_model_options o = small_model(HL_HYBRID);
    hl_graph *g = hl_graph_new();
    hl_model_nodes m = hl_model_build(g, params, &o, &(hl_model_mode){.batch = 3});
    hl_output(g, "action", m.action);
    return small_session(g, params, &(hl_session_options){.frozen = frozen});
}

#endif
