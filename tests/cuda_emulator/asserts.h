/* What tests on the emulated CUDA hold: nothing is left behind, and who fails says why. */
#ifndef HL_TESTS_CUDA_EMULATOR_ASSERTS_H
#define HL_TESTS_CUDA_EMULATOR_ASSERTS_H

#include "hl.h"
#include "tests/cuda_emulator/faults.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static inline bool nothing_held(void)
{
    hl_emulated_held held = hl_emulated_holding();
    return !held.device_blocks && !held.pinned_blocks && !held.streams && !held.events && !held.graphs &&
           !held.handles;
}

static inline void assert_nothing_held(void)
{
    hl_emulated_held held = hl_emulated_holding();
    if (!nothing_held())
        fail_msg("held: %d blocks of the device and %d pinned, %d streams, %d events, %d graphs, %d handles",
                 held.device_blocks, held.pinned_blocks, held.streams, held.events, held.graphs,
                 held.handles);
}

static inline void assert_ok(hl_status status, const hl_error *err)
{
    if (status != HL_OK)
        fail_msg("%s", err->message);
}

static inline void assert_says(const hl_error *err, const char *part)
{
    if (!strstr(err->message, part))
        fail_msg("'%s' is not in: %s", part, err->message);
}

static inline int fault_reset(void **state)
{
    (void)state;
    hl_fault_reset();
    return 0;
}

static inline int fault_count(void **state)
{
    (void)state;
    hl_fault_reset();
    assert_nothing_held();
    return 0;
}

/* Of a test: no faults before it, nothing held after it. */
#define FAULT_TEST(test) cmocka_unit_test_setup_teardown(test, fault_reset, fault_count)

#endif
