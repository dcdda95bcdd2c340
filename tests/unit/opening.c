/* Any thread opens frozen sessions of a store that nobody trains, at any time, and declares in it. */
#include "tests/frozen_session.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { ROUNDS = 8 };
#else
enum { ROUNDS = 40 };
#endif

typedef struct worker {
    hl_params *params;
    int64_t batch;
    const float *want;
    atomic_int *failures;
    pthread_t thread;
} worker;

static void *open_and_act(void *context)
{
    const worker *w = context;
    for (int round = 0; round < ROUNDS; round++) {
        hl_error err = {0};
        hl_session *s = open_frozen(w->params, w->batch, &err);
        for (int i = 0; i < 3; i++) {
            float got[MOST] = {0};
            const bool right = s && act(s, got) && !memcmp(got, w->want, sizeof got);
            atomic_fetch_add(w->failures, !right);
        }
        hl_session_free(s);
    }
    return NULL;
}

static void run_threads(worker *workers, int n)
{
    for (int i = 0; i < n; i++)
        assert_int_equal(pthread_create(&workers[i].thread, NULL, open_and_act, &workers[i]), 0);
    for (int i = 0; i < n; i++)
        pthread_join(workers[i].thread, NULL);
}

/* Bytes packed with a session of each batch open. */
static size_t packed_once(hl_params *params)
{
    hl_session *s[] = {need_frozen(params, 1), need_frozen(params, LARGE)};
    const size_t bytes = hl_allocated_now().live[HL_USE_PACKED];
    hl_session_free(s[0]);
    hl_session_free(s[1]);
    return bytes;
}

static void threads_open_sessions_of_one_store(void **state)
{
    (void)state;
    float one[MOST], large[MOST];
    atomic_int failures = 0;
    act_alone(1, one);
    act_alone(LARGE, large);
    mapped_store m = mapped_small_model(HL_F32);
    const size_t packed = packed_once(m.params);
    const hl_allocated before = hl_allocated_now();
    hl_allocated_new_peaks();
    worker workers[] = {{m.params, 1, one, &failures, 0},
                        {m.params, LARGE, large, &failures, 0},
                        {m.params, 1, one, &failures, 0}};
    run_threads(workers, 3);
    assert_int_equal(atomic_load(&failures), 0);
    assert_int_equal(hl_allocated_now().blocks, before.blocks);
    assert_true(hl_allocated_now().peak[HL_USE_PACKED] <= packed);
    free_mapped(&m);
}

/* The first session initialises the store; all of them keep its values packed, and there once. */
static void threads_open_the_first_session(void **state)
{
    (void)state;
    float want[MOST] = {0};
    atomic_int failures = 0;
    hl_params *alone = hl_params_new(5), *params = hl_params_new(5);
    hl_session *s = need_frozen(alone, 1);
    assert_true(act(s, want));
    hl_session_free(s);
    hl_params_free(alone);
    hl_session *stays = NULL;
    for (int round = 0; round < 2;
         round++) { /* then with a session that stays: values are packed, or there */
        worker workers[] = {{params, 1, want, &failures, 0}, {params, 1, want, &failures, 0}};
        stays = need_frozen(params, 1);
        run_threads(workers, 2);
        assert_int_equal(atomic_load(&failures), 0);
        hl_session_free(stays);
        hl_params_free(params);
        params = hl_params_new(5);
    }
    hl_params_free(params);
}

/* Entries stay where they are while others are declared. */
typedef struct declarer {
    hl_params *params;
    atomic_int *failures;
    int first;
} declarer;

static void *declare_many(void *context)
{
    const declarer *d = context;
    for (int i = 0; i < 500; i++) {
        char name[32];
        hl_error err = {0};
        int index = -1;
        snprintf(name, sizeof name, "p%d", (d->first + i) % 500);
        const hl_status status = hl_params_declare(d->params, name, HL_PARAMETER, HL_F32,
                                                   hl_shape_make(1, (int64_t[]){3}),
                                                   (hl_init_rule){.kind = HL_ONES}, &index, &err);
        const bool right = status == HL_OK && hl_params_find(d->params, name) == index &&
                           !strcmp(hl_params_at(d->params, index).name, name) &&
                           hl_params_materialize_at(d->params, index, &err) == HL_OK &&
                           hl_params_at(d->params, index).data[2] == 1;
        atomic_fetch_add(d->failures, !right);
    }
    return NULL;
}

static void threads_declare_and_find(void **state)
{
    (void)state;
    atomic_int failures = 0;
    hl_params *params = hl_params_new(1);
    declarer a = {params, &failures, 0}, b = {params, &failures, 250};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, declare_many, &a), 0);
    declare_many(&b);
    pthread_join(thread, NULL);
    assert_int_equal(atomic_load(&failures), 0);
    assert_int_equal(hl_params_count(params), 500);
    hl_params_free(params);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_open_sessions_of_one_store),
        cmocka_unit_test(threads_open_the_first_session),
        cmocka_unit_test(threads_declare_and_find),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
