/* The reach world: what it shows is deterministic and in range, it can be done and not by luck, and its
 * data set hands out the samples it promises. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <pthread.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/philox.h"
#include "data/reach.h"

enum { IMAGE = 17, PIXELS = IMAGE * IMAGE };

/* One frame of every sense at up to 32 pixels. */
typedef struct senses {
    float visual[3 * 32 * 32], depth[32 * 32], audio[1024], tactile[128], proprioceptive[64];
} senses;

static hl_error error;

static hl_reach *world_new(int64_t image)
{
    hl_reach *world = hl_reach_new(image, &error);
    if (!world)
        fail_msg("%s", error.message);
    return world;
}

static void look(hl_reach *world, senses *s)
{
    memset(s, 0, sizeof *s);
    hl_reach_observe(world,
                     (float *[HL_SENSES]){s->visual, s->depth, s->audio, s->tactile, s->proprioceptive});
}

static void random_action(uint64_t seed, int episode, int step, float action[HL_REACH_ACTION])
{
    for (int j = 0; j < HL_REACH_ACTION; j++)
        action[j] = 2 * hl_uniform_float(
                            hl_philox_block(seed, (uint32_t)step, (uint32_t)j, (uint64_t)episode).v[0]) -
                    1;
}

static void check_range(const float *x, int64_t n, float low, float high)
{
    for (int64_t i = 0; i < n; i++)
        if (!(x[i] >= low && x[i] <= high)) /* also NaN */
            fail_msg("value %lld is %g, not in %g to %g", (long long)i, (double)x[i], (double)low,
                     (double)high);
}

/* ------------------------------------------------------------------ the world */

typedef enum policy { EXPERT, NOTHING, RANDOM, RANDOM_HELD } policy;

static int successes(policy p, int episodes)
{
    hl_reach *world = world_new(0);
    int n = 0;
    for (int e = 0; e < episodes; e++) {
        float action[HL_REACH_ACTION] = {0};
        hl_reach_reset(world, 5, HL_REACH_UNSEEN + (uint64_t)e);
        assert_false(hl_reach_success(world));
        for (int t = 0; t < HL_REACH_STEPS; t++) {
            if (p == EXPERT)
                hl_reach_expert(world, action);
            else if (p == RANDOM || (p == RANDOM_HELD && t == 0))
                random_action(11, e, t, action);
            assert_int_equal(hl_reach_act(world, action, &error), HL_OK);
        }
        assert_int_equal(hl_reach_step(world), HL_REACH_STEPS);
        n += hl_reach_success(world);
    }
    hl_reach_free(world);
    return n;
}

static void test_expert_succeeds(void **state)
{
    (void)state;
    assert_true(successes(EXPERT, 200) > 196);
}

static void test_luck_does_not(void **state)
{
    (void)state;
    assert_true(successes(NOTHING, 200) < 10);
    assert_true(successes(RANDOM, 200) < 10);
    assert_true(successes(RANDOM_HELD, 200) < 10);
}

/* Success is the distance, at its tolerance, and only in the first 100 steps. */
static void test_success_is_distance(void **state)
{
    (void)state;
    hl_reach *world = world_new(0);
    senses s = {0};
    float *tip = s.proprioceptive + 57;
    hl_reach_state at = hl_reach_get(world);

    hl_reach_observe(world, (float *[HL_SENSES]){[HL_PROPRIOCEPTIVE] = s.proprioceptive});
    for (int i = 0; i < 2; i++) {
        memcpy(at.target, tip, sizeof at.target);
        at.target[2] += i ? 0.0505f : 0.0495f;
        hl_reach_set(world, &at);
        assert_float_equal(hl_reach_distance(world), i ? 0.0505 : 0.0495, 1e-5);
        assert_int_equal(hl_reach_success(world), i == 0);
    }
    /* The target is away; the arm stands 100 steps, then the expert comes too late. */
    hl_reach_reset(world, 0, 0);
    for (int t = 0; t < 200; t++) {
        float action[HL_REACH_ACTION] = {0};
        if (t >= HL_REACH_STEPS)
            hl_reach_expert(world, action);
        assert_int_equal(hl_reach_act(world, action, &error), HL_OK);
    }
    assert_true(hl_reach_distance(world) < HL_REACH_TOLERANCE);
    assert_false(hl_reach_success(world));
    hl_reach_free(world);
}

