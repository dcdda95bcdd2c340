/* A run's directory of checkpoints under failing disks, failing memory, kills and threads. */
#include "base/file.h"
#include "base/memory.h"

#include "tests/checkpoint_store.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

static hl_status save(const char *dir, int keep, hl_params *params, uint64_t step, hl_error *err)
{
    hl_checkpoint_meta meta = small_meta(step);
    hl_snapshot *now = hl_snapshot_take(params, err);
    hl_status status = now ? hl_checkpoint_save(dir, keep, now, &meta, NULL, err) : err->status;
    hl_snapshot_free(now);
    return status;
}

static void assert_latest(const char *dir, const char *name)
{
    char *path;
    int damaged;
    hl_error err = {0};
    assert_int_equal(hl_checkpoint_latest(dir, &path, &damaged, &err), HL_OK);
    assert_int_equal(damaged, 0);
    assert_non_null(path);
    assert_string_equal(strrchr(path, '/') + 1, name);
    hl_free(path);
}

static void test_every_failing_write(void **state)
{
    (void)state;
    const char *dir = temporary_path("full"), *old = temporary_path("full/step-000010.h5"),
               *new = temporary_path("full/step-000020.h5"), *last = temporary_path("full/last.h5");
    hl_params *a = filled(5), *b = filled(6), *c = declared(7);
    size_t size, n_now;
    hl_error err = {0};
    assert_int_equal(save(dir, 0, a, 10, &err), HL_OK);
    unsigned char *before = slurp(old, &size);
    int failures = 0;
    for (uint64_t n = 1;; n++) {
        err = (hl_error){0};
        hl_file_fail_at(n);
        hl_status status = save(dir, 2, b, 20, &err);
        hl_file_fail_at(0);
        assert_int_equal(temporary_count(dir, ".tmp"), 0);
        unsigned char *now = slurp(old, &n_now);
        assert_int_equal(n_now, size);
        assert_memory_equal(now, before, size);
        free(now);
        assert_int_equal(hl_checkpoint_verify(last, NULL), HL_OK);
        if (status == HL_OK)
            break;
        failures++;
        assert_says(&err, HL_ERR_IO, "full", "No space left on device; free some space");
        bool in_place = access(new, F_OK) == 0;
        assert_int_equal(in_place, strstr(err.message, "is written") != NULL);
        assert_latest(dir, in_place ? "step-000020.h5" : "step-000010.h5");
        if (in_place)
            assert_int_equal(unlink(new), 0);
        assert_int_equal(hl_file_symlink("step-000010.h5", last, &err), HL_OK);
    }
    /* open, truncate, header, pieces, fsync, verify, rename, directory twice; link four times */
    assert_true(failures > 20);
    assert_int_equal(hl_checkpoint_read(last, c, HL_CHECKPOINT_ALL, &err), HL_OK);
    assert_same_values(b, c);
    free(before);
    hl_params_free(a);
    hl_params_free(b);
    hl_params_free(c);
}

/* The operating system's own refusal at every length the file passes through. */
static void test_file_size_limit(void **state)
{
    (void)state;
    size_t size;
    const char *path = temporary_path("limit.h5");
    hl_params *a = filled(5), *b = filled(6);
    hl_checkpoint_meta meta = small_meta(1);
    struct rlimit old, small;
    write_small(path, a);
    unsigned char *bytes = slurp(path, &size);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    signal(SIGXFSZ, SIG_IGN);
    for (size_t limit = 0; limit < size; limit += size / 13) {
        hl_error err = {0};
        small = old;
        small.rlim_cur = limit;
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
        hl_status status = hl_checkpoint_write(path, b, &meta, HL_CHECKPOINT_ALL, &err);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
        assert_int_equal(status, HL_ERR_IO);
        assert_says(&err, HL_ERR_IO, path, "ulimit -f");
        size_t n;
        unsigned char *now = slurp(path, &n);
        assert_true(n == size && !memcmp(now, bytes, size));
        assert_int_not_equal(access(temporary_path("limit.h5.tmp"), F_OK), 0);
        free(now);
    }
    free(bytes);
    hl_params_free(a);
    hl_params_free(b);
}

