#include "kernels/cpu/threads.h"

#include <stdbool.h>

hl_grain hl_cpu_grain = {.elements = 1 << 16, .products = 1 << 22, .bytes = 1 << 21};

int hl_threads_for(double products, double bytes)
{
    bool worth = products > hl_cpu_grain.products || bytes > hl_cpu_grain.bytes;
    return worth ? omp_get_max_threads() : 1;
}
