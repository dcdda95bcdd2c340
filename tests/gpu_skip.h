/* For programs that may be asked to test on a GPU where there is none. */
#ifndef HL_TESTS_GPU_SKIP_H
#define HL_TESTS_GPU_SKIP_H

#include "hl.h"

#include <stdio.h>
#include <string.h>

/* What CTest takes for skipped. */
enum { EXIT_SKIPPED = 77 };

/* Whether `device` is a GPU that is not there; says so, and how many tests that leaves out. */
static inline bool gpu_is_missing(const char *device, int tests)
{
    hl_error why = {0};
    if (strncmp(device, "cuda", 4) || hl_devices(NULL, 0, &why) > 1)
        return false;
    printf("SKIPPED: %d tests need a GPU: %s\n", tests, why.message);
    return true;
}

#endif
