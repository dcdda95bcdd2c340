#include "base/process.h"

#include "base/error.h"
#include "base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

double hl_resident_bytes(void)
{
    static const char *const path = "/proc/self/statm";
    hl_proc p;
    unsigned long pages = 0;
    if (hl_proc_open(&p, path, NULL) != HL_OK)
        return NAN;
    const char *line = hl_proc_line(&p);
    bool told = line && sscanf(line, "%*u %lu", &pages) == 1;
    return hl_proc_close(&p, path, NULL) == HL_OK && told ? (double)pages * (double)sysconf(_SC_PAGESIZE)
                                                          : NAN;
}

double hl_peak_resident_bytes(void)
{
    uint64_t kb;
    return hl_proc_number("/proc/self/status", "VmHWM", &kb, NULL) == HL_OK ? (double)kb * 1024 : NAN;
}

hl_status hl_peak_resident_restart(hl_error *err)
{
    int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
    bool done = fd >= 0 && write(fd, "5", 1) == 1; /* proc(5): since Linux 4.0 */
    int number = errno;
    if (fd >= 0)
        close(fd);
    return done ? HL_OK
                : hl_fail(err, HL_ERR_UNSUPPORTED,
                          "/proc/self/clear_refs cannot be written (error %d): the peak of resident memory "
                          "is that "
                          "since the process began",
                          number);
}

double hl_cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
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
