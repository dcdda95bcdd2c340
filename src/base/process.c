#include "base/process.h"

#include <math.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

double hl_resident_bytes(void)
{
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f)
        return NAN;
    int n = fscanf(f, "%*u %lu", &pages);
    fclose(f);
    return n == 1 ? (double)pages * (double)sysconf(_SC_PAGESIZE) : NAN;
}

double hl_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
