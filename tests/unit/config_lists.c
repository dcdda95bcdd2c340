/* Lists of groups, sizes and infinities in the configuration, and the checks of phases. */
#include "app/config/config_room.h"

#include "tests/config_case.h"

#include <math.h>
#include <stdio.h>

#define PHASES                                                                                               \
    "stress:\n"                                                                                              \
    "  limits: {rss_slope_bytes_per_minute: 1048576, peak_bytes: 8GiB}\n"                                    \
    "  phases:\n"                                                                                            \
    "    - {name: control 10 Hz, kind: control, seconds: 20, batch: 1, rate_hz: 10, limits: {p99_ms: 80, "   \
    "deadline_miss_rate: 0}}\n"                                                                              \
    "    - kind: training\n"                                                                                 \
    "      iterations: 100\n"                                                                                \
    "      limits:\n"                                                                                        \
    "        p99_ms: .inf\n"                                                                                 \
    "        min_training_samples_per_s: 1.5\n"

/* ------------------------------------------------------------------ reading */

static void test_entries(void **state)
{
    (void)state;
    hl_config c = parse(PHASES, NONE);
    assert_int_equal(c.stress.phases.n, 2);
    const hl_stress_phase *p = c.stress.phases.at;
    assert_string_equal(p[0].name, "control 10 Hz");
    assert_int_equal(p[0].kind, HL_STRESS_CONTROL);
    assert_true(p[0].seconds == 20 && p[0].rate_hz == 10 && p[0].iterations == 0 && p[0].batch == 1);
    assert_true(p[0].limits.p99_ms == 80 && p[0].limits.deadline_miss_rate == 0);
    assert_true(p[0].limits.rss_slope_bytes_per_minute == INFINITY && p[0].limits.skipped_steps == INFINITY);
    assert_true(p[0].limits.min_samples_per_s == 0 && p[0].limits.peak_bytes == 0);
    assert_string_equal(p[1].name, "");
    assert_int_equal(p[1].kind, HL_STRESS_TRAINING);
    assert_true(p[1].iterations == 100 && p[1].seconds == 0 && p[1].streams == 1 && p[1].warmup == 3);
    assert_true(p[1].limits.p99_ms == INFINITY && p[1].limits.min_training_samples_per_s == 1.5);
    assert_true(c.stress.limits.rss_slope_bytes_per_minute == 1048576);
    assert_true(c.stress.limits.peak_bytes == (size_t)8 << 30);
    assert_string_equal(hl_config_phase_name(&p[0]), "control 10 Hz");
    assert_string_equal(hl_config_phase_name(&p[1]), "training");
    hl_config_free(&c);
    assert_null(c.stress.phases.at);
    c = parse("stress: {phases: []}", NONE);
    assert_int_equal(c.stress.phases.n, 0);
    hl_config_free(&c);
}

static void test_precision_of_a_phase(void **state)
{
    (void)state;
    hl_config c = parse("precision: bf16\n"
                        "stress: {phases: [{seconds: 1}, {seconds: 1, precision: fp32}, "
                        "{seconds: 1, precision: fp16}]}",
                        NONE);
    assert_int_equal(hl_config_phase_precision(&c, &c.stress.phases.at[0]), HL_PRECISION_BF16);
    assert_int_equal(hl_config_phase_precision(&c, &c.stress.phases.at[1]), HL_PRECISION_FP32);
    assert_int_equal(hl_config_phase_precision(&c, &c.stress.phases.at[2]), HL_PRECISION_FP16);
    hl_config_free(&c);
}

/* The names of the kinds are those of the table. */
static void test_names_of_kinds(void **state)
{
    (void)state;
    static const char *const kinds[] = {"inference", "training", "mixed", "control"};
    for (int i = 0; i < 4; i++) {
        char text[200];
        snprintf(text, sizeof text, "stress: {phases: [{kind: %s, seconds: 1, %s}]}", kinds[i],
                 i == HL_STRESS_CONTROL ? "rate_hz: 1" : "warmup: 0");
        hl_config c = parse(text, NONE);
        assert_int_equal(c.stress.phases.at[0].kind, i);
        assert_string_equal(hl_config_phase_name(&c.stress.phases.at[0]), kinds[i]);
        hl_config_free(&c);
    }
}

