/* The prefetching loader against a data set that says what was asked of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/process.h"
#include "data/loader.h"
#include "data/permutation.h"

/* ------------------------------------------------------------------ a data set to observe */

typedef struct probe {
    hl_dataset base;
    int64_t bad;       /* this index cannot be read; -1: none */
    long nanoseconds;  /* a read takes */
    atomic_int inside; /* threads in read */
    atomic_int reads, overlaps;
} probe;

static void fill_floats(float *x, int64_t n, float value)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = value + (float)i;
}

static hl_status probe_read(hl_dataset *d, hl_split split, int64_t index, hl_sample *out, hl_error *err)
{
    probe *p = (probe *)d;
    if (atomic_fetch_add(&p->inside, 1) > 0)
        atomic_fetch_add(&p->overlaps, 1);
    atomic_fetch_add(&p->reads, 1);
    if (p->nanoseconds)
        nanosleep(&(struct timespec){.tv_nsec = p->nanoseconds}, NULL);
    for (int s = 0; s < HL_SENSES; s++) {
        out->presence[s] = (float)((index >> s) & 1);
        if (d->shape.size[s])
            fill_floats(out->sense[s], d->shape.frames * d->shape.size[s], (float)(index * 1000 + s * 100));
    }
    fill_floats(out->action, d->shape.action, (float)index);
    fill_floats(out->action_mask, d->shape.action, (float)(split == HL_VALID));
    fill_floats(out->previous, d->shape.action, (float)-index);
    atomic_fetch_sub(&p->inside, 1);
    if (index == p->bad)
        return hl_fail(err, HL_ERR_DATA, "sample %lld is bad", (long long)index);
    return HL_OK;
}

static void probe_close(hl_dataset *d)
{
    (void)d;
}

static probe make(int64_t count)
{
    probe p = {.base = {.name = "probe", .read = probe_read, .close = probe_close, .count = {count, count}},
               .bad = -1};
    p.base.shape = (hl_data_shape){.image = 0, .action = 3, .frames = 2};
    p.base.shape.size[HL_AUDIO] = 5;
    p.base.shape.size[HL_PROPRIOCEPTIVE] = 7;
    return p;
}

static hl_loader *open_ok(probe *p, hl_loader_options o)
{
    hl_error err = {0};
    hl_loader *l = hl_loader_new(&p->base, &o, &err);
    if (!l)
        fail_msg("%s", err.message);
    return l;
}

static const hl_batch *next_ok(hl_loader *l)
{
    hl_error err = {0};
    const hl_batch *b;
    if (hl_loader_next(l, &b, &err) != HL_OK)
        fail_msg("%s", err.message);
    return b;
}

/* The index of the data set that sample i of a batch came from, its arrays checked. */
static int64_t whose(const probe *p, const hl_batch *b, int64_t i)
{
    const hl_data_shape *shape = &p->base.shape;
    int64_t index = (int64_t)b->action[i * shape->action];
    for (int s = 0; s < HL_SENSES; s++) {
        assert_true(b->presence[i * HL_SENSES + s] == (float)((index >> s) & 1));
        int64_t n = shape->frames * shape->size[s];
        for (int64_t k = 0; k < n; k++)
            assert_true(b->sense[s][i * n + k] == (float)(index * 1000 + s * 100 + k));
        assert_true((b->sense[s] == NULL) == (n == 0));
        assert_int_equal((uintptr_t)b->sense[s] % 64, 0);
    }
    for (int64_t k = 0; k < shape->action; k++)
        assert_true(b->previous[i * shape->action + k] == (float)(k - index));
    return index;
}

/* ------------------------------------------------------------------ batches */

/* Batches smaller than, equal to and far larger than the set; with a thread and without: the same samples in
 * the same order, positions that tell them. */
static void crosses_epochs(void **state)
{
    static const int64_t counts[] = {1, 3, 17}, batches[] = {1, 3, 17, 50};
    static const int ahead[] = {0, 1, 4};
    (void)state;
    for (int n = 0; n < 3; n++)
        for (int k = 0; k < 4; k++)
            for (int a = 0; a < 3; a++) {
                probe p = make(counts[n]);
                uint64_t count = (uint64_t)counts[n], at = 0;
                hl_loader *l = open_ok(
                    &p, (hl_loader_options){.batch = batches[k], .prefetch = ahead[a], .seed = 9});
                for (int i = 0; i < 12; i++) {
                    const hl_batch *b = next_ok(l);
                    int64_t left = counts[n] - (int64_t)b->first.index;
                    assert_int_equal(b->count, batches[k]);
                    assert_int_equal(b->first.epoch * count + b->first.index, at);
                    assert_int_equal(b->in_epoch, left < batches[k] ? left : batches[k]);
                    for (int64_t j = 0; j < b->count; j++, at++)
                        assert_int_equal(whose(&p, b, j),
                                         hl_permute(9, at / count, counts[n], (int64_t)(at % count)));
                    assert_int_equal(b->next.epoch, at / count);
                    assert_int_equal(b->next.index, at % count);
                }
                hl_loader_free(l);
                assert_int_equal(atomic_load(&p.overlaps), 0);
            }
}