static void test_senses_are_in_range(void **state)
{
    (void)state;
    static const int image[] = {8, 17, 32};
    for (int k = 0; k < 3; k++) {
        hl_reach *world = world_new(image[k]);
        int64_t n = (int64_t)image[k] * image[k];
        for (int e = 0; e < 20; e++) {
            hl_reach_reset(world, 3, (uint64_t)e);
            for (int t = 0; t < 40; t++) {
                float action[HL_REACH_ACTION];
                senses s;
                look(world, &s);
                check_range(s.visual, 3 * n, 0, 1);
                check_range(s.depth, n, 0, 1);
                check_range(s.audio, 1024, 0, 1);
                check_range(s.tactile, 128, 0, 1);
                check_range(s.proprioceptive, 64, -1.6f, 1.6f);
                for (int i = 60; i < 64; i++)
                    assert_true(s.proprioceptive[i] == 0);
                for (int64_t i = 3 * n; i < 3 * 32 * 32; i++)
                    assert_true(s.visual[i] == 0); /* nothing is written past the image */
                random_action(2, e, 0, action);    /* held: goes to limits and floor */
                assert_int_equal(hl_reach_act(world, action, &error), HL_OK);
            }
        }
        hl_reach_free(world);
    }
}

/* Every sense but proprioception tells of the target, and touch only when it is near. */
static void test_senses_tell_of_the_target(void **state)
{
    (void)state;
    hl_reach *world = world_new(32);
    for (int e = 0; e < 20; e++) {
        senses before, after;
        hl_reach_reset(world, 4, (uint64_t)e);
        hl_reach_state at = hl_reach_get(world);
        look(world, &before);
        at.target[0] -= 0.05f;
        at.target[2] += 0.03f;
        hl_reach_set(world, &at);
        look(world, &after);
        assert_memory_not_equal(before.visual, after.visual, sizeof before.visual);
        assert_memory_not_equal(before.audio, after.audio, 512 * sizeof(float));
        assert_memory_not_equal(before.audio + 512, after.audio + 512, 512 * sizeof(float));
        assert_memory_equal(before.proprioceptive, after.proprioceptive, sizeof before.proprioceptive);

        float most = 0;
        memcpy(at.target, before.proprioceptive + 57, sizeof at.target); /* onto the fingertip */
        hl_reach_set(world, &at);
        look(world, &after);
        for (int i = 124; i < 128; i++)
            most = fmaxf(most, after.tactile[i]);
        assert_true(most > 0.9f);
        at.target[1] += 5; /* far from all of the arm */
        hl_reach_set(world, &at);
        hl_reach_observe(world, (float *[HL_SENSES]){[HL_TACTILE] = after.tactile});
        for (int i = 64; i < 128; i++)
            assert_true(after.tactile[i] == 0 || after.proprioceptive[59] < 0.2f);
    }
    hl_reach_free(world);
}

static void test_same_seed_same_world(void **state)
{
    (void)state;
    hl_reach *a = world_new(IMAGE), *b = world_new(IMAGE);
    senses x, y;
    hl_reach_reset(a, 8, 3);
    hl_reach_reset(b, 1, 1); /* what b did before must not matter */
    look(b, &y);
    hl_reach_reset(b, 8, 3);
    for (int t = 0; t < 30; t++) {
        float action[HL_REACH_ACTION], again[HL_REACH_ACTION];
        look(a, &x);
        look(b, &y);
        assert_memory_equal(&x, &y, sizeof x);
        hl_reach_expert(a, action);
        hl_reach_expert(b, again);
        assert_memory_equal(action, again, sizeof action);
        check_range(action, HL_REACH_ACTION, -1, 1);
        hl_reach_act(a, action, &error);
        hl_reach_act(b, action, &error);
    }
    hl_reach_state first, other[3];
    hl_reach_reset(a, 8, 3);
    first = hl_reach_get(a);
    hl_reach_reset(a, 8, 4);
    other[0] = hl_reach_get(a);
    hl_reach_reset(a, 9, 3);
    other[1] = hl_reach_get(a);
    hl_reach_reset(a, 8, HL_REACH_UNSEEN + 3);
    other[2] = hl_reach_get(a);
    for (int i = 0; i < 3; i++) {
        assert_memory_not_equal(first.angle, other[i].angle, sizeof first.angle);
        assert_memory_not_equal(first.target, other[i].target, sizeof first.target);
    }
    hl_reach_free(a);
    hl_reach_free(b);
}

