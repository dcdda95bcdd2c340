/* The data set of the reach world: it hands out the samples it promises, and nothing else. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <pthread.h>

#include <cmocka.h>

#include "base/memory.h"
#include "data/reach.h"

enum { IMAGE = 17, PIXELS = IMAGE * IMAGE };

static hl_error error;

static hl_reach *world_new(int64_t image)
{
    hl_reach *world = hl_reach_new(image, &error);
    if (!world)
        fail_msg("%s", error.message);
    return world;
}

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
    return cmocka_run_group_tests_name("reach_dataset", tests, NULL, NULL);
}
