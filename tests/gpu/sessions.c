/* Sessions on a GPU: the small model trained there and on the CPU, replayed and call by call, with steps
 * under way; the parameter store between host and device. HL_TEST_DEVICE names another device than cuda. Exit
 * 77 where there is no GPU. */
#include "tests/device_session.h"
#include "tests/gpu_skip.h"

#include "base/process.h"
#include "io/checkpoint.h"
#include "run/trace.h"
#include "tests/mapped_store.h"
#include "tests/temporary.h"

#include <stdio.h>

static const char *gpu = "cuda";

/* Two stores that were trained alike hold the same. Ends both, with the session of each. */
static void end_equal(hl_params *a, hl_session *of_a, hl_params *b, hl_session *of_b)
{
    outcome x = outcome_of(a), y = outcome_of(b);
    assert_memory_equal(&x, &y, sizeof x);
    hl_session_free(of_a);
    hl_session_free(of_b);
    hl_params_free(a);
    hl_params_free(b);
}

/* ------------------------------------------------------------------ numbers */

static void trains_as_the_cpu_does(void **state)
{
    (void)state;
    outcome cpu = train("cpu:portable", HL_PRECISION_FP32), there = train(gpu, HL_PRECISION_FP32);
    assert_int_equal(cpu.n, there.n);
    for (int i = 0; i < STEPS; i++) {
        assert_close(there.loss[i], cpu.loss[i], 2e-6);
        assert_close(there.norm[i], cpu.norm[i], 2e-5);
    }
    for (int i = 0; i < cpu.n; i++)
        assert_close(there.sum[i], cpu.sum[i], 2e-5);
}

static void trains_in_16_bits(void **state)
{
    (void)state;
    const hl_precision precisions[] = {HL_PRECISION_TF32, HL_PRECISION_BF16, HL_PRECISION_FP16};
    const double tolerance[] = {0.003, 0.015, 0.003};
    outcome cpu = train("cpu:portable", HL_PRECISION_FP32);
    for (int k = 0; k < 3; k++) {
        outcome there = train(gpu, precisions[k]);
        for (int i = 0; i < STEPS; i++) {
            assert_close(there.loss[i], cpu.loss[i], tolerance[k]);
            assert_true(there.loss[i] != cpu.loss[i]);
        }
    }
}

static void replays_bit_by_bit(void **state)
{
    (void)state;
    for (int precision = HL_PRECISION_FP32; precision < HL_PRECISIONS; precision++) {
        outcome replayed = train(gpu, (hl_precision)precision);
        setenv("HL_DISABLE_PASSES", "replay", 1);
        outcome plain = train(gpu, (hl_precision)precision);
        unsetenv("HL_DISABLE_PASSES");
        assert_memory_equal(&replayed, &plain, sizeof plain);
    }
}

/* Twenty runs (or HL_TEST_REPEATS) from the same start are the same run. */
static void runs_repeat(void **state)
{
    (void)state;
    const char *asked = getenv("HL_TEST_REPEATS");
    const int repeats = asked ? atoi(asked) : 20;
    assert_true(repeats > 1);
    outcome first = train(gpu, HL_PRECISION_BF16);
    for (int i = 1; i < repeats; i++) {
        outcome again = train(gpu, HL_PRECISION_BF16);
        assert_memory_equal(&first, &again, sizeof first);
    }
}

/* ------------------------------------------------------------------ steps under way */

static void steps_may_overlap(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_params *a = hl_params_new(5), *b = hl_params_new(5);
    hl_session *one = trained(a, gpu, HL_PRECISION_FP32), *two = trained(b, gpu, HL_PRECISION_FP32);
    float loss[6];
    for (int step = 0; step < 6; step++) {
        small_model_inputs(one, step, 1);
        assert_int_equal(hl_session_run(one, &err), HL_OK);
        loss[step] = *hl_session_output(one, "loss");
    }
    small_model_inputs(two, 0, 1);
    assert_int_equal(hl_session_start(two, &err), HL_OK);
    for (int step = 1; step <= 6; step++) {
        if (step < 6) {
            small_model_inputs(two, step, 1);
            assert_int_equal(hl_session_start(two, &err), HL_OK);
        }
        if (step < 5)
            assert_int_equal(hl_session_start(two, &(hl_error){0}), HL_ERR_USAGE); /* a third */
        assert_int_equal(hl_session_wait(two, &err), HL_OK);
        assert_true(*hl_session_output(two, "loss") == loss[step - 1]);
    }
    assert_int_equal(hl_session_wait(two, &err), HL_ERR_USAGE);
    end_equal(a, one, b, two);
}

