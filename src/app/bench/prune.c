#include "app/bench/prune.h"

#include "base/error.h"
#include "base/memory.h"

#include <math.h>
#include <string.h>

/* Floats without their sign are in the order of their bits: the magnitude at a rank is found by counting the
 * high 16 bits, then the low 15 of those that share the high ones. */
enum { LOW = 15, BUCKETS = 1 << 16 };

static uint32_t magnitude(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits & 0x7fffffff;
}

/* The bucket that holds the rank-th (from 1), and *rank within it. */
static uint32_t bucket_of_rank(const int64_t *count, int64_t *rank)
{
    uint32_t b = 0;
    for (; *rank > count[b]; b++)
        *rank -= count[b];
    return b;
}

bool hl_prune_values(float *w, int64_t n, int64_t zeros)
{
    HL_ASSERT(zeros >= 0 && zeros <= n);
    int64_t *count = hl_alloc(BUCKETS, sizeof *count), rank = zeros;
    if (!count)
        return false;
    for (int64_t i = 0; i < n; i++)
        count[magnitude(w[i]) >> LOW]++;
    uint32_t high = zeros ? bucket_of_rank(count, &rank) : 0, low = 0;
    memset(count, 0, BUCKETS * sizeof *count);
    for (int64_t i = 0; i < n; i++)
        if (magnitude(w[i]) >> LOW == high)
            count[magnitude(w[i]) & ((1u << LOW) - 1)]++;
    low = zeros ? bucket_of_rank(count, &rank) : 0;
    uint32_t limit = high << LOW | low; /* `rank` of those that have it go as well */
    for (int64_t i = 0; zeros && i < n; i++) {
        uint32_t m = magnitude(w[i]);
        if (m < limit || (m == limit && rank-- > 0))
            w[i] = 0;
    }
    hl_free(count);
    return true;
}

hl_status hl_prune(hl_params *params, double fraction, hl_error *err)
{
    hl_status status = hl_params_materialize(params, err);
    for (int i = 0; i < hl_params_count(params) && status == HL_OK; i++) {
        hl_param_info p = hl_params_at(params, i);
        if (p.role != HL_PARAMETER || p.shape.rank < 2)
            continue;
        if (!hl_prune_values(p.data, p.count, (int64_t)llround(fraction * (double)p.count)))
            status = hl_fail(err, HL_ERR_MEMORY, "no memory to prune '%s'", p.name);
        hl_params_touch(params, i);
    }
    return status;
}
