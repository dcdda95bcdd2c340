#include "base/proc.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static hl_status fail(hl_error *err, hl_status status, const char *path, int number)
{
    char reason[128];
    if (strerror_r(number, reason, sizeof reason))
        reason[0] = 0;
    return hl_fail(err, status, "%s cannot be read: %s (error %d); it is there on Linux with /proc mounted",
                   path, reason, number);
}

hl_status hl_proc_open(hl_proc *p, const char *path, hl_error *err)
{
    p->fd = open(path, O_RDONLY | O_CLOEXEC);
    p->begin = p->end = 0;
    p->fault = 0;
    p->cut = false;
    return p->fd < 0 ? fail(err, HL_ERR_UNSUPPORTED, path, errno) : HL_OK;
}

/* Moves what is left to the front and reads on behind it: false if there is no more room, or no more to read.
 */
static bool more(hl_proc *p)
{
    ssize_t n;
    memmove(p->text, p->text + p->begin, p->end - p->begin);
    p->end -= p->begin;
    p->begin = 0;
    if (p->end == sizeof p->text - 1)
        return false;
    do
        n = read(p->fd, p->text + p->end, sizeof p->text - 1 - p->end);
    while (n < 0 && errno == EINTR);
    p->fault = n < 0 ? errno : 0;
    p->end += n > 0 ? (size_t)n : 0;
    return n > 0;
}

/* Length of the line that begins now; not whole: of what there is of it, or fits. */
static size_t gather(hl_proc *p, bool *whole)
{
    const char *line, *end;
    do {
        line = p->text + p->begin;
        end = memchr(line, '\n', p->end - p->begin);
    } while (!end && more(p));
    *whole = end != NULL;
    return end ? (size_t)(end - line) : p->end - p->begin;
}

char *hl_proc_line(hl_proc *p)
{
    bool whole, rest;
    char *line;
    do {
        size_t n = gather(p, &whole);
        if (p->fault || (!whole && !n))
            return NULL;
        line = p->text + p->begin;
        line[n] = 0;
        p->begin += n + whole;
        rest = p->cut;
        p->cut = !whole;
    } while (rest);
    return line;
}

hl_status hl_proc_close(hl_proc *p, const char *path, hl_error *err)
{
    close(p->fd);
    return p->fault ? fail(err, HL_ERR_IO, path, p->fault) : HL_OK;
}

hl_status hl_proc_number(const char *path, const char *key, uint64_t *number, hl_error *err)
{
    hl_proc p;
    size_t n = strlen(key);
    bool found = false;
    hl_status status = hl_proc_open(&p, path, err);
    if (status != HL_OK)
        return status;
    for (char *line; !found && (line = hl_proc_line(&p));) {
        char *end = line;
        if (!strncmp(line, key, n) && line[n] == ':') {
            *number = strtoull(line + n + 1, &end, 10);
            found = end > line + n + 1;
        }
    }
    status = hl_proc_close(&p, path, err);
    if (status == HL_OK && !found)
        status = hl_fail(err, HL_ERR_UNSUPPORTED, "%s has no line '%s: NUMBER'", path, key);
    return status;
}