/* A session that acts while another one learns: it sees one version, and the training is as it is alone. */
static void acts_while_it_learns(void **state)
{
    (void)state;
    hl_error err = {0};
    const size_t bytes = (size_t)BATCH * (size_t)model().action * sizeof(float);
    hl_params *shared = hl_params_new(5), *alone = hl_params_new(5);
    hl_session *train = trained(shared, gpu, HL_PRECISION_FP32),
               *only = trained(alone, gpu, HL_PRECISION_FP32);
    hl_session *act = acting(shared, (hl_session_options){.device = gpu, .concurrent = true}),
               *check = acting(alone, (hl_session_options){.device = gpu});
    for (int step = 0; step < 7; step++) {
        small_model_inputs(train, step, 1);
        small_model_inputs(only, step, 1);
        small_model_inputs(check, 0, 1);
        assert_int_equal(hl_session_run(check, &err), HL_OK); /* before this step */
        assert_int_equal(hl_session_start(train, &err), HL_OK);
        for (int k = 0; k < 2; k++) { /* two steps under way, beside the one that trains */
            small_model_inputs(act, 0, 1);
            assert_int_equal(hl_session_start(act, &err), HL_OK);
        }
        assert_int_equal(hl_session_wait(train, &err), HL_OK);
        for (int k = 0; k < 2; k++) {
            assert_int_equal(hl_session_wait(act, &err), HL_OK);
            assert_int_equal(hl_session_version(act), step);
            assert_memory_equal(hl_session_output(act, "action"), hl_session_output(check, "action"), bytes);
        }
        assert_int_equal(hl_session_run(only, &err), HL_OK);
        assert_true(*hl_session_output(train, "loss") == *hl_session_output(only, "loss"));
        hl_snapshot *now = hl_snapshot_take(shared, &err);
        assert_int_equal(hl_snapshot_version(now), step + 1);
        hl_snapshot_free(now);
    }
    hl_session_free(act);
    hl_session_free(check);
    end_equal(shared, train, alone, only);
}

/* Snapshots and frozen sessions make a step write elsewhere, also where another one is under way. */
static void snapshots_between_steps_under_way(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_params *a = hl_params_new(5), *b = hl_params_new(5);
    hl_session *one = trained(a, gpu, HL_PRECISION_FP32), *two = trained(b, gpu, HL_PRECISION_FP32);
    outcome before = outcome_of(b);
    hl_session *frozen = acting(b, (hl_session_options){.device = gpu, .frozen = true});
    hl_snapshot *first = hl_snapshot_take(b, &err);
    assert_non_null(first);
    for (int step = 0; step < 6; step++) {
        small_model_inputs(one, step, 1);
        assert_int_equal(hl_session_run(one, &err), HL_OK);
        small_model_inputs(two, step, 1);
        if (hl_session_start(two, &err) != HL_OK || (step && hl_session_wait(two, &err) != HL_OK))
            fail_msg("%s", err.message);
    }
    assert_int_equal(hl_session_wait(two, &err), HL_OK);
    assert_true(*hl_session_output(two, "loss") == *hl_session_output(one, "loss"));
    for (int i = 0; i < before.n; i++)
        assert_true(weighted_sum(hl_snapshot_at(first, i)) == before.sum[i]);
    hl_snapshot_free(first);
    hl_session_free(frozen);
    end_equal(a, one, b, two);
}

/* ------------------------------------------------------------------ the store */

