#include "app/config_room.h"
#include "base/memory.h"
#include "data/image.h"
#include "data/robomimic.h"

#include "tests/temporary.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* Overrides are a list that NULL ends. */
static int count_of(char *const *overrides)
{
    int n = 0;
    while (overrides[n])
        n++;
    return n;
}

#define OVERRIDES(...)                                                                                       \
    (char *[])                                                                                               \
    {                                                                                                        \
        __VA_ARGS__, NULL                                                                                    \
    }
#define NONE ((char *[]){NULL})

static hl_config parse(const char *text, char *const *overrides)
{
    hl_config c;
    hl_error err = {0};
    if (hl_config_parse_text(&c, text, "x.yaml", count_of(overrides), overrides, &err) != HL_OK)
        fail_msg("%s", err.message);
    return c;
}

static void assert_refuses(const char *text, char *const *overrides, const char *message)
{
    static const hl_config nothing;
    hl_config c;
    hl_error err = {0};
    assert_int_equal(hl_config_parse_text(&c, text, "x.yaml", count_of(overrides), overrides, &err),
                     HL_ERR_CONFIG);
    assert_int_equal(err.status, HL_ERR_CONFIG);
    assert_string_equal(err.message, message);
    assert_memory_equal(&c, &nothing, sizeof c);
}

static void assert_same(const hl_config *a, const hl_config *b)
{
    char *x = hl_config_print(a), *y = hl_config_print(b);
    assert_string_equal(x, y);
    hl_free(x);
    hl_free(y);
}

/* ------------------------------------------------------------------ the table */

static void test_table_is_sound(void **state)
{
    (void)state;
    for (int i = 0; i < hl_config_lines; i++) {
        const hl_config_line *line = &hl_config_table[i];
        assert_int_equal(hl_config_find(line->key), i); /* no key twice */
        assert_true(strlen(line->key) < 64);
        assert_true(*line->help && line->help[strlen(line->help) - 1] != '.');
        assert_null(strchr(line->help, '|'));
        const char *dot = strrchr(line->key, '.');
        if (dot) { /* its group is in the table, before it */
            char group[64];
            snprintf(group, sizeof group, "%.*s", (int)(dot - line->key), line->key);
            int at = hl_config_find(group);
            assert_true(at >= 0 && at < i && hl_config_table[at].type == HL_CONFIG_TYPE_GROUP);
        }
    }
    assert_int_equal(hl_config_find("model."), -1);
    assert_int_equal(hl_config_find(""), -1);
}

static void assert_widths_equal(hl_widths a, hl_widths b)
{
    assert_memory_equal(&a, &b, sizeof a);
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
    assert_int_equal(c.data.action.keys.n, 1);
    assert_string_equal(c.data.action.keys.at[0], "actions");
    assert_int_equal(c.data.files.n, 0);
    hl_config_free(&c);
    hl_config_free(&c);
}

