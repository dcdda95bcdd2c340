/* The shuffled order of samples: a permutation, a fair one, a function of seed and epoch. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "data/permutation.h"

/* Every epoch is a permutation: each index once. */
static void permutation_is_one(void **state)
{
    static const int64_t counts[] = {1, 2, 3, 17, 64, 1000};
    (void)state;
    for (int k = 0; k < 6; k++)
        for (uint64_t epoch = 0; epoch < 5; epoch++) {
            char seen[1000] = {0};
            for (int64_t i = 0; i < counts[k]; i++) {
                int64_t at = hl_permute(7, epoch << (8 * epoch), counts[k], i);
                assert_in_range(at, 0, counts[k] - 1);
                assert_int_equal(seen[at]++, 0);
            }
        }
    int64_t huge = INT64_MAX;
    assert_in_range(hl_permute(1, 2, huge, huge - 1), 0, huge - 1);
    assert_int_not_equal(hl_permute(1, 2, huge, 5), hl_permute(1, 2, huge, 6));
}

/* All 24 orders of four, equally often over epochs: chi-square with 23 degrees of freedom. */
static void permutation_is_fair(void **state)
{
    enum { EPOCHS = 24000 };
    double count[256] = {0}, chi = 0;
    int kinds = 0;
    (void)state;
    for (uint64_t epoch = 0; epoch < EPOCHS; epoch++) {
        int code = 0;
        for (int64_t i = 0; i < 4; i++)
            code = code * 4 + (int)hl_permute(42, epoch, 4, i);
        count[code]++;
    }
    for (int i = 0; i < 256; i++) {
        kinds += count[i] > 0;
        chi += count[i] > 0 ? (count[i] - 1000) * (count[i] - 1000) / 1000 : 0;
    }
    assert_int_equal(kinds, 24);
    assert_true(chi < 49.7); /* one chance in a thousand; the draw is fixed */
}

/* Neighbours of one epoch are not neighbours in the next, and the seed matters. */
static void permutation_mixes(void **state)
{
    int same_place = 0, neighbours = 0, same_seed = 0;
    (void)state;
    for (int64_t i = 0; i + 1 < 5000; i++) {
        int64_t a = hl_permute(1, 0, 5000, i);
        same_place += a == hl_permute(1, 1, 5000, i);
        same_seed += a == hl_permute(2, 0, 5000, i);
        neighbours += llabs(a - hl_permute(1, 0, 5000, i + 1)) == 1;
    }
    assert_true(same_place < 10 && same_seed < 10 && neighbours < 15); /* expected 1, 1, 2 */
}

/* Fixed for ever: a resumed run must meet the order of the run it resumes. */
static void permutation_is_frozen(void **state)
{
    static const int64_t want[8] = {0, 1, 6, 2, 7, 3, 5, 4};
    (void)state;
    for (int64_t i = 0; i < 8; i++)
        assert_int_equal(hl_permute(123, 4, 8, i), want[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(permutation_is_one),
        cmocka_unit_test(permutation_is_fair),
        cmocka_unit_test(permutation_mixes),
        cmocka_unit_test(permutation_is_frozen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