/* Steps in turn on the device and on the CPU, on one store: each takes over what the other wrote. */
static void a_store_serves_both(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_params *mixed = hl_params_new(5), *plain = hl_params_new(5);
    hl_session *there = trained(mixed, gpu, HL_PRECISION_FP32),
               *cpu = trained(mixed, "cpu", HL_PRECISION_FP32);
    hl_session *only = trained(plain, "cpu", HL_PRECISION_FP32);
    for (int step = 0; step < 4; step++) {
        hl_session *s = step % 2 ? cpu : there;
        hl_session_set_step(s, (uint64_t)step);
        small_model_inputs(s, step, 1);
        small_model_inputs(only, step, 1);
        assert_int_equal(hl_session_run(s, &err), HL_OK);
        assert_int_equal(hl_session_run(only, &err), HL_OK);
        assert_close(*hl_session_output(s, "loss"), *hl_session_output(only, "loss"), 5e-6);
    }
    hl_session_free(there);
    hl_session_free(cpu);
    hl_session_free(only);
    hl_params_free(mixed);
    hl_params_free(plain);
}

static void checkpoints_hold_what_the_device_has(void **state)
{
    (void)state;
    hl_error err = {0};
    const char *path = temporary_path("device.h5");
    for (int precision = HL_PRECISION_FP32; precision <= HL_PRECISION_FP16; precision++) {
        hl_params *a = hl_params_new(5), *b = hl_params_new(5);
        hl_session *s = trained(a, gpu, (hl_precision)precision);
        for (int step = 0; step < 3; step++) {
            small_model_inputs(s, step, 1);
            assert_int_equal(hl_session_run(s, &err), HL_OK);
        }
        assert_int_equal(
            hl_checkpoint_write(path, a, &(hl_checkpoint_meta){.step = 3}, HL_CHECKPOINT_ALL, &err), HL_OK);
        small_model_inputs(s, 3, 1);
        assert_int_equal(hl_session_run(s, &err), HL_OK);
        hl_session *t = trained(
            b, gpu, (hl_precision)precision); /* a session that is open takes the new values too */
        small_model_inputs(t, 0, 1);
        assert_int_equal(hl_session_run(t, &err), HL_OK);
        assert_int_equal(hl_checkpoint_read(path, b, HL_CHECKPOINT_ALL, &err), HL_OK);
        hl_session_set_step(t, 3);
        small_model_inputs(t, 3, 1);
        assert_int_equal(hl_session_run(t, &err), HL_OK);
        assert_true(*hl_session_output(s, "action") == *hl_session_output(t, "action"));
        hl_session_free(s);
        hl_session_free(t);
        outcome x = outcome_of(a), y = outcome_of(b);
        assert_memory_equal(&x, &y, sizeof x);
        hl_params_free(a);
        hl_params_free(b);
    }
}

static void frozen_sessions_warm_up_and_let_go(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_params *params = hl_params_new(5);
    hl_session *s = acting(
        params, (hl_session_options){.device = gpu, .frozen = true, .precision = HL_PRECISION_BF16});
    for (int i = 0; i < hl_params_count(params); i++)
        assert_null(hl_params_at(params, i).data);
    assert_int_equal(hl_session_step(s), 0);
    double seconds = -1;
    assert_int_equal(hl_session_warm_up(s, &seconds, &err), HL_OK);
    assert_true(seconds > 0);
    uint64_t allocations = hl_alloc_count();
    for (int i = 0; i < 3; i++)
        assert_int_equal(hl_session_run(s, &err), HL_OK);
    assert_int_equal(hl_alloc_count(), allocations);
    hl_session_free(s);
    hl_params_free(params);
}

/* A mapped model on the device, whatever dtype it is mapped in: several frozen sessions of it, one after the
 * other and at once. */
