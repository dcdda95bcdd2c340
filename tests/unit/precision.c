/* Mixed precision of the whole (small) model: what runs low and what does not, losses beside those of fp32,
 * the loss scale, steps that overflow, copies of the parameters, moments in bf16, memory. */
#include "tests/small_model.h"

#include "base/half.h"
#include "base/memory.h"
#include "compile/passes.h"
#include "io/checkpoint.h"
#include "ops/ops.h"
#include "run/params.h"
#include "tests/newest_values.h"
#include "tests/temporary.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { BATCH = 3, STEPS = 20 };

static const hl_adamw_options plain = {.eps = 1e-3f, .weight_decay = 0.01f, .clip = 1};

static hl_graph *training_graph(hl_params *params, const hl_model_options *o, hl_adamw_options adamw)
{
    hl_graph *g = hl_graph_new();
    hl_model_mode mode = {.batch = BATCH, .training = true, .decode = true};
    hl_model_nodes m = hl_model_build(g, params, o, &mode);
    hl_tensor target = hl_input(g, "target", HL_F32, 2, (int64_t[]){BATCH, o->action});
    hl_loss l = hl_model_loss(g, &m, target, (hl_tensor){0}, (hl_loss_weights){1, 0.1f, 0.01f});
    hl_output(g, "loss", l.total);
    hl_output(g, "action", m.action);
    hl_adamw(g, params, l.total, adamw);
    return g;
}

static hl_session *training(hl_params *params, hl_compressor compressor, hl_precision precision,
                            hl_adamw_options adamw)
{
    hl_error err = {0};
    hl_model_options o = small_model(compressor);
    hl_graph *g = training_graph(params, &o, adamw);
    hl_session *s = hl_session_open(g, params, &(hl_session_options){.device = "cpu", .precision = precision},
                                    &err);
    hl_graph_free(g);
    if (!s)
        fail_msg("%s", err.message);
    hl_session_set(s, "lr", 1e-3f);
    return s;
}

static double run(hl_session *s, int step, float scale)
{
    hl_error err = {0};
    small_model_inputs(s, step, scale);
    if (hl_session_run(s, &err) != HL_OK)
        fail_msg("%s", err.message);
    return *hl_session_output(s, "loss");
}

static hl_param_info entry(const hl_params *params, const char *name)
{
    int at = hl_params_find(params, name);
    assert_true(at >= 0);
    return hl_params_at(params, at);
}

/* ------------------------------------------------------------------ losses */

static void losses_follow_those_of_fp32(void **state)
{
    (void)state;
    for (int compressor = HL_HYBRID; compressor <= HL_HIERARCHICAL; compressor++) {
        hl_adamw_options scaled = plain;
        scaled.loss_scale = 1024;
        hl_params *p[] = {hl_params_new(5), hl_params_new(5), hl_params_new(5)};
        hl_session *s[] = {training(p[0], (hl_compressor)compressor, HL_PRECISION_FP32, plain),
                           training(p[1], (hl_compressor)compressor, HL_PRECISION_BF16, plain),
                           training(p[2], (hl_compressor)compressor, HL_PRECISION_FP16, scaled)};
        double excess[3] = {0};
        for (int step = 0; step < STEPS; step++) {
            double loss[3];
            for (int k = 0; k < 3; k++) {
                hl_session_set(s[k], "lr", step < STEPS / 2 ? 0 : 1e-3f); /* first from the same parameters */
                loss[k] = run(s[k], step % 3, 1);
                excess[k] += (loss[k] - loss[0]) / loss[0] / STEPS;
            }
            assert_true(loss[1] != loss[0] && loss[2] != loss[0]); /* they are what they say */
            assert_true(step >= STEPS / 2 || fabs(loss[1] - loss[0]) < 0.01 * loss[0]);
            assert_true(step >= STEPS / 2 || fabs(loss[2] - loss[0]) < 0.002 * loss[0]);
        }
        assert_true(fabs(excess[1]) < 0.01 && fabs(excess[2]) < 0.002);
        for (int k = 0; k < 3; k++) {
            hl_session_free(s[k]);
            hl_params_free(p[k]);
        }
    }
}

/* ------------------------------------------------------------------ the pass */

