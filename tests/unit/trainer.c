/* Gradient accumulation: two micro-batches of 2 train as one batch of 4. */
#include "app/train/trainer.h"
#include "tests/small_model.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SAMPLES = 4, STEPS = 3 };

/* Rows [first, first+count) of a fixed set of samples. */
typedef struct rows {
    hl_batch batch;
    float *memory[HL_SENSES + 3];
} rows;

static float value(int what, int64_t i)
{
    return (float)sin((double)(i * 13 + what * 57) * 0.37);
}

static float *matrix(int what, int64_t first, int64_t count, int64_t width)
{
    float *x = malloc((size_t)(count * width) * sizeof *x);
    for (int64_t i = 0; i < count * width; i++)
        x[i] = value(what, first * width + i);
    return x;
}

static rows make_rows(const hl_model_options *o, int64_t first, int64_t count)
{
    rows r = {.batch = {.count = count}};
    for (int s = 0; s < HL_SENSES; s++)
        r.batch.sense[s] = r.memory[s] = matrix(s, first, count, hl_model_sense_size(o, s));
    r.batch.action = r.memory[HL_SENSES] = matrix(10, first, count, o->action);
    r.batch.action_mask = r.memory[HL_SENSES + 1] = matrix(11, first, count, o->action);
    r.batch.presence = r.memory[HL_SENSES + 2] = matrix(12, first, count, HL_SENSES);
    for (int64_t i = 0; i < count * o->action; i++)
        r.batch.action_mask[i] = 1;
    for (int64_t i = 0; i < count * HL_SENSES; i++)
        r.batch.presence[i] = (first * HL_SENSES + i) % 4 ? 1 : 0;
    return r;
}

static void free_rows(rows *r)
{
    for (int i = 0; i < HL_SENSES + 3; i++)
        free(r->memory[i]);
}

/* Losses of STEPS updates, then a weighted sum of every parameter. */
static int train(int64_t accumulate, double *out)
{
    hl_error err = {0};
    hl_model_options model = small_model(HL_HIERARCHICAL); /* no noise, which a row would draw by its place */
    model.dropout = 0;
    hl_trainer_options o = {.model = model,
                            .weights = {1, 0.1f, 0.01f},
                            .adamw = {.eps = 1e-3f, .weight_decay = 0.01f, .clip = 1},
                            .batch = SAMPLES / accumulate,
                            .accumulate = accumulate,
                            .presence = true,
                            .mask = true,
                            .device = "cpu"};
    hl_params *params = hl_params_new(3);
    hl_graph *g = hl_training_graph(params, &o);
    hl_session *s = hl_session_new(g, params, o.device, &err);
    int n = 0;
    hl_graph_free(g);
    if (!s)
        fail_msg("%s", err.message);
    assert_int_equal(hl_session_set(s, "lr", 1e-2f), HL_OK);
    for (int step = 0; step < STEPS; step++) {
        for (int64_t micro = 0; micro < accumulate; micro++) {
            rows r = make_rows(&model, micro * o.batch, o.batch);
            hl_feed(s, &o, micro, &r.batch);
            free_rows(&r);
        }
        assert_int_equal(hl_session_run(s, &err), HL_OK);
        hl_losses l = hl_read_losses(s);
        out[n++] = l.total;
        out[n++] = l.grad_norm;
        assert_true(isnan(l.kl) && l.skipped == 0);
    }
    for (int i = 0; i < hl_params_count(params) && n < 400; i++) {
        hl_param_info p = hl_params_at(params, i);
        out[n] = 0;
        for (int64_t k = 0; k < p.count; k++)
            out[n] += (double)p.data[k] * (1 + (double)(k % 5));
        n++;
    }
    hl_session_free(s);
    hl_params_free(params);
    return n;
}

static void micro_batches_train_as_one_batch(void **state)
{
    (void)state;
    double whole[400], parts[400];
    int n = train(1, whole);
    assert_int_equal(train(2, parts), n);
    assert_true(n > 100 && fabs(whole[0] - whole[2]) > 1e-4); /* the loss moves */
    for (int i = 0; i < n; i++)
        if (!(fabs(whole[i] - parts[i]) <= 2e-5 * (1 + fabs(whole[i]))))
            fail_msg("number %d: %.9g in one batch, %.9g in two", i, whole[i], parts[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(micro_batches_train_as_one_batch)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