static void mapped_values_go_to_the_device(void **state)
{
    (void)state;
    const hl_precision precisions[] = {HL_PRECISION_FP32, HL_PRECISION_BF16};
    for (int dtype = HL_F32; dtype < HL_FLOATS; dtype++)
        for (int k = 0; k < 2; k++) {
            hl_error err = {0};
            mapped_store m = mapped_small_model((hl_dtype)dtype);
            hl_params *plain = plain_store((hl_dtype)dtype), *stores[] = {plain, m.params, m.params};
            hl_session *s[3];
            for (int i = 0; i < 3; i++) {
                hl_graph *g = acting_graph(stores[i], BATCH);
                s[i] = hl_session_open(
                    g, stores[i],
                    &(hl_session_options){.device = gpu, .frozen = true, .precision = precisions[k]}, &err);
                hl_graph_free(g);
                if (!s[i])
                    fail_msg("%s", err.message);
                small_model_inputs(s[i], 0, 1);
                assert_int_equal(hl_session_run(s[i], &err), HL_OK);
                assert_memory_equal(hl_session_output(s[i], "action"), hl_session_output(s[0], "action"),
                                    3 * BATCH * sizeof(float));
            }
            assert_int_equal(hl_session_memory(s[1]).by_kind[HL_MEM_MAPPED], 0); /* it has its own there */
            for (int i = 0; i < hl_params_count(m.params) && dtype != HL_F32; i++)
                assert_null(hl_params_at(m.params, i).data);
            for (int i = 0; i < 3; i++)
                hl_session_free(s[i]);
            hl_graph *g = acting_graph(m.params, 1);
            s[0] = hl_session_new(g, m.params, "cpu", &err); /* and back */
            hl_graph_free(g);
            assert_non_null(s[0]);
            assert_int_equal(hl_session_run(s[0], &err), HL_OK);
            hl_session_free(s[0]);
            hl_params_free(plain);
            free_mapped(&m);
        }
}

static void profiles(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_params *params = hl_params_new(5);
    hl_session *s = trained(params, gpu, HL_PRECISION_FP32);
    hl_session_profile(s, true);
    for (int i = 0; i < 2; i++)
        assert_int_equal(hl_session_run(s, &err), HL_OK);
    char text[20000];
    hl_session_profile_print(s, text, sizeof text);
    assert_non_null(strstr(text, "matmul/cuda"));
    assert_null(strstr(text, "nan"));
    hl_session_free(s);
    hl_params_free(params);
}

/* ------------------------------------------------------------------ parts */

/* Every part was timed, and all of them took no longer than the step did. */
static void assert_parts(const hl_session *s, int n, double wall)
{
    double sum = 0;
    assert_int_equal(hl_session_parts(s), n);
    assert_string_equal(hl_session_part(s, 0).section, "input copy");
    assert_string_equal(hl_session_part(s, n - 1).section, "output copy");
    for (int i = 0; i < n; i++) {
        hl_part part = hl_session_part(s, i);
        if (!(part.seconds > 0))
            fail_msg("%s, %s: %g s", part.section, hl_phase_name(part.phase), part.seconds);
        sum += part.seconds;
    }
    if (!(sum <= wall * 1.01))
        fail_msg("parts take %g s, the step %g s", sum, wall);
}

/* While steps are run call by call, recorded and replayed; and nothing else changes. */
static void times_parts_in_replay(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_params *timed = hl_params_new(5), *plain = hl_params_new(5);
    hl_session *s = trained(timed, gpu, HL_PRECISION_FP32), *only = trained(plain, gpu, HL_PRECISION_FP32);
    hl_session_time_parts(s, true);
    for (int step = 0; step < 9; step++) {
        small_model_inputs(s, step, 1);
        small_model_inputs(only, step, 1);
        if (step == 6)
            hl_session_time_parts(s, false);
        uint64_t allocations = hl_alloc_count();
        double began = hl_seconds(), before = hl_session_part(s, 3).seconds;
        assert_int_equal(hl_session_run(s, &err), HL_OK);
        assert_true(step == 0 || hl_alloc_count() == allocations);
        if (step < 6)
            assert_parts(s, 14, hl_seconds() - began);
        else
            assert_true(hl_session_part(s, 3).seconds == before);
        assert_int_equal(hl_session_run(only, &err), HL_OK);
        assert_true(*hl_session_output(s, "loss") == *hl_session_output(only, "loss"));
    }
    end_equal(timed, s, plain, only);
}