static void sequential(void **state)
{
    probe p = make(5);
    (void)state;
    hl_loader *l = open_ok(
        &p, (hl_loader_options){.split = HL_VALID, .batch = 2, .prefetch = 2, .order = HL_SEQUENTIAL});
    for (int64_t at = 0; at < 20; at += 2) {
        const hl_batch *b = next_ok(l);
        for (int64_t j = 0; j < 2; j++)
            assert_int_equal(whose(&p, b, j), (at + j) % 5);
        assert_true(b->action_mask[0] == 1); /* of the split asked for */
    }
    hl_loader_free(l);
}

/* Started anew at any batch's `next`, with a thread or without, a loader gives what the first would have. */
static void resumes(void **state)
{
    probe p = make(17);
    hl_loader_options o = {.batch = 5, .prefetch = 3, .seed = 3};
    (void)state;
    for (int stop = 1; stop < 12; stop++) {
        hl_loader *straight = open_ok(&p, o);
        hl_loader_options again = o;
        for (int i = 0; i < stop; i++)
            again.start = next_ok(straight)->next;
        again.prefetch = stop % 2;
        hl_loader *resumed = open_ok(&p, again);
        for (int i = 0; i < 5; i++) {
            const hl_batch *a = next_ok(straight), *b = next_ok(resumed);
            assert_memory_equal(&a->first, &b->first, sizeof a->first);
            assert_memory_equal(a->action, b->action, 15 * sizeof(float));
            assert_memory_equal(a->sense[HL_AUDIO], b->sense[HL_AUDIO], 50 * sizeof(float));
        }
        hl_loader_free(straight);
        hl_loader_free(resumed);
    }
}

/* The batch handed out stays as it is while the thread fills all others. */
static void handed_out_is_left_alone(void **state)
{
    probe p = make(100);
    (void)state;
    for (int ahead = 1; ahead <= 3; ahead++) {
        hl_loader *l = open_ok(&p,
                               (hl_loader_options){.batch = 4, .prefetch = ahead, .order = HL_SEQUENTIAL});
        for (int64_t at = 0; at < 60; at += 4) {
            const hl_batch *b = next_ok(l);
            int before = -1;
            for (int now = atomic_load(&p.reads); now != before; now = atomic_load(&p.reads)) {
                before = now; /* until the thread has nothing left to fill */
                nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
            }
            for (int64_t j = 0; j < 4; j++)
                assert_int_equal(whose(&p, b, j), (at + j) % 100);
        }
        hl_loader_free(l);
    }
}

static void allocates_nothing(void **state)
{
    probe p = make(50);
    (void)state;
    hl_loader *l = open_ok(&p, (hl_loader_options){.batch = 8, .prefetch = 2});
    uint64_t before = hl_alloc_count();
    for (int i = 0; i < 200; i++)
        next_ok(l);
    assert_true(hl_alloc_count() == before);
    assert_true(hl_loader_bytes(l) >= 3 * 8 * (2 * 12 + 5 + 9) * sizeof(float));
    hl_loader_free(l);
}

/* ------------------------------------------------------------------ faults */

/* Batches before the bad sample come whole; then the error, as often as asked. */
static void error_at_its_batch(void **state)
{
    (void)state;
    for (int ahead = 0; ahead < 4; ahead++) {
        probe p = make(40);
        p.bad = 13;
        hl_loader *l = open_ok(&p,
                               (hl_loader_options){.batch = 4, .prefetch = ahead, .order = HL_SEQUENTIAL});
        for (int64_t at = 0; at < 12; at += 4)
            assert_int_equal(whose(&p, next_ok(l), 0), at);
        for (int again = 0; again < 3; again++) {
            hl_error err = {0};
            const hl_batch *b;
            assert_int_equal(hl_loader_next(l, &b, &err), HL_ERR_DATA);
            assert_null(b);
            assert_string_equal(err.message, "sample 13 is bad");
        }
        assert_int_equal(atomic_load(&p.reads), 14);
        hl_loader_free(l);
    }
}

