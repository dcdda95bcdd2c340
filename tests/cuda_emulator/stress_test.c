/* The stress test on a device: inference and training in threads of their own, on one set of weights. No time
 * is a figure here. */
#include "app/setup.h"
#include "app/stress/phase.h"
#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const char phases[] =
    "model: {refiner: {layers: 1}}\n"
    "stress: {phases: [{iterations: 4, batch: 2, warmup: 1},\n"
    "{kind: training, iterations: 3, train_batch: 2, warmup: 1},\n"
    "{kind: mixed, iterations: 3, train_batch: 2, every: 2, streams: 2, warmup: 2},\n"
    "{kind: control, iterations: 4, rate_hz: 3, train_batch: 2, precision: bf16}]}";

static double number(const json_t *from, const char *a, const char *b)
{
    const json_t *value = json_object_get(json_object_get(from, a), b);
    assert_true(json_is_number(value));
    return json_number_value(value);
}

static void phases_run_on_the_device(void **state)
{
    (void)state;
    static volatile sig_atomic_t stop;
    hl_config cfg;
    hl_error err = {0};
    const hl_config_layer layers[] = {{HL_SOURCE_DIR "/tests/cli/tiny.yaml", NULL}, {"phases", phases}};
    char *on_gpu[] = {"device=cuda"};
    if (hl_config_load_layers(&cfg, 2, layers, 1, on_gpu, &err) != HL_OK)
        fail_msg("%s", err.message);
    hl_dataset *data = hl_setup_dataset(&cfg, &err);
    hl_monitor *monitor = hl_monitor_new(&(hl_monitor_options){.gpu = -1}, &err);
    assert_true(data && monitor);
    for (int i = 0; i < cfg.stress.phases.n; i++) {
        const hl_stress_phase *p = &cfg.stress.phases.at[i];
        const hl_phase_setup setup = {
            .cfg = &cfg, .phase = p, .data = data, .monitor = monitor, .stop = &stop};
        hl_phase_result r;
        if (hl_phase_run(&setup, &r, &err) != HL_OK)
            fail_msg("%s", err.message);
        if (p->kind != HL_STRESS_INFERENCE)
            assert_true(number(r.json, "training", "iterations") == (double)p->iterations);
        if (p->kind != HL_STRESS_TRAINING)
            assert_true(number(r.json, "inference", "runs") > 0);
        assert_true(number(r.json, "memory", "device_bytes") > 0);
        assert_true(json_is_null(json_object_get(json_object_get(r.json, "memory"), "measured_peak")));
        json_decref(r.json);
    }
    hl_monitor_free(monitor);
    hl_dataset_close(data);
    hl_config_free(&cfg);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(phases_run_on_the_device)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