static void test_motion_is_bounded(void **state)
{
    (void)state;
    hl_reach *world = world_new(0);
    float action[HL_REACH_ACTION];

    /* Stretches out and bows at the shoulder, at fifty times full speed: into the floor. */
    for (int j = 0; j < HL_REACH_ACTION; j++)
        action[j] = j % 2 == 0 ? 0.0f : j <= 5 ? -50.0f : 50.0f;
    float lowest = 1;
    for (int t = 0; t < 100; t++) {
        hl_reach_state before = hl_reach_get(world);
        assert_int_equal(hl_reach_act(world, action, &error), HL_OK);
        hl_reach_state after = hl_reach_get(world);
        float p[64];
        hl_reach_observe(world, (float *[HL_SENSES]){[HL_PROPRIOCEPTIVE] = p});
        lowest = fminf(lowest, p[59]);
        for (int j = 0; j < HL_REACH_ACTION; j++) {
            assert_true(fabsf(after.angle[j] - before.angle[j]) <= HL_REACH_SPEED * HL_REACH_PERIOD + 1e-6);
            assert_true(fabsf(after.angle[j]) <= 1.2001f);
        }
    }
    assert_true(lowest >= 0.025f - 1e-5f && lowest < 0.1f); /* came to the floor, and stayed on it */
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    for (int i = 0; i < 3; i++) {
        hl_reach_state before = hl_reach_get(world);
        int step = hl_reach_step(world);
        memset(action, 0, sizeof action);
        action[18] = bad[i];
        action[0] = 1;
        assert_int_equal(hl_reach_act(world, action, &error), HL_ERR_NUMERIC);
        assert_non_null(strstr(error.message, "action[18]"));
        hl_reach_state after = hl_reach_get(world);
        assert_memory_equal(&before, &after, sizeof before);
        assert_int_equal(hl_reach_step(world), step);
    }
    hl_reach_free(world);
}

/* Small moves of the target move the expert's action little: it can be imitated. */
static void test_expert_is_smooth(void **state)
{
    (void)state;
    hl_reach *world = world_new(0);
    for (int e = 0; e < 200; e++) {
        float a[HL_REACH_ACTION], b[HL_REACH_ACTION];
        hl_reach_reset(world, 6, (uint64_t)e);
        hl_reach_expert(world, a);
        hl_reach_state at = hl_reach_get(world);
        at.target[e % 3] += 0.001f;
        hl_reach_set(world, &at);
        hl_reach_expert(world, b);
        for (int j = 0; j < HL_REACH_ACTION; j++)
            assert_true(fabsf(a[j] - b[j]) < 0.02f);
    }
    hl_reach_free(world);
}

static void test_bad_image_size(void **state)
{
    (void)state;
    static const int64_t bad[] = {-1, 1, 7, 4097, INT64_MAX, INT64_MIN};
    for (int i = 0; i < 6; i++) {
        error = (hl_error){0};
        assert_null(hl_reach_new(bad[i], &error));
        assert_int_equal(error.status, HL_ERR_USAGE);
        assert_non_null(strstr(error.message, "8 to 4096"));
    }
    hl_reach_free(NULL);
}

/* ------------------------------------------------------------------ the data set */

static hl_data_shape shape_of(int64_t frames)
{
    return (hl_data_shape){IMAGE, {3 * PIXELS, PIXELS, 1024, 128, 64}, HL_REACH_ACTION, frames};
}

