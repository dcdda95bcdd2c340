/* Parts of a step: which there are, that their times add up, and that timing them changes nothing. */
#include "base/process.h"
#include "tests/small_session.h"

#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static double seconds_of(const hl_session *s)
{
    double sum = 0;
    for (int i = 0; i < hl_session_parts(s); i++) {
        hl_part part = hl_session_part(s, i);
        assert_true(part.seconds >= 0 && isfinite(part.seconds));
        sum += part.seconds;
    }
    return sum;
}

static int find(const hl_session *s, const char *section, hl_phase phase)
{
    int found = -1, n = 0;
    for (int i = 0; i < hl_session_parts(s); i++) {
        hl_part part = hl_session_part(s, i);
        if (part.phase != phase || strcmp(part.section, section))
            continue;
        found = i;
        n++;
    }
    assert_true(n <= 1);
    return found;
}

static void run(hl_session *s)
{
    hl_error err = {0};
    if (hl_session_run(s, &err) != HL_OK)
        fail_msg("%s", err.message);
}

/* ------------------------------------------------------------------ which there are */

static void training_has_every_section_twice(void **state)
{
    (void)state;
    static const char *const sections[] = {"H-module", "compressor", "decoder", "L-module", "loss"};
    hl_params *params = hl_params_new(1);
    hl_session *s = small_training(params);
    assert_int_equal(hl_session_parts(s), 12);
    int last = -1;
    for (int i = 0; i < 5; i++) {
        int forward = find(s, sections[i], HL_PHASE_FORWARD);
        assert_true(forward >= 0 && find(s, sections[i], HL_PHASE_BACKWARD) > forward);
        last = forward > last ? forward : last;
    }
    assert_true(find(s, "H-module", HL_PHASE_FORWARD) == 0); /* in the order in which they begin */
    assert_true(find(s, "loss", HL_PHASE_BACKWARD) > last);
    assert_true(find(s, "optimizer", HL_PHASE_CLIP) == 10 && find(s, "optimizer", HL_PHASE_UPDATE) == 11);
    assert_true(find(s, "input copy", HL_PHASE_FORWARD) == -1); /* the caller writes where calls read */
    hl_session_free(s);
    hl_params_free(params);
}

static void inference_goes_through_three_sections(void **state)
{
    (void)state;
    static const char *const sections[] = {"H-module", "compressor", "L-module"};
    for (int frozen = 0; frozen < 2; frozen++) {
        hl_params *params = hl_params_new(1);
        hl_session *s = small_inference(params, frozen);
        assert_int_equal(hl_session_parts(s), 3);
        for (int i = 0; i < 3; i++) {
            assert_string_equal(hl_session_part(s, i).section, sections[i]);
            assert_int_equal(hl_session_part(s, i).phase, HL_PHASE_FORWARD);
        }
        hl_session_free(s);
        hl_params_free(params);
    }
}

/* A section that comes again is the same part, with the time of both. */
static void parts_may_take_turns(void **state)
{
    (void)state;
    hl_params *params = hl_params_new(1);
    hl_graph *g = hl_graph_new();
    hl_tensor x = hl_input(g, "x", HL_F32, 1, (int64_t[]){100000}), y = hl_exp(g, x);
    hl_section(g, "a");
    y = hl_relu(g, hl_mul(g, y, x));
    hl_section(g, "b");
    y = hl_gelu(g, y);
    hl_section(g, "a");
    y = hl_exp(g, y);
    hl_output(g, "y", y);
    hl_session *s = small_session(g, params, NULL);
    assert_int_equal(hl_session_parts(s), 3);
    static const char *const sections[] = {"", "a", "b"};
    hl_session_time_parts(s, true);
    hl_session_profile(s, true);
    run(s);
    for (int i = 0; i < 3; i++) {
        double calls = 0, part = hl_session_part(s, i).seconds;
        assert_string_equal(hl_session_part(s, i).section, sections[i]);
        for (int k = 0; k < hl_session_calls(s); k++)
            calls += strcmp(hl_session_call(s, k).section, sections[i]) ? 0 : hl_session_call(s, k).seconds;
        assert_true(part > 0 && fabs(part - calls) < 1e-9);
    }
    hl_session_free(s);
    hl_params_free(params);
}