static void test_every_failing_allocation(void **state)
{
    (void)state;
    const char *dir = temporary_path("memory");
    hl_params *a = filled(5);
    hl_error err = {0};
    int failures = 0;
    assert_int_equal(save(dir, 0, a, 10, &err), HL_OK);
    for (uint64_t n = 1;; n++) {
        hl_alloc_fail_at(n);
        hl_status status = save(dir, 1, a, 20, &err);
        hl_alloc_fail_at(0);
        assert_int_equal(temporary_count(dir, ".tmp"), 0);
        if (status == HL_OK)
            break;
        failures++;
        assert_int_equal(status, HL_ERR_MEMORY);
        assert_int_equal(hl_checkpoint_verify(temporary_path("memory/step-000010.h5"), &err), HL_OK);
    }
    assert_true(failures > 30);
    failures = 0;
    for (uint64_t n = 1;; n++) {
        char *path;
        int damaged;
        hl_params *b = declared(9);
        hl_alloc_fail_at(n);
        hl_status status = hl_checkpoint_latest(dir, &path, &damaged, &err);
        if (status == HL_OK)
            status = hl_checkpoint_read(path, b, HL_CHECKPOINT_ALL, &err);
        hl_alloc_fail_at(0);
        hl_free(path);
        hl_params_free(b);
        if (status == HL_OK)
            break;
        failures++;
        assert_int_equal(status, HL_ERR_MEMORY);
    }
    assert_true(failures > 30);
    hl_params_free(a);
}

/* ------------------------------------------------------------------ a run's directory */

static void test_keeps_the_last(void **state)
{
    (void)state;
    hl_error err = {0};
    char *path, target[64] = {0};
    const char *dir = temporary_path("runs/keep");
    hl_params *a = filled(5);
    for (uint64_t step = 1; step <= 5; step++)
        assert_int_equal(save(dir, 2, a, step * 100, &err), HL_OK);
    assert_int_equal(temporary_count(dir, ""), 3);
    assert_int_equal(access(temporary_path("runs/keep/step-000400.h5"), F_OK), 0);
    assert_latest(dir, "step-000500.h5");
    assert_true(readlink(temporary_path("runs/keep/last.h5"), target, sizeof target - 1) > 0);
    assert_string_equal(target, "step-000500.h5");

    /* What is not ours stays; a temporary of a killed writer goes. */
    static const char *const names[] = {"step-7.h5",        "step-0000001.h5", "step-000001.h5.bak",
                                        "step-.h5",         "best.h5",         "step-x.h5",
                                        "mystep-000001.h5", "step-000001.tmp"};
    for (int i = 0; i < 8; i++) {
        char name[64];
        snprintf(name, sizeof name, "runs/keep/%s", names[i]);
        spill(temporary_path(name), "x", 1);
    }
    spill(temporary_path("runs/keep/step-000123.h5.tmp"), "half", 4);
    /* An earlier step, after going back: it is the one just written, so it stays. */
    hl_checkpoint_meta meta = small_meta(50);
    hl_snapshot *now = hl_snapshot_take(a, &err);
    assert_int_equal(hl_checkpoint_save(dir, 1, now, &meta, &path, &err), HL_OK);
    hl_snapshot_free(now);
    assert_string_equal(path, temporary_path("runs/keep/step-000050.h5"));
    hl_free(path);
    assert_int_equal(temporary_count(dir, ""), 2 + 8);
    assert_int_equal(access(temporary_path("runs/keep/step-000123.h5.tmp"), F_OK), -1);
    assert_latest(dir, "step-000050.h5");
    assert_int_equal(save(dir, 0, a, 1234567, &err), HL_OK); /* more than six digits; 0 keeps all */
    assert_latest(dir, "step-1234567.h5");
    assert_int_equal(temporary_count(dir, ""), 3 + 8);
    hl_params_free(a);
}

