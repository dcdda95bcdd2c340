/* Configurations in layers, presets among them; and what no text and no lack of memory may do. */
#include "app/config/config_room.h"
#include "app/stress/preset.h"

#include "tests/config_case.h"

#include <stdio.h>

#define PHASES                                                                                               \
    "stress:\n"                                                                                              \
    "  limits: {peak_bytes: 8GiB}\n"                                                                         \
    "  phases:\n"                                                                                            \
    "    - {name: control 10 Hz, kind: control, seconds: 20, rate_hz: 10, limits: {p99_ms: 80}}\n"           \
    "    - kind: training\n"                                                                                 \
    "      iterations: 100\n"

/* ------------------------------------------------------------------ layers */

static hl_config load(int n, const hl_config_layer *layers, char *const *overrides)
{
    hl_config c;
    hl_error err = {0};
    if (hl_config_load_layers(&c, n, layers, count_of(overrides), overrides, &err) != HL_OK)
        fail_msg("%s", err.message);
    return c;
}

static void assert_layers_refused(int n, const hl_config_layer *layers, char *const *overrides,
                                  const char *message)
{
    hl_config c;
    hl_error err = {0};
    assert_int_equal(hl_config_load_layers(&c, n, layers, count_of(overrides), overrides, &err),
                     HL_ERR_CONFIG);
    assert_string_equal(err.message, message);
    assert_null(c.device);
    assert_null(c.stress.phases.at);
}

static void test_layers(void **state)
{
    (void)state;
    const hl_config_layer layers[] = {
        {"a.yaml", "seed: 1\noptim: {lr: 1}\n" PHASES},
        {"b.yaml", "seed: 2\nstress:\n  phases: [{seconds: 1, name: b}]\n"},
        {"c.yaml", "optim: {clip: 3}\n"},
    };
    hl_config c = load(3, layers, OVERRIDES("stress.phases[0].seconds=9"));
    assert_true(c.seed == 2 && c.optim.lr == 1 && c.optim.clip == 3);
    assert_int_equal(c.stress.phases.n, 1);
    assert_string_equal(c.stress.phases.at[0].name, "b");
    assert_true(c.stress.phases.at[0].seconds == 9 && c.stress.phases.at[0].rate_hz == 0);
    assert_true(c.stress.limits.peak_bytes == (size_t)8 << 30);
    hl_config_free(&c);
    c = load(0, NULL, NONE);
    assert_int_equal(c.stress.phases.n, 0);
    hl_config_free(&c);
    /* a later layer may change an entry of an earlier one's list */
    c = load(2, (hl_config_layer[]){layers[0], {"b", "stress.phases[1].iterations: 3"}}, NONE);
    assert_int_equal(c.stress.phases.n, 2);
    assert_int_equal(c.stress.phases.at[1].iterations, 3);
    hl_config_free(&c);
    /* places are those of the layer that is to blame */
    assert_layers_refused(2, (hl_config_layer[]){layers[0], {"b.yaml", "\n\nsed: 1"}}, NONE,
                          "b.yaml:3:1: sed: unknown key; did you mean 'seed'?");
    assert_layers_refused(2, (hl_config_layer[]){layers[0], {"b.yaml", "seed: 1\nseed: 2"}}, NONE,
                          "b.yaml:2:1: the key 'seed' is here twice; the first is at line 1");
    assert_layers_refused(2, (hl_config_layer[]){layers[0], {"b.yaml", "- a"}}, NONE,
                          "b.yaml:1:1: expected keys and values, found a list");
    assert_layers_refused(
        2, (hl_config_layer[]){{"a.yaml", "\n\noptim: {schedule: cosine}"}, {"b.yaml", "optim: {min_lr: 2}"}},
        NONE, "b.yaml:1:17: optim.min_lr: 2 is above optim.lr, which is 0.0001");
    assert_layers_refused(
        2, (hl_config_layer[]){{"a.yaml", "\n\noptim: {min_lr: 2}"}, {"b.yaml", "optim: {schedule: cosine}"}},
        NONE, "b.yaml:1:19: optim.min_lr: 2 is above optim.lr, which is 0.0001");
    assert_layers_refused(2, layers, OVERRIDES("seed=3", "stress.phases[1].seconds=1"),
                          "override 'stress.phases[1].seconds=1': stress.phases[1]: there is no such entry, "
                          "the last is [0]");
    /* what an earlier list said of an entry says nothing of a later list's */
    assert_layers_refused(
        2,
        (hl_config_layer[]){{"a.yaml", "\n\n\nstress: {phases: [{seconds: 1, rate_hz: 1}]}"},
                            {"b.yaml", "stress: {phases: [{kind: control, seconds: 1}]}"}},
        NONE, "b.yaml:1:26: stress.phases[0].rate_hz: kind control needs a rate above 0");
    hl_error err = {0};
    assert_int_equal(
        hl_config_load_layers(&c, 2, (hl_config_layer[]){layers[0], {"no/such.yaml", NULL}}, 0, NULL, &err),
        HL_ERR_IO);
    assert_non_null(strstr(err.message, "no/such.yaml"));
    assert_null(c.device);
}

