/* The table, its defaults, reading, printing, documentation. Run with --write it writes docs/config.md. */
#include "app/config/config_room.h"
#include "data/image.h"
#include "data/demos.h"

#include "tests/config_case.h"
#include "tests/temporary.h"

#include <math.h>

/* ------------------------------------------------------------------ the table */

/* Of one record: each key once, its group before it, its help fit for a cell of a table. */
static void assert_sound(const hl_config_kind *kind)
{
    assert_true(hl_config_has_value(&kind->line[0]) || kind->line[0].of);
    for (int i = 0; i < kind->n; i++) {
        const hl_config_line *line = &kind->line[i];
        size_t group = (size_t)(hl_config_last_part(line->key) - line->key);
        bool grouped = !group;
        for (int k = 0; k < i; k++) {
            const hl_config_line *other = &kind->line[k];
            assert_string_not_equal(other->key, line->key);
            grouped = grouped || (other->type == HL_CONFIG_TYPE_GROUP && strlen(other->key) == group - 1 &&
                                  !strncmp(other->key, line->key, group - 1));
        }
        assert_true(grouped);
        assert_true(strlen(line->key) < 64);
        assert_true(*line->help && line->help[strlen(line->help) - 1] != '.');
        assert_null(strchr(line->help, '|'));
        assert_true((line->of != NULL) ==
                    (line->type == HL_CONFIG_TYPE_PART || line->type == HL_CONFIG_TYPE_LIST));
        if (line->of)
            assert_sound(line->of);
    }
}

static void test_table_is_sound(void **state)
{
    (void)state;
    hl_config c;
    hl_config_slot slot;
    assert_sound(hl_config_table);
    assert_int_equal(hl_config_defaults(&c, NULL), HL_OK);
    for (int i = 0; i < hl_config_table->n; i++) {
        assert_int_equal(hl_config_find(&c, hl_config_table->line[i].key, &slot, NULL), HL_OK);
        assert_ptr_equal(slot.line, &hl_config_table->line[i]);
        assert_ptr_equal(slot.record, &c);
    }
    assert_int_equal(hl_config_find(&c, "stress.limits.p99_ms", &slot, NULL), HL_OK);
    assert_ptr_equal(hl_config_member(slot.record, slot.line), &c.stress.limits.p99_ms);
    static const char *const unknown[] = {
        "",           "model.",          ".model",          "stress.limits.",
        "stress..",   "stress.limit",    "stress.limits.p", "stress.phases.",
        "stress[0]",  "seed.x",          "seed[0]",         "stress.phases[]",
        "model.seed", "stress.limits[0]"};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
        if (hl_config_find(&c, unknown[i], &slot, NULL) != HL_ERR_CONFIG)
            fail_msg("'%s' is a key", unknown[i]);
    hl_config_free(&c);
}

static void assert_widths_equal(hl_widths a, hl_widths b)
{
    assert_int_equal(a.n, b.n);
    assert_memory_equal(a.at, b.at, sizeof a.at);
}