static void test_sizes_and_infinities(void **state)
{
    (void)state;
    hl_config c = parse("memory: {budget: 4GiB, recompute: [decoder, loss]}\n"
                        "stress: {limits: {p99_ms: +.Inf, skipped_steps: inf, peak_bytes: 1.5GiB}}",
                        OVERRIDES("stress.limits.deadline_miss_rate=.INF"));
    assert_true(c.memory.budget == (size_t)4 << 30 && c.stress.limits.peak_bytes == (size_t)3 << 29);
    assert_int_equal(c.memory.recompute.n, 2);
    assert_true(c.stress.limits.p99_ms == INFINITY && c.stress.limits.skipped_steps == INFINITY);
    assert_true(c.stress.limits.deadline_miss_rate == INFINITY && c.checkpoint.background);
    hl_config_free(&c);
    c = parse("memory: {recompute: []}", NONE);
    assert_int_equal(c.memory.recompute.n, 0);
    hl_config_free(&c);
    assert_refuses(
        "memory: {budget: lots}", NONE,
        "x.yaml:1:18: memory.budget: expected a size, such as 512MiB, 8GiB or 1048576, found 'lots'");
    assert_refuses(
        "memory: {budget: -1}", NONE,
        "x.yaml:1:18: memory.budget: expected a size, such as 512MiB, 8GiB or 1048576, found '-1'");
    assert_refuses("memory: {budget: '1'}", NONE,
                   "x.yaml:1:18: memory.budget: expected a size, such as 512MiB, 8GiB or 1048576, found the "
                   "text '1' (drop the quotes)");
    assert_refuses("memory: {budget: 16777216TiB}", NONE,
                   "x.yaml:1:18: memory.budget: expected a size, such as 512MiB, 8GiB or 1048576, found "
                   "'16777216TiB'");
    assert_refuses("", OVERRIDES("memory.budget=8 GiB"),
                   "override 'memory.budget=8 GiB': memory.budget: expected a size, such as 512MiB, 8GiB or "
                   "1048576, found '8 GiB'");
    assert_refuses("memory: {recompute: [decoder, loss, decoder]}", NONE,
                   "x.yaml:1:37: memory.recompute: 'decoder' is listed twice");
    assert_refuses(
        "memory: {recompute: [encoder]}", NONE,
        "x.yaml:1:22: memory.recompute: expected H-module, compressor, L-module, decoder or loss, found "
        "'encoder'; did you mean 'decoder'?");
    assert_refuses("stress: {limits: {p99_ms: -.inf}}", NONE,
                   "x.yaml:1:27: stress.limits.p99_ms: -.inf is below 0");
    assert_refuses("stress: {limits: {p99_ms: .nan}}", NONE,
                   "x.yaml:1:27: stress.limits.p99_ms: expected a number, found '.nan'");
    assert_refuses("stress: {limits: {min_samples_per_s: .inf}}", NONE,
                   "x.yaml:1:38: stress.limits.min_samples_per_s: .inf is above 1000000000000");
}

/* ------------------------------------------------------------------ what is refused */

#define ENTRY(text) "stress:\n  phases:\n    - kind: training\n      iterations: 1\n    - " text "\n"

