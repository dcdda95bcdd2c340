/* The input: demonstrations in robomimic's layout, an HDF5 file. */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/hdf5.h"
#include "tests/fuzz/input_file.h"
#include "tests/fuzz/read_demonstrations.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    const char *path = input_file(bytes, n);
    read_demonstrations(path, HL_CACHE_NONE);
    read_demonstrations(path, HL_CACHE_ALL);
    describe(path);
    return 0;
}
