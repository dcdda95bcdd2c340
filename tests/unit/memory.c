/* What is allocated, and for which use: counted right, by one thread and by many. */
#include "base/memory.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void test_uses_have_names(void **state)
{
    (void)state;
    for (int a = 0; a < HL_USES; a++)
        for (int b = 0; b < a; b++)
            assert_string_not_equal(hl_use_name((hl_use)a), hl_use_name((hl_use)b));
    assert_string_equal(hl_use_name(HL_USE_PARAMETERS), "parameters");
    assert_string_equal(hl_use_name(HL_USES), "?");
    assert_string_equal(hl_use_name((hl_use)-1), "?");
}

static void test_tensors_are_counted_by_use(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 17, 63, 64, 65, 4056, 4096, 4097, (4 << 20) + 3};
    enum { N = sizeof sizes / sizeof *sizes };
    hl_allocated before = hl_allocated_now();
    void *block[HL_USES][N];
    size_t sum = 0;
    for (int u = 0; u < HL_USES; u++) {
        sum = 0;
        for (int i = 0; i < N; i++) {
            block[u][i] = hl_alloc_tensor(sizes[i], (hl_use)u);
            assert_non_null(block[u][i]);
            assert_int_equal((uintptr_t)block[u][i] % HL_ALIGN, 0);
            for (size_t k = 0; k < sizes[i]; k++)
                assert_int_equal(((unsigned char *)block[u][i])[k], 0);
            memset(block[u][i], 0xff, sizes[i]);
            sum += sizes[i];
        }
        hl_allocated now = hl_allocated_now();
        assert_int_equal(now.live[u] - before.live[u], sum);
        assert_int_equal(now.tensors - before.tensors, sum * (size_t)(u + 1));
        assert_int_equal(now.blocks - before.blocks, N * (u + 1));
    }
    for (int u = 0; u < HL_USES; u++)
        for (int i = 0; i < N; i++)
            hl_free_tensor(block[u][i], sizes[i]);
    hl_allocated after = hl_allocated_now();
    assert_memory_equal(after.live, before.live, sizeof after.live);
    assert_int_equal(after.tensors, before.tensors);
    assert_int_equal(after.blocks, before.blocks);
    assert_true(after.tensors_peak >= before.tensors + sum * HL_USES);
}

static void test_peaks_begin_anew(void **state)
{
    (void)state;
    void *small = hl_alloc_tensor(1000, HL_USE_PACKED), *large = hl_alloc_tensor(100000, HL_USE_COPIES);
    hl_allocated_new_peaks();
    hl_free_tensor(large, 100000);
    hl_allocated now = hl_allocated_now();
    assert_int_equal(now.peak[HL_USE_COPIES], now.live[HL_USE_COPIES] + 100000);
    hl_allocated_new_peaks();
    now = hl_allocated_now();
    assert_memory_equal(now.peak, now.live, sizeof now.live);
    assert_int_equal(now.tensors_peak, now.tensors);
    assert_int_equal(now.heap_peak, now.heap);
    /* The peak of all together: one comes after the other is gone. */
    large = hl_alloc_tensor(5000, HL_USE_COPIES);
    hl_free_tensor(large, 5000);
    large = hl_alloc_tensor(5000, HL_USE_IO);
    hl_free_tensor(large, 5000);
    now = hl_allocated_now();
    assert_int_equal(now.tensors_peak, now.tensors + 5000);
    hl_free_tensor(small, 1000);
}

static void test_the_heap_is_counted(void **state)
{
    (void)state;
    hl_allocated_new_peaks();
    size_t before = hl_allocated_now().heap;
    char *a = hl_alloc(1000, 10), *b = hl_strdup("text");
    size_t two = hl_allocated_now().heap - before;
    assert_in_range(two, 10005, 10200);
    a = hl_realloc(a, 1000, 100);
    assert_in_range(hl_allocated_now().heap - before, 100005, 110000); /* mapped by the page, perhaps */
    a = hl_realloc(a, 10, 1);
    assert_in_range(hl_allocated_now().heap - before, 15, 200);
    char *c = hl_realloc(NULL, 500, 1);
    assert_in_range(hl_allocated_now().heap - before, 515, 900);
    assert_in_range(hl_allocated_now().heap_peak - before, 100005, 120000);
    hl_arena *arena = hl_arena_new();
    hl_arena_alloc(arena, 1000000, 1);
    assert_true(hl_allocated_now().heap - before > 1000000);
    hl_arena_free(arena);
    hl_free(a);
    hl_free(b);
    hl_free(c);
    hl_free(NULL);
    assert_int_equal(hl_allocated_now().heap, before);
}

static void test_what_fails_is_not_counted(void **state)
{
    (void)state;
    char *kept = hl_strdup("kept");
    hl_allocated before = hl_allocated_now();
    assert_null(hl_alloc_tensor(SIZE_MAX, HL_USE_ARENA));
    assert_null(hl_alloc_tensor(SIZE_MAX - 100, HL_USE_ARENA));
    assert_null(hl_alloc_tensor(SIZE_MAX / 2, HL_USE_ARENA));
    hl_alloc_fail_at(1);
    assert_null(hl_alloc_tensor(64, HL_USE_ARENA));
    hl_alloc_fail_at(1);
    assert_null(hl_alloc(1, 64));
    hl_alloc_fail_at(1);
    assert_null(hl_realloc(kept, 100, 1));
    assert_null(hl_realloc(kept, SIZE_MAX / 4, 1)); /* the C library says no */
    assert_null(hl_realloc(kept, SIZE_MAX, 2));
    hl_free_tensor(NULL, 12345);
    hl_allocated after = hl_allocated_now();
    assert_memory_equal(&after, &before, sizeof after);
    assert_string_equal(kept, "kept");
    hl_free(kept);
}