static void test_bad_entries(void **state)
{
    (void)state;
    assert_refuses("stress: {phases: 3}", NONE,
                   "x.yaml:1:18: stress.phases: expected a list of groups, such as [{name: ...}], found '3'");
    assert_refuses("stress:\n  phases:\n    kind: training\n", NONE,
                   "x.yaml:3:5: stress.phases: expected a list of groups, such as [{name: ...}], found a "
                   "mapping");
    assert_refuses("stress:\n  phases:\n", NONE,
                   "x.yaml:2:10: stress.phases: expected a list of groups, such as [{name: ...}], found "
                   "nothing");
    assert_refuses("stress: [training]", NONE,
                   "x.yaml:1:9: stress: is a group of keys, such as stress.limits; found a list");
    assert_refuses(ENTRY("training"), NONE,
                   "x.yaml:5:7: stress.phases[1]: is a group of keys, such as stress.phases[1].name; found "
                   "'training'");
    assert_refuses(ENTRY("[training]"), NONE,
                   "x.yaml:5:7: stress.phases[1]: is a group of keys, such as stress.phases[1].name; found a "
                   "list");
    assert_refuses(ENTRY("secnds: 3"), NONE,
                   "x.yaml:5:7: stress.phases[1].secnds: unknown key; did you mean "
                   "'stress.phases[1].seconds'?");
    assert_refuses(ENTRY("limits: {p99: 3}"), NONE,
                   "x.yaml:5:16: stress.phases[1].limits.p99: unknown key; did you mean "
                   "'stress.phases[1].limits.p99_ms'?");
    assert_refuses(ENTRY("p99_ms: 3"), NONE,
                   "x.yaml:5:7: stress.phases[1].p99_ms: unknown key; did you mean 'stress.limits.p99_ms'?");
    assert_refuses(ENTRY("flux_capacitor: 3"), NONE,
                   "x.yaml:5:7: stress.phases[1].flux_capacitor: unknown key; docs/config.md lists those "
                   "there are");
    assert_refuses(ENTRY("{seconds: 1, seconds: 2}"), NONE,
                   "x.yaml:5:20: the key 'seconds' is here twice; the first is at line 5");
    assert_refuses(ENTRY("{limits: {p99_ms: 1}, limits.p99_ms: 2}"), NONE,
                   "x.yaml:5:29: stress.phases[1].limits.p99_ms: is set twice; the first is at line 5");
    assert_refuses("stress.phases: []\nstress: {phases: []}", NONE,
                   "x.yaml:2:10: stress.phases: is set twice; the first is at line 1");
    assert_refuses(ENTRY("{seconds: -1}"), NONE, "x.yaml:5:17: stress.phases[1].seconds: -1 is below 0");
    assert_refuses(ENTRY("{seconds: 1, batch: 0}"), NONE,
                   "x.yaml:5:27: stress.phases[1].batch: 0 is below 1");
    assert_refuses(ENTRY("{seconds: 1, rate_hz: .inf}"), NONE,
                   "x.yaml:5:29: stress.phases[1].rate_hz: .inf is above 1000000");
    assert_refuses(ENTRY("{kind: trainig}"), NONE,
                   "x.yaml:5:14: stress.phases[1].kind: expected inference, training, mixed or control, "
                   "found 'trainig'; did you mean 'training'?");
    assert_refuses("seconds: 3\n", NONE,
                   "x.yaml:1:1: seconds: unknown key; did you mean 'stress.phases[0].seconds'?");
    assert_refuses("stress: {phases.seconds: 3}\n", NONE,
                   "x.yaml:1:10: stress.phases.seconds: unknown key; did you mean "
                   "'stress.phases[0].seconds'?");
}

static void test_number_of_entries(void **state)
{
    (void)state;
    hl_text text = {0};
    hl_text_append(&text, "stress:\n  phases:\n");
    for (int i = 0; i < HL_CONFIG_ENTRIES; i++)
        hl_text_append(&text, "    - seconds: 1\n");
    hl_config c = parse(text.at, OVERRIDES("stress.phases[63].seconds=2"));
    assert_int_equal(c.stress.phases.n, 64);
    assert_true(c.stress.phases.at[63].seconds == 2 && c.stress.phases.at[62].seconds == 1);
    hl_config_free(&c);
    hl_text_append(&text, "    - seconds: 1\n");
    assert_refuses(text.at, NONE, "x.yaml:3:5: stress.phases: the list has 65 entries, expected at most 64");
    hl_text_free(&text);
}

