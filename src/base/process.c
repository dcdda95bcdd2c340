#include "base/process.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
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

/* The first "model name" of /proc/cpuinfo; "processor" where there is none (as on ARM). */
static void processor_name(char *name, size_t size)
{
    char line[256];
    FILE *f = fopen("/proc/cpuinfo", "r");
    snprintf(name, size, "processor");
    while (f && fgets(line, sizeof line, f)) {
        const char *value = strchr(line, ':');
        if (strncmp(line, "model name", 10) || !value)
            continue;
        value += 1 + (value[1] == ' ');
        snprintf(name, size, "%.*s", (int)strcspn(value, "\n"), value);
        break;
    }
    if (f)
        fclose(f);
}

void hl_describe_processor(hl_device_info *info)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    *info = (hl_device_info){.device = "cpu",
                             .memory = (size_t)sysconf(_SC_PHYS_PAGES) * page,
                             .free = (size_t)sysconf(_SC_AVPHYS_PAGES) * page,
                             .processors = (int)sysconf(_SC_NPROCESSORS_ONLN)};
    processor_name(info->name, sizeof info->name);
}