static void what_stays_f32(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_params *params = hl_params_new(5);
    hl_model_options o = small_model(HL_HYBRID);
    hl_graph *g = training_graph(params, &o, plain), *low = hl_compile(g, HL_PRECISION_BF16, &err);
    assert_non_null(low);
    int products = 0, norms = 0;
    for (int i = 0; i < low->n_nodes; i++) {
        const hl_node *n = low->nodes[i];
        if (n->op->precision == HL_RUNS_LOW) {
            assert_int_equal(hl_node_in(low, n, 0)->dtype, HL_BF16);
            products++;
        }
        for (int k = 0; n->op->precision == HL_STAYS_F32 && n->op != &hl_op_adamw && k < n->n_in; k++)
            if (n->in[k].id && !hl_low_operand(n->op, k))
                assert_int_equal(hl_node_in(low, n, k)->dtype, HL_F32);
        if (n->op == &hl_op_layer_norm) { /* its statistics, and the affine part's parameters */
            for (int k = 1; k < 3; k++) {
                assert_int_equal(hl_node_in(low, n, k)->dtype, HL_F32);
                assert_int_equal(hl_dtype_of(low, hl_node_output(n, k)), HL_F32);
            }
            norms++;
        }
        if (n->op == &hl_op_adamw) {
            assert_int_equal(hl_node_in(low, n, 0)->dtype, HL_F32);
            if (n->in[4].id)
                assert_int_equal(hl_node_in(low, n, 4)->dtype, HL_F32);
        }
    }
    assert_true(products > 50 && norms > 5);
    for (int i = 0; i < low->n_outputs; i++)
        assert_int_equal(hl_dtype_of(low, low->outputs[i].tensor), HL_F32);
    hl_graph_free(low);
    hl_graph_free(g);
    hl_params_free(params);
}

/* ------------------------------------------------------------------ overflow */

typedef struct snapshot {
    int n;
    unsigned char *bytes[800];
} snapshot;

static size_t size_of(hl_param_info p)
{
    return (size_t)p.count * (p.dtype == HL_F32 ? 4 : 2);
}

static snapshot take(const hl_params *params)
{
    snapshot s = {hl_params_count(params), {0}};
    assert_true(s.n <= 800);
    for (int i = 0; i < s.n; i++) {
        hl_param_info p = hl_params_at(params, i);
        s.bytes[i] = malloc(size_of(p) + 1);
        memcpy(s.bytes[i], p.bytes, size_of(p));
    }
    return s;
}

/* How many entries differ, less those of the named counters. */
static int changed(const hl_params *params, snapshot *s)
{
    int n = 0;
    for (int i = 0; i < s->n; i++) {
        hl_param_info p = hl_params_at(params, i);
        bool counter = !strcmp(p.name, "adamw.skipped") || !strcmp(p.name, "adamw.loss_scale") ||
                       !strcmp(p.name, "adamw.good_steps");
        n += !counter && memcmp(s->bytes[i], p.bytes, size_of(p)) != 0;
        free(s->bytes[i]);
    }
    return n;
}

/* Inputs so large that the loss overflows f16 where it is stored: such a step changes nothing but the skip
 * counter and the scale, with f32 and with bf16 moments; the steps around it count. */
static void an_overflow_skips_one_step(void **state)
{
    (void)state;
    for (int moments = HL_F32; moments <= HL_BF16; moments += HL_BF16 - HL_F32) {
        hl_adamw_options scaled = plain;
        scaled.loss_scale = 65536;
        scaled.state = (hl_dtype)moments;
        hl_params *params = hl_params_new(5);
        hl_session *s = training(params, HL_HYBRID, HL_PRECISION_FP16, scaled);
        run(s, 0, 1);
        double before = *hl_session_output(s, "skipped");
        float scale = *entry(params, "adamw.loss_scale").data, good = *entry(params, "adamw.good_steps").data;
        float count = *entry(params, "adamw.count").data;
        assert_true(good >= 1 && count >= 1);
        snapshot was = take(params);
        run(s, 1, 1e9f);
        assert_true(*hl_session_output(s, "skipped") == before + 1);
        assert_int_equal(changed(params, &was), 0);
        assert_true(*entry(params, "adamw.loss_scale").data == scale / 2);
        assert_true(*entry(params, "adamw.good_steps").data == 0);
        was = take(params);
        run(s, 2, 1);
        assert_true(*hl_session_output(s, "skipped") == before + 1);
        assert_true(changed(params, &was) > 100);
        assert_true(*entry(params, "adamw.count").data == count + 1);
        hl_session_free(s);
        hl_params_free(params);
    }
}

