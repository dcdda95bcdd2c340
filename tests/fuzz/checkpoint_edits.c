/* The input: edits of a checkpoint, so that libhdf5 finds nothing wrong with it. */
#include "io/hdf5.h"

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/hdf5_edits.h"
#include "tests/fuzz/read_checkpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static uint8_t edited[1 << 20];
    const char *path = input_copy(HL_FUZZ_SEEDS "/checkpoint/values");
    hl_hdf5_scope scope = hl_hdf5_begin(); /* no printing */
    edit_hdf5(path, bytes, n);
    hl_hdf5_end(scope);
    FILE *f = fopen(path, "rb");
    HL_ASSERT(f);
    const size_t size = fread(edited, 1, sizeof edited, f);
    fclose(f);
    if (size == sizeof edited)
        return 0;
    repair_checkpoint(edited, size);
    read_checkpoint(edited, size);
    return 0;
}
