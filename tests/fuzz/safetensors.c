#include "base/error.h"
#include "io/safetensors.h"

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/safetensors_header.h"

#include <stdlib.h>
#include <string.h>

static volatile unsigned sink;

/* All that a tensor says must hold, and all of its data be there. */
static void use_tensor(const hl_safetensors *f, int index, const uint8_t *bytes, size_t n)
{
    hl_safetensor t = hl_safetensors_at(f, index);
    const uint8_t *data = t.data;
    size_t size = hl_safetensor_type_size(t.type);
    unsigned sum = 0;
    HL_ASSERT(hl_safetensors_find(f, t.name) == index);
    HL_ASSERT(data >= bytes + 8 && data + t.bytes <= bytes + n);
    HL_ASSERT(size && t.bytes == (size_t)t.count * size);
    for (int i = 0; i < t.shape.rank; i++)
        HL_ASSERT(t.shape.dim[i] >= 0);
    for (size_t i = 0; i < t.bytes; i++)
        sum += data[i];
    if (t.known && (int)t.dtype < HL_FLOATS) {
        float *wide = malloc((size_t)t.count * sizeof *wide + 1);
        HL_ASSERT(wide);
        hl_safetensor_widen(&t, wide);
        free(wide);
    }
    sink = sum + hl_safetensor_aligned(&t);
}

static void read_all(const uint8_t *bytes, size_t n)
{
    hl_error err = {0};
    hl_safetensors *f = hl_safetensors_parse(bytes, n, "fuzz", &err);
    HL_ASSERT(f || (err.status != HL_OK && !strncmp(err.message, "fuzz: ", 6)));
    size_t all = 0;
    for (int i = 0; f && i < hl_safetensors_count(f); i++) {
        use_tensor(f, i, bytes, n);
        all += hl_safetensors_at(f, i).bytes;
    }
    HL_ASSERT(all <= n);
    if (f)
        (void)hl_safetensors_metadata(f, "format");
    hl_safetensors_close(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    return read_with_headers(bytes, n, read_all);
}
