#include "compile/place.h"

#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void assert_no_overlap(const hl_block *b, int n, size_t arena)
{
    for (int i = 0; i < n; i++) {
        assert_true(b[i].offset % HL_ALIGN == 0 && b[i].offset + b[i].bytes <= arena);
        for (int k = 0; k < i; k++) {
            bool together = b[i].first <= b[k].last && b[k].first <= b[i].last;
            bool apart = b[i].offset + b[i].bytes <= b[k].offset || b[k].offset + b[k].bytes <= b[i].offset;
            assert_true(!together || apart);
        }
    }
}

static void random_lifetimes_never_overlap(void **state)
{
    (void)state;
    enum { N = 300, STEPS = 100 };
    srand(1);
    for (int round = 0; round < 20; round++) {
        hl_block b[N];
        size_t arena, bound;
        for (int i = 0; i < N; i++) {
            int first = rand() % STEPS, last = first + rand() % (STEPS - first);
            b[i] = (hl_block){(size_t)(rand() % 10000), first, last, 0};
        }
        assert_int_equal(hl_place(b, N, STEPS, true, &arena, &bound, NULL), HL_OK);
        assert_no_overlap(b, N, arena);
        assert_true(arena >= bound && arena < 2 * bound);
        assert_int_equal(hl_place(b, N, STEPS, false, &arena, &bound, NULL), HL_OK);
        assert_no_overlap(b, N, arena);
    }
}

static void a_chain_takes_two_blocks(void **state)
{
    (void)state;
    hl_block b[10];
    size_t arena, bound;
    for (int i = 0; i < 10; i++)
        b[i] = (hl_block){1024, i, i + 1, 0};
    assert_int_equal(hl_place(b, 10, 11, true, &arena, &bound, NULL), HL_OK);
    assert_int_equal(arena, 2048);
    assert_int_equal(bound, 2048);
}

static void nothing_and_too_much(void **state)
{
    (void)state;
    size_t arena = 1, bound = 1;
    hl_error err = {0};
    assert_int_equal(hl_place(NULL, 0, 0, true, &arena, &bound, &err), HL_OK);
    assert_int_equal(arena, 0);
    hl_block b[2] = {{SIZE_MAX / 2 - 100, 0, 0, 0}, {SIZE_MAX / 2 - 100, 0, 0, 0}};
    assert_int_equal(hl_place(b, 2, 1, true, &arena, &bound, &err), HL_ERR_MEMORY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_lifetimes_never_overlap),
        cmocka_unit_test(a_chain_takes_two_blocks),
        cmocka_unit_test(nothing_and_too_much),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
