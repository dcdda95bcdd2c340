#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"

#include "tests/temporary.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <cmocka.h>

static void assert_content(const char *path, const char *expected)
{
    hl_error err = {0};
    char *text;
    size_t size;
    assert_int_equal(hl_file_read_text(path, 1 << 20, &text, &size, &err), HL_OK);
    assert_int_equal(size, strlen(expected));
    assert_string_equal(text, expected);
    hl_free(text);
}

static void save(const char *path, const char *text)
{
    hl_error err = {0};
    assert_int_equal(hl_file_save(path, text, strlen(text), &err), HL_OK);
}

static void assert_says(const hl_error *err, hl_status status, const char *a, const char *b)
{
    assert_int_equal(err->status, status);
    assert_non_null(strstr(err->message, a));
    assert_non_null(strstr(err->message, b));
}

static void test_replace_shows_nothing_before_commit(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_file *f;
    const char *path = temporary_path("a");
    save(path, "old");
    assert_int_equal(hl_file_replace(path, &f, &err), HL_OK);
    assert_int_equal(hl_file_write(f, "ne", 2, &err), HL_OK);
    assert_content(path, "old");
    assert_int_equal(hl_file_write(f, "w", 1, &err), HL_OK);
    assert_int_equal(hl_file_sync(f, &err), HL_OK);
    assert_content(hl_file_written_path(f), "new");
    assert_content(path, "old");
    assert_int_equal(hl_file_commit(f, &err), HL_OK);
    assert_content(path, "new");
    assert_int_equal(temporary_count(temporary_dir, ".tmp"), 0);

    assert_int_equal(hl_file_replace(path, &f, &err), HL_OK);
    assert_int_equal(hl_file_write(f, "never", 5, &err), HL_OK);
    hl_file_abort(f);
    hl_file_abort(NULL);
    assert_content(path, "new");
    assert_int_equal(temporary_count(temporary_dir, ".tmp"), 0);
}

static void test_every_failing_call_leaves_the_old_file(void **state)
{
    (void)state;
    const char *path = temporary_path("b");
    int failures = 0;
    for (uint64_t n = 1;; n++) {
        hl_error err = {0};
        save(path, "old");
        hl_file_fail_at(n);
        uint64_t before = hl_file_calls();
        hl_status status = hl_file_save(path, "new", 3, &err);
        uint64_t calls = hl_file_calls() - before;
        hl_file_fail_at(0);
        assert_int_equal(temporary_count(temporary_dir, ".tmp"), 0);
        if (status == HL_OK) {
            assert_true(calls == n - 1);
            assert_content(path, "new");
            break;
        }
        failures++;
        assert_says(&err, HL_ERR_IO, temporary_dir, "No space left on device; free some space");
        /* The two calls after the rename sync the directory: the file is new, which is said. */
        if (strstr(err.message, "is written, but"))
            assert_content(path, "new");
        else
            assert_content(path, "old");
    }
    assert_int_equal(failures, 7); /* open, truncate, write, fsync, rename, open and fsync of the directory */
}

static void test_no_memory(void **state)
{
    (void)state;
    const char *path = temporary_path("memory");
    int failures = 0;
    save(path, "old");
    for (uint64_t n = 1;; n++) {
        hl_error err = {0};
        hl_alloc_fail_at(n);
        hl_status status = hl_file_save(path, "new", 3, &err);
        hl_alloc_fail_at(0);
        assert_int_equal(temporary_count(temporary_dir, ".tmp"), 0);
        if (status == HL_OK)
            break;
        assert_says(&err, HL_ERR_MEMORY, path, "no memory");
        failures++;
    }
    assert_int_equal(failures, 4);
}