/* The table's defaults are the model of the reference. */
static void test_defaults(void **state)
{
    (void)state;
    hl_config c;
    hl_error err = {0};
    assert_int_equal(hl_config_defaults(&c, &err), HL_OK);
    hl_model_options a = hl_config_model(&c), b = hl_model_defaults();
    assert_memory_equal(a.senses, b.senses, sizeof a.senses);
    assert_widths_equal(a.visual_channels, b.visual_channels);
    assert_widths_equal(a.depth_channels, b.depth_channels);
    assert_widths_equal(a.bottleneck_widths, b.bottleneck_widths);
    assert_widths_equal(a.hierarchical_hidden, b.hierarchical_hidden);
    assert_widths_equal(a.hierarchical_features, b.hierarchical_features);
    assert_widths_equal(a.decoder_widths, b.decoder_widths);
    assert_widths_equal(a.head_widths, b.head_widths);
    const int64_t x[] = {a.image,
                         a.visual_features,
                         a.depth_features,
                         a.audio_size,
                         a.tactile_size,
                         a.proprioceptive_size,
                         a.audio.hidden,
                         a.audio.features,
                         a.tactile.hidden,
                         a.tactile.features,
                         a.proprioceptive.hidden,
                         a.proprioceptive.features,
                         a.semantic.hidden,
                         a.semantic.features,
                         a.physical.hidden,
                         a.physical.features,
                         a.temporal.hidden,
                         a.temporal.features,
                         a.history,
                         a.refiner_layers,
                         a.refiner_heads,
                         a.refiner_hidden,
                         (int64_t)a.compressor,
                         a.hierarchy_aspects,
                         a.tokens,
                         a.latents,
                         a.perceiver_width,
                         a.perceiver_heads,
                         a.compressed,
                         a.action};
    const int64_t y[] = {b.image,
                         b.visual_features,
                         b.depth_features,
                         b.audio_size,
                         b.tactile_size,
                         b.proprioceptive_size,
                         b.audio.hidden,
                         b.audio.features,
                         b.tactile.hidden,
                         b.tactile.features,
                         b.proprioceptive.hidden,
                         b.proprioceptive.features,
                         b.semantic.hidden,
                         b.semantic.features,
                         b.physical.hidden,
                         b.physical.features,
                         b.temporal.hidden,
                         b.temporal.features,
                         b.history,
                         b.refiner_layers,
                         b.refiner_heads,
                         b.refiner_hidden,
                         (int64_t)b.compressor,
                         b.hierarchy_aspects,
                         b.tokens,
                         b.latents,
                         b.perceiver_width,
                         b.perceiver_heads,
                         b.compressed,
                         b.action};
    assert_memory_equal(x, y, sizeof x);
    assert_true(a.dropout == b.dropout);
    assert_int_equal(hl_model_context(&a), 4096);

    hl_adamw_options adamw = hl_config_adamw(&c);
    assert_true(adamw.beta1 == 0.9f && adamw.beta2 == 0.999f && adamw.eps == 1e-8f);
    assert_true(adamw.weight_decay == 0.01f && adamw.clip == 1.0f && !adamw.no_decay_vectors);
    hl_loss_weights loss = hl_config_loss(&c);
    assert_true(loss.action == 1.0f && loss.reconstruction == 0.1f && loss.kl == 0.01f);
    hl_lr_schedule schedule = hl_config_schedule(&c);
    assert_true(schedule.lr == 1e-4 && schedule.kind == HL_CONSTANT && schedule.steps == 1000);
    assert_string_equal(c.run.dir, "checkpoints/run");
    assert_int_equal(c.data.action.keys.n, 0);
    assert_int_equal(c.data.files.n, 0);
    assert_int_equal(c.stress.phases.n, 0);
    assert_true(c.stress.limits.p99_ms == INFINITY && c.stress.limits.peak_bytes == 0);
    hl_config_free(&c);
    hl_config_free(&c);
}

