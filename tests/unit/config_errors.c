/* What a configuration refuses, and the sentences it does so with; and overrides. */
#include "tests/config_case.h"

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
    assert_refuses("optim: {lr: inf}", NONE, "x.yaml:1:13: optim.lr: inf is above 1000000000");
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
                   "x.yaml:1:16: data.files: the list is empty, expected the files of the demonstrations");
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ranges),       cmocka_unit_test(test_types), cmocka_unit_test(test_lists),
        cmocka_unit_test(test_unknown_keys), cmocka_unit_test(test_twice), cmocka_unit_test(test_overrides),
        cmocka_unit_test(test_conflicts),
    };
    return cmocka_run_group_tests_name("config_errors", tests, NULL, NULL);
}