static void test_second_writer_is_refused_and_a_stale_one_taken_over(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_file *f, *g;
    const char *path = temporary_path("c"), *temporary = temporary_path("c.tmp");
    save(temporary, "left by a killed process, and longer than what comes");
    assert_int_equal(hl_file_replace(path, &f, &err), HL_OK);
    assert_int_equal(hl_file_replace(path, &g, &err), HL_ERR_IO);
    assert_null(g);
    assert_says(&err, HL_ERR_IO, path, "another process is writing");
    assert_int_equal(hl_file_remove_stale(temporary, &err), HL_OK); /* held: stays */
    assert_int_equal(access(temporary, F_OK), 0);
    assert_int_equal(hl_file_write(f, "x", 1, &err), HL_OK);
    assert_int_equal(hl_file_commit(f, &err), HL_OK);
    assert_content(path, "x");

    save(temporary, "stale");
    assert_int_equal(hl_file_remove_stale(temporary, &err), HL_OK);
    assert_int_not_equal(access(temporary, F_OK), 0);
    assert_int_equal(hl_file_remove_stale(temporary, &err), HL_OK); /* gone already: fine */
}

static void test_places_that_cannot_be_written(void **state)
{
    (void)state;
    hl_error err = {0};
    assert_int_equal(hl_file_save(temporary_path("none/x"), "x", 1, &err), HL_ERR_IO);
    assert_says(&err, HL_ERR_IO, "none/x", "No such file or directory; check the path");
    assert_int_equal(hl_file_save(temporary_dir, "x", 1, &err), HL_ERR_IO);
    assert_says(&err, HL_ERR_IO, temporary_dir, "name a file, not a directory");
    assert_int_equal(hl_file_save("/dev/full/x", "x", 1, &err), HL_ERR_IO);
    assert_says(&err, HL_ERR_IO, "/dev/full/x", "a file, not a directory");

    hl_file *f; /* a device that is always full */
    assert_int_equal(hl_file_append("/dev/full", &f, &err), HL_OK);
    assert_int_equal(hl_file_write(f, "x", 1, &err), HL_ERR_IO);
    assert_says(&err, HL_ERR_IO, "/dev/full", "No space left");
    assert_int_equal(hl_file_close(f, &err), HL_OK);
    assert_int_equal(hl_file_close(NULL, &err), HL_OK);
    assert_int_equal(hl_file_append(temporary_dir, &f, &err), HL_ERR_IO);
    assert_null(f);

    if (geteuid() != 0) { /* root may write everywhere */
        assert_int_equal(mkdir(temporary_path("closed"), 0500), 0);
        assert_int_equal(hl_file_save(temporary_path("closed/x"), "x", 1, &err), HL_ERR_IO);
        assert_says(&err, HL_ERR_IO, "closed/x", "Permission denied; check the permissions");
    }
}

