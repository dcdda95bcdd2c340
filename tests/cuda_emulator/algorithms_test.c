/* The file of algorithms that were found fast: written, read again, and no more than a loss of time where it
 * is damaged, foreign or cannot be written. */
#include "tests/cuda_emulator/step.h"
#include "tests/temporary.h"

#include "base/file.h"

#include <cublasLt.h>

static int enter(void **state)
{
    return fault_reset(state) == 0 && temporary_enter(state) == 0 ? setenv("HL_CUDA_CACHE", "cache", 1) : -1;
}

static int leave(void **state)
{
    (void)unsetenv("HL_CUDA_CACHE");
    (void)unsetenv("XDG_CACHE_HOME");
    return temporary_leave(state) == 0 ? fault_count(state) : -1;
}

/* A device's life with one product: how often the library was asked for algorithms. */
static int searches(void)
{
    static float want[STEP_OUT];
    static bool known;
    float out[STEP_OUT];
    step s;
    hl_error err = {0};
    int64_t before = hl_emulated_calls("cublasLtMatmulAlgoGetHeuristic");
    assert_ok(step_open(&s, &err), &err);
    assert_ok(step_run(&s, 1, false, out, &err), &err);
    step_close(&s);
    if (!known)
        memcpy(want, out, sizeof want);
    known = true;
    assert_memory_equal(out, want, sizeof want);
    return (int)(hl_emulated_calls("cublasLtMatmulAlgoGetHeuristic") - before);
}

/* Of the only file in a directory. */
static const char *only_file(const char *directory)
{
    static char path[512];
    DIR *dir = opendir(directory);
    assert_non_null(dir);
    int n = 0;
    for (struct dirent *e; (e = readdir(dir));) {
        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", directory, e->d_name);
        n++;
    }
    closedir(dir);
    assert_int_equal(n, 1);
    return path;
}

static size_t read_all(const char *path, unsigned char *bytes, size_t room)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t n = fread(bytes, 1, room, f);
    fclose(f);
    return n;
}

static void write_all(const char *path, const unsigned char *bytes, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    fclose(f);
}

static void is_written_once_and_read_back(void **state)
{
    (void)state;
    assert_int_equal(searches(), 1);
    const char *path = only_file("cache");
    assert_non_null(strstr(path, "emulated-cuda-device"));
    int64_t products = hl_emulated_calls("cublasLtMatmul");
    assert_true(products > 10); /* measured */
    uint64_t calls = hl_file_calls();
    for (int i = 0; i < 2; i++)
        assert_int_equal(searches(), 0);
    assert_int_equal(hl_emulated_calls("cublasLtMatmul"), products + 2);
    assert_int_equal(hl_file_calls(), calls + 2); /* opened to be read */
}

static void an_algorithm_that_does_not_fit_is_sought_anew(void **state)
{
    (void)state;
    assert_int_equal(searches(), 1);
    hl_fault_inject("cublasLtMatmulAlgoCheck", 1, CUBLAS_STATUS_NOT_SUPPORTED);
    assert_int_equal(searches(), 1);
    assert_int_equal(searches(), 0);
}

static void a_damaged_file_is_replaced(void **state)
{
    (void)state;
    static unsigned char good[4096], bad[sizeof good];
    assert_int_equal(searches(), 1);
    const char *path = only_file("cache");
    size_t n = read_all(path, good, sizeof good);
    assert_true(n > 100 && n < sizeof good);
    for (size_t i = 0; i < n; i += 13) {
        memcpy(bad, good, n);
        bad[i] ^= 0x11;
        write_all(path, bad, n);
        assert_int_equal(searches(), 1);
        assert_int_equal(searches(), 0);
    }
    const size_t lengths[] = {0, 1, n - 1, n + 1, n / 2};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        write_all(path, good, lengths[i]);
        assert_int_equal(searches(), 1);
        assert_int_equal(searches(), 0);
    }
}

static void a_place_that_cannot_be_written_is_left(void **state)
{
    (void)state;
    write_all("cache", (const unsigned char *)"no directory", 12);
    assert_int_equal(searches(), 1);
    assert_int_equal(searches(), 1);
}

/* Whichever change of the disk fails, the next device starts without a file, or with a whole one. */
static void failing_writes_do_no_harm(void **state)
{
    (void)state;
    uint64_t before = hl_file_calls();
    assert_int_equal(searches(), 1);
    uint64_t calls = hl_file_calls() - before;
    assert_true(calls > 3);
    for (uint64_t n = 1; n <= calls; n++) {
        temporary_remove("cache");
        hl_file_fail_at(n);
        assert_int_equal(searches(), 1);
        hl_file_fail_at(0);
        assert_int_equal(temporary_count("cache", ".tmp"), 0);
        assert_in_range(searches(), 0, 1);
        assert_int_equal(searches(), 0);
    }
}

static void the_environment_says_where(void **state)
{
    (void)state;
    assert_int_equal(setenv("HL_CUDA_CACHE", "", 1), 0);
    assert_int_equal(searches(), 1);
    assert_int_equal(searches(), 1);
    assert_int_equal(temporary_count(".", ""), 0);

    char here[512], path[600];
    assert_non_null(getcwd(here, sizeof here));
    assert_int_equal(unsetenv("HL_CUDA_CACHE"), 0);
    snprintf(path, sizeof path, "%s/xdg", here);
    assert_int_equal(setenv("XDG_CACHE_HOME", path, 1), 0);
    assert_int_equal(searches(), 1);
    assert_int_equal(searches(), 0);
    (void)only_file("xdg/hl");

    assert_int_equal(unsetenv("XDG_CACHE_HOME"), 0);
    const char *home = getenv("HOME");
    char *kept = home ? strdup(home) : NULL;
    assert_int_equal(setenv("HOME", here, 1), 0);
    assert_int_equal(searches(), 1);
    assert_int_equal(searches(), 0);
    (void)only_file(".cache/hl");
    if (kept)
        (void)setenv("HOME", kept, 1);
    free(kept);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, enter, leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(is_written_once_and_read_back), TEST(an_algorithm_that_does_not_fit_is_sought_anew),
        TEST(a_damaged_file_is_replaced),    TEST(a_place_that_cannot_be_written_is_left),
        TEST(failing_writes_do_no_harm),     TEST(the_environment_says_where),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