static void a_session_without_calls_has_no_parts(void **state)
{
    (void)state;
    hl_params *params = hl_params_new(1);
    hl_graph *g = hl_graph_new();
    hl_output(g, "y", hl_input(g, "x", HL_F32, 1, (int64_t[]){3}));
    hl_session *s = small_session(g, params, NULL);
    hl_session_time_parts(s, true);
    run(s);
    assert_int_equal(hl_session_parts(s), 0);
    hl_session_free(s);
    hl_params_free(params);
}

/* ------------------------------------------------------------------ time */

static void parts_add_up_to_the_step(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        hl_params *params = hl_params_new(1);
        hl_session *s = kind ? small_training(params) : small_inference(params, true);
        double best = 0;
        small_model_inputs(s, 0, 1);
        run(s);
        assert_true(seconds_of(s) == 0); /* nobody asked */
        hl_session_time_parts(s, true);
        for (int i = 0; i < 20; i++) {
            uint64_t allocations = hl_alloc_count();
            double began = hl_seconds();
            run(s);
            double wall = hl_seconds() - began, sum = seconds_of(s);
            assert_int_equal(hl_alloc_count(), allocations);
            assert_true(sum > 0 && sum <= wall);
            best = fmax(best, sum / wall);
        }
        assert_true(best > 0.5);
        double last = seconds_of(s);
        hl_session_time_parts(s, false);
        run(s);
        assert_true(seconds_of(s) == last);
        hl_session_free(s);
        hl_params_free(params);
    }
}

/* Those of the step that was waited for, not of one that runs. */
static void parts_are_told_after_the_wait(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_params *params = hl_params_new(1);
    hl_session *s = small_inference(params, false);
    hl_session_time_parts(s, true);
    assert_int_equal(hl_session_start(s, &err), HL_OK);
    assert_true(seconds_of(s) == 0);
    assert_int_equal(hl_session_wait(s, &err), HL_OK);
    assert_true(seconds_of(s) > 0);
    hl_session_free(s);
    hl_params_free(params);
}

static void timing_changes_no_result(void **state)
{
    (void)state;
    hl_params *a = hl_params_new(1), *b = hl_params_new(1);
    hl_session *timed = small_training(a), *plain = small_training(b);
    for (int step = 0; step < 6; step++) {
        hl_session_time_parts(timed, step % 3 != 2);
        hl_session_set(timed, "lr", 1e-3f);
        hl_session_set(plain, "lr", 1e-3f);
        small_model_inputs(timed, step, 1);
        small_model_inputs(plain, step, 1);
        run(timed);
        run(plain);
        assert_true(*hl_session_output(timed, "total") == *hl_session_output(plain, "total"));
    }
    for (int i = 0; i < hl_params_count(a); i++) {
        hl_param_info x = hl_params_at(a, i), y = hl_params_at(b, i);
        if (x.bytes) /* else no call reads it */
            assert_memory_equal(x.bytes, y.bytes, (size_t)x.count * sizeof(float));
    }
    hl_session_free(timed);
    hl_session_free(plain);
    hl_params_free(a);
    hl_params_free(b);
}

static void every_allocation_of_a_session_may_fail(void **state)
{
    (void)state;
    int failed = 0;
    for (uint64_t n = 1; n < 100000; n = n < 40 ? n + 1 : n + n / 20) {
        hl_error err = {0};
        hl_params *params = hl_params_new(1);
        hl_model_options o = small_model(HL_HYBRID);
        hl_graph *g = hl_graph_new();
        hl_model_nodes m = hl_model_build(g, params, &o, &(hl_model_mode){.batch = 1});
        hl_output(g, "action", m.action);
        hl_alloc_fail_at(n);
        hl_session *s = hl_session_new(g, params, NULL, &err);
        hl_alloc_fail_at(0);
        bool done = s != NULL;
        if (!s)
            if (!strstr(err.message, "no memory"))
                fail_msg("allocation %d: '%s'", (int)n, err.message);
        failed += !done;
        hl_session_free(s);
        hl_graph_free(g);
        hl_params_free(params);
        if (done)
            break;
    }
    assert_true(failed > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(training_has_every_section_twice),
        cmocka_unit_test(inference_goes_through_three_sections),
        cmocka_unit_test(parts_may_take_turns),
        cmocka_unit_test(a_session_without_calls_has_no_parts),
        cmocka_unit_test(parts_add_up_to_the_step),
        cmocka_unit_test(parts_are_told_after_the_wait),
        cmocka_unit_test(timing_changes_no_result),
        cmocka_unit_test(every_allocation_of_a_session_may_fail),
    };
    return cmocka_run_group_tests_name("parts", tests, NULL, NULL);
}
