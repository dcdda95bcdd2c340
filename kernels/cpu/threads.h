/* Which thread of how many: OpenMP's, or the only one where it is not built in (-DHL_OPENMP=OFF); and what is
 * worth sharing. */
#ifndef HL_KERNELS_CPU_THREADS_H
#define HL_KERNELS_CPU_THREADS_H

#ifdef _OPENMP
#include <omp.h>
#else

static inline int omp_get_max_threads(void)
{
    return 1;
}

static inline int omp_get_num_threads(void)
{
    return 1;
}

static inline int omp_get_thread_num(void)
{
    return 0;
}

static inline void omp_set_num_threads(int threads)
{
    (void)threads;
}

#endif

/* Threads that sleep take tens of microseconds to wake; up to so much work one is done before the others have
 * woken. Tests set all of it to 0: everything is shared, however small. */
typedef struct hl_grain {
    double elements; /* that a loop goes through */
    double products; /* multiply-adds of a kernel that computes, */
    double bytes;    /* or what it reads */
} hl_grain;
extern hl_grain hl_cpu_grain;

/* For a kernel of so many multiply-adds that reads so many bytes: 1, or all that there are. */
int hl_threads_for(double products, double bytes);

#endif
