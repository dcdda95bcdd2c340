#include "base/account.h"

#include "base/error.h"
#include "base/proc.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ------------------------------------------------------------------ mappings */

static bool starts(const char *text, const char *with)
{
    return !strncmp(text, with, strlen(with));
}

/* Which sum a mapping of that name belongs to. Shared memory has names like files, but is none. */
static size_t *sum_for(hl_mappings *m, const char *name)
{
    static const char *const shared[] = {"/memfd:", "/SYSV", "/dev/shm/", "/dev/zero", "[anon_shmem:"};
    for (size_t i = 0; i < sizeof shared / sizeof *shared; i++)
        if (starts(name, shared[i]))
            return &m->shared;
    if (name[0] == '/')
        return &m->files;
    if (!strcmp(name, "[heap]"))
        return &m->heap;
    if (!strcmp(name, "[stack]"))
        return &m->stack;
    return !name[0] || starts(name, "[anon:") ? &m->anonymous : &m->other;
}

/* The name at the end of "BEGIN-END PERMISSIONS OFFSET DEVICE INODE NAME", "" for none; NULL for another
 * line. */
static const char *mapping_name(const char *line)
{
    uint64_t begin, end;
    int at = 0;
    bool hex = (line[0] >= '0' && line[0] <= '9') ||
               (line[0] >= 'a' && line[0] <= 'f'); /* fields are words */
    if (!hex || sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %*s %*s %*s%n", &begin, &end, &at) < 2 || !at)
        return NULL;
    return line + at + strspn(line + at, " ");
}

/* One line; *sum is that of the mapping it belongs to, NULL before the first. */
static hl_status take_line(const char *path, const char *line, hl_mappings *m, size_t **sum, hl_error *err)
{
    const char *name = mapping_name(line);
    uint64_t kb;
    char unit;
    if (name)
        *sum = sum_for(m, name);
    if (name || !starts(line, "Rss:"))
        return HL_OK;
    if (!*sum || sscanf(line, "Rss: %" SCNu64 " k%c", &kb, &unit) != 2 || unit != 'B' || kb > SIZE_MAX >> 11)
        return hl_fail(err, HL_ERR_DATA, "%s: '%s' where 'Rss: SIZE kB' of a mapping was expected", path,
                       hl_excerpt_of(line).text);
    **sum += (size_t)kb << 10;
    m->total += (size_t)kb << 10;
    return HL_OK;
}

hl_status hl_mappings_read(const char *path, hl_mappings *m, hl_error *err)
{
    hl_proc p;
    size_t *sum = NULL;
    *m = (hl_mappings){0};
    hl_status status = hl_proc_open(&p, path, err);
    if (status != HL_OK)
        return status;
    for (const char *line; status == HL_OK && (line = hl_proc_line(&p));)
        status = take_line(path, line, m, &sum, err);
    hl_status closed = hl_proc_close(&p, path, status == HL_OK ? err : NULL);
    status = status == HL_OK ? closed : status;
    if (status == HL_OK && !sum)
        status = hl_fail(err, HL_ERR_DATA, "%s: it tells of no mapping", path);
    return status;
}

/* ------------------------------------------------------------------ tensors */

enum { ENTRIES = 4096 };

typedef struct count {
    int fd; /* of /proc/self/pagemap */
    int fault;
    size_t page;
    size_t *resident; /* [HL_USES] */
    uint64_t entry[ENTRIES];
} count;

/* A page was written to if it is present and mapped here alone: one that was only read is the kernel's page
 * of zeros, which is nobody's memory (mincore(2) does not tell them apart). */
static bool is_resident(uint64_t entry)
{
    return entry >> 63 & entry >> 56 & 1;
}

static void count_block(void *context, const void *block, size_t bytes, hl_use use)
{
    count *c = context;
    uint64_t page = (uintptr_t)block / c->page, end = ((uintptr_t)block + bytes + c->page - 1) / c->page;
    while (page < end && !c->fault) {
        size_t wanted = end - page < ENTRIES ? (size_t)(end - page) : ENTRIES;
        ssize_t got = pread(c->fd, c->entry, wanted * sizeof *c->entry, (off_t)(page * sizeof *c->entry));
        if (got < (ssize_t)sizeof *c->entry) {
            c->fault = got < 0 ? errno : EIO;
            return;
        }
        size_t n = (size_t)got / sizeof *c->entry;
        for (size_t i = 0; i < n; i++)
            c->resident[use] += is_resident(c->entry[i]) ? c->page : 0;
        page += n;
    }
}

static hl_status count_tensors(size_t resident[HL_USES], hl_error *err)
{
    static const char *const path = "/proc/self/pagemap";
    count c = {
        .fd = open(path, O_RDONLY | O_CLOEXEC), .page = (size_t)sysconf(_SC_PAGESIZE), .resident = resident};
    if (c.fd < 0)
        c.fault = errno;
    else {
        hl_tensors_visit(count_block, &c);
        close(c.fd);
    }
    return c.fault ? hl_fail(err, HL_ERR_UNSUPPORTED,
                             "%s cannot be read (error %d): how much of the tensors is resident is not known",
                             path, c.fault)
                   : HL_OK;
}

/* ------------------------------------------------------------------ account */

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

hl_status hl_account_now(hl_account *a, hl_error *err)
{
    const hl_mappings *m = &a->mappings;
    *a = (hl_account){0};
    hl_status status = hl_mappings_read("/proc/self/smaps", &a->mappings, err);
    if (status == HL_OK)
        status = count_tensors(a->tensors, err);
    if (status != HL_OK)
        return status;
    size_t tensors = 0;
    for (int u = 0; u < HL_USES; u++)
        tensors += a->tensors[u];
    size_t anonymous = m->anonymous > tensors ? m->anonymous - tensors : 0;
    a->rss = m->total;
    a->files = m->files;
    a->stack = m->stack;
    /* A large block that nobody wrote to is live, and not resident. */
    a->heap = least(hl_allocated_now().heap, m->heap + anonymous);
    a->unaccounted = (int64_t)a->rss - (int64_t)(tensors + a->heap + a->files + a->stack);
    return HL_OK;
}