static hl_reach_options few(int64_t episodes, int64_t steps, bool raw)
{
    hl_reach_options o = hl_reach_defaults();
    o.episodes = episodes;
    o.steps = steps;
    o.raw = raw;
    return o;
}

static hl_dataset *open_set(hl_reach_options o, hl_data_shape shape)
{
    hl_dataset *d = hl_reach_dataset_open(&o, shape, &error);
    if (!d)
        fail_msg("%s", error.message);
    return d;
}

enum { FRAMES = 3 };

/* Room for one sample of up to 3 frames. */
typedef struct room {
    float visual[FRAMES][3 * PIXELS], depth[FRAMES][PIXELS], audio[FRAMES][1024], tactile[FRAMES][128];
    float proprioceptive[FRAMES][64], presence[HL_SENSES], action[HL_REACH_ACTION], mask[HL_REACH_ACTION];
    float previous[HL_REACH_ACTION];
} room;

static hl_status read_into(hl_dataset *d, hl_split split, int64_t index, room *r)
{
    hl_sample s = {{r->visual[0], r->depth[0], r->audio[0], r->tactile[0], r->proprioceptive[0]},
                   r->presence,
                   r->action,
                   r->mask,
                   r->previous};
    memset(r, 0xff, sizeof *r); /* NaN wherever nothing is written */
    return d->read(d, split, index, &s, &error);
}

static void test_dataset_counts(void **state)
{
    (void)state;
    static const int64_t episodes[] = {1, 9, 10, 17, 100}, valid[] = {0, 0, 1, 1, 10};
    for (int i = 0; i < 5; i++) {
        hl_dataset *d = open_set(few(episodes[i], 7, false), (hl_data_shape){0, {0, 0, 0, 0, 64}, 19, 1});
        assert_string_equal(d->name, "reach");
        assert_int_equal(d->count[HL_VALID], valid[i] * 7);
        assert_int_equal(d->count[HL_TRAIN], (episodes[i] - valid[i]) * 7);
        hl_dataset_close(d);
    }
    hl_dataset_close(NULL);
}

/* Raw samples are what a world shows that is driven by the same episode: expert label, noisy motion. */
static void test_dataset_is_the_world(void **state)
{
    (void)state;
    enum { STEPS = 6 };
    hl_reach_options o = few(12, STEPS, true);
    o.noise = 0;
    o.seed = 77;
    hl_dataset *d = open_set(o, shape_of(1));
    hl_reach *world = world_new(IMAGE);
    static const int episode_of_train[11] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11};
    static room r;
    for (int n = 0; n < 12; n++) { /* the twelfth is the valid split's: episode 9 */
        float last[HL_REACH_ACTION] = {0};
        hl_reach_reset(world, 77, n < 11 ? (uint64_t)episode_of_train[n] : 9);
        for (int t = 0; t < STEPS; t++) {
            float action[HL_REACH_ACTION], visual[3 * PIXELS], depth[PIXELS], audio[1024], tactile[128],
                own[64];
            hl_reach_observe(world, (float *[HL_SENSES]){visual, depth, audio, tactile, own});
            hl_reach_expert(world, action);
            assert_int_equal(read_into(d, n < 11 ? HL_TRAIN : HL_VALID, (n < 11 ? n : 0) * STEPS + t, &r),
                             HL_OK);
            assert_memory_equal(r.visual[0], visual, sizeof visual);
            assert_memory_equal(r.depth[0], depth, sizeof depth);
            assert_memory_equal(r.audio[0], audio, sizeof audio);
            assert_memory_equal(r.tactile[0], tactile, sizeof tactile);
            assert_memory_equal(r.proprioceptive[0], own, sizeof own);
            assert_memory_equal(r.action, action, sizeof action);
            assert_memory_equal(r.previous, last, sizeof last);
            for (int j = 0; j < HL_REACH_ACTION; j++)
                assert_true(r.mask[j] == 1);
            for (int k = 0; k < HL_SENSES; k++)
                assert_true(r.presence[k] == 1);
            memcpy(last, action, sizeof last);
            assert_int_equal(hl_reach_act(world, action, &error), HL_OK);
        }
    }
    hl_reach_free(world);
    hl_dataset_close(d);
}