/* ------------------------------------------------------------------ presets */

static void test_published(void **state)
{
    (void)state;
    hl_config_layer layers[] = {{"a.yaml", "optim: {clip: 2, lr: 3}\n" PHASES}, {0}};
    hl_error err = {0};
    assert_int_equal(hl_preset_find("published", &layers[1], &err), HL_OK);
    hl_config c = load(2, layers, OVERRIDES("stress.phases[0].seconds=5", "stress.phases[1].iterations=3"));
    static const struct {
        int kind;
        double seconds, rate;
        int64_t iterations, batch, train_batch, every;
    } expected[] = {
        {HL_STRESS_INFERENCE, 5, 0, 0, 16, 0, 0}, {HL_STRESS_TRAINING, 0, 0, 3, 1, 32, 0},
        {HL_STRESS_MIXED, 60, 0, 0, 32, 16, 2},   {HL_STRESS_CONTROL, 20, 10, 0, 1, 32, 0},
        {HL_STRESS_CONTROL, 20, 50, 0, 1, 32, 0},
    };
    assert_int_equal(c.stress.phases.n, 5);
    assert_true(c.optim.clip == 1 && c.optim.lr == 3);
    assert_true(c.stress.limits.peak_bytes == (size_t)8 << 30); /* the user's limits stay */
    for (int i = 0; i < 5; i++) {
        const hl_stress_phase *p = &c.stress.phases.at[i];
        assert_int_equal(p->kind, expected[i].kind);
        assert_true(p->seconds == expected[i].seconds && p->rate_hz == expected[i].rate);
        assert_true(p->iterations == expected[i].iterations && p->batch == expected[i].batch);
        assert_true(p->train_batch == expected[i].train_batch && p->every == expected[i].every);
    }
    hl_config_free(&c);
    assert_layers_refused(2, layers, OVERRIDES("stress.phases[5].seconds=5"),
                          "override 'stress.phases[5].seconds=5': stress.phases[5]: there is no such entry, "
                          "the last is [4]");
}

/* Each is what its file says, with nothing wrong in it. */
static void test_presets(void **state)
{
    (void)state;
    assert_true(hl_preset_count >= 2);
    for (int i = 0; i < hl_preset_count; i++) {
        hl_config_layer layer = {0};
        char path[512];
        assert_int_equal(hl_preset_find(hl_presets[i].name, &layer, NULL), HL_OK);
        snprintf(path, sizeof path, "%s/%s", HL_SOURCE_DIR, layer.name);
        hl_config within = load(1, &layer, NONE), file = load(1, &(hl_config_layer){.name = path}, NONE);
        assert_same(&within, &file);
        assert_true(within.stress.phases.n > 0);
        hl_config_free(&within);
        hl_config_free(&file);
    }
    hl_config_layer layer = {0};
    hl_error err = {0};
    assert_int_equal(hl_preset_find("publishd", &layer, &err), HL_ERR_USAGE);
    assert_string_equal(
        err.message,
        "there is no preset 'publishd'; did you mean 'published'? there are: cpu, published, quick");
    assert_int_equal(hl_preset_find("", &layer, &err), HL_ERR_USAGE);
    assert_string_equal(err.message, "there is no preset ''; there are: cpu, published, quick");
    assert_null(layer.name);
}