static void bad_options(void **state)
{
    probe p = make(10), empty = make(0);
    hl_error err = {0};
    (void)state;
    assert_null(hl_loader_new(&p.base, &(hl_loader_options){.batch = 0}, &err));
    assert_int_equal(err.status, HL_ERR_USAGE);
    assert_null(hl_loader_new(&p.base, &(hl_loader_options){.batch = 1, .prefetch = -1}, &err));
    assert_int_equal(err.status, HL_ERR_USAGE);
    assert_null(hl_loader_new(&p.base, &(hl_loader_options){.batch = 1, .start = {0, 10}}, &err));
    assert_int_equal(err.status, HL_ERR_USAGE);
    assert_null(hl_loader_new(&empty.base, &(hl_loader_options){.batch = 1, .split = HL_VALID}, &err));
    assert_int_equal(err.status, HL_ERR_DATA);
    assert_non_null(strstr(err.message, "probe: the valid split has no samples"));
    assert_null(hl_loader_new(&p.base, &(hl_loader_options){.batch = INT64_MAX, .prefetch = 2}, &err));
    assert_int_equal(err.status, HL_ERR_MEMORY);
    for (uint64_t n = 1; n <= 3; n++) {
        hl_alloc_fail_at(n);
        hl_loader *l = hl_loader_new(&p.base, &(hl_loader_options){.batch = 2, .prefetch = 2}, &err);
        hl_alloc_fail_at(0);
        assert_null(l);
        assert_int_equal(err.status, HL_ERR_MEMORY);
    }
}

/* Freed at once, in the middle, with the ring full: it joins within about one read. */
static void freed_promptly(void **state)
{
    (void)state;
    hl_loader_free(NULL);
    for (int batches = 0; batches < 3; batches++) {
        probe p = make(1000);
        p.nanoseconds = 20000000; /* a batch takes 2 s, a sample 20 ms */
        hl_loader *l = open_ok(&p, (hl_loader_options){.batch = batches ? 2 : 100, .prefetch = 2});
        for (int i = 0; i < batches; i++)
            next_ok(l);
        while (batches == 0 && atomic_load(&p.reads) == 0) /* the thread is in its first batch */
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        double begin = hl_seconds();
        hl_loader_free(l);
        assert_true(hl_seconds() - begin < 1.0);
        int reads = atomic_load(&p.reads);
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
        assert_int_equal(atomic_load(&p.reads), reads); /* nobody reads any more */
    }
}

/* Training and validation read one data set, each with its own thread: never both at once. */
static void loaders_take_turns(void **state)
{
    probe p = make(30);
    (void)state;
    hl_loader *train = open_ok(&p, (hl_loader_options){.batch = 7, .prefetch = 2, .seed = 1});
    hl_loader *valid = open_ok(
        &p, (hl_loader_options){.split = HL_VALID, .batch = 3, .prefetch = 2, .order = HL_SEQUENTIAL});
    for (int i = 0; i < 300; i++) {
        const hl_batch *a = next_ok(train), *b = next_ok(valid);
        assert_true(a->action_mask[0] == 0 && b->action_mask[0] == 1);
        assert_int_equal(whose(&p, b, 1), (i * 3 + 1) % 30);
    }
    hl_loader_free(train);
    hl_loader_free(valid);
    assert_int_equal(atomic_load(&p.overlaps), 0);
}

static volatile sig_atomic_t on_main;
static pthread_t main_thread;

static void interrupted(int number)
{
    (void)number;
    on_main = pthread_equal(pthread_self(), main_thread) ? 1 : -1;
}

/* Ctrl-C belongs to the program's own thread. */
static void signals_stay_out(void **state)
{
    probe p = make(10);
    sigset_t usr1, old;
    (void)state;
    main_thread = pthread_self();
    signal(SIGUSR1, interrupted);
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    hl_loader *l = open_ok(&p, (hl_loader_options){.batch = 2, .prefetch = 2});
    pthread_sigmask(SIG_BLOCK, &usr1, &old);
    kill(getpid(), SIGUSR1); /* would go to any thread that lets it in */
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    assert_int_equal(on_main, 0);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    assert_int_equal(on_main, 1);
    next_ok(l);
    hl_loader_free(l);
    signal(SIGUSR1, SIG_DFL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crosses_epochs),
        cmocka_unit_test(sequential),
        cmocka_unit_test(resumes),
        cmocka_unit_test(handed_out_is_left_alone),
        cmocka_unit_test(allocates_nothing),
        cmocka_unit_test(error_at_its_batch),
        cmocka_unit_test(bad_options),
        cmocka_unit_test(freed_promptly),
        cmocka_unit_test(loaders_take_turns),
        cmocka_unit_test(signals_stay_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