/* Each of two steps under way has times of its own; the profile's too. */
static void times_parts_of_overlapping_steps(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_params *params = hl_params_new(5);
    hl_session *s = acting(params, (hl_session_options){.device = gpu});
    small_model_inputs(s, 0, 1);
    for (int profile = 0; profile < 2; profile++) {
        hl_session_time_parts(s, true);
        hl_session_profile(s, profile);
        double began = hl_seconds();
        assert_int_equal(hl_session_start(s, &err), HL_OK);
        for (int i = 0; i < 8; i++) {
            double next = hl_seconds();
            assert_int_equal(hl_session_start(s, &err), HL_OK);
            assert_int_equal(hl_session_wait(s, &err), HL_OK);
            assert_parts(s, 5, hl_seconds() - began);
            began = next;
        }
        hl_session_time_parts(s, false); /* of the step that is under way, they still are taken */
        hl_session_profile(s, false);
        assert_int_equal(hl_session_wait(s, &err), HL_OK);
        assert_parts(s, 5, hl_seconds() - began);
    }
    for (int i = 0; i < hl_session_calls(s); i++)
        assert_true(hl_session_call(s, i).runs == 8);
    hl_session_free(s);
    hl_params_free(params);
}

/* Times of the device on the host's clock, one after the other, also with two steps under way; afterwards
 * steps are replayed again. */
static void traces(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_params *params = hl_params_new(5);
    hl_trace *t = hl_trace_new(6, &err);
    hl_session *s = acting(params, (hl_session_options){.device = gpu});
    small_model_inputs(s, 0, 1);
    assert_int_equal(hl_session_warm_up(s, NULL, &err), HL_OK);
    assert_int_equal(hl_session_trace(s, t, "inference", &err), HL_OK);
    double began = hl_seconds();
    assert_int_equal(hl_session_run(s, &err), HL_OK);
    assert_int_equal(hl_session_start(s, &err), HL_OK);
    for (int i = 0; i < 7; i++) {
        assert_int_equal(hl_session_start(s, &err), HL_OK);
        assert_int_equal(hl_session_wait(s, &err), HL_OK);
    }
    assert_int_equal(hl_session_wait(s, &err), HL_OK);
    double ended = hl_seconds(), before = began - 1e-4;
    const hl_track *track = hl_trace_tracks(t);
    assert_int_equal(track->n_steps, 6);
    assert_int_equal(track->missed, 3);
    for (int i = 0; i < 6; i++)
        for (int k = 0; k < track->n_calls + 3; k++) {
            double moment = track->steps[i].moments[k];
            if (!(moment >= before))
                fail_msg("step %d, moment %d: %g s before the one before", i, k, before - moment);
            before = moment;
        }
    assert_true(before <= ended + 1e-4);
    hl_session_free(s);
    hl_trace_free(t);
    hl_params_free(params);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trains_as_the_cpu_does),
        cmocka_unit_test(trains_in_16_bits),
        cmocka_unit_test(replays_bit_by_bit),
        cmocka_unit_test(runs_repeat),
        cmocka_unit_test(steps_may_overlap),
        cmocka_unit_test(acts_while_it_learns),
        cmocka_unit_test(snapshots_between_steps_under_way),
        cmocka_unit_test(a_store_serves_both),
        cmocka_unit_test(checkpoints_hold_what_the_device_has),
        cmocka_unit_test(frozen_sessions_warm_up_and_let_go),
        cmocka_unit_test(mapped_values_go_to_the_device),
        cmocka_unit_test(profiles),
        cmocka_unit_test(times_parts_in_replay),
        cmocka_unit_test(times_parts_of_overlapping_steps),
        cmocka_unit_test(traces),
    };
    const char *named = getenv("HL_TEST_DEVICE");
    if (named && *named)
        gpu = named;
    if (gpu_is_missing(gpu, (int)(sizeof tests / sizeof *tests)))
        return EXIT_SKIPPED;
    return cmocka_run_group_tests_name("sessions on a GPU", tests, temporary_make, temporary_drop);
}