/* Choices are the enums of the rooms that read them. */
static void test_choices_are_the_enums(void **state)
{
    (void)state;
    hl_config c = parse("model: {compressor: hierarchical, hierarchy: aspects}\n"
                        "optim: {schedule: cosine, state: bf16}\n"
                        "precision: fp16\n"
                        "data:\n"
                        "  cache: low_dim\n"
                        "  obs:\n"
                        "    visual: {layout: CHW, resize: bilinear, flip_vertical: false, missing: zero}\n"
                        "    depth: {flip_vertical: \"true\"}\n"
                        "    audio: {normalize: mean_std, pad: zero}\n"
                        "  action: {normalize: min_max}\n",
                        NONE);
    assert_int_equal(c.model.compressor, HL_HIERARCHICAL);
    assert_int_equal(c.model.hierarchy, HL_HIERARCHY_ASPECTS);
    assert_int_equal(c.optim.schedule, HL_COSINE);
    assert_int_equal(c.optim.state, HL_STATE_BF16);
    assert_int_equal(c.precision, HL_PRECISION_FP16);
    assert_int_equal(hl_config_adamw(&c).state, HL_BF16);
    assert_true(hl_config_adamw(&c).loss_scale == 65536 && hl_config_adamw(&c).scale_interval == 2000);
    assert_int_equal(c.data.format, HL_FORMAT_REACH);
    assert_int_equal(c.data.cache, HL_CACHE_LOW_DIM);
    assert_int_equal(c.data.obs.visual.layout, HL_CHW);
    assert_int_equal(c.data.obs.visual.resize, HL_RESIZE_BILINEAR);
    assert_int_equal(c.data.obs.visual.flip_vertical, HL_FLIP_OFF);
    assert_int_equal(c.data.obs.visual.missing, HL_MISSING_ZERO);
    assert_int_equal(c.data.obs.depth.flip_vertical, HL_FLIP_ON);
    assert_int_equal(c.data.obs.depth.resize, HL_RESIZE_AREA);
    assert_int_equal(c.data.obs.audio.normalize, HL_NORMALIZE_MEAN_STD);
    assert_int_equal(c.data.obs.audio.pad, HL_PAD_ZERO);
    assert_int_equal(c.data.obs.tactile.normalize, HL_NORMALIZE_NONE);
    assert_int_equal(c.data.action.normalize, HL_NORMALIZE_MIN_MAX);
    hl_config_free(&c);
}

/* ------------------------------------------------------------------ reading */

static void test_values(void **state)
{
    (void)state;
    hl_config c = parse("seed: 18446744073709551615\n"
                        "device: cpu:portable\n"
                        "optim:\n"
                        "    lr: 3e-4\n"
                        "    decay_vectors: false\n"
                        "train:\n" /* nothing below it */
                        "model.image: 32\n"
                        "model:\n"
                        "    senses: [proprioceptive, 'audio']\n"
                        "    head: {widths: [8]}\n"
                        "run: {dir: \"\\u00e9 \\\"x\\\"\"}\n"
                        "data.split.train: ''\n"
                        "data: {files: [a.h5, 'b*.h5', 7]}\n",
                        NONE);
    assert_true(c.seed == UINT64_MAX);
    assert_string_equal(c.device, "cpu:portable");
    assert_true(c.optim.lr == 3e-4 && !c.optim.decay_vectors);
    assert_int_equal(c.model.image, 32);
    assert_int_equal(c.model.senses.n, 2);
    assert_int_equal(c.model.head.widths.n, 1);
    assert_int_equal(c.model.head.widths.at[0], 8);
    assert_string_equal(c.run.dir, "\xc3\xa9 \"x\"");
    assert_string_equal(c.data.split.train, "");
    assert_int_equal(c.data.files.n, 3);
    assert_string_equal(c.data.files.at[1], "b*.h5");
    assert_string_equal(c.data.files.at[2], "7");
    hl_model_options o = hl_config_model(&c);
    const bool senses[] = {false, false, true, false, true};
    assert_memory_equal(o.senses, senses, sizeof senses);
    hl_config_free(&c);
}

static void test_an_empty_file_is_the_defaults(void **state)
{
    (void)state;
    hl_config defaults, c = parse("# nothing\n", NONE);
    assert_int_equal(hl_config_defaults(&defaults, NULL), HL_OK);
    assert_same(&defaults, &c);
    hl_config_free(&c);
    assert_int_equal(hl_config_load(&c, NULL, 0, NULL, NULL), HL_OK);
    assert_same(&defaults, &c);
    hl_config_free(&c);
    hl_config_free(&defaults);
}

/* ------------------------------------------------------------------ printing */

static hl_config round_trip(const hl_config *c)
{
    char *text = hl_config_print(c);
    assert_non_null(text);
    hl_config back = parse(text, NONE);
    assert_same(c, &back);
    hl_free(text);
    return back;
}