/* ------------------------------------------------------------------ memory */

static void test_no_memory(void **state)
{
    (void)state;
    char **overrides = OVERRIDES("stress.phases[1].name=x", "stress.phases[0]={seconds: 3}",
                                 "stress.phases=[{seconds: 1, name: a}, {seconds: 2, name: b}]");
    const hl_config_layer layers[] = {{"a.yaml", PHASES},
                                      {"b.yaml", "stress: {phases: [{seconds: 1}, {seconds: 2}]}"}};
    uint64_t before = hl_alloc_count();
    hl_config c = load(2, layers, overrides);
    uint64_t needed = hl_alloc_count() - before, failed = 0;
    for (uint64_t n = 1; n <= needed; n += n < needed / 2 ? 5 : 1, failed++) {
        hl_config d;
        hl_error err = {0};
        hl_alloc_fail_at(n);
        hl_status status = hl_config_load_layers(&d, 2, layers, 3, overrides, &err);
        hl_alloc_fail_at(0);
        assert_int_equal(status, HL_ERR_MEMORY);
        assert_int_equal(err.status, HL_ERR_MEMORY);
        assert_null(d.stress.phases.at);
        hl_config_free(&d);
    }
    assert_true(failed > 100);
    before = hl_alloc_count();
    char *text = hl_config_print(&c);
    needed = hl_alloc_count() - before;
    for (uint64_t n = 1; n <= needed; n++) {
        hl_alloc_fail_at(n);
        assert_null(hl_config_print(&c));
    }
    hl_config_layer layer;
    hl_error err = {0};
    hl_alloc_fail_at(1);
    assert_int_equal(hl_preset_find("nothing like it", &layer, &err), HL_ERR_MEMORY);
    hl_alloc_fail_at(0);
    hl_free(text);
    hl_config_free(&c);
}

/* No text makes the reader do anything but answer: pieces of configurations in every order that a generator
 * gives, under the sanitizers of the asan build. */
static void test_any_text(void **state)
{
    (void)state;
    static const char *const piece[] = {"stress",
                                        "phases",
                                        ":",
                                        " ",
                                        "\n",
                                        "- ",
                                        "[",
                                        "]",
                                        "{",
                                        "}",
                                        ",",
                                        "kind",
                                        "mixed",
                                        "0",
                                        "1",
                                        "-1",
                                        ".inf",
                                        "8GiB",
                                        "limits",
                                        "p99_ms",
                                        ".",
                                        "[0]",
                                        "[9]",
                                        "\n  ",
                                        "\n    ",
                                        "'",
                                        "\"",
                                        "stress.phases[0].seconds: 1",
                                        "stress: {phases: [{seconds: 1}]}",
                                        "seconds: ",
                                        "~",
                                        "#",
                                        "\xc3\xa9"};
    uint32_t random = 1;
    int accepted = 0;
    for (int i = 0; i < 1000; i++) {
        char text[400] = "", override[400] = "";
        for (int k = 0; k < 14; k++) {
            random = random * 1664525u + 1013904223u;
            char *to = k % 3 ? text : override;
            strcat(to, piece[(random >> 16) % (sizeof piece / sizeof *piece)]);
            if (k == 3)
                strcat(override, "=");
        }
        hl_config c;
        hl_error err = {0};
        hl_status status = hl_config_parse_text(&c, text, "x.yaml", i % 2, OVERRIDES(override), &err);
        assert_true(status == HL_OK || (status == HL_ERR_CONFIG && *err.message && !c.device));
        accepted += status == HL_OK;
        hl_config_free(&c);
    }
    assert_true(accepted > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layers),    cmocka_unit_test(test_published), cmocka_unit_test(test_presets),
        cmocka_unit_test(test_no_memory), cmocka_unit_test(test_any_text),
    };
    return cmocka_run_group_tests_name("config_layers", tests, NULL, NULL);
}