/* The operating system's own refusal, in the middle of a write. */
static void test_file_size_limit(void **state)
{
    (void)state;
    hl_error err = {0};
    const char *path = temporary_path("limited");
    struct rlimit old, small;
    save(path, "old");
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = old;
    small.rlim_cur = 5000;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    static const char big[20000];
    hl_status status = hl_file_save(path, big, sizeof big, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(status, HL_ERR_IO);
    assert_says(&err, HL_ERR_IO, "limited.tmp", "ulimit -f");
    assert_content(path, "old");
    assert_int_equal(temporary_count(temporary_dir, ".tmp"), 0);
}

/* Out of order, with a hole, cut and grown: what a library that lays out its own file does. */
static void test_write_at(void **state)
{
    (void)state;
    static const char expected[] = "first\0\0\0lat\0\0";
    hl_error err = {0};
    hl_file *f;
    const char *path = temporary_path("at");
    char content[sizeof expected - 1];
    uint64_t size;
    int fd;
    assert_int_equal(hl_file_replace(path, &f, &err), HL_OK);
    assert_int_equal(hl_file_write_at(f, 8, "later", 5, &err), HL_OK);
    assert_int_equal(hl_file_write_at(f, 0, "first", 5, &err), HL_OK);
    assert_int_equal(hl_file_write_at(f, 100, NULL, 0, &err), HL_OK);
    assert_int_equal(hl_file_truncate(f, 11, &err), HL_OK);
    assert_int_equal(hl_file_truncate(f, sizeof content, &err), HL_OK);
    assert_int_equal(hl_file_write_at(f, UINT64_MAX, "x", 1, &err), HL_ERR_IO);
    assert_int_equal(hl_file_write_at(f, INT64_MAX, "x", 1, &err), HL_ERR_IO);
    assert_int_equal(hl_file_truncate(f, UINT64_MAX, &err), HL_ERR_IO);
    hl_file_fail_at(1);
    assert_int_equal(hl_file_write_at(f, 0, "F", 1, &err), HL_ERR_IO);
    assert_says(&err, HL_ERR_IO, path, "free some space");
    hl_file_fail_at(1);
    assert_int_equal(hl_file_truncate(f, 0, &err), HL_ERR_IO);
    hl_file_fail_at(0);
    assert_int_equal(hl_file_commit(f, &err), HL_OK);
    assert_int_equal(hl_file_open(path, &fd, &size, &err), HL_OK);
    assert_int_equal(size, sizeof content);
    assert_int_equal(hl_file_read(fd, path, 0, content, sizeof content, &err), HL_OK);
    assert_memory_equal(content, expected, sizeof content);
    close(fd);
}

static void test_append(void **state)
{
    (void)state;
    hl_error err = {0};
    for (int i = 0; i < 2; i++) {
        hl_file *f;
        assert_int_equal(hl_file_append(temporary_path("log"), &f, &err), HL_OK);
        assert_string_equal(hl_file_written_path(f), temporary_path("log"));
        assert_int_equal(hl_file_write(f, i ? "two\n" : "one\n", 4, &err), HL_OK);
        assert_int_equal(hl_file_write(f, NULL, 0, &err), HL_OK);
        assert_int_equal(hl_file_close(f, &err), HL_OK);
    }
    assert_content(temporary_path("log"), "one\ntwo\n");
}

static void test_mkdirs(void **state)
{
    (void)state;
    hl_error err = {0};
    assert_int_equal(hl_file_mkdirs(temporary_path("p/q//r/"), &err), HL_OK);
    save(temporary_path("p/q/r/file"), "x");
    assert_int_equal(hl_file_mkdirs(temporary_path("p/q/r"), &err), HL_OK);
    assert_int_equal(hl_file_mkdirs(".", &err), HL_OK);
    assert_int_equal(hl_file_mkdirs("/", &err), HL_OK);
    assert_int_equal(hl_file_mkdirs("", &err), HL_ERR_IO);
    assert_int_equal(hl_file_mkdirs(temporary_path("p/q/r/file/s"), &err), HL_ERR_IO);
    assert_says(&err, HL_ERR_IO, "p/q/r/file", "in the way");
    hl_file_fail_at(1);
    assert_int_equal(hl_file_mkdirs(temporary_path("full"), &err), HL_ERR_IO);
    hl_file_fail_at(0);
    assert_says(&err, HL_ERR_IO, "full", "No space left");
    assert_int_equal(hl_file_save("/", "", 0, &err), HL_ERR_IO);
}

static void test_symlink_is_swapped(void **state)
{
    (void)state;
    hl_error err = {0};
    const char *last = temporary_path("last");
    save(temporary_path("one"), "1");
    save(temporary_path("two"), "2");
    assert_int_equal(hl_file_symlink("one", last, &err), HL_OK);
    assert_content(last, "1");
    for (uint64_t n = 1; n <= 2; n++) { /* symlink, rename */
        hl_file_fail_at(n);
        assert_int_equal(hl_file_symlink("two", last, &err), HL_ERR_IO);
        hl_file_fail_at(0);
        assert_says(&err, HL_ERR_IO, "last", "No space left");
        assert_content(last, "1");
        assert_int_equal(temporary_count(temporary_dir, ".tmp"), 0);
    }
    assert_int_equal(symlink("dangling", temporary_path("last.tmp")), 0); /* of a killed process */
    assert_int_equal(hl_file_symlink("two", last, &err), HL_OK);
    assert_content(last, "2");
    char target[8] = {0};
    assert_int_equal(readlink(last, target, sizeof target), 3);
    assert_string_equal(target, "two"); /* relative: the directory may be moved */
}

static void test_read_text(void **state)
{
    (void)state;
    hl_error err = {0};
    char *text;
    const char *path = temporary_path("text");
    save(path, "");
    assert_content(path, "");
    char big[10001];
    memset(big, 'x', 10000);
    big[10000] = 0;
    save(path, big);
    assert_content(path, big);
    assert_int_equal(hl_file_read_text(path, 10000, &text, NULL, &err), HL_OK);
    hl_free(text);
    assert_int_equal(hl_file_read_text(path, 9999, &text, NULL, &err), HL_ERR_DATA);
    assert_null(text);
    assert_says(&err, HL_ERR_DATA, path, "larger than the 9999 bytes");
    assert_int_equal(hl_file_save(path, "a\0b", 3, &err), HL_OK);
    assert_int_equal(hl_file_read_text(path, 100, &text, NULL, &err), HL_ERR_DATA);
    assert_says(&err, HL_ERR_DATA, path, "byte 1 is zero");
    assert_int_equal(hl_file_read_text(temporary_dir, 100, &text, NULL, &err), HL_ERR_IO);
    assert_says(&err, HL_ERR_IO, temporary_dir, "not a directory");
    assert_int_equal(hl_file_read_text(temporary_path("absent"), 100, &text, NULL, &err), HL_ERR_IO);
    assert_says(&err, HL_ERR_IO, "absent", "check the path");
    hl_alloc_fail_at(1);
    assert_int_equal(hl_file_read_text(path, 100, &text, NULL, &err), HL_ERR_MEMORY);
    hl_alloc_fail_at(0);
}

static void test_open_and_read(void **state)
{
    (void)state;
    hl_error err = {0};
    int fd;
    uint64_t size;
    char three[3];
    const char *path = temporary_path("bytes");
    save(path, "0123456789");
    assert_int_equal(hl_file_open(path, &fd, &size, &err), HL_OK);
    assert_true(size == 10);
    assert_int_equal(hl_file_read(fd, path, 7, three, 3, &err), HL_OK);
    assert_memory_equal(three, "789", 3);
    assert_int_equal(hl_file_read(fd, path, 8, three, 3, &err), HL_ERR_DATA);
    assert_says(&err, HL_ERR_DATA, path, "ends at byte 10");
    close(fd);
    assert_int_equal(hl_file_open(temporary_dir, &fd, &size, &err), HL_ERR_IO);
    assert_int_equal(fd, -1);
    assert_int_equal(mkfifo(temporary_path("pipe"), 0600), 0);
    assert_int_equal(hl_file_open(temporary_path("pipe"), &fd, &size, &err), HL_ERR_IO); /* and no waiting */
    assert_says(&err, HL_ERR_IO, "pipe", "not a regular file");
    assert_int_equal(hl_file_remove(temporary_path("absent"), &err), HL_ERR_IO);
    assert_says(&err, HL_ERR_IO, "absent", "cannot remove it");
}

static void test_join(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"/", "b", "/b"}, {"", "b", "b"}};
    for (int i = 0; i < 4; i++) {
        char *path = hl_file_join(cases[i][0], cases[i][1]);
        assert_string_equal(path, cases[i][2]);
        hl_free(path);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replace_shows_nothing_before_commit),
        cmocka_unit_test(test_every_failing_call_leaves_the_old_file),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_second_writer_is_refused_and_a_stale_one_taken_over),
        cmocka_unit_test(test_places_that_cannot_be_written),
        cmocka_unit_test(test_file_size_limit),
        cmocka_unit_test(test_write_at),
        cmocka_unit_test(test_append),
        cmocka_unit_test(test_mkdirs),
        cmocka_unit_test(test_symlink_is_swapped),
        cmocka_unit_test(test_read_text),
        cmocka_unit_test(test_open_and_read),
        cmocka_unit_test(test_join),
    };
    return cmocka_run_group_tests(tests, temporary_make, temporary_drop);
}
