/* The small model trained in a session, for tests of devices. */
#ifndef HL_TESTS_DEVICE_SESSION_H
#define HL_TESTS_DEVICE_SESSION_H

#include "tests/small_model.h"

#include "base/memory.h"
#include "run/params.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { BATCH = 3, STEPS = 4, MOST = 800 };

static inline hl_model_options model(void)
{
    hl_model_options o = small_model(HL_HYBRID);
    o.history = 2;
    return o;
}

static inline hl_graph *training_graph(hl_params *params, hl_precision precision)
{
    hl_model_options o = model();
    hl_graph *g = hl_graph_new();
    hl_model_mode mode = {.batch = BATCH, .training = true, .decode = true, .encode_history = true};
    hl_model_nodes m = hl_model_build(g, params, &o, &mode);
    hl_tensor target = hl_input(g, "target", HL_F32, 2, (int64_t[]){BATCH, o.action});
    hl_loss l = hl_model_loss(g, &m, target, (hl_tensor){0}, (hl_loss_weights){1, 0.1f, 0.01f});
    hl_output(g, "loss", l.total);
    hl_output(g, "action", m.action);
    hl_adamw(g, params, l.total,
             (hl_adamw_options){.eps = 1e-3f,
                                .weight_decay = 0.01f,
                                .clip = 1,
                                .state = precision == HL_PRECISION_FP32 ? HL_F32 : HL_BF16,
                                .loss_scale = precision == HL_PRECISION_FP16 ? 1024 : 0});
    return g;
}

static inline hl_session *acting(hl_params *params, hl_session_options options)
{
    hl_error err = {0};
    hl_model_options o = model();
    hl_graph *g = hl_graph_new();
    hl_model_nodes m = hl_model_build(g, params, &o, &(hl_model_mode){.batch = BATCH});
    hl_output(g, "action", m.action);
    hl_session *s = hl_session_open(g, params, &options, &err);
    hl_graph_free(g);
    if (!s)
        fail_msg("%s", err.message);
    return s;
}

static inline hl_session *training(hl_params *params, const char *device, hl_precision precision,
                                   hl_error *err)
{
    hl_graph *g = training_graph(params, precision);
    hl_session *s = hl_session_open(g, params,
                                    &(hl_session_options){.device = device, .precision = precision}, err);
    hl_graph_free(g);
    if (s)
        hl_session_set(s, "lr", 1e-3f);
    return s;
}

static inline hl_session *trained(hl_params *params, const char *device, hl_precision precision)
{
    hl_error err = {0};
    hl_session *s = training(params, device, precision, &err);
    if (!s)
        fail_msg("%s", err.message);
    return s;
}

typedef struct outcome {
    double loss[STEPS], norm[STEPS];
    int n;
    double sum[MOST]; /* of each entry of the store, weighted */
} outcome;

static inline double weighted_sum(hl_param_info p)
{
    double sum = 0;
    for (int64_t k = 0; k < p.count; k++)
        sum += (p.dtype == HL_F32 ? (double)p.data[k] : (double)((uint16_t *)p.bytes)[k]) *
               (1 + (double)(k % 7));
    return sum;
}

static inline outcome outcome_of(hl_params *params)
{
    hl_error err = {0};
    outcome o = {.n = hl_params_count(params)};
    assert_true(o.n <= MOST);
    assert_int_equal(hl_params_pull(params, &err), HL_OK);
    for (int i = 0; i < o.n; i++)
        o.sum[i] = weighted_sum(hl_params_at(params, i));
    return o;
}

static inline outcome train(const char *device, hl_precision precision)
{
    hl_error err = {0};
    hl_params *params = hl_params_new(5);
    hl_session *s = trained(params, device, precision);
    outcome steps = {0};
    for (int step = 0; step < STEPS; step++) {
        small_model_inputs(s, step, 1);
        if (hl_session_run(s, &err) != HL_OK)
            fail_msg("%s", err.message);
        steps.loss[step] = *hl_session_output(s, "loss");
        steps.norm[step] = *hl_session_output(s, "grad_norm");
        assert_true(*hl_session_output(s, "skipped") == 0);
    }
    outcome o = outcome_of(params);
    memcpy(o.loss, steps.loss, sizeof o.loss);
    memcpy(o.norm, steps.norm, sizeof o.norm);
    hl_session_free(s);
    hl_params_free(params);
    return o;
}

static inline void assert_close(double a, double b, double tolerance)
{
    if (!(fabs(a - b) <= tolerance * (1 + fabs(b))))
        fail_msg("%.9g and %.9g differ by more than %g", a, b, tolerance);
}

#endif