static void test_print_parses_back(void **state)
{
    (void)state;
    hl_config a = parse(
        "seed: 18446744073709551615\n"
        "optim: {lr: 0.1234567890123456, eps: 1e-30, min_lr: 0.30000000000000004, clip: 1e9}\n"
        "model: {senses: [tactile], head: {widths: [1, 2, 3, 4, 5, 6, 7, 8]}, compressor: attention}\n"
        "run: {dir: \"a\\\"b\\\\c\\n\\t\\x01\\x7f\\x85\\u2028\\ufeff\\U0001F916 \xc3\xa9: #x \"}\n"
        "device: 'null'\n"
        "data: {files: ['true', '~', 'a b', '- c', a/b-c_d.h5, \"'\", '1', '-'], split: {train: ''}}\n",
        NONE);
    hl_config b = round_trip(&a);
    assert_true(b.seed == UINT64_MAX && b.optim.lr == 0.1234567890123456 && b.optim.eps == 1e-30);
    assert_true(b.optim.min_lr == 0.30000000000000004 && b.optim.clip == 1e9 && b.optim.beta2 == 0.999);
    assert_string_equal(b.run.dir, a.run.dir);
    assert_string_equal(b.run.dir,
                        "a\"b\\c\n\t\x01\x7f\xc2\x85\xe2\x80\xa8\xef\xbb\xbf\xf0\x9f\xa4\x96 \xc3\xa9: #x ");
    assert_string_equal(b.device, "null");
    assert_int_equal(b.data.files.n, a.data.files.n);
    for (int i = 0; i < a.data.files.n; i++)
        assert_string_equal(b.data.files.at[i], a.data.files.at[i]);
    assert_string_equal(b.data.split.train, "");
    assert_widths_equal(a.model.head.widths, b.model.head.widths);
    hl_config_free(&a);
    hl_config_free(&b);
    a = parse("", OVERRIDES("optim.eps=1e-8", "optim.lr=25e-20"));
    char *text = hl_config_print(&a);
    assert_non_null(strstr(text, "  eps: 1.0e-08\n"));
    assert_non_null(strstr(text, "  lr: 2.5e-19\n"));
    hl_free(text);
    hl_config_free(&a);
    assert_int_equal(hl_config_defaults(&a, NULL), HL_OK);
    b = round_trip(&a);
    hl_config_free(&a);
    hl_config_free(&b);
}

/* Every choice of every key survives. */
static void test_every_choice_parses_back(void **state)
{
    (void)state;
    int choices = 0;
    for (int i = 0; i < hl_config_table->n; i++) {
        const hl_config_line *line = &hl_config_table->line[i];
        if (line->type != HL_CONFIG_TYPE_ENUM)
            continue;
        for (const char *at = line->limits; *at; choices++) {
            char override[128];
            size_t n = strcspn(at, "|");
            snprintf(override, sizeof override, "%s=%.*s", line->key, (int)n, at);
            at += n + (at[n] == '|');
            hl_config a = parse("", OVERRIDES("data.files=[x]", override)), b = round_trip(&a);
            assert_int_equal(*(int *)hl_config_member(&a, line), *(int *)hl_config_member(&b, line));
            hl_config_free(&a);
            hl_config_free(&b);
        }
    }
    assert_true(choices > 40);
}

static void test_documentation_is_current(void **state)
{
    (void)state;
    char *expected = hl_config_markdown();
    assert_non_null(expected);
    FILE *f = fopen(HL_SOURCE_DIR "/docs/config.md", "r");
    assert_non_null(f);
    size_t size = strlen(expected);
    char *found = calloc(size + 2, 1);
    assert_non_null(found);
    size_t n = fread(found, 1, size + 1, f);
    fclose(f);
    if (n != size || memcmp(found, expected, size) != 0)
        fail_msg("docs/config.md is not what app/config/config.def says: run test_config --write");
    free(found);
    hl_free(expected);
}