static void test_latest_is_the_newest_valid(void **state)
{
    (void)state;
    hl_error err = {0};
    char *path;
    int damaged;
    const char *dir = temporary_path("latest");
    hl_params *a = filled(5);
    assert_int_equal(hl_checkpoint_latest(dir, &path, &damaged, &err), HL_OK); /* no directory yet */
    assert_null(path);
    assert_int_equal(mkdir(dir, 0700), 0);
    assert_int_equal(hl_checkpoint_latest(dir, &path, &damaged, &err), HL_OK);
    assert_null(path);
    spill(temporary_path("notdir"), "x", 1);
    assert_int_equal(hl_checkpoint_latest(temporary_path("notdir"), &path, &damaged, &err), HL_ERR_IO);

    for (uint64_t step = 1; step <= 3; step++)
        assert_int_equal(save(dir, 0, a, step, &err), HL_OK);
    assert_latest(dir, "step-000003.h5");
    spill(temporary_path("latest/step-000003.h5"), "cut", 3); /* last.h5 points to it all the same */
    spill(temporary_path("latest/step-000009.h5"), "", 0);
    assert_int_equal(hl_checkpoint_latest(dir, &path, &damaged, &err), HL_OK);
    assert_string_equal(path, temporary_path("latest/step-000002.h5"));
    assert_int_equal(damaged, 2);
    assert_non_null(strstr(err.message, "step-000009.h5"));
    hl_free(path);
    spill(temporary_path("latest/step-000001.h5"), "", 0);
    spill(temporary_path("latest/step-000002.h5"), "", 0);
    assert_int_equal(hl_checkpoint_latest(dir, &path, &damaged, &err), HL_ERR_DATA);
    assert_null(path);
    assert_says(&err, HL_ERR_DATA, "none of its 4 checkpoints is valid", "step-000009.h5");
    hl_params_free(a);
}

/* A writer killed at random moments; whoever comes next finds a whole checkpoint and goes on from it. */
static void test_kill_nine(void **state)
{
    (void)state;
    const char *dir = temporary_path("killed");
    hl_error err = {0};
    hl_params *a = filled(5);
    assert_int_equal(save(dir, 3, a, 0, &err), HL_OK);
    for (int i = 0; i < 25; i++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (!child)
            for (uint64_t step = (uint64_t)i * 1000;; step++)
                if (save(dir, 3, a, step, &err) != HL_OK)
                    _exit(1);
        struct timespec wait = {0, (long)(next_random() % 30000) * 1000};
        nanosleep(&wait, NULL);
        assert_int_equal(kill(child, SIGKILL), 0);
        int how;
        assert_true(waitpid(child, &how, 0) == child);
        assert_true(WIFSIGNALED(how)); /* it was still at it: no save had failed */
        char *path;
        int damaged;
        hl_params *b = declared(9);
        assert_int_equal(hl_checkpoint_latest(dir, &path, &damaged, &err), HL_OK);
        assert_int_equal(damaged, 0);
        assert_int_equal(hl_checkpoint_read(path, b, HL_CHECKPOINT_ALL, &err), HL_OK);
        assert_same_values(a, b);
        assert_int_equal(hl_checkpoint_verify(temporary_path("killed/last.h5"), &err), HL_OK);
        hl_free(path);
        hl_params_free(b);
    }
    hl_params_free(a);
}

/* ------------------------------------------------------------------ threads */

static void *save_many(void *number)
{
    char name[128];
    hl_error err = {0};
    hl_params *a = filled(*(uint64_t *)number), *b = declared(9);
    uint64_t bad = 0;
    for (uint64_t step = 0; step < 20; step++) {
        snprintf(name, sizeof name, "%s/thread-%d", temporary_dir, (int)*(uint64_t *)number);
        bad += save(name, 1, a, step, &err) != HL_OK;
        snprintf(name, sizeof name, "%s/thread-%d/last.h5", temporary_dir, (int)*(uint64_t *)number);
        bad += hl_checkpoint_read(name, b, HL_CHECKPOINT_ALL, &err) != HL_OK;
    }
    hl_params_free(a);
    hl_params_free(b);
    *(uint64_t *)number = bad;
    return NULL;
}

static void test_two_threads(void **state)
{
    (void)state;
    pthread_t thread[2];
    uint64_t number[2] = {1, 2};
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, save_many, &number[i]), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(thread[i], NULL), 0);
        assert_true(number[i] == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_failing_write),
        cmocka_unit_test(test_file_size_limit),
        cmocka_unit_test(test_every_failing_allocation),
        cmocka_unit_test(test_keeps_the_last),
        cmocka_unit_test(test_latest_is_the_newest_valid),
        cmocka_unit_test(test_kill_nine),
        cmocka_unit_test(test_two_threads),
    };
    return cmocka_run_group_tests(tests, temporary_make, temporary_drop);
}
