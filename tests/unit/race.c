/* The threads of a phase: stages, pace and failure. */
#include "app/stress/race.h"
#include "base/error.h"
#include "base/process.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { RUNNERS = 3 };

typedef struct runner {
    hl_race *race;
    int fails_at; /* stage; -1: never */
    _Atomic int64_t runs, paced;
    bool slept;
    pthread_t thread;
} runner;

static void *work(void *context)
{
    runner *r = context;
    hl_error err = {0};
    hl_race_arrive(r->race);
    hl_race_await(r->race, HL_STAGE_WARM_UP);
    if (r->fails_at == HL_STAGE_WARM_UP) {
        hl_fail(&err, HL_ERR_DATA, "it broke");
        hl_race_fail(r->race, &err);
        hl_race_await(r->race, HL_STAGE_CLOSE);
        return NULL;
    }
    hl_race_arrive(r->race);
    hl_race_await(r->race, HL_STAGE_RUN);
    while (!hl_race_ended(r->race)) {
        r->runs++;
        hl_race_count(r->race, 1, 0);
    }
    r->slept = hl_race_sleep(r->race, hl_seconds() + 1000);
    hl_race_await(r->race, HL_STAGE_STOP);
    hl_race_arrive(r->race);
    hl_race_await(r->race, HL_STAGE_CLOSE);
    return NULL;
}

/* One for every two runs of the others. */
static void *follow(void *context)
{
    runner *r = context;
    hl_race_await(r->race, HL_STAGE_RUN);
    while (hl_race_await_inferences(r->race, 2 * (r->paced + 1))) {
        r->paced++;
        hl_race_count(r->race, 0, 1);
    }
    return NULL;
}

static void start(hl_race *race, runner *r, int fails_at)
{
    for (int i = 0; i < RUNNERS; i++) {
        r[i] = (runner){.race = race, .fails_at = i == 1 ? fails_at : -1};
        assert_int_equal(pthread_create(&r[i].thread, NULL, work, &r[i]), 0);
        hl_race_await_arrivals(race, i + 1);
    }
}

static void join(runner *r)
{
    for (int i = 0; i < RUNNERS; i++)
        pthread_join(r[i].thread, NULL);
}

/* On a busy machine that takes its time. */
static bool all_had_a_turn(const runner *r, const runner *follower)
{
    bool all = follower->paced > 0;
    for (int i = 0; i < RUNNERS; i++)
        all = all && r[i].runs > 0;
    return all;
}

static void all_go_through_the_stages(void **state)
{
    (void)state;
    hl_race race;
    runner r[RUNNERS], follower = {.race = &race};
    assert_int_equal(hl_race_init(&race, NULL, NULL), HL_OK);
    start(&race, r, -1);
    assert_int_equal(pthread_create(&follower.thread, NULL, follow, &follower), 0);
    hl_race_enter(&race, HL_STAGE_WARM_UP);
    hl_race_await_arrivals(&race, RUNNERS);
    for (int i = 0; i < RUNNERS; i++)
        assert_int_equal(r[i].runs, 0);
    hl_race_enter(&race, HL_STAGE_RUN);
    double began = hl_seconds();
    assert_true(race.began <= began);
    assert_true(hl_race_sleep(&race, began + 0.05));
    assert_true(hl_seconds() >= began + 0.05);
    while (!all_had_a_turn(r, &follower))
        hl_race_sleep(&race, hl_seconds() + 0.01);
    hl_race_enter(&race, HL_STAGE_STOP);
    hl_race_await_arrivals(&race, RUNNERS); /* who slept for long is awake */
    pthread_join(follower.thread, NULL);
    hl_race_enter(&race, HL_STAGE_CLOSE);
    join(r);
    int64_t runs = 0;
    for (int i = 0; i < RUNNERS; i++) {
        runs += r[i].runs;
        assert_true(r[i].runs > 0 && !r[i].slept);
    }
    assert_true(runs == race.inferences && follower.paced == race.trainings);
    assert_true(follower.paced > 0 && 2 * follower.paced <= runs);
    assert_false(hl_race_sleep(&race, hl_seconds() + 1000)); /* it is over */
    hl_race_destroy(&race);
}

static void one_failure_ends_it(void **state)
{
    (void)state;
    hl_race race;
    runner r[RUNNERS];
    assert_int_equal(hl_race_init(&race, NULL, NULL), HL_OK);
    start(&race, r, HL_STAGE_WARM_UP);
    hl_race_enter(&race, HL_STAGE_WARM_UP);
    hl_race_await_arrivals(&race, RUNNERS + 10); /* not all come */
    assert_true(race.failed && hl_race_ended(&race));
    assert_string_equal(race.err.message, "it broke");
    hl_race_fail(&race, &(hl_error){HL_ERR_IO, "later"});
    assert_int_equal(race.err.status, HL_ERR_DATA); /* the first one counts */
    assert_false(hl_race_await_inferences(&race, 1000000000));
    hl_race_enter(&race, HL_STAGE_CLOSE);
    join(r);
    hl_race_destroy(&race);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_go_through_the_stages),
        cmocka_unit_test(one_failure_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