/* ------------------------------------------------------------------ files, memory */

static void test_files(void **state)
{
    (void)state;
    hl_config c;
    hl_error err = {0};
    char expected[600];
    const char *path = temporary_path("c.yaml");
    assert_int_equal(hl_config_load(&c, path, 0, NULL, &err), HL_ERR_IO);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs("optim:\n    lr: -1\n", f);
    fclose(f);
    assert_int_equal(hl_config_load(&c, path, 0, NULL, &err), HL_ERR_CONFIG);
    snprintf(expected, sizeof expected, "%s:2:9: optim.lr: -1 is below 0", path);
    assert_string_equal(err.message, expected);
    assert_int_equal(hl_config_load(&c, path, 0, NULL, NULL), HL_ERR_CONFIG);
    f = fopen(path, "w");
    fputs("optim: {lr: 2}\n", f);
    fclose(f);
    assert_int_equal(hl_config_load(&c, path, 1, OVERRIDES("seed=3"), &err), HL_OK);
    assert_true(c.optim.lr == 2 && c.seed == 3);
    hl_config_free(&c);
}

/* A path longer than a message does not push out what is wrong. */
static void test_long_name(void **state)
{
    (void)state;
    static char name[5000];
    hl_config c;
    hl_error err = {0};
    memset(name, 'n', sizeof name - 1);
    assert_int_equal(hl_config_parse_text(&c, "optim: {lr: -1}", name, 0, NULL, &err), HL_ERR_CONFIG);
    assert_non_null(strstr(err.message, ":1:13: optim.lr: -1 is below 0"));
    assert_int_equal(hl_config_parse_text(&c, "a: [", name, 0, NULL, &err), HL_ERR_CONFIG);
    assert_non_null(strstr(err.message, ":2:1: "));
}

static void test_no_memory(void **state)
{
    (void)state;
    const char *text = "optim: {lr: 2}\ndata: {files: [a, b]}\nrun: {dir: x}\n";
    uint64_t before = hl_alloc_count();
    hl_config c = parse(text, OVERRIDES("device=cpu:x", "model.compressor=attention"));
    uint64_t needed = hl_alloc_count() - before;
    for (uint64_t n = 1; n <= needed; n += n < needed - 120 ? 7 : 1) {
        hl_config d;
        hl_error err = {0};
        hl_alloc_fail_at(n);
        hl_status status = hl_config_parse_text(
            &d, text, "x.yaml", 2, OVERRIDES("device=cpu:x", "model.compressor=attention"), &err);
        hl_alloc_fail_at(0);
        assert_int_equal(status, HL_ERR_MEMORY);
        assert_int_equal(err.status, HL_ERR_MEMORY);
        hl_config_free(&d);
    }
    hl_alloc_fail_at(1);
    assert_null(hl_config_print(&c));
    hl_alloc_fail_at(3);
    assert_null(hl_config_print(&c));
    hl_alloc_fail_at(2);
    assert_null(hl_config_markdown());
    hl_alloc_fail_at(0);
    hl_config_free(&c);
}

static int write_documentation(void)
{
    char *text = hl_config_markdown();
    FILE *f = fopen(HL_SOURCE_DIR "/docs/config.md", "w");
    bool good = text && f && fputs(text, f) >= 0;
    good = f && fclose(f) == 0 && good;
    hl_free(text);
    return good ? 0 : 1;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_is_sound),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_choices_are_the_enums),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_an_empty_file_is_the_defaults),
        cmocka_unit_test(test_print_parses_back),
        cmocka_unit_test(test_every_choice_parses_back),
        cmocka_unit_test(test_documentation_is_current),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_long_name),
        cmocka_unit_test(test_no_memory),
    };
    if (argc == 2 && !strcmp(argv[1], "--write"))
        return write_documentation();
    return cmocka_run_group_tests_name("config", tests, temporary_make, temporary_drop);
}
