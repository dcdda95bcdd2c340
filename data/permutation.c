#include "data/permutation.h"

#include "base/error.h"
#include "base/philox.h"

/* Streams no random op of a graph uses: those count up from 0. */
enum { ROUNDS = 96 };
static const uint32_t stream_pivot = 0xFFFF0000u, stream_coin = 0xFFFF1000u;

int64_t hl_permute(uint64_t seed, uint64_t epoch, int64_t count, int64_t index)
{
    HL_ASSERT(count >= 1 && index >= 0 && index < count);
    uint64_t n = (uint64_t)count, x = (uint64_t)index;
    uint64_t key = seed ^ (epoch >> 32) * 0x9E3779B97F4A7C15u; /* the counter holds 32 bits of the epoch */
    uint32_t step = (uint32_t)epoch;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        hl_philox p = hl_philox_block(key, step, stream_pivot, round);
        uint64_t pivot = ((uint64_t)p.v[0] << 32 | p.v[1]) % n;
        uint64_t partner = pivot >= x ? pivot - x : pivot + n - x;
        uint64_t pair = x > partner ? x : partner; /* both of a pair toss the same coin */
        if (hl_philox_block(key, step, stream_coin + round, pair).v[0] & 1u)
            x = partner;
    }
    return (int64_t)x;
}
