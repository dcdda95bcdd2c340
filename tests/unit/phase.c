/* Phases of the stress test: every kind runs, ends when it should, and survives what fails on the way. */
#include "app/report/report.h"
#include "app/setup.h"
#include "app/stress/phase.h"
#include "base/memory.h"
#include "base/process.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { THINNER = 4 }; /* fewer of the allocations fail, where each run takes long */
#else
enum { THINNER = 8 };
#endif

static volatile sig_atomic_t stop;

typedef struct bench {
    hl_config cfg;
    hl_dataset *data;
    hl_monitor *monitor;
} bench;

static bench open_with(const char *phases)
{
    bench b = {0};
    hl_error err = {0};
    const hl_config_layer layers[] = {{HL_SOURCE_DIR "/tests/cli/tiny.yaml", NULL}, {"phases", phases}};
#ifdef __SANITIZE_THREAD__
    char *overrides[] = {"device=cpu", "threads=1"}; /* it does not know OpenMP's barriers */
#else
    char *overrides[] = {"device=cpu", "threads=2"};
#endif
    if (hl_config_load_layers(&b.cfg, 2, layers, 2, overrides, &err) != HL_OK)
        fail_msg("%s", err.message);
    b.data = hl_setup_dataset(&b.cfg, &err);
    b.monitor = hl_monitor_new(&(hl_monitor_options){.gpu = -1}, &err);
    assert_true(b.data && b.monitor);
    stop = 0;
    return b;
}

static void close_all(bench *b)
{
    hl_monitor_free(b->monitor);
    hl_dataset_close(b->data);
    hl_config_free(&b->cfg);
}

static hl_status run(const bench *b, int i, hl_phase_result *r, hl_error *err)
{
    const hl_phase_setup setup = {.cfg = &b->cfg,
                                  .phase = &b->cfg.stress.phases.at[i],
                                  .data = b->data,
                                  .monitor = b->monitor,
                                  .stop = &stop};
    return hl_phase_run(&setup, r, err);
}

static hl_phase_result must_run(const bench *b, int i)
{
    hl_error err = {0};
    hl_phase_result r;
    if (run(b, i, &r, &err) != HL_OK)
        fail_msg("%s", err.message);
    return r;
}

static long long count(const json_t *phase, const char *side, const char *key)
{
    return (long long)json_integer_value(json_object_get(json_object_get(phase, side), key));
}

static void phases_end_after_their_iterations(void **state)
{
    (void)state;
    bench b = open_with("stress: {phases: [{iterations: 5, batch: 17, warmup: 0},\n"
                        "{kind: training, iterations: 3, train_batch: 1},\n"
                        "{kind: mixed, iterations: 4, batch: 1, train_batch: 3, every: 3},\n"
                        "{kind: control, iterations: 2, rate_hz: 200, streams: 3, warmup: 1}]}");
    hl_phase_result r = must_run(&b, 0);
    assert_true(count(r.json, "inference", "runs") >= 5 && count(r.json, "inference", "batch") == 17);
    json_decref(r.json);
    r = must_run(&b, 1);
    assert_int_equal(count(r.json, "training", "iterations"), 3);
    assert_true(r.figures.skipped_steps == 0 && r.figures.training_samples_per_s > 0);
    json_decref(r.json);
    r = must_run(&b, 2);
    assert_int_equal(count(r.json, "training", "iterations"), 4);
    assert_true(count(r.json, "inference", "runs") >= 12);
    json_decref(r.json);
    r = must_run(&b, 3);
    assert_int_equal(count(r.json, "training", "iterations"), 2);
    assert_true(r.verdict.n == 0 && r.figures.peak_bytes > 0);
    json_decref(r.json);
    close_all(&b);
}

/* The report refuses nothing that a phase can come out as. */
static void assert_reportable(const json_t *phase)
{
    hl_error err = {0};
    json_t *result = json_pack(
        "{s:s, s:s, s:s, s:s, s:i, s:s, s:s, s:{s:n, s:n, s:n, s:n}, s:b, s:[O], s:[], s:s}", "kind",
        "stress", "hl", HL_VERSION, "started", "now", "config", "c", "model_parameters", 1, "device", "cpu",
        "precision", "fp32", "machine", "processor", "cores", "memory_bytes", "gpu", "interrupted", 1,
        "phases", (json_t *)phase, "limits", "verdict", "no limits");
    assert_non_null(result);
    char *html = NULL;
    if (hl_report_html(result, &html, &err) != HL_OK)
        fail_msg("%s", err.message);
    hl_free(html);
    json_decref(result);
}

