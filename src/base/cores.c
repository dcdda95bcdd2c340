#include "base/cores.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/proc.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MOST = 65536 }; /* cores */

/* Ticks of a core since the machine started. */
typedef struct ticks {
    bool on;
    uint64_t busy, idle;
} ticks;

struct hl_cores {
    char *path;
    int count;
    ticks *now, *before;
};

/* "cpuN user nice system idle iowait irq softirq steal ...": what follows is counted in user already. Waiting
 * for a disk is idle; time that the host gave to others (steal) is not, as this machine wanted it. False: no
 * core's line. */
static bool parse(const char *line, int *core, ticks *t)
{
    uint64_t n, v[8] = {0};
    int read = sscanf(line,
                      "cpu%" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
                      " %" SCNu64 " %" SCNu64,
                      &n, &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &v[6], &v[7]);
    if (read < 5 || line[3] < '0' || line[3] > '9' || n >= MOST) /* the sum's, or nonsense */
        return false;
    *core = (int)n;
    *t = (ticks){true, v[0] + v[1] + v[2] + v[5] + v[6] + v[7], v[3] + v[4]};
    return true;
}

/* The lines of all cores come first, after one for their sum. What cannot be read leaves no core on. */
static hl_status read_ticks(const char *path, ticks *cores, int count, int *highest, hl_error *err)
{
    hl_proc p;
    for (int i = 0; i < count; i++)
        cores[i].on = false;
    *highest = -1;
    hl_status status = hl_proc_open(&p, path, err);
    if (status != HL_OK)
        return status;
    for (const char *line; (line = hl_proc_line(&p)) && !strncmp(line, "cpu", 3);) {
        int core;
        ticks t;
        if (!parse(line, &core, &t))
            continue;
        *highest = core > *highest ? core : *highest;
        if (core < count)
            cores[core] = t;
    }
    return hl_proc_close(&p, path, err);
}

static bool allocate(hl_cores *c, const char *path)
{
    c->path = hl_strdup(path);
    c->now = hl_alloc((size_t)c->count, sizeof *c->now);
    c->before = hl_alloc((size_t)c->count, sizeof *c->before);
    return c->path && c->now && c->before;
}

hl_cores *hl_cores_new(const char *path, hl_error *err)
{
    int highest;
    long configured = sysconf(_SC_NPROCESSORS_CONF); /* a core that is off has no line */
    hl_status status = read_ticks(path, NULL, 0, &highest, err);
    if (status == HL_OK && highest < 0)
        status = hl_fail(err, HL_ERR_UNSUPPORTED, "%s has no lines 'cpuN USER NICE SYSTEM IDLE ...'", path);
    if (status != HL_OK)
        return NULL;
    hl_cores *c = hl_alloc(1, sizeof *c);
    if (c)
        c->count = configured > highest ? (int)configured : highest + 1;
    if (!c || !allocate(c, path))
        status = hl_fail(err, HL_ERR_MEMORY, "no memory to watch the processor's cores");
    else
        status = read_ticks(path, c->now, c->count, &highest, err);
    if (status == HL_OK)
        return c;
    hl_cores_free(c);
    return NULL;
}

void hl_cores_free(hl_cores *c)
{
    if (!c)
        return;
    hl_free(c->path);
    hl_free(c->now);
    hl_free(c->before);
    hl_free(c);
}

int hl_cores_count(const hl_cores *c)
{
    return c->count;
}

/* A core that was switched off and on may count backwards. */
static double percent_between(const ticks *a, const ticks *b)
{
    if (!a->on || !b->on || b->busy < a->busy || b->idle < a->idle)
        return NAN;
    uint64_t busy = b->busy - a->busy, idle = b->idle - a->idle;
    return busy + idle ? 100 * (double)busy / (double)(busy + idle) : NAN;
}

hl_status hl_cores_read(hl_cores *c, double *percent, hl_error *err)
{
    int highest;
    ticks *last = c->now;
    c->now = c->before;
    c->before = last;
    hl_status status = read_ticks(c->path, c->now, c->count, &highest, err);
    for (int i = 0; i < c->count; i++)
        percent[i] = percent_between(&c->before[i], &c->now[i]);
    return status;
}
