/* Whose memory is resident: of files made up here, and of this process. */
#include "base/account.h"
#include "base/process.h"
#include "tests/temporary.h"

#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include <cmocka.h>

enum { MIB = 1 << 20 };

/* How much becomes resident with a byte that is written: a thread sanitizer keeps notes. */
#ifdef __SANITIZE_THREAD__
enum { TIMES = 10 };
#else
enum { TIMES = 1 };
#endif

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

/* ------------------------------------------------------------------ mappings */

static const char SMAPS[] =
    "55bf1d199000-55bf1d19b000 r--p 00000000 fe:00 247134                     /usr/bin/hl with a space "
    "(deleted)\n"
    "Size:                  8 kB\nRss:                   8 kB\nPss:                   3 kB\n"
    "Rss_of_tomorrow:      77 kB\nVmFlags: rd mr mw me\n"
    "55bf1d19b000-55bf1d29b000 rw-p 00000000 00:00 0                          [heap]\nRss:               100 "
    "kB\n"
    "7f0000000000-7f0000200000 rw-p 00000000 00:00 0 \nRss:              2048 kB\nAnonymous: 2048 kB\n"
    "7f0000200000-7f0000201000 rw-p 00000000 00:00 0\nRss:                 4 kB\n"
    "7f0000300000-7f0000301000 rw-p 00000000 00:00 0    [anon:of a name]\nRss:                 16 kB\n"
    "7f0000400000-7f0000401000 rw-s 00000000 00:01 1027 /dev/zero (deleted)\nRss:                 32 kB\n"
    "7f0000500000-7f0000501000 rw-s 00000000 00:01 9 /memfd:a (deleted)\nRss:                 64 kB\n"
    "7f0000600000-7f0000601000 rw-s 00000000 00:01 9 anon_inode:[perf_event]\nRss:                 1 kB\n"
    "7ffcba479000-7ffcba49a000 rw-p 00000000 00:00 0                          [stack]\nRss:                 "
    "128 kB\n"
    "7ffcba4d2000-7ffcba4d4000 r-xp 00000000 00:00 0                          [vdso]\nRss:                 4 "
    "kB";

static void test_mappings_are_sorted(void **state)
{
    (void)state;
    hl_mappings m;
    hl_error err = {0};
    write_file("smaps", SMAPS);
    assert_int_equal(hl_mappings_read("smaps", &m, &err), HL_OK);
    assert_int_equal(m.files, 8 << 10);
    assert_int_equal(m.heap, 100 << 10);
    assert_int_equal(m.anonymous, (2048 + 4 + 16) << 10);
    assert_int_equal(m.shared, (32 + 64) << 10);
    assert_int_equal(m.stack, 128 << 10);
    assert_int_equal(m.other, (1 + 4) << 10);
    assert_int_equal(m.total, m.files + m.heap + m.anonymous + m.shared + m.stack + m.other);
}

/* A path longer than the reader's buffer: the rest of its line is no line. */
static void test_a_name_without_end(void **state)
{
    (void)state;
    for (int length = 8000; length < 30000; length += 97) {
        FILE *f = fopen("long", "w");
        fprintf(f, "7f0000000000-7f0000200000 rw-p 00000000 00:00 0 /");
        for (int i = 0; i < length; i++)
            fputc("Rss: 1 kB "[i % 10], f);
        fprintf(f, "\nRss: 3 kB\n");
        fclose(f);
        hl_mappings m;
        assert_int_equal(hl_mappings_read("long", &m, NULL), HL_OK);
        assert_int_equal(m.files, 3 << 10);
        assert_int_equal(m.total, 3 << 10);
    }
}

static void assert_refused(const char *path, hl_status status, const char *what)
{
    hl_mappings m;
    hl_error err = {0};
    assert_int_equal(hl_mappings_read(path, &m, &err), status);
    if (!strstr(err.message, path) || !strstr(err.message, what))
        fail_msg("'%s' does not name %s and '%s'", err.message, path, what);
}

