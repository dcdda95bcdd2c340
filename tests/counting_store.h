/* A store whose training adds one to every weight in each step, so a version's weights are all equal to its
 * number: who reads two versions shows it. */
#ifndef HL_TESTS_COUNTING_STORE_H
#define HL_TESTS_COUNTING_STORE_H

#include "run/param_entry.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { TENSORS = 4 };
static const int64_t sizes[TENSORS] = {1, 3, 17, 300};

static inline hl_tensor weight(hl_graph *g, hl_params *params, int i)
{
    char name[16];
    snprintf(name, sizeof name, "w%d", i);
    return hl_param(g, params, name, 1, &sizes[i], (hl_init_rule){.kind = HL_ZEROS});
}

/* The gradient is -1 everywhere; with betas of nothing AdamW moves by exactly lr. */
static inline hl_session *open_training(hl_params *params, hl_error *err)
{
    hl_graph *g = hl_graph_new();
    hl_tensor sum = hl_scalar(g, "extra", 0);
    for (int i = 0; i < TENSORS; i++)
        sum = hl_sub(g, sum, hl_sum_all(g, weight(g, params, i)));
    hl_adamw(g, params, sum, (hl_adamw_options){.beta1 = 1e-30f, .beta2 = 1e-30f, .eps = 1e-30f});
    hl_session *s = hl_session_new(g, params, "cpu", err);
    hl_graph_free(g);
    if (s)
        hl_session_set(s, "lr", 1);
    return s;
}

static inline hl_session *open_reading(hl_params *params, hl_session_options options, hl_error *err)
{
    hl_graph *g = hl_graph_new();
    for (int i = 0; i < TENSORS; i++) {
        char name[16];
        snprintf(name, sizeof name, "y%d", i);
        hl_output(g, name, hl_scale(g, weight(g, params, i), 2));
    }
    hl_session *s = hl_session_open(g, params, &options, err);
    hl_graph_free(g);
    return s;
}

static inline hl_session *need(hl_session *s, const hl_error *err)
{
    if (!s)
        fail_msg("%s", err->message);
    return s;
}

static inline void run(hl_session *s)
{
    hl_error err = {0};
    if (hl_session_run(s, &err) != HL_OK)
        fail_msg("%s", err.message);
}

/* Elements that are not twice the version that the session says it has read. */
static inline int mixed(const hl_session *s)
{
    const float want = 2 * (float)hl_session_version(s);
    int wrong = 0;
    for (int i = 0; i < TENSORS; i++) {
        char name[16];
        snprintf(name, sizeof name, "y%d", i);
        const float *y = hl_session_output(s, name);
        for (int64_t k = 0; k < sizes[i]; k++)
            wrong += y[k] != want;
    }
    return wrong;
}

static inline int not_all(const hl_snapshot *snapshot, float want)
{
    int wrong = 0;
    for (int i = 0; i < hl_snapshot_count(snapshot); i++) {
        hl_param_info p = hl_snapshot_at(snapshot, i);
        for (int64_t k = 0; p.role == HL_PARAMETER && k < p.count; k++)
            wrong += p.data[k] != want;
    }
    return wrong;
}

static inline int live_buffers(hl_params *params, const char *name)
{
    const hl_values *v = &hl_entry_at(params, hl_params_find(params, name))->host[HL_F32];
    int n = 0;
    pthread_mutex_lock(&params->lock);
    for (int i = 0; i < HL_BUFFERS; i++)
        n += v->buffer[i].data != NULL;
    pthread_mutex_unlock(&params->lock);
    return n;
}

static inline const float *newest(hl_params *params, const char *name)
{
    return hl_params_at(params, hl_params_find(params, name)).data;
}

#endif
