/* The reach world: what it shows is deterministic and in range; it can be done, and not by luck. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/philox.h"
#include "data/reach.h"

enum { IMAGE = 17 };

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

    /* Held out straight, bowing at the shoulder at fifty times full speed: into the floor. */
    hl_reach_state straight = hl_reach_get(world);
    memset(straight.angle, 0, sizeof straight.angle);
    hl_reach_set(world, &straight);
    for (int j = 0; j < HL_REACH_ACTION; j++)
        action[j] = j == 1 ? -50.0f : 0.0f;
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
    };
    return cmocka_run_group_tests_name("reach", tests, NULL, NULL);
}
