#include "base/file_internal.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static atomic_uint_fast64_t calls;
static atomic_int_fast64_t until_failure; /* 0 or less: never */
static atomic_bool environment_read;

static bool must_fail(void)
{
    if (!atomic_exchange(&environment_read, true)) {
        const char *n = getenv("HL_FAIL_WRITE");
        if (n)
            atomic_store(&until_failure, strtoll(n, NULL, 10));
    }
    atomic_fetch_add(&calls, 1);
    if (atomic_load(&until_failure) <= 0 || atomic_fetch_sub(&until_failure, 1) != 1)
        return false;
    errno = ENOSPC;
    return true;
}

void hl_file_fail_at(uint64_t n)
{
    atomic_store(&environment_read, true);
    atomic_store(&until_failure, (int_fast64_t)n);
}

uint64_t hl_file_calls(void)
{
    return atomic_load(&calls);
}

int hl_sys_open(const char *path, int flags, unsigned mode)
{
    return must_fail() ? -1 : open(path, flags | O_CLOEXEC, mode);
}

ssize_t hl_sys_write(int fd, const void *bytes, size_t n)
{
    return must_fail() ? -1 : write(fd, bytes, n);
}

ssize_t hl_sys_write_at(int fd, const void *bytes, size_t n, off_t offset)
{
    return must_fail() ? -1 : pwrite(fd, bytes, n, offset);
}

int hl_sys_truncate(int fd, off_t length)
{
    return must_fail() ? -1 : ftruncate(fd, length);
}

int hl_sys_fsync(int fd)
{
    return must_fail() ? -1 : fsync(fd);
}

int hl_sys_rename(const char *from, const char *to)
{
    return must_fail() ? -1 : rename(from, to);
}

int hl_sys_symlink(const char *target, const char *path)
{
    return must_fail() ? -1 : symlink(target, path);
}

int hl_sys_mkdir(const char *path, unsigned mode)
{
    return must_fail() ? -1 : mkdir(path, mode);
}

int hl_sys_unlink(const char *path)
{
    return must_fail() ? -1 : unlink(path);
}

/* ------------------------------------------------------------------ errors */

static const char *way_out(int number)
{
    switch (number) {
    case ENOSPC:
    case EDQUOT:
        return "free some space or choose another disk";
    case EACCES:
    case EPERM:
    case EROFS:
        return "check the permissions or choose another place";
    case ENOENT:
        return "check the path";
    case ENOTDIR:
        return "a part of the path is a file, not a directory";
    case EISDIR:
        return "name a file, not a directory";
    case EEXIST:
        return "a file of that name is in the way";
    case ELOOP:
        return "remove the symbolic link that stands there";
    case EFBIG:
        return "raise the file size limit (ulimit -f) or choose another file system";
    case EMFILE:
    case ENFILE:
        return "raise the limit of open files (ulimit -n)";
    case EIO:
        return "the disk reports a fault: check it";
    default:
        return "check the path and the file system";
    }
}

hl_status hl_file_fail(hl_error *err, const char *path, const char *what, int number)
{
    char reason[128];
    if (strerror_r(number, reason, sizeof reason))
        snprintf(reason, sizeof reason, "error %d", number);
    return hl_fail(err, HL_ERR_IO, "%s: cannot %s: %s; %s", path, what, reason, way_out(number));
}