/* Choices are the enums of the rooms that read them. */
static void test_choices_are_the_enums(void **state)
{
    (void)state;
    hl_config c = parse("model: {compressor: hierarchical, hierarchy: aspects}\n"
                        "optim: {schedule: cosine}\n"
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

static void test_ranges(void **state)
{
    (void)state;
    assert_refuses("optim:\n    # x\n    lr: -1\n", NONE, "x.yaml:3:9: optim.lr: -1 is below 0");
    assert_refuses("optim: {beta1: 0}", NONE, "x.yaml:1:16: optim.beta1: 0 is not above 0");
    assert_refuses("model: {head: {smoothing: 1.0}}", NONE,
                   "x.yaml:1:27: model.head.smoothing: 1.0 is not below 1");
    assert_refuses("model: {image: 7}", NONE, "x.yaml:1:16: model.image: 7 is below 8");
    assert_refuses("train: {batch: 65537}", NONE, "x.yaml:1:16: train.batch: 65537 is above 65536");
    assert_refuses("train: {steps: 9223372036854775808}", NONE,
                   "x.yaml:1:16: train.steps: 9223372036854775808 does not fit in 64 bits");
    assert_refuses("seed: -1", NONE, "x.yaml:1:7: seed: -1 is below 0");
    assert_refuses("seed: 18446744073709551616", NONE,
                   "x.yaml:1:7: seed: 18446744073709551616 is above 18446744073709551615");
    assert_refuses("optim: {lr: 1e999}", NONE, "x.yaml:1:13: optim.lr: 1e999 is too large a number");
    assert_refuses("model: {head: {widths: [1, 0]}}", NONE, "x.yaml:1:28: model.head.widths: 0 is below 1");
    hl_config c = parse("train: {steps: 9223372036854775807}\nseed: -0\nmodel: {image: 8}\n", NONE);
    assert_true(c.train.steps == INT64_MAX && c.seed == 0);
    hl_config_free(&c);
}

static void test_types(void **state)
{
    (void)state;
    assert_refuses("optim: {lr: fast}", NONE, "x.yaml:1:13: optim.lr: expected a number, found 'fast'");
    assert_refuses("optim: {lr: .nan}", NONE, "x.yaml:1:13: optim.lr: expected a number, found '.nan'");
    assert_refuses("optim: {lr: inf}", NONE, "x.yaml:1:13: optim.lr: expected a number, found 'inf'");
    assert_refuses("optim: {lr: 0x1p3}", NONE, "x.yaml:1:13: optim.lr: expected a number, found '0x1p3'");
    assert_refuses("optim: {lr: 1e}", NONE, "x.yaml:1:13: optim.lr: expected a number, found '1e'");
    assert_refuses("optim: {lr: '1'}", NONE,
                   "x.yaml:1:13: optim.lr: expected a number, found the text '1' (drop the quotes)");
    assert_refuses("optim:\n  lr:\n  clip: 1\n", NONE,
                   "x.yaml:2:6: optim.lr: expected a number, found nothing");
    assert_refuses("train: {steps: 1e3}", NONE,
                   "x.yaml:1:16: train.steps: expected a whole number, found '1e3'");
    assert_refuses("train: {steps: [1]}", NONE,
                   "x.yaml:1:16: train.steps: expected a whole number, found a list");
    assert_refuses("seed: 1.5", NONE, "x.yaml:1:7: seed: expected a whole number, found '1.5'");
    assert_refuses("train: {tensorboard: yes}", NONE,
                   "x.yaml:1:22: train.tensorboard: expected true or false, found 'yes'");
    assert_refuses("device: {a: b}", NONE, "x.yaml:1:9: device: expected a text, found a mapping");
    assert_refuses("device: ''", NONE, "x.yaml:1:9: device: must not be empty");
    assert_refuses("device: ~", NONE, "x.yaml:1:9: device: expected a text, found nothing");
    assert_refuses(
        "model: {compressor: hibrid}", NONE,
        "x.yaml:1:21: model.compressor: expected hybrid, bottleneck, attention or hierarchical, found "
        "'hibrid'; did you mean 'hybrid'?");
    assert_refuses("optim: {schedule: 1}", NONE,
                   "x.yaml:1:19: optim.schedule: expected constant, linear or cosine, found '1'");
    assert_refuses("optim: 3", NONE, "x.yaml:1:8: optim: is a group of keys, such as optim.lr; found '3'");
    assert_refuses("- a", NONE, "x.yaml:1:1: expected keys and values, found a list");
}

static void test_lists(void **state)
{
    (void)state;
    assert_refuses(
        "model: {head: {widths: 5}}", NONE,
        "x.yaml:1:24: model.head.widths: expected a list of whole numbers, such as [1, 2], found '5'");
    assert_refuses("model: {head: {widths: []}}", NONE,
                   "x.yaml:1:24: model.head.widths: expected 8 or fewer, at least one, numbers, found 0");
    assert_refuses("model: {head: {widths: [1,1,1,1,1,1,1,1,1]}}", NONE,
                   "x.yaml:1:24: model.head.widths: expected 8 or fewer, at least one, numbers, found 9");
    assert_refuses("model: {hierarchical: {hidden: [1, 2, 3]}}", NONE,
                   "x.yaml:1:32: model.hierarchical.hidden: expected 4 numbers, found 3");
    assert_refuses("model: {head: {widths: [1, [2]]}}", NONE,
                   "x.yaml:1:28: model.head.widths: expected a whole number, found a list");
    assert_refuses("model: {senses: []}", NONE,
                   "x.yaml:1:17: model.senses: the list is empty, expected at least one");
    assert_refuses("model: {senses: [audio, audio]}", NONE,
                   "x.yaml:1:25: model.senses: 'audio' is listed twice");
    assert_refuses(
        "model: {senses: [audoi]}", NONE,
        "x.yaml:1:18: model.senses: expected visual, depth, audio, tactile or proprioceptive, found "
        "'audoi'; did you mean 'audio'?");
    assert_refuses("data: {files: a.h5}", NONE,
                   "x.yaml:1:15: data.files: expected a list of texts, such as [a, b], found 'a.h5'");
    assert_refuses("data: {files: [a, {b: c}]}", NONE,
                   "x.yaml:1:19: data.files: expected a text, found a mapping");
    assert_refuses("data: {files: ['']}", NONE, "x.yaml:1:16: data.files: an element is empty");
}

static void test_unknown_keys(void **state)
{
    (void)state;
    assert_refuses("optim:\n  lrr: 1\n", NONE,
                   "x.yaml:2:3: optim.lrr: unknown key; did you mean 'optim.lr'?");
    assert_refuses("optin:\n  lr: 1\n", NONE, "x.yaml:1:1: optin: unknown key; did you mean 'optim'?");
    assert_refuses("lr: 1\n", NONE, "x.yaml:1:1: lr: unknown key; did you mean 'optim.lr'?");
    assert_refuses("model: {refinr: {heads: 1}}", NONE,
                   "x.yaml:1:9: model.refinr: unknown key; did you mean 'model.refiner'?");
    assert_refuses("model: {audio: {sizes: 1}}", NONE,
                   "x.yaml:1:17: model.audio.sizes: unknown key; did you mean 'model.audio.size'?");
    assert_refuses("flux_capacitor: 1\n", NONE,
                   "x.yaml:1:1: flux_capacitor: unknown key; docs/config.md lists those there are");
    assert_refuses("'': 1\n", NONE, "x.yaml:1:1: : unknown key; docs/config.md lists those there are");
    assert_refuses("", OVERRIDES("optin.lr=1"),
                   "override 'optin.lr=1': optin.lr: unknown key; did you mean 'optim.lr'?");
    assert_refuses("", OVERRIDES("train.stepz=1"),
                   "override 'train.stepz=1': train.stepz: unknown key; did you mean 'train.steps'?");
    char text[2000] = "";
    for (size_t i = 0; i < 1000; i++)
        text[i] = 'k';
    strcat(text, ": 1\n");
    assert_refuses(
        text, NONE,
        "x.yaml:1:1: kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk...: unknown key; docs/config.md "
        "lists those there are");
    memcpy(text + 1000, "=1", 3);
    assert_refuses(
        "", OVERRIDES(text),
        "override 'kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk...': "
        "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk...: unknown key; docs/config.md lists those "
        "there are");
}

static void test_twice(void **state)
{
    (void)state;
    assert_refuses("optim: {lr: 1, lr: 2}", NONE,
                   "x.yaml:1:16: the key 'lr' is here twice; the first is at line 1");
    assert_refuses("optim.lr: 1\noptim: {lr: 1}", NONE,
                   "x.yaml:2:9: optim.lr: is set twice; the first is at line 1");
}

static void test_overrides(void **state)
{
    (void)state;
    hl_config c = parse("optim: {lr: 1}\nmodel: {image: 64}\n",
                        OVERRIDES("optim.lr=2", "optim.lr=3", "run.dir=*a: #b, \"c\"", "device='cpu'",
                                  "model.senses=[audio, depth]", "optim={clip: 0, warmup: 5}",
                                  "data.split.train=", "data.files=['x=y', b]", "data.split.valid=- null"));
    assert_true(c.optim.lr == 3 && c.optim.clip == 0 && c.optim.warmup == 5);
    assert_int_equal(c.model.image, 64);
    assert_string_equal(c.run.dir, "*a: #b, \"c\"");
    assert_string_equal(c.device, "cpu");
    assert_int_equal(c.model.senses.n, 2);
    assert_string_equal(c.data.split.train, "");
    assert_string_equal(c.data.split.valid, "- null");
    assert_string_equal(c.data.files.at[0], "x=y");
    hl_config_free(&c);
    assert_refuses("", OVERRIDES("optim.lr=-1"), "override 'optim.lr=-1': optim.lr: -1 is below 0");
    assert_refuses("", OVERRIDES("optim.lr=1", "optim.lr=x"),
                   "override 'optim.lr=x': optim.lr: expected a number, found 'x'");
    assert_refuses("", OVERRIDES("optim.lr="), "override 'optim.lr=': optim.lr: the value is missing");
    assert_refuses("", OVERRIDES("optim.lr"),
                   "override 'optim.lr': expected KEY=VALUE, such as optim.lr=1e-3");
    assert_refuses("", OVERRIDES("=1"), "override '=1': expected KEY=VALUE, such as optim.lr=1e-3");
    assert_refuses("", OVERRIDES(""), "override '': expected KEY=VALUE, such as optim.lr=1e-3");
    assert_refuses("", OVERRIDES("run.dir="), "override 'run.dir=': run.dir: must not be empty");
    assert_refuses("", OVERRIDES("optim={clip: -1}"),
                   "override 'optim={clip: -1}': optim.clip: -1 is below 0");
    assert_refuses("", OVERRIDES("optim=1"),
                   "override 'optim=1': optim: is a group of keys, such as optim.lr; found '1'");
    assert_refuses("", OVERRIDES("run.dir=\xff"), "override 'run.dir=\xff': run.dir:1:2: invalid UTF-8");
    assert_refuses("", OVERRIDES("run.dir=\xc2\x45"), /* not U+0085 */
                   "override 'run.dir=\xc2\x45': run.dir:1:3: invalid UTF-8");
    assert_refuses("", OVERRIDES("data.files=[*.h5]"),
                   "override 'data.files=[*.h5]': data.files:1:3: aliases (*name) are not supported; quote a "
                   "text that begins with *");
}

static void test_conflicts(void **state)
{
    (void)state;
    assert_refuses("optim:\n  schedule: cosine\n  min_lr: 1\n", NONE,
                   "x.yaml:3:11: optim.min_lr: 1 is above optim.lr, which is 0.0001");
    assert_refuses("optim:\n  schedule: cosine\n  min_lr: 1e-5\n", OVERRIDES("optim.lr=1e-6"),
                   "override 'optim.lr=1e-6': optim.min_lr: 1e-05 is above optim.lr, which is 1e-06");
    assert_refuses("data: {format: robomimic}", NONE,
                   "x.yaml:1:16: data.files: the list is empty, expected the files of data.format robomimic");
    assert_refuses("data: {obs: {depth: {clip_min: 1}}}", NONE,
                   "x.yaml:1:32: data.obs.depth.clip_min: 1 is above clip_max, which is 0");
    assert_refuses("model: {temporal: {features: 3}}", NONE,
                   "x.yaml:1:30: model.temporal.features: 3 is odd, expected an even number");
    assert_refuses(
        "model: {refiner: {heads: 3}}", NONE,
        "x.yaml:1:26: model.refiner.heads: 3 does not divide 4096, the width of the context (the sum of "
        "all features)");
    assert_refuses(
        "model: {tokens: 3}", NONE,
        "x.yaml:1:17: model.tokens: 3 does not divide 4096, the width of the context (the sum of all "
        "features)");
    assert_refuses("model: {perceiver: {width: 12}}", NONE,
                   "x.yaml:1:28: model.perceiver.heads: 8 does not divide 12, the width of a latent");
    /* widths that are not used do not matter */
    hl_config c = parse("model: {compressor: bottleneck, tokens: 3}", NONE);
    hl_config_free(&c);
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
    assert_memory_equal(&a.model.head.widths, &b.model.head.widths, sizeof a.model.head.widths);
    hl_config_free(&a);
    hl_config_free(&b);
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
    for (int i = 0; i < hl_config_lines; i++) {
        const hl_config_line *line = &hl_config_table[i];
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
        fail_msg("docs/config.md is not what app/config.def says: run test_config --write");
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
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_unknown_keys),
        cmocka_unit_test(test_twice),
        cmocka_unit_test(test_overrides),
        cmocka_unit_test(test_conflicts),
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