/* Noise moves the arm by about what the options say, and leaves the label the expert's. */
static void test_noise_is_executed_not_recorded(void **state)
{
    (void)state;
    hl_reach_options o = few(60, 20, true);
    o.noise = 0.25;
    hl_dataset *d = open_set(o, (hl_data_shape){0, {0, 0, 0, 0, 64}, 19, 1});
    double squares = 0, product = 0, before[HL_REACH_ACTION] = {0};
    int64_t n = 0, pairs = 0;
    static room r, next;
    for (int64_t i = 0; i + 1 < d->count[HL_TRAIN]; i++) {
        if (i % 20 == 19)
            continue;
        assert_int_equal(read_into(d, HL_TRAIN, i, &r), HL_OK);
        assert_int_equal(read_into(d, HL_TRAIN, i + 1, &next), HL_OK);
        for (int j = 0; j < HL_REACH_ACTION; j++) {
            double noise = (double)next.proprioceptive[0][38 + j] - (double)r.action[j];
            squares += noise * noise;
            n++;
            if (i % 20 > 0) {
                product += noise * before[j];
                pairs++;
            }
            before[j] = noise;
        }
    }
    double deviation = sqrt(squares / (double)n);
    assert_true(deviation > 0.22 && deviation < 0.27);
    assert_float_equal(product / (double)pairs / (deviation * deviation), o.noise_memory, 0.08);
    hl_dataset_close(d);
}

static void test_history_repeats_the_first_frame(void **state)
{
    (void)state;
    enum { STEPS = 5 };
    hl_dataset *one = open_set(few(3, STEPS, false), shape_of(1));
    hl_dataset *three = open_set(few(3, STEPS, false), shape_of(FRAMES));
    static room now[STEPS], window;
    for (int e = 0; e < 3; e++) {
        for (int t = 0; t < STEPS; t++)
            assert_int_equal(read_into(one, HL_TRAIN, e * STEPS + t, &now[t]), HL_OK);
        for (int t = 0; t < STEPS; t++) {
            assert_int_equal(read_into(three, HL_TRAIN, e * STEPS + t, &window), HL_OK);
            for (int f = 0; f < FRAMES; f++) {
                int from = t - (FRAMES - 1 - f) > 0 ? t - (FRAMES - 1 - f) : 0;
                assert_memory_equal(window.visual[f], now[from].visual[0], sizeof now[0].visual[0]);
                assert_memory_equal(window.depth[f], now[from].depth[0], sizeof now[0].depth[0]);
                assert_memory_equal(window.audio[f], now[from].audio[0], sizeof now[0].audio[0]);
                assert_memory_equal(window.tactile[f], now[from].tactile[0], sizeof now[0].tactile[0]);
                assert_memory_equal(window.proprioceptive[f], now[from].proprioceptive[0],
                                    sizeof now[0].proprioceptive[0]);
            }
            assert_memory_equal(window.action, now[t].action, sizeof window.action);
        }
    }
    hl_dataset_close(one);
    hl_dataset_close(three);
}

