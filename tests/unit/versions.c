/* Sessions that read a store while another trains it: each run sees one version. */
#include "io/checkpoint.h"
#include "tests/counting_store.h"
#include "tests/temporary.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { INFERENCES = 20000 };
#else
enum { INFERENCES = 1000000 };
#endif

/* ------------------------------------------------------------------ threads */

typedef struct shared {
    hl_params *params;
    atomic_int inferences, failures, snapshots;
    atomic_bool stop;
    atomic_uint_fast64_t newest; /* version that any reader has seen */
} shared;

static void *infer(void *context)
{
    shared *all = context;
    hl_error err = {0};
    uint64_t before = 0;
    hl_session *s = open_reading(all->params, (hl_session_options){.concurrent = true}, &err);
    atomic_fetch_add(&all->snapshots, 1); /* has begun */
    while (s && atomic_fetch_add(&all->inferences, 1) < INFERENCES) {
        bool ok = hl_session_run(s, &err) == HL_OK && !mixed(s) && hl_session_version(s) >= before;
        before = hl_session_version(s);
        atomic_fetch_add(&all->failures, !ok);
    }
    if (before > atomic_load(&all->newest))
        atomic_store(&all->newest, before);
    atomic_fetch_add(&all->failures, !s);
    hl_session_free(s);
    return NULL;
}

static void *watch(void *context)
{
    shared *all = context;
    while (!atomic_load(&all->stop)) {
        hl_error err = {0};
        hl_snapshot *snapshot = hl_snapshot_take(all->params, &err);
        atomic_fetch_add(&all->failures, !snapshot);
        if (!snapshot)
            break;
        const float want = (float)hl_snapshot_version(snapshot);
        atomic_fetch_add(&all->failures, not_all(snapshot, want));
        usleep(1000); /* the training goes on */
        atomic_fetch_add(&all->failures, not_all(snapshot, want));
        hl_snapshot_free(snapshot);
        atomic_fetch_add(&all->snapshots, 1);
    }
    return NULL;
}

static void no_run_sees_two_versions(void **state)
{
    (void)state;
    enum { READERS = 2 };
    hl_error err = {0};
    shared all = {.params = hl_params_new(1)};
    hl_session *train = need(open_training(all.params, &err), &err);
    pthread_t reader[READERS], watcher;
    for (int i = 0; i < READERS; i++) { /* sessions are opened one at a time */
        assert_int_equal(pthread_create(&reader[i], NULL, infer, &all), 0);
        while (atomic_load(&all.snapshots) <= i)
            usleep(100);
    }
    atomic_store(&all.snapshots, 0);
    assert_int_equal(pthread_create(&watcher, NULL, watch, &all), 0);
    uint64_t steps = 0;
    while (atomic_load(&all.inferences) < INFERENCES) {
        run(train);
        steps++;
        assert_true(live_buffers(all.params, "w3") <= 3);
    }
    for (int i = 0; i < READERS; i++)
        pthread_join(reader[i], NULL);
    atomic_store(&all.stop, true);
    pthread_join(watcher, NULL);
    assert_int_equal(atomic_load(&all.failures), 0);
    assert_true(hl_params_version(all.params) == steps);
    print_message("%d inferences and %d snapshots during %llu training steps, none mixed\n", INFERENCES,
                  atomic_load(&all.snapshots), (unsigned long long)steps);
    assert_true(steps > 10 && atomic_load(&all.newest) > 5 && atomic_load(&all.snapshots) > 0);
    run(train);
    assert_int_equal(live_buffers(all.params, "w3"), 1); /* nobody reads any more */
    hl_session_free(train);
    hl_params_free(all.params);
}

/* ------------------------------------------------------------------ one after the other */

static void alone_it_trains_in_place(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_params *params = hl_params_new(1);
    hl_session *train = need(open_training(params, &err), &err);
    run(train);
    const float *place = newest(params, "w3");
    run(train);
    assert_ptr_equal(newest(params, "w3"), place);
    hl_session *plain = need(open_reading(params, (hl_session_options){0}, &err), &err);
    run(plain);
    run(train); /* a session that takes turns needs no second buffer */
    assert_ptr_equal(newest(params, "w3"), place);
    run(plain);
    assert_int_equal(mixed(plain), 0);

    hl_session *beside = need(open_reading(params, (hl_session_options){.concurrent = true}, &err), &err);
    run(train);
    const float *other = newest(params, "w3");
    assert_ptr_not_equal(other, place);
    assert_int_equal(live_buffers(params, "w3"), 2);
    assert_int_equal(live_buffers(params, "adamw.m.w3") + live_buffers(params, "adamw.v.w3"), 2);
    run(train);
    assert_ptr_equal(newest(params, "w3"), place);
    run(beside);
    run(plain);
    assert_int_equal(mixed(beside) + mixed(plain), 0);
    assert_true(hl_session_version(beside) == 5);
    hl_session_free(beside);
    assert_int_equal(live_buffers(params, "w3"), 1);
    uint64_t before = hl_alloc_count();
    run(train);
    run(plain);
    assert_true(hl_alloc_count() == before);
    assert_int_equal(mixed(plain), 0);
    hl_session_free(plain);
    hl_session_free(train);
    hl_params_free(params);
}