typedef struct seen {
    const void *block;
    size_t bytes;
    hl_use use;
    int times, all;
} seen;

static void see(void *context, const void *block, size_t bytes, hl_use use)
{
    seen *s = context;
    s->all++;
    if (block == s->block) {
        s->times++;
        s->bytes = bytes;
        s->use = use;
    }
}

static void test_every_live_block_is_visited(void **state)
{
    (void)state;
    void *a = hl_alloc_tensor(10, HL_USE_IO), *b = hl_alloc_tensor(20, HL_USE_OPTIMIZER),
         *c = hl_alloc_tensor(30, HL_USE_ARENA);
    for (int round = 0; round < 2; round++) {
        seen s = {.block = b};
        hl_tensors_visit(see, &s);
        assert_int_equal(s.all, hl_allocated_now().blocks);
        assert_int_equal(s.times, 1 - round);
        if (!round) {
            assert_int_equal(s.bytes, 20);
            assert_int_equal(s.use, HL_USE_OPTIMIZER);
            hl_free_tensor(b, 20); /* from between two others */
        }
    }
    hl_free_tensor(c, 30); /* the newest */
    hl_free_tensor(a, 10); /* the last */
    seen s = {.block = a};
    hl_tensors_visit(see, &s);
    assert_int_equal(s.all, hl_allocated_now().blocks);
}

/* Does the program stop when a block of 64 bytes is given back so? */
static bool stops(void (*give_back)(unsigned char *block))
{
    pid_t child = fork();
    if (child == 0) {
        (void)!freopen("/dev/null", "w", stderr);
        signal(SIGABRT, SIG_DFL);
        give_back(hl_alloc_tensor(64, HL_USE_OTHER));
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void properly(unsigned char *block)
{
    memset(block, 1, 64);
    hl_free_tensor(block, 64);
}

static void with_another_size(unsigned char *block)
{
    hl_free_tensor(block, 65);
}

static void written_past_the_end(unsigned char *block)
{
    volatile unsigned char *past = block + 64;
    *past ^= 0xff;
    hl_free_tensor(block, 64);
}

static void test_a_broken_block_is_found_when_it_is_freed(void **state)
{
    (void)state;
    assert_false(stops(properly));
    assert_true(stops(with_another_size));
    assert_true(stops(written_past_the_end));
}

enum { THREADS = 4, ROUNDS = 2000, HELD = 7 };

static void *come_and_go(void *seed)
{
    unsigned r = (unsigned)(uintptr_t)seed;
    void *held[HELD] = {0}, *heap[HELD] = {0};
    size_t size[HELD] = {0};
    for (int i = 0; i < ROUNDS; i++) {
        r = r * 1664525u + 1013904223u;
        int k = (int)(r >> 16) % HELD;
        hl_free_tensor(held[k], size[k]);
        size[k] = r >> 20;
        held[k] = hl_alloc_tensor(size[k], (hl_use)(r % HL_USES));
        heap[k] = hl_realloc(heap[k], size[k] + 1, 1);
        if (i % 100 == 0) {
            seen s = {.block = held[k]};
            hl_tensors_visit(see, &s);
            if (s.times != 1 || s.bytes != size[k] || hl_allocated_now().blocks > THREADS * HELD)
                return "a block was lost";
        }
    }
    for (int k = 0; k < HELD; k++) {
        hl_free_tensor(held[k], size[k]);
        hl_free(heap[k]);
    }
    return NULL;
}

static void test_threads_do_not_disturb_the_count(void **state)
{
    (void)state;
    pthread_t thread[THREADS];
    hl_allocated before = hl_allocated_now();
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, come_and_go, (void *)(i + 1)), 0);
    for (int i = 0; i < THREADS; i++) {
        void *fault = NULL;
        assert_int_equal(pthread_join(thread[i], &fault), 0);
        if (fault)
            fail_msg("%s", (const char *)fault);
    }
    hl_allocated after = hl_allocated_now();
    assert_memory_equal(after.live, before.live, sizeof after.live);
    assert_int_equal(after.blocks, before.blocks);
    assert_int_equal(after.heap, before.heap);
    assert_true(after.tensors_peak >= after.tensors && after.heap_peak > after.heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_uses_have_names),
        cmocka_unit_test(test_tensors_are_counted_by_use),
        cmocka_unit_test(test_peaks_begin_anew),
        cmocka_unit_test(test_the_heap_is_counted),
        cmocka_unit_test(test_what_fails_is_not_counted),
        cmocka_unit_test(test_every_live_block_is_visited),
        cmocka_unit_test(test_a_broken_block_is_found_when_it_is_freed),
        cmocka_unit_test(test_threads_do_not_disturb_the_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