/* Mean 0 and deviation 1 over the train split, and raw = stored * scale + offset. */
static void test_normalization(void **state)
{
    (void)state;
    hl_dataset *d = open_set(few(30, 10, false), shape_of(1)),
               *raw = open_set(few(30, 10, true), shape_of(1));
    double sum = 0, squares = 0, seen = 0, seen_squares = 0;
    int64_t n = d->count[HL_TRAIN];
    static room r, plain;

    assert_int_equal(d->normalization.action.count, HL_REACH_ACTION);
    assert_int_equal(d->normalization.sense[HL_VISUAL].count, 3 * PIXELS);
    assert_int_equal(raw->normalization.action.count, 0);
    assert_int_equal(raw->normalization.sense[HL_AUDIO].count, 0);
    for (int64_t i = 0; i < n; i++) {
        assert_int_equal(read_into(d, HL_TRAIN, i, &r), HL_OK);
        sum += (double)r.action[7];
        squares += (double)r.action[7] * (double)r.action[7];
        for (int k = 0; k < 3 * PIXELS; k++) {
            seen += (double)r.visual[0][k];
            seen_squares += (double)r.visual[0][k] * (double)r.visual[0][k];
        }
        assert_true(r.proprioceptive[0][63] == 0);
    }
    assert_float_equal(sum / (double)n, 0, 1e-4);
    assert_float_equal(squares / (double)n, 1, 1e-3);
    assert_float_equal(seen / (double)n / (3 * PIXELS), 0, 1e-4);
    assert_float_equal(seen_squares / (double)n / (3 * PIXELS), 1, 1e-3);

    assert_int_equal(read_into(d, HL_VALID, 4, &r), HL_OK);
    assert_int_equal(read_into(raw, HL_VALID, 4, &plain), HL_OK);
    assert_memory_not_equal(r.audio[0], plain.audio[0], sizeof r.audio[0]);
    hl_denormalize(&d->normalization.sense[HL_AUDIO], r.audio[0]);
    hl_denormalize(&d->normalization.sense[HL_DEPTH], r.depth[0]);
    hl_denormalize(&d->normalization.action, r.action);
    for (int i = 0; i < 1024; i++)
        assert_float_equal(r.audio[0][i], plain.audio[0][i], 1e-5);
    for (int i = 0; i < PIXELS; i++)
        assert_float_equal(r.depth[0][i], plain.depth[0][i], 1e-5);
    for (int i = 0; i < HL_REACH_ACTION; i++)
        assert_float_equal(r.action[i], plain.action[i], 1e-5);
    hl_dataset_close(d);
    hl_dataset_close(raw);
}

static void test_unused_senses(void **state)
{
    (void)state;
    hl_dataset *d = open_set(few(10, 3, false), (hl_data_shape){0, {0, 0, 1024, 0, 64}, 19, 1});
    float audio[1024], own[64], presence[HL_SENSES], action[19], mask[19], previous[19];
    hl_sample s = {{NULL, NULL, audio, NULL, own}, presence, action, mask, previous};
    static const float want[HL_SENSES] = {0, 0, 1, 0, 1};
    assert_int_equal(d->read(d, HL_VALID, 2, &s, &error), HL_OK);
    assert_memory_equal(presence, want, sizeof want);
    hl_dataset_close(d);
}

static void test_index_out_of_range(void **state)
{
    (void)state;
    hl_dataset *d = open_set(few(10, 3, false), shape_of(1));
    static room r;
    static const int64_t bad[] = {-1, 27, INT64_MAX, INT64_MIN};
    assert_int_equal(read_into(d, HL_TRAIN, 26, &r), HL_OK);
    for (int i = 0; i < 4; i++)
        assert_int_equal(read_into(d, HL_TRAIN, bad[i], &r), HL_ERR_USAGE);
    assert_int_equal(read_into(d, HL_VALID, 2, &r), HL_OK);
    assert_int_equal(read_into(d, HL_VALID, 3, &r), HL_ERR_USAGE);
    assert_non_null(strstr(error.message, "no sample 3"));
    hl_dataset_close(d);
}

static void refuse(hl_reach_options o, hl_data_shape shape, const char *part)
{
    error = (hl_error){0};
    assert_null(hl_reach_dataset_open(&o, shape, &error));
    assert_int_equal(error.status, HL_ERR_CONFIG);
    if (!strstr(error.message, part))
        fail_msg("\"%s\" does not say \"%s\"", error.message, part);
}

