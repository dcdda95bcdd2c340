#include "base/shape.h"

#include "base/error.h"
#include "base/memory.h"

#include <stdio.h>
#include <string.h>

hl_shape hl_shape_make(int rank, const int64_t *dim)
{
    hl_shape s = {.rank = rank};
    HL_ASSERT(rank >= 0 && rank <= HL_MAX_RANK);
    for (int i = 0; i < rank; i++)
        s.dim[i] = dim[i];
    return s;
}

bool hl_shape_equal(hl_shape a, hl_shape b)
{
    if (a.rank != b.rank)
        return false;
    for (int i = 0; i < a.rank; i++)
        if (a.dim[i] != b.dim[i])
            return false;
    return true;
}

int64_t hl_shape_count(hl_shape s)
{
    size_t n = 1, bytes; /* of the dims that are not 0, so that no product of some of them overflows */
    bool empty = false;
    for (int i = 0; i < s.rank; i++) {
        empty = empty || s.dim[i] == 0;
        if (s.dim[i] < 0 || (s.dim[i] && !hl_size_mul(n, (size_t)s.dim[i], &n)))
            return -1;
    }
    if (!hl_size_mul(n, sizeof(double), &bytes) || bytes > INT64_MAX)
        return -1;
    return empty ? 0 : (int64_t)n;
}

int64_t hl_shape_span(hl_shape s, int begin, int end)
{
    int64_t n = 1;
    for (int i = begin; i < end; i++)
        n *= s.dim[i];
    return n;
}

hl_shape_text hl_shape_print(hl_shape s)
{
    hl_shape_text t = {"["};
    size_t used = 1;
    for (int i = 0; i < s.rank && used < sizeof t.text; i++)
        used += (size_t)snprintf(t.text + used, sizeof t.text - used, i ? ",%lld" : "%lld",
                                 (long long)s.dim[i]);
    if (used < sizeof t.text)
        snprintf(t.text + used, sizeof t.text - used, "]");
    return t;
}

size_t hl_dtype_size(hl_dtype dtype)
{
    static const size_t sizes[HL_DTYPES] = {4, 2, 2, 1};
    HL_ASSERT(dtype < HL_DTYPES);
    return sizes[dtype];
}

const char *const hl_dtype_words[HL_DTYPES + 1] = {"f32", "f16", "bf16", "i8", NULL};

const char *hl_dtype_name(hl_dtype dtype)
{
    return dtype < HL_DTYPES ? hl_dtype_words[dtype] : "?";
}