static void a_skipped_step_is_a_version_too(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_params *params = hl_params_new(1);
    hl_session *train = need(open_training(params, &err), &err);
    hl_session *beside = need(open_reading(params, (hl_session_options){.concurrent = true}, &err), &err);
    run(train);
    run(train);
    hl_session_set(train, "extra", 1.0f / 0.0f);
    run(train);
    run(beside);
    assert_true(hl_session_version(beside) == 3 && hl_session_output(beside, "y3")[299] == 4);
    hl_session_set(train, "extra", 0);
    run(train);
    run(beside);
    assert_true(hl_session_output(beside, "y3")[299] == 6 && hl_session_output(beside, "y0")[0] == 6);
    hl_session_free(beside);
    hl_session_free(train);
    hl_params_free(params);
}

static void copies_in_16_bits_follow(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_params *params = hl_params_new(1);
    hl_graph *g = hl_graph_new();
    hl_tensor w = hl_param(g, params, "m", 2, (int64_t[]){3, 17}, (hl_init_rule){.kind = HL_ZEROS});
    hl_tensor x = hl_input(g, "x", HL_F32, 2, (int64_t[]){1, 17});
    hl_output(g, "y", hl_linear(g, x, w, (hl_tensor){0}));
    hl_session *reader = need(
        hl_session_open(g, params, &(hl_session_options){.concurrent = true, .precision = HL_PRECISION_BF16},
                        &err),
        &err);
    hl_graph_free(g);
    g = hl_graph_new();
    w = hl_param(g, params, "m", 2, (int64_t[]){3, 17}, (hl_init_rule){.kind = HL_ZEROS});
    hl_adamw(g, params, hl_scale(g, hl_sum_all(g, w), -1),
             (hl_adamw_options){.beta1 = 1e-30f, .beta2 = 1e-30f, .eps = 1e-30f});
    hl_session *train = need(hl_session_new(g, params, "cpu", &err), &err);
    hl_graph_free(g);
    hl_session_set(train, "lr", 1);
    hl_session_input(reader, "x")[16] = 1;
    for (int step = 0; step < 20; step++) { /* bf16 holds whole numbers up to 256 */
        run(reader);
        assert_true(hl_session_output(reader, "y")[2] == (float)step);
        run(train);
    }
    hl_session_free(train);
    hl_session_free(reader);
    hl_params_free(params);
}

static void frozen_sessions_keep_theirs(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_params *params = hl_params_new(1);
    hl_session *train = need(open_training(params, &err), &err);
    run(train);
    hl_session *frozen = need(open_reading(params, (hl_session_options){.frozen = true}, &err), &err);
    for (int i = 0; i < 5; i++) {
        run(train);
        run(frozen);
        assert_true(hl_session_version(frozen) == 1);
        assert_int_equal(mixed(frozen), 0);
    }
    assert_int_equal(live_buffers(params, "w3"), 2);
    hl_session_free(frozen);
    assert_int_equal(live_buffers(params, "w3"), 1);
    hl_session_free(train);
    hl_params_free(params);
}

/* ------------------------------------------------------------------ snapshots */

static void a_checkpoint_is_of_one_version(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_params *params = hl_params_new(1), *back = hl_params_new(2);
    hl_session *train = need(open_training(params, &err), &err);
    run(train);
    run(train);
    hl_snapshot *snapshot = hl_snapshot_take(params, &err);
    assert_non_null(snapshot);
    run(train);
    const char *path = temporary_path("version.h5");
    assert_int_equal(hl_checkpoint_write_snapshot(path, snapshot, &(hl_checkpoint_meta){.step = 2},
                                                  HL_CHECKPOINT_ALL, &err),
                     HL_OK);
    hl_snapshot_free(snapshot);
    hl_session *other = need(open_training(back, &err), &err);
    assert_int_equal(hl_checkpoint_read(path, back, HL_CHECKPOINT_ALL, &err), HL_OK);
    for (int i = 0; i < TENSORS; i++) {
        char name[16];
        snprintf(name, sizeof name, "w%d", i);
        assert_true(newest(back, name)[sizes[i] - 1] == 2 && newest(params, name)[sizes[i] - 1] == 3);
    }
    assert_true(newest(back, "adamw.count")[0] == 2);
    assert_int_equal(live_buffers(params, "w3"), 1);
    assert_int_equal(live_buffers(params, "adamw.m.w3"), 1);
    hl_session_free(other);
    hl_session_free(train);
    hl_params_free(back);
    hl_params_free(params);
}