/* Each run is late, none is left out: all are missed. */
static void missing_every_deadline(void **state)
{
    (void)state;
    bench b = open_with("stress: {phases: [{seconds: 0.5, rate_hz: 20, deadline_ms: 0.000001}]}");
    hl_phase_result r = must_run(&b, 0);
    assert_true(count(r.json, "inference", "runs") > 0);
    assert_true(count(r.json, "inference", "missed") >= count(r.json, "inference", "runs"));
    assert_true(r.figures.deadline_miss_rate == 1);
    json_decref(r.json);
    close_all(&b);
}

/* Runs that take longer than the phase: the periods that pass meanwhile are missed, to its end. */
static void periods_are_left_out_to_the_end(void **state)
{
    (void)state;
    bench b = open_with("stress: {phases: [{seconds: 0.2, rate_hz: 2000, batch: 4096, warmup: 0}]}");
    hl_phase_result r = must_run(&b, 0);
    const long long runs = count(r.json, "inference", "runs"), missed = count(r.json, "inference", "missed");
    const double due = (double)missed / r.figures.deadline_miss_rate;
    assert_true(runs > 0 && missed >= runs);
    if (due < 380) /* of 400 */
        fail_msg("%lld runs, %lld missed, %g due", runs, missed, due);
    json_decref(r.json);
    close_all(&b);
}

/* Threads are shared out, and the timeline tells the runs of all. */
static void streams_are_one_inference(void **state)
{
    (void)state;
    bench b = open_with(
        "stress: {phases: [{iterations: 50, streams: 2}, {iterations: 50, streams: 5, rate_hz: 500}]}");
    for (int i = 0; i < 2; i++) {
        hl_phase_result r = must_run(&b, i);
        const json_t *timeline = json_object_get(json_object_get(r.json, "inference"), "timeline"), *row;
        long long told = 0;
        size_t k;
        json_array_foreach((json_t *)timeline, k, row)
            told += (long long)json_number_value(json_array_get(row, 3));
        assert_int_equal(told, count(r.json, "inference", "runs"));
        assert_int_equal(count(r.json, "inference", "threads"), 1); /* of 2 */
        assert_reportable(r.json);
        json_decref(r.json);
    }
    close_all(&b);
}

static void stopping_ends_a_phase(void **state)
{
    (void)state;
    bench b = open_with(
        "stress: {phases: [{seconds: 1e6, warmup: 1000000}, {kind: training, seconds: 1e6, warmup: "
        "1000000},\n"
        "{kind: mixed, seconds: 1e6, every: 100000}, {kind: control, seconds: 1e6, rate_hz: 0.001}]}");
    stop = 1;
    for (int i = 0; i < 4; i++) {
        double began = hl_seconds();
        hl_phase_result r = must_run(&b, i);
        assert_true(hl_seconds() - began < 30);
        assert_reportable(r.json);
        json_decref(r.json);
    }
    close_all(&b);
}

static void one_session_cannot_open(void **state)
{
    (void)state;
    bench b = open_with("precision: fp32\nstress: {phases: [{kind: mixed, seconds: 1, precision: tf32},\n"
                        "{kind: training, seconds: 1, train_batch: 64}]}\nmemory: {budget: 1MiB}");
    hl_phase_result r;
    hl_error err = {0};
    assert_int_equal(run(&b, 0, &r, &err), HL_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "phase 'mixed': training: precision tf32"));
    assert_int_equal(run(&b, 1, &r, &err), HL_ERR_MEMORY);
    close_all(&b);
}

static void memory_may_run_out_anywhere(void **state)
{
    (void)state;
    bench b = open_with(
        "stress: {phases: [{kind: mixed, iterations: 2, every: 1, batch: 2, train_batch: 2}]}");
    int failures = 0;
    for (uint64_t n = 1;; n += 1 + n / THINNER) {
        hl_phase_result r;
        hl_error err = {0};
        hl_alloc_fail_at(n);
        hl_status status = run(&b, 0, &r, &err);
        hl_alloc_fail_at(0);
        json_decref(r.json);
        if (status == HL_OK && n > 20000)
            break;
        if (status != HL_OK && !strstr(err.message, "memory"))
            fail_msg("%s", err.message);
        failures += status != HL_OK;
    }
    assert_true(failures > 10);
    close_all(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(phases_end_after_their_iterations),
        cmocka_unit_test(missing_every_deadline),
        cmocka_unit_test(periods_are_left_out_to_the_end),
        cmocka_unit_test(streams_are_one_inference),
        cmocka_unit_test(stopping_ends_a_phase),
        cmocka_unit_test(one_session_cannot_open),
        cmocka_unit_test(memory_may_run_out_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