/* A scale beyond what the gradients bear falls until they fit, and grows again after the interval. */
static void the_loss_scale_finds_its_place(void **state)
{
    (void)state;
    hl_adamw_options scaled = plain;
    scaled.loss_scale = 16777216;
    scaled.scale_interval = 4;
    hl_params *params = hl_params_new(5);
    hl_session *s = training(params, HL_HYBRID, HL_PRECISION_FP16, scaled);
    float last = 16777216, most = 0;
    int fell = 0, grew = 0;
    for (int step = 0; step < 60; step++) {
        assert_true(isfinite(run(s, step % 3, 1)));
        float scale = *entry(params, "adamw.loss_scale").data;
        fell += scale < last;
        grew += scale > last;
        most = step > 30 && scale > most ? scale : most;
        last = scale;
    }
    assert_true(fell >= 1 && grew >= 1 && most < 16777216);
    hl_session_free(s);
    hl_params_free(params);
}

/* ------------------------------------------------------------------ copies and moments */

static void copies_follow_the_parameters(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_params *params = hl_params_new(5);
    hl_session *low = training(params, HL_HYBRID, HL_PRECISION_BF16, plain);
    hl_session *full = training(params, HL_HYBRID, HL_PRECISION_FP32, plain);
    int at = hl_params_find(params, "head.mlp.0.weight");
    if (at < 0) /* whatever the first matrix is called */
        for (at = 0; hl_params_at(params, at).shape.rank != 2; at++)
            ;
    for (int step = 0; step < 4; step++) {
        run(step % 2 ? full : low, step,
            1); /* the session in fp32 leaves the copies behind; the other catches up */
        void *copy = NULL;
        assert_int_equal(newest_values(params, at, HL_BF16, &copy, &err), HL_OK);
        hl_param_info p = hl_params_at(params, at);
        for (int64_t i = 0; i < p.count; i++)
            assert_int_equal(((uint16_t *)copy)[i], hl_float_to_bf16(p.data[i]));
    }
    hl_session_free(full);
    hl_session_free(low);
    hl_params_free(params);
}

static void frozen_sessions_keep_only_copies(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_model_options o = small_model(HL_HYBRID);
    double action[2] = {0};
    for (int precision = 0; precision < 2; precision++) {
        hl_params *params = hl_params_new(5);
        hl_graph *g = hl_graph_new();
        hl_model_nodes m = hl_model_build(g, params, &o, &(hl_model_mode){.batch = BATCH});
        hl_output(g, "action", m.action);
        hl_session_options options = {.frozen = true,
                                      .precision = precision ? HL_PRECISION_BF16 : HL_PRECISION_FP32};
        hl_session *s = hl_session_open(g, params, &options, &err);
        assert_non_null(s);
        hl_memory memory = hl_session_memory(s);
        if (precision)
            assert_true(memory.by_kind[HL_MEM_PARAMETERS] * 4 < memory.by_kind[HL_MEM_COPIES]);
        int kept = 0;
        for (int i = 0; i < hl_params_count(params); i++)
            kept += hl_params_at(params, i).shape.rank == 2 && hl_params_at(params, i).data;
        assert_true(!precision || kept == 0);
        for (int k = 0; k < 5; k++) {
            const char *const names[] = {"visual", "depth", "audio", "tactile", "proprioceptive"};
            hl_session_input(s, names[k])[0] = 1;
        }
        assert_int_equal(hl_session_run(s, &err), HL_OK);
        for (int i = 0; i < BATCH * o.action; i++)
            action[precision] += fabs(hl_session_output(s, "action")[i]);
        hl_session_free(s);
        hl_graph_free(g);
        hl_params_free(params);
    }
    assert_true(action[0] > 0 && fabs(action[1] - action[0]) < 0.02 * action[0]);
}

/* bf16 cannot hold a change of a thousandth; rounded stochastically it arrives on average. */
static void stochastic_rounding_is_right_on_average(void **state)
{
    (void)state;
    double sum = 0;
    for (uint32_t r = 0; r < 65536; r++)
        sum += hl_bf16_to_float(hl_float_to_bf16_stochastic(1.001f, r));
    assert_true(fabs(sum / 65536 - 1.001) < 1e-6);
    for (uint32_t r = 0; r < 65536; r += 257) {
        assert_true(hl_bf16_to_float(hl_float_to_bf16_stochastic(-1.5f, r)) == -1.5f);
        assert_true(hl_bf16_to_float(hl_float_to_bf16_stochastic(0, r)) == 0);
        assert_true(isinf(hl_bf16_to_float(hl_float_to_bf16_stochastic(INFINITY, r))));
        assert_true(isnan(hl_bf16_to_float(hl_float_to_bf16_stochastic(NAN, r))));
    }
}

