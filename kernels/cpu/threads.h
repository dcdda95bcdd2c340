/* Which thread of how many: OpenMP's, or the only one where it is not built in (-DHL_OPENMP=OFF). */
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

#endif
#endif
