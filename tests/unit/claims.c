/* Steps that are in the middle of their update when others read, let go or update too. */
#include "tests/counting_store.h"
#include "tests/newest_values.h"

#include <unistd.h>

/* Of one session that updates w<i>. */
typedef struct by_hand {
    hl_param_use use;
    hl_param_uses uses;
    int held;
} by_hand;

static void hold(hl_params *params, by_hand *s, int i)
{
    char name[16];
    hl_error err = {0};
    snprintf(name, sizeof name, "w%d", i);
    s->use = (hl_param_use){.param = hl_params_find(params, name), .updated = true};
    s->uses = (hl_param_uses){.at = &s->use, .n = 1};
    if (hl_params_hold(params, &s->uses, false, &s->held, NULL, &err) != HL_OK)
        fail_msg("%s", err.message);
}

static void claim(hl_params *params, by_hand *s)
{
    hl_error err = {0};
    if (hl_params_claim(params, &s->uses, &err) != HL_OK)
        fail_msg("%s", err.message);
}

static void publish(hl_params *params, by_hand *s)
{
    hl_params_publish(params, &s->uses);
    hl_params_release(params, &s->uses, false, &s->held);
}

/* What two sessions have read, one of them may update: the other's step would undo that. */
static void no_update_is_lost(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_params *params = hl_params_new(1);
    hl_session *train = need(open_training(params, &err), &err);
    by_hand other;
    run(train);
    hold(params, &other, 3);
    run(train);
    assert_int_equal(hl_params_claim(params, &other.uses, &err), HL_ERR_USAGE);
    assert_non_null(strstr(err.message, "'w3' was updated by another session"));
    hl_params_release(params, &other.uses, false, &other.held);
    run(train);
    assert_true(newest(params, "w3")[299] == 3);
    assert_int_equal(live_buffers(params, "w3"), 1);
    hl_session_free(train);
    hl_params_free(params);
}

/* Who held the values lets go while the next ones are being written: then the old ones are of no use. */
static void a_snapshot_freed_in_the_middle_leaves_one_version(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_params *params = hl_params_new(1);
    hl_session *train = need(open_training(params, &err), &err);
    by_hand step;
    run(train);
    hl_snapshot *snapshot = hl_snapshot_take(params, &err);
    hold(params, &step, 3);
    claim(params, &step);
    assert_int_equal(live_buffers(params, "w3"), 2);
    hl_snapshot_free(snapshot);
    publish(params, &step);
    run(train);
    assert_int_equal(live_buffers(params, "w3"), 1);
    hl_session_free(train);
    hl_params_free(params);
}

static void *publish_later(void *context)
{
    hl_params *params = context;
    by_hand step;
    hold(params, &step, 3);
    claim(params, &step);
    usleep(100000);
    publish(params, &step);
    return NULL;
}

/* Two threads train parts of a store: each waits for the other's, though it is writing itself. */
static void a_thread_waits_for_another_that_writes(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_params *params = hl_params_new(1);
    hl_session *train = need(open_training(params, &err), &err);
    const int w3 = hl_params_find(params, "w3");
    pthread_t other;
    by_hand step;
    void *data;
    assert_int_equal(pthread_create(&other, NULL, publish_later, params), 0);
    for (bool writing = false; !writing; usleep(100)) {
        pthread_mutex_lock(&params->lock);
        writing = hl_entry_at(params, w3)->host[HL_F32].writing;
        pthread_mutex_unlock(&params->lock);
    }
    hold(params, &step, 2);
    claim(params, &step);
    if (newest_values(params, w3, HL_F32, &data, &err) != HL_OK)
        fail_msg("%s", err.message);
    assert_true(hl_params_version(params) == 1);
    assert_int_equal(newest_values(params, step.use.param, HL_F32, &data, &err), HL_ERR_USAGE);
    assert_non_null(strstr(err.message, "'w2' is being updated by a step that was started"));
    publish(params, &step);
    pthread_join(other, NULL);
    hl_session_free(train);
    hl_params_free(params);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_update_is_lost),
        cmocka_unit_test(a_snapshot_freed_in_the_middle_leaves_one_version),
        cmocka_unit_test(a_thread_waits_for_another_that_writes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