static void test_bad_options(void **state)
{
    (void)state;
    hl_reach_options o;
    refuse(few(0, 5, false), shape_of(1), "0 episodes");
    refuse(few(INT64_MAX, 5, false), shape_of(1), "episodes");
    refuse(few(5, 0, false), shape_of(1), "0 steps");
    static const double noise[] = {-0.1, NAN, INFINITY}, memory[] = {-0.1, 1.0, NAN};
    for (int i = 0; i < 3; i++) {
        o = few(5, 5, false);
        o.noise = noise[i];
        refuse(o, shape_of(1), "noise");
        o = few(5, 5, false);
        o.noise_memory = memory[i];
        refuse(o, shape_of(1), "noise memory");
    }
    hl_data_shape shape = shape_of(1);
    shape.action = 7;
    refuse(few(5, 5, false), shape, "19 joints");
    refuse(few(5, 5, false), shape_of(0), "0 frames");
    shape = shape_of(1);
    shape.size[HL_AUDIO] = 512;
    refuse(few(5, 5, false), shape, "audio has 1024");
    shape = shape_of(1);
    shape.image = 7;
    refuse(few(5, 5, false), shape, "not 7");
    shape = shape_of(1);
    shape.size[HL_VISUAL] = -1;
    refuse(few(5, 5, false), shape, "visual");
}

/* Every allocation on the way to an open data set may fail: a clear error, and nothing leaks. */
static void test_no_memory(void **state)
{
    (void)state;
    hl_reach_options o = few(3, 2, false);
    int failures = 0;
    for (uint64_t n = 1; n < 200; n++) {
        error = (hl_error){0};
        hl_alloc_fail_at(n);
        hl_dataset *d = hl_reach_dataset_open(&o, shape_of(1), &error);
        hl_alloc_fail_at(0);
        if (d) {
            hl_dataset_close(d);
            break;
        }
        assert_int_equal(error.status, HL_ERR_MEMORY);
        failures++;
    }
    assert_true(failures >= 30 && failures < 199);
}

static void test_reading_does_not_allocate(void **state)
{
    (void)state;
    hl_dataset *d = open_set(few(10, 3, false), shape_of(FRAMES));
    static room r;
    uint64_t before = hl_alloc_count();
    for (int64_t i = 0; i < d->count[HL_TRAIN]; i++)
        assert_int_equal(read_into(d, HL_TRAIN, i, &r), HL_OK);
    assert_int_equal(hl_alloc_count(), before);
    hl_dataset_close(d);
}

/* What a data set holds does not depend on the thread that makes or reads it. */
static void *read_elsewhere(void *argument)
{
    hl_reach_options o = few(10, 4, false);
    hl_error e = {0};
    hl_dataset *d = hl_reach_dataset_open(&o, shape_of(1), &e);
    if (d && read_into(d, HL_TRAIN, 17, argument) != HL_OK)
        memset(argument, 0, sizeof(room));
    hl_dataset_close(d);
    return NULL;
}

static void test_threads_agree(void **state)
{
    (void)state;
    static room r[3];
    pthread_t thread[2];
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, read_elsewhere, &r[i]), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    read_elsewhere(&r[2]);
    assert_true(r[2].action[0] == r[2].action[0] && r[2].mask[0] == 1);
    assert_memory_equal(r[0].visual[0], r[2].visual[0], sizeof r[0].visual[0]);
    assert_memory_equal(r[1].audio[0], r[2].audio[0], sizeof r[1].audio[0]);
    assert_memory_equal(r[0].action, r[2].action, sizeof r[0].action);
    assert_memory_equal(r[1].action, r[2].action, sizeof r[1].action);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_expert_succeeds),
        cmocka_unit_test(test_luck_does_not),
        cmocka_unit_test(test_success_is_distance),
        cmocka_unit_test(test_senses_are_in_range),
        cmocka_unit_test(test_senses_tell_of_the_target),
        cmocka_unit_test(test_same_seed_same_world),
        cmocka_unit_test(test_motion_is_bounded),
        cmocka_unit_test(test_expert_is_smooth),
        cmocka_unit_test(test_bad_image_size),
        cmocka_unit_test(test_dataset_counts),
        cmocka_unit_test(test_dataset_is_the_world),
        cmocka_unit_test(test_noise_is_executed_not_recorded),
        cmocka_unit_test(test_history_repeats_the_first_frame),
        cmocka_unit_test(test_normalization),
        cmocka_unit_test(test_unused_senses),
        cmocka_unit_test(test_index_out_of_range),
        cmocka_unit_test(test_bad_options),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_reading_does_not_allocate),
        cmocka_unit_test(test_threads_agree),
    };
    return cmocka_run_group_tests_name("reach", tests, NULL, NULL);
}