/* Moments in bf16 through a checkpoint: the run goes on bit by bit as it would have without it. */
static void bf16_moments_resume_exactly(void **state)
{
    (void)state;
    hl_error err = {0};
    const char *path = temporary_path("moments.h5");
    hl_adamw_options half = plain;
    half.state = HL_BF16;
    half.loss_scale = 512;
    hl_params *a = hl_params_new(5), *b = hl_params_new(5);
    hl_session *s = training(a, HL_HYBRID, HL_PRECISION_FP16, half);
    run(s, 0, 1);
    run(s, 1, 1);
    hl_checkpoint_meta meta = {.step = 2};
    assert_int_equal(hl_checkpoint_write(path, a, &meta, HL_CHECKPOINT_ALL, &err), HL_OK);
    run(s, 2, 1);
    hl_session *t = training(b, HL_HYBRID, HL_PRECISION_FP16, half);
    assert_int_equal(hl_checkpoint_read(path, b, HL_CHECKPOINT_ALL, &err), HL_OK);
    hl_session_set_step(t, 2);
    run(t, 2, 1);
    for (int i = 0; i < hl_params_count(a); i++) {
        hl_param_info x = hl_params_at(a, i), y = hl_params_at(b, i);
        assert_int_equal(x.dtype, y.dtype);
        assert_memory_equal(x.bytes, y.bytes, size_of(x));
    }
    hl_session_free(s);
    hl_session_free(t);
    hl_params_free(a);
    hl_params_free(b);
}

/* ------------------------------------------------------------------ memory, errors */

static void memory_falls(void **state)
{
    (void)state;
    hl_params *p[] = {hl_params_new(5), hl_params_new(5)};
    hl_adamw_options half = plain;
    half.state = HL_BF16;
    hl_session *s[] = {training(p[0], HL_HYBRID, HL_PRECISION_FP32, plain),
                       training(p[1], HL_HYBRID, HL_PRECISION_BF16, half)};
    hl_memory full = hl_session_memory(s[0]), low = hl_session_memory(s[1]);
    assert_int_equal(low.by_kind[HL_MEM_PARAMETERS], full.by_kind[HL_MEM_PARAMETERS]);
    assert_true(full.by_kind[HL_MEM_COPIES] == 0 && low.by_kind[HL_MEM_COPIES] > 0);
    assert_true(low.by_kind[HL_MEM_COPIES] < full.by_kind[HL_MEM_PARAMETERS] * 55 / 100);
    assert_true(low.by_kind[HL_MEM_OPTIMIZER] < full.by_kind[HL_MEM_OPTIMIZER] * 55 / 100);
    assert_true(low.total < full.total * 9 / 10);
    for (int k = 0; k < 2; k++) {
        hl_session_free(s[k]);
        hl_params_free(p[k]);
    }
}

static void tf32_needs_a_gpu(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_params *params = hl_params_new(5);
    hl_model_options o = small_model(HL_HYBRID);
    hl_graph *g = training_graph(params, &o, plain);
    assert_null(hl_session_open(g, params, &(hl_session_options){.precision = HL_PRECISION_TF32}, &err));
    assert_int_equal(err.status, HL_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "precision tf32 is computed by GPUs only; on device 'cpu' use fp32"));
    hl_graph_free(g);
    hl_params_free(params);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(losses_follow_those_of_fp32),
        cmocka_unit_test(what_stays_f32),
        cmocka_unit_test(an_overflow_skips_one_step),
        cmocka_unit_test(the_loss_scale_finds_its_place),
        cmocka_unit_test(copies_follow_the_parameters),
        cmocka_unit_test(frozen_sessions_keep_only_copies),
        cmocka_unit_test(stochastic_rounding_is_right_on_average),
        cmocka_unit_test(bf16_moments_resume_exactly),
        cmocka_unit_test(memory_falls),
        cmocka_unit_test(tf32_needs_a_gpu),
    };
    return cmocka_run_group_tests_name("precision", tests, temporary_make, temporary_drop);
}