/* What is held stays as it is when a checkpoint is read into the store. */
static void a_checkpoint_does_not_overwrite_what_is_held(void **state)
{
    (void)state;
    hl_error err = {0};
    const char path[] = "versions-read.h5";
    hl_params *params = hl_params_new(1);
    hl_session *train = need(open_training(params, &err), &err);
    run(train);
    assert_int_equal(
        hl_checkpoint_write(path, params, &(hl_checkpoint_meta){.step = 1}, HL_CHECKPOINT_ALL, &err), HL_OK);
    run(train);
    hl_snapshot *snapshot = hl_snapshot_take(params, &err);
    hl_session *frozen = need(open_reading(params, (hl_session_options){.frozen = true}, &err), &err);
    assert_int_equal(hl_checkpoint_read(path, params, HL_CHECKPOINT_ALL, &err), HL_OK);
    assert_int_equal(not_all(snapshot, 2), 0);
    run(frozen);
    assert_int_equal(mixed(frozen), 0);
    assert_true(newest(params, "w3")[0] == 1);
    run(train);
    assert_true(newest(params, "w3")[0] == 2);
    hl_snapshot_free(snapshot);
    hl_session_free(frozen);
    assert_int_equal(live_buffers(params, "w3"), 1);
    hl_session_free(train);
    hl_params_free(params);
}

static void versions_run_out(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_params *params = hl_params_new(1);
    hl_session *train = need(open_training(params, &err), &err);
    hl_snapshot *held[HL_BUFFERS];
    for (int i = 0; i < HL_BUFFERS; i++) {
        run(train);
        held[i] = hl_snapshot_take(params, &err);
        assert_non_null(held[i]);
    }
    assert_int_equal(hl_session_run(train, &err), HL_ERR_USAGE);
    assert_non_null(strstr(err.message, "all versions are held"));
    for (int i = 0; i < HL_BUFFERS; i++) {
        assert_int_equal(not_all(held[i], (float)(i + 1)), 0);
        assert_true(hl_snapshot_version(held[i]) == (uint64_t)i + 1);
    }
    hl_snapshot_free(held[1]);
    run(train);
    assert_true(newest(params, "w3")[0] == HL_BUFFERS + 1);
    for (int i = 0; i < HL_BUFFERS; i++)
        if (i != 1)
            hl_snapshot_free(held[i]);
    assert_int_equal(live_buffers(params, "w3"), 1);
    hl_session_free(train);
    hl_params_free(params);
}

static void without_memory_for_a_version(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_params *params = hl_params_new(1);
    hl_session *train = need(open_training(params, &err), &err);
    run(train);
    for (uint64_t n = 1;; n++) {
        hl_snapshot *snapshot = hl_snapshot_take(params, &err);
        assert_non_null(snapshot);
        float before = newest(params, "w3")[0];
        hl_alloc_fail_at(n);
        hl_status status = hl_session_run(train, &err);
        hl_alloc_fail_at(0);
        assert_int_equal(not_all(snapshot, before), 0);
        hl_snapshot_free(snapshot);
        assert_true(newest(params, "w3")[0] == before + (status == HL_OK ? 1.0f : 0.0f));
        if (status == HL_OK) {
            assert_true(n > TENSORS); /* parameters, moments and counters, each for itself */
            break;
        }
        assert_int_equal(status, HL_ERR_MEMORY);
        assert_non_null(strstr(err.message, "no memory"));
        run(train); /* it can go on */
    }
    hl_session_free(train);
    hl_params_free(params);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_run_sees_two_versions),
        cmocka_unit_test(alone_it_trains_in_place),
        cmocka_unit_test(a_skipped_step_is_a_version_too),
        cmocka_unit_test(copies_in_16_bits_follow),
        cmocka_unit_test(frozen_sessions_keep_theirs),
        cmocka_unit_test(a_checkpoint_is_of_one_version),
        cmocka_unit_test(a_checkpoint_does_not_overwrite_what_is_held),
        cmocka_unit_test(versions_run_out),
        cmocka_unit_test(without_memory_for_a_version),
    };
    return cmocka_run_group_tests(tests, temporary_make, temporary_drop);
}