static void test_what_is_not_such_a_file(void **state)
{
    (void)state;
    assert_refused("absent", HL_ERR_UNSUPPORTED, "No such file");
    write_file("empty", "");
    assert_refused("empty", HL_ERR_DATA, "no mapping");
    write_file("words", "Rss: some\n");
    assert_refused("words", HL_ERR_DATA, "'Rss: some'");
    write_file("first", "Rss: 4 kB\n7f00-7f01 rw-p 0 0:0 0\n");
    assert_refused("first", HL_ERR_DATA, "'Rss: 4 kB'");
    write_file("unit", "7f00-7f01 rw-p 0 0:0 0\nRss: 4 MB\n");
    assert_refused("unit", HL_ERR_DATA, "'Rss: 4 MB'");
    write_file("huge", "7f00-7f01 rw-p 0 0:0 0\nRss: 18446744073709551615 kB\n");
    assert_refused("huge", HL_ERR_DATA, "Rss: 18446744073709551615 kB");
    assert_int_equal(mkdir("folder", 0700), 0);
    assert_refused("folder", HL_ERR_IO, "Is a directory");
}

/* ------------------------------------------------------------------ this process */

static size_t sum_of(const hl_account *a)
{
    size_t sum = a->heap + a->files + a->stack;
    for (int u = 0; u < HL_USES; u++)
        sum += a->tensors[u];
    return sum;
}

static hl_account account(void)
{
    hl_account a;
    hl_error err = {0};
    if (hl_account_now(&a, &err) != HL_OK)
        fail_msg("%s", err.message);
    assert_true((int64_t)a.rss == (int64_t)sum_of(&a) + a.unaccounted);
    return a;
}

static void test_only_what_was_written_is_resident(void **state)
{
    (void)state;
    hl_account before = account();
    unsigned char *block = hl_alloc_tensor(40 * MIB + 5, HL_USE_PACKED),
                  *other = hl_alloc_tensor(1, HL_USE_IO);
    hl_account empty = account();
    assert_in_range(empty.tensors[HL_USE_PACKED] - before.tensors[HL_USE_PACKED], 0,
                    3 * MIB); /* its last page */
    volatile unsigned char sum = 0;
    for (size_t i = 0; i < 20 * MIB; i += 1024)
        sum = (unsigned char)(sum + block[i]);
    hl_account read = account();
    assert_in_range(read.tensors[HL_USE_PACKED] - before.tensors[HL_USE_PACKED], 0, 3 * MIB);
    memset(block, 1, 20 * MIB);
    hl_account half = account();
    assert_in_range(half.tensors[HL_USE_PACKED] - before.tensors[HL_USE_PACKED], 20 * MIB, 25 * MIB);
    memset(block, 1, 40 * MIB + 5);
    hl_account all = account();
    assert_in_range(all.tensors[HL_USE_PACKED] - before.tensors[HL_USE_PACKED], 40 * MIB, 42 * MIB + 8192);
    assert_in_range(all.rss - before.rss, 38 * MIB, 60 * MIB * TIMES);
    assert_in_range(all.tensors[HL_USE_IO] - before.tensors[HL_USE_IO], 1, 8192);
    assert_in_range(llabs(all.unaccounted - before.unaccounted), 0, 8 * MIB + 60 * MIB * (TIMES - 1));
    hl_free_tensor(block, 40 * MIB + 5);
    hl_free_tensor(other, 1);
    hl_account after = account();
    assert_int_equal(after.tensors[HL_USE_PACKED], before.tensors[HL_USE_PACKED]);
    assert_int_equal(after.tensors[HL_USE_IO], before.tensors[HL_USE_IO]);
}

