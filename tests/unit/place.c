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
        hl_placement p;
        for (int i = 0; i < N; i++) {
            int first = rand() % STEPS, last = first + rand() % (STEPS - first);
            b[i] = (hl_block){(size_t)(rand() % 10000), first, last, 0};
        }
        assert_int_equal(hl_place(b, N, STEPS, true, &p, NULL), HL_OK);
        assert_no_overlap(b, N, p.bytes);
        assert_true(p.bytes >= p.lower_bound && p.bytes < 2 * p.lower_bound);
        assert_int_equal(hl_place(b, N, STEPS, false, &p, NULL), HL_OK);
        assert_no_overlap(b, N, p.bytes);
    }
}

static void a_chain_takes_two_blocks(void **state)
{
    (void)state;
    hl_block b[10];
    hl_placement p;
    for (int i = 0; i < 10; i++)
        b[i] = (hl_block){1024, i, i + 1, 0};
    assert_int_equal(hl_place(b, 10, 11, true, &p, NULL), HL_OK);
    assert_int_equal(p.bytes, 2048);
    assert_int_equal(p.lower_bound, 2048);
}

/* As in the backward of a convolution: the largest first would leave a hole. */
static void what_ends_last_lies_lowest(void **state)
{
    (void)state;
    hl_block b[] = {{6400, 1, 9, 0}, {3200, 0, 3, 0}, {1600, 0, 6, 0}, {4800, 1, 2, 0},
                    {3200, 5, 9, 0}, {4800, 5, 6, 0}, {3200, 8, 9, 0}, {4000, 8, 8, 0}};
    hl_placement p;
    assert_int_equal(hl_place(b, 8, 10, true, &p, NULL), HL_OK);
    assert_no_overlap(b, 8, p.bytes);
    assert_int_equal(p.lower_bound, 6400 + 3200 + 3200 + 4032);
    assert_int_equal(p.bytes, p.lower_bound);
    assert_int_equal(p.fullest, 8);
}

static void nothing_and_too_much(void **state)
{
    (void)state;
    hl_placement p = {1, 1, 1};
    hl_error err = {0};
    assert_int_equal(hl_place(NULL, 0, 0, true, &p, &err), HL_OK);
    assert_int_equal(p.bytes, 0);
    hl_block b[2] = {{SIZE_MAX / 2 - 100, 0, 0, 0}, {SIZE_MAX / 2 - 100, 0, 0, 0}};
    assert_int_equal(hl_place(b, 2, 1, true, &p, &err), HL_ERR_MEMORY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_lifetimes_never_overlap),
        cmocka_unit_test(a_chain_takes_two_blocks),
        cmocka_unit_test(what_ends_last_lies_lowest),
        cmocka_unit_test(nothing_and_too_much),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
