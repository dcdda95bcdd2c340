/* The input: a checkpoint, read as it is, and again with its checksums made right. */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/hdf5.h"
#include "tests/fuzz/read_checkpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    read_checkpoint(bytes, n);
    if (n < 4096)
        return 0;
    uint8_t *copy = malloc(n);
    HL_ASSERT(copy);
    memcpy(copy, bytes, n);
    repair_checkpoint(copy, n);
    read_checkpoint(copy, n);
    free(copy);
    return 0;
}
