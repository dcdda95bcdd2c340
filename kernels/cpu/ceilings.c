#include "kernels/cpu/ceilings.h"

#include "base/process.h"
#include "kernels/cpu/integers.h"
#include "kernels/cpu/threads.h"
#include "kernels/cpu/vec.h"

#include <unistd.h>

static volatile float sink; /* so that no sum is thrown away */

/* What a thread takes of n floats, in whole strides. */
typedef struct share {
    size_t begin, count;
} share;

enum { STRIDE = 8 * VEC_WIDTH };

static share share_of(size_t n)
{
    size_t threads = (size_t)omp_get_num_threads(), thread = (size_t)omp_get_thread_num();
    size_t each = n / threads / STRIDE * STRIDE;
    return (share){each * thread, each};
}

/* Sum of n floats (a multiple of STRIDE), read as four streams, as hardware prefetchers like it. */
static float sum_of(const float *p, size_t n)
{
    size_t quarter = n / 4;
    vec sum[8];
    VEC_UNROLL
    for (int k = 0; k < 8; k++)
        sum[k] = vec_splat(0);
    for (size_t i = 0; i < quarter; i += 2 * VEC_WIDTH) {
        VEC_UNROLL
        for (int k = 0; k < 8; k++)
            sum[k] += vec_load(p + (size_t)(k / 2) * quarter + i + (size_t)(k % 2) * VEC_WIDTH);
    }
    VEC_UNROLL
    for (int k = 1; k < 8; k++)
        sum[0] += sum[k];
    return vec_sum(sum[0]);
}

double hl_trial_read(float *pool, size_t count)
{
    float total = 0;
    size_t floats = 0;
    double began = hl_seconds();
#pragma omp parallel reduction(+ : total, floats)
    {
        share s = share_of(count);
        total += sum_of(pool + s.begin, s.count);
        floats += s.count;
    }
    double seconds = hl_seconds() - began;
    sink = total;
    return (double)(floats * sizeof *pool) / seconds;
}

double hl_trial_copy(float *pool, size_t count)
{
    size_t half = count / 2, floats = 0;
    double began = hl_seconds();
#pragma omp parallel reduction(+ : floats)
    {
        share s = share_of(half);
        const float *from = pool + s.begin;
        float *to = pool + half + s.begin;
        for (size_t i = 0; i < s.count; i += VEC_WIDTH) {
            vec v = vec_load(from + i);
            VEC_HOLD(v); /* a loop of loads and stores would become memcpy, which kernels are not */
            vec_store(to + i, v);
        }
        floats += 2 * s.count;
    }
    return (double)(floats * sizeof *pool) / (hl_seconds() - began);
}

double hl_trial_triad(float *pool, size_t count)
{
    size_t third = count / 3, floats = 0;
    double began = hl_seconds();
#pragma omp parallel reduction(+ : floats)
    {
        share s = share_of(third);
        float *a = pool + s.begin;
        const float *b = pool + third + s.begin, *c = pool + 2 * third + s.begin;
        vec scale = vec_splat(0.5f);
        for (size_t i = 0; i < s.count; i += VEC_WIDTH)
            vec_store(a + i, vec_fma(scale, vec_load(c + i), vec_load(b + i)));
        floats += 3 * s.count;
    }
    return (double)(floats * sizeof *pool) / (hl_seconds() - began);
}

/* Half of what one core has at the second level, or of 256 KiB where the system does not tell. */
static size_t cached_floats(void)
{
    long bytes = -1;
#ifdef _SC_LEVEL2_CACHE_SIZE
    bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
#endif
    return (size_t)(bytes > 0 ? bytes : 256 << 10) / 2 / sizeof(float) / STRIDE * STRIDE;
}

double hl_trial_cache(float *pool, size_t count)
{
    enum { ROUNDS = 100 };
    float total = 0;
    size_t floats = 0;
    double seconds = 0;
#pragma omp parallel reduction(+ : total, floats) reduction(max : seconds)
    {
        share s = share_of(count);
        size_t n = s.count < cached_floats() ? s.count : cached_floats();
        total += sum_of(pool + s.begin, n); /* brings it there */
#pragma omp barrier
        double began = hl_seconds();
        for (int r = 0; r < ROUNDS; r++) {
            total += sum_of(pool + s.begin, n);
            __asm__ volatile("" ::: "memory"); /* the next sum is not known to be this one */
        }
        seconds = hl_seconds() - began;
        floats += ROUNDS * n;
    }
    sink = total;
    return (double)(floats * sizeof *pool) / seconds;
}

enum { CHAINS = 10 };

/* Chains of dependent multiply-adds: ten cover a latency of five at two a cycle. */
static float multiply_add(int steps)
{
    vec sum[CHAINS], x = vec_splat(0.999f), y = vec_splat(0.001f);
    VEC_UNROLL
    for (int k = 0; k < CHAINS; k++)
        sum[k] = vec_splat((float)k);
    for (int i = 0; i < steps; i++) {
        VEC_UNROLL
        for (int k = 0; k < CHAINS; k++) {
            sum[k] = vec_fma(sum[k], x, y);
            VEC_HOLD(sum[k]);
        }
    }
    VEC_UNROLL
    for (int k = 1; k < CHAINS; k++)
        sum[0] += sum[k];
    return vec_sum(sum[0]);
}

static float add_products(int steps)
{
    ints sum[CHAINS] = {0};
    shorts x = (shorts)(sum[0] + 65537 * 3), y = (shorts)(sum[0] + 65537 * 5);
    for (int i = 0; i < steps; i++) {
        VEC_UNROLL
        for (int k = 0; k < CHAINS; k++) {
            SHORTS_HOLD(x); /* so that the compiler does not know the product */
            sum[k] = ints_add_products(sum[k], x, y);
        }
    }
    VEC_UNROLL
    for (int k = 1; k < CHAINS; k++)
        sum[0] = (ints)((shorts)sum[0] ^ (shorts)sum[k]);
    return (float)ints_sum(sum[0]);
}

/* Operations/s of all threads in a loop of chains, each with so many lanes: a multiplication and an addition.
 */
static double rate_of(float (*chains)(int steps), int lanes)
{
    enum { LOOPS = 1000000 };
    float total = 0;
    int threads = 0;
    double began = hl_seconds();
#pragma omp parallel reduction(+ : total, threads)
    {
        total += chains(LOOPS);
        threads += 1;
    }
    double seconds = hl_seconds() - began;
    sink = total;
    return 2.0 * CHAINS * lanes * LOOPS * threads / seconds;
}

double hl_trial_multiply_add(float *pool, size_t count)
{
    (void)pool, (void)count;
    return rate_of(multiply_add, VEC_WIDTH);
}

double hl_trial_integers(float *pool, size_t count)
{
    (void)pool, (void)count;
    return rate_of(add_products, SHORTS);
}

double hl_best_of_trials(hl_trial *trial, float *pool, size_t count, double seconds)
{
    enum { LEAST = 3 };
    double best = 0, end = hl_seconds() + seconds;
    for (int i = 0; i < LEAST || hl_seconds() < end; i++) {
        double rate = trial(pool, count);
        best = rate > best ? rate : best;
    }
    return best;
}

int hl_vector_floats(void)
{
    return VEC_WIDTH;
}
