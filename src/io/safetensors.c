#include "io/safetensors.h"

#include "base/error.h"
#include "base/half.h"
#include "base/shape.h"

#include <stdint.h>
#include <string.h>

size_t hl_safetensor_type_size(const char *type)
{
    static const struct {
        const char *name;
        size_t size;
    } types[] = {{"F32", 4}, {"F16", 2}, {"BF16", 2},    {"I8", 1},      {"U8", 1},
                 {"I64", 8}, {"U64", 8}, {"F64", 8},     {"I32", 4},     {"U32", 4},
                 {"I16", 2}, {"U16", 2}, {"F8_E4M3", 1}, {"F8_E5M2", 1}, {"BOOL", 1}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (!strcmp(types[i].name, type))
            return types[i].size;
    return 0;
}

hl_safetensor hl_safetensor_make(const char *name, hl_dtype dtype, hl_shape shape, const void *data)
{
    static const char *const types[HL_DTYPES] = {
        [HL_F32] = "F32", [HL_F16] = "F16", [HL_BF16] = "BF16", [HL_I8] = "I8"};
    const int64_t count = hl_shape_count(shape);
    HL_ASSERT(dtype < HL_DTYPES && count >= 0);
    return (hl_safetensor){.name = name,
                           .type = types[dtype],
                           .known = true,
                           .dtype = dtype,
                           .shape = shape,
                           .count = count,
                           .bytes = (size_t)count * hl_dtype_size(dtype),
                           .data = data};
}

bool hl_safetensor_aligned(const hl_safetensor *t)
{
    return (uintptr_t)t->data % hl_safetensor_type_size(t->type) == 0;
}

void hl_safetensor_widen(const hl_safetensor *t, float *to)
{
    const char *from = t->data;
    HL_ASSERT(t->known && (int)t->dtype < HL_FLOATS);
    if (t->dtype == HL_F32 && t->count)
        memcpy(to, from, t->bytes);
    for (int64_t i = 0; t->dtype != HL_F32 && i < t->count; i++) {
        uint16_t half;
        memcpy(&half, from + (size_t)i * sizeof half, sizeof half);
        to[i] = t->dtype == HL_BF16 ? hl_bf16_to_float(half) : hl_f16_to_float(half);
    }
}
