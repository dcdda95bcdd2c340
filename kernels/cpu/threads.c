#include "kernels/cpu/threads.h"

hl_grain hl_cpu_grain = {.elements = 1 << 16, .products = 1 << 20};

int hl_threads_for(double products)
{
    return products > hl_cpu_grain.products ? omp_get_max_threads() : 1;
}
