/* The input: edits of a file of demonstrations, so that libhdf5 finds nothing wrong with it. */
#include "io/hdf5.h"

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/hdf5_edits.h"
#include "tests/fuzz/input_file.h"
#include "tests/fuzz/read_demonstrations.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    const char *path = input_copy(HL_FUZZ_SEEDS "/dataset/fixed-masks");
    hl_hdf5_scope scope = hl_hdf5_begin(); /* no printing */
    edit_hdf5(path, bytes, n);
    hl_hdf5_end(scope);
    read_demonstrations(path, HL_CACHE_NONE);
    read_demonstrations(path, HL_CACHE_ALL);
    describe(path);
    return 0;
}