static void test_phases_make_sense(void **state)
{
    (void)state;
    assert_refuses(ENTRY("kind: mixed"), NONE,
                   "x.yaml:5:7: stress.phases[1].seconds: the phase has no end: expected seconds or "
                   "iterations above 0");
    assert_refuses(ENTRY(""), NONE, /* all defaults */
                   "x.yaml:5:6: stress.phases[1].seconds: the phase has no end: expected seconds or "
                   "iterations above 0");
    assert_refuses(ENTRY("kind: mixed\n      iterations: 0"), NONE,
                   "x.yaml:6:19: stress.phases[1].seconds: the phase has no end: expected seconds or "
                   "iterations above 0");
    assert_refuses(ENTRY("kind: control\n      seconds: 1"), NONE,
                   "x.yaml:5:13: stress.phases[1].rate_hz: kind control needs a rate above 0");
    assert_refuses(ENTRY("kind: inference\n      seconds: 1\n      every: 2"), NONE,
                   "x.yaml:7:14: stress.phases[1].every: is for kind mixed alone");
    assert_refuses(ENTRY("seconds: 1\n      train_batch: 2"), NONE,
                   "x.yaml:6:20: stress.phases[1].train_batch: is about training, and kind inference has "
                   "none");
    assert_refuses(ENTRY("seconds: 1\n      kind: training\n      batch: 32"), NONE,
                   "x.yaml:7:14: stress.phases[1].batch: is about inference, and kind training has none (it "
                   "reads train_batch and train_threads)");
    static const char *const unread[] = {"rate_hz: 10", "deadline_ms: 5", "threads: 1", "streams: 2"};
    for (size_t i = 0; i < sizeof unread / sizeof *unread; i++) {
        char override[200], expected[400];
        size_t name = strcspn(unread[i], ":");
        snprintf(override, sizeof override, "stress.phases[1]={%s}", unread[i]);
        snprintf(expected, sizeof expected,
                 "override '%s': stress.phases[1].%.*s: is about inference, and kind training has none (it "
                 "reads train_batch and train_threads)",
                 override, (int)name, unread[i]);
        assert_refuses(ENTRY("{seconds: 1, kind: training}"), OVERRIDES(override), expected);
    }
    hl_config c = parse(ENTRY("{kind: mixed, iterations: 3, rate_hz: 2, every: 3, train_batch: 2}"), NONE);
    hl_config_free(&c);
}

/* ------------------------------------------------------------------ overrides */

static void test_overrides(void **state)
{
    (void)state;
    hl_config c = parse(PHASES,
                        OVERRIDES("stress.phases[1].iterations=7", "stress.phases[0].limits.p99_ms=inf",
                                  "stress.phases[0]={seconds: 3, limits: {peak_bytes: 1MiB}}",
                                  "stress.phases[1].name=it's: a, \"b\"", "stress.limits={p99_ms: 9}"));
    const hl_stress_phase *p = c.stress.phases.at;
    assert_true(p[1].iterations == 7 && p[0].seconds == 3 && p[0].rate_hz == 10);
    assert_true(p[0].limits.p99_ms == INFINITY && p[0].limits.peak_bytes == 1 << 20);
    assert_string_equal(p[1].name, "it's: a, \"b\"");
    assert_true(c.stress.limits.p99_ms == 9 && c.stress.limits.peak_bytes == (size_t)8 << 30);
    hl_config_free(&c);
    /* a list as a whole: nothing of the old one stays */
    c = parse(PHASES, OVERRIDES("stress.phases[0].batch=5",
                                "stress.phases=[{kind: mixed, seconds: 1}, {seconds: 2}, {seconds: 3}]",
                                "stress.phases[2].seconds=4"));
    p = c.stress.phases.at;
    assert_int_equal(c.stress.phases.n, 3);
    assert_true(p[0].batch == 1 && p[0].limits.p99_ms == INFINITY && p[0].kind == HL_STRESS_MIXED);
    assert_true(p[1].seconds == 2 && p[2].seconds == 4 && p[1].kind == HL_STRESS_INFERENCE);
    assert_string_equal(p[0].name, "");
    hl_config_free(&c);
    c = parse(PHASES, OVERRIDES("stress.phases=[]"));
    assert_int_equal(c.stress.phases.n, 0);
    hl_config_free(&c);
    c = parse("", OVERRIDES("stress.phases=[{seconds: 1}]", "stress.phases[00].seconds=2"));
    assert_true(c.stress.phases.at[0].seconds == 2);
    hl_config_free(&c);
}