static void test_the_heap_is_no_more_than_what_is_resident(void **state)
{
    (void)state;
    hl_account before = account();
    char *untouched = hl_alloc(200, MIB),
         *written = hl_alloc(30, MIB); /* calloc: pages of zeros are not there */
    memset(written, 1, 30 * (size_t)MIB);
    hl_account after = account();
    assert_true(after.heap <= after.mappings.heap + after.mappings.anonymous);
    assert_true(after.heap >= before.heap + 30 * (size_t)MIB || after.unaccounted <= 0);
    assert_true(after.heap <= after.rss);
    hl_free(untouched);
    hl_free(written);
}

static void test_files_are_the_program_and_its_libraries(void **state)
{
    (void)state;
    hl_account before = account();
    assert_true(before.files > 100 << 10 && before.stack > 0);
    assert_int_equal(before.files, before.mappings.files);
    int fd = open("mapped", O_RDWR | O_CREAT, 0600);
    assert_true(fd >= 0 && ftruncate(fd, 8 * MIB) == 0);
    char *file = mmap(NULL, 8 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_ptr_not_equal(file, MAP_FAILED);
    memset(file, 1, 8 * MIB);
    hl_account after = account();
    assert_in_range(after.files - before.files, 8 * MIB, 9 * MIB);
    munmap(file, 8 * MIB);
    close(fd);
}

/* Blocks come and go on another thread while they are counted. */
static void *come_and_go(void *stop)
{
    while (!__atomic_load_n((bool *)stop, __ATOMIC_ACQUIRE)) {
        unsigned char *block = hl_alloc_tensor(300000, HL_USE_ARENA);
        memset(block, 1, 300000);
        hl_free_tensor(block, 300000);
    }
    return NULL;
}

static void test_others_allocate_meanwhile(void **state)
{
    (void)state;
    pthread_t thread;
    bool stop = false;
    assert_int_equal(pthread_create(&thread, NULL, come_and_go, &stop), 0);
    for (int i = 0; i < 20; i++)
        assert_in_range(account().tensors[HL_USE_ARENA], 0, 4 * MIB);
    __atomic_store_n(&stop, true, __ATOMIC_RELEASE);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void test_the_peak_of_a_phase(void **state)
{
    (void)state;
    hl_error err = {0};
    double now = hl_resident_bytes();
    uint64_t before = hl_alloc_count();
    unsigned char *block = hl_alloc_tensor(64 * MIB, HL_USE_OTHER);
    memset(block, 1, 64 * MIB);
    double full = hl_resident_bytes();
    hl_free_tensor(block, 64 * MIB);
    assert_in_range((uint64_t)(full - now), 60 * MIB, 80 * MIB * TIMES);
    assert_true(hl_peak_resident_bytes() >= full - MIB && hl_resident_bytes() < full - 40 * MIB);
    assert_int_equal(hl_alloc_count(), before + 1);
    if (hl_peak_resident_restart(&err) == HL_OK) {
        assert_true(hl_peak_resident_bytes() < full - 40 * MIB);
        assert_true(hl_peak_resident_bytes() >= hl_resident_bytes() - MIB);
    } else {
        assert_non_null(strstr(err.message, "clear_refs"));
        assert_true(hl_peak_resident_bytes() >= full - MIB);
    }
}

static void test_processor_time_passes_with_work(void **state)
{
    (void)state;
    double begin = hl_cpu_seconds();
    volatile double x = 1;
    while (hl_cpu_seconds() < begin + 0.02)
        x = sqrt(x + 1);
    assert_true(hl_cpu_seconds() < begin + 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mappings_are_sorted),
        cmocka_unit_test(test_a_name_without_end),
        cmocka_unit_test(test_what_is_not_such_a_file),
        cmocka_unit_test(test_only_what_was_written_is_resident),
        cmocka_unit_test(test_the_heap_is_no_more_than_what_is_resident),
        cmocka_unit_test(test_files_are_the_program_and_its_libraries),
        cmocka_unit_test(test_others_allocate_meanwhile),
        cmocka_unit_test(test_the_peak_of_a_phase),
        cmocka_unit_test(test_processor_time_passes_with_work),
    };
    return cmocka_run_group_tests(tests, temporary_enter, temporary_leave);
}