static void test_bad_overrides(void **state)
{
    (void)state;
    assert_refuses(
        PHASES, OVERRIDES("stress.phases[2].seconds=5"),
        "override 'stress.phases[2].seconds=5': stress.phases[2]: there is no such entry, the last "
        "is [1]");
    assert_refuses(PHASES, OVERRIDES("stress.phases[2]={seconds: 5}"),
                   "override 'stress.phases[2]={seconds: 5}': stress.phases[2]: there is no such entry, the "
                   "last is [1]");
    assert_refuses(
        "", OVERRIDES("stress.phases[0].seconds=5"),
        "override 'stress.phases[0].seconds=5': stress.phases[0]: there is no such entry, the list "
        "is empty");
    assert_refuses(PHASES, OVERRIDES("stress.phases[2].secnds=5"),
                   "override 'stress.phases[2].secnds=5': stress.phases[2]: there is no such entry, the last "
                   "is [1]");
    static const char *const indices[] = {"[-1]",  "[x]",          "[]", "[1",  "[ 1]",
                                          "[1.0]", "[4294967296]", "",   "[1]]"};
    for (size_t i = 0; i < sizeof indices / sizeof *indices; i++) {
        char override[100], expected[300];
        snprintf(override, sizeof override, "stress.phases%s.seconds=5", indices[i]);
        snprintf(expected, sizeof expected,
                 "override '%s': stress.phases%s.seconds: unknown key; did you mean "
                 "'stress.phases[0].seconds'?",
                 override, indices[i]);
        assert_refuses(PHASES, OVERRIDES(override), expected);
    }
    assert_refuses(PHASES, OVERRIDES("stress.phases[1].rate_z=5"),
                   "override 'stress.phases[1].rate_z=5': stress.phases[1].rate_z: unknown key; did you mean "
                   "'stress.phases[1].rate_hz'?");
    assert_refuses(PHASES, OVERRIDES("stress.phases[1].batch=-5"),
                   "override 'stress.phases[1].batch=-5': stress.phases[1].batch: -5 is below 1");
    assert_refuses(PHASES, OVERRIDES("stress.phases[1].seconds="),
                   "override 'stress.phases[1].seconds=': stress.phases[1].seconds: the value is missing");
    assert_refuses(PHASES, OVERRIDES("stress.phases[1]=5"),
                   "override 'stress.phases[1]=5': stress.phases[1]: is a group of keys, such as "
                   "stress.phases[1].name; found '5'");
    assert_refuses(PHASES, OVERRIDES("stress.phases=5"),
                   "override 'stress.phases=5': stress.phases: expected a list of groups, such as [{name: "
                   "...}], found '5'");
    assert_refuses(
        PHASES, OVERRIDES("stress.phases=[{seconds: 1}]", "stress.phases[1].seconds=2"),
        "override 'stress.phases[1].seconds=2': stress.phases[1]: there is no such entry, the last "
        "is [0]");
    assert_refuses(PHASES, OVERRIDES("stress.phases[0].rate_hz=0"),
                   "override 'stress.phases[0].rate_hz=0': stress.phases[0].rate_hz: kind control needs a "
                   "rate above 0");
}

/* ------------------------------------------------------------------ printing */

static void test_print(void **state)
{
    (void)state;
    hl_config a = parse(PHASES, OVERRIDES("memory.budget=1536MiB",
                                          "stress.phases[0].name=- null: ", "memory.recompute=[H-module]"));
    char *text = hl_config_print(&a);
    assert_non_null(text);
    static const char *const lines[] = {
        "memory:\n  budget: 1536MiB\n  recompute: [H-module]\n",
        "stress:\n  limits:\n    p99_ms: .inf\n",
        "    rss_slope_bytes_per_minute: 1048576\n    peak_bytes: 8GiB\n",
        "  phases:\n    - name: \"- null: \"\n      kind: control\n      seconds: 20\n",
        "      limits:\n        p99_ms: 80\n        deadline_miss_rate: 0\n",
        "    - name: \"\"\n      kind: training\n",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (!strstr(text, lines[i]))
            fail_msg("'%s' is not in:\n%s", lines[i], text);
    hl_config b = parse(text, NONE);
    assert_same(&a, &b);
    assert_int_equal(b.stress.phases.n, 2);
    assert_string_equal(b.stress.phases.at[0].name, "- null: ");
    assert_true(b.stress.phases.at[1].limits.p99_ms == INFINITY && b.memory.budget == (size_t)3 << 29);
    hl_free(text);
    hl_config_free(&a);
    hl_config_free(&b);
    a = parse("", NONE);
    text = hl_config_print(&a);
    assert_non_null(strstr(text, "  phases: []\n"));
    hl_free(text);
    hl_config_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_entries),           cmocka_unit_test(test_precision_of_a_phase),
        cmocka_unit_test(test_names_of_kinds),    cmocka_unit_test(test_sizes_and_infinities),
        cmocka_unit_test(test_bad_entries),       cmocka_unit_test(test_number_of_entries),
        cmocka_unit_test(test_phases_make_sense), cmocka_unit_test(test_overrides),
        cmocka_unit_test(test_bad_overrides),     cmocka_unit_test(test_print),
    };
    return cmocka_run_group_tests_name("config_lists", tests, NULL, NULL);
}
