#include "base/file_internal.h"

#include "base/error.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

struct hl_file {
    int fd;
    char *path;
    char *temporary; /* NULL: a log, written in place */
};

static void release(hl_file *f)
{
    if (f->fd >= 0)
        (void)close(f->fd); /* what had to reach the disk was synced before */
    hl_free(f->path);
    hl_free(f->temporary);
    hl_free(f);
}

static hl_status new_file(const char *path, bool temporary, hl_file **file, hl_error *err)
{
    *file = NULL;
    hl_file *f = hl_alloc(1, sizeof *f);
    if (!f)
        return hl_fail(err, HL_ERR_MEMORY, "%s: no memory to open it", path);
    f->fd = -1;
    f->path = hl_strdup(path);
    f->temporary = temporary ? hl_file_suffixed(path, ".tmp") : NULL;
    if (!f->path || (temporary && !f->temporary)) {
        release(f);
        return hl_fail(err, HL_ERR_MEMORY, "%s: no memory to open it", path);
    }
    *file = f;
    return HL_OK;
}

hl_status hl_file_append(const char *path, hl_file **file, hl_error *err)
{
    hl_status status = new_file(path, false, file, err);
    if (status != HL_OK)
        return status;
    (*file)->fd = hl_sys_open(path, O_WRONLY | O_CREAT | O_APPEND, 0666);
    if ((*file)->fd < 0) {
        status = hl_file_fail(err, path, "open it for writing", errno);
        release(*file);
        *file = NULL;
    }
    return status;
}

/* ------------------------------------------------------------------ replacing */

/* 1: locked, 0: someone else holds it, -1: errno. Some network file systems know no locks; the lock
 * only turns a mistake (two runs in one directory) into a message, so there we do without. */
static int try_lock(int fd)
{
    if (flock(fd, LOCK_EX | LOCK_NB) == 0 || errno == ENOLCK || errno == EOPNOTSUPP || errno == ENOSYS)
        return 1;
    return errno == EWOULDBLOCK ? 0 : -1;
}

/* The name may have moved on between our open and our lock (its writer committed): then the lock is on
 * a file that is no longer the temporary, and to touch it would damage the committed one. */
static bool still_named(int fd, const char *path)
{
    struct stat ours, theirs;
    return fstat(fd, &ours) == 0 && lstat(path, &theirs) == 0 && ours.st_ino == theirs.st_ino &&
           ours.st_dev == theirs.st_dev;
}

static hl_status open_temporary(hl_file *f, hl_error *err)
{
    for (int attempt = 0; attempt < 16; attempt++) {
        f->fd = hl_sys_open(f->temporary, O_RDWR | O_CREAT | O_NOFOLLOW, 0666);
        if (f->fd < 0)
            return hl_file_fail(err, f->temporary, "create it", errno);
        int locked = try_lock(f->fd);
        if (locked < 0)
            return hl_file_fail(err, f->temporary, "lock it", errno);
        if (!locked)
            return hl_fail(err, HL_ERR_IO,
                           "%s: another process is writing it; wait, or use another directory", f->path);
        if (still_named(f->fd, f->temporary))
            return HL_OK;
        (void)close(f->fd);
        f->fd = -1;
    }
    return hl_fail(err, HL_ERR_IO, "%s: other processes keep replacing it; use another directory", f->path);
}

hl_status hl_file_replace(const char *path, hl_file **file, hl_error *err)
{
    struct stat info;
    if (stat(path, &info) == 0 && S_ISDIR(info.st_mode))
        return hl_file_fail(err, path, "write it", EISDIR);
    hl_status status = new_file(path, true, file, err);
    if (status != HL_OK)
        return status;
    status = open_temporary(*file, err);
    if (status != HL_OK) {
        release(*file); /* the temporary, if there is one, is another's */
        *file = NULL;
        return status;
    }
    if (hl_sys_truncate((*file)->fd, 0) != 0) {
        status = hl_file_fail(err, (*file)->temporary, "empty it", errno);
        hl_file_abort(*file);
        *file = NULL;
    }
    return status;
}

/* At an offset, or where the file stands: offset < 0. */
static hl_status write_all(hl_file *f, off_t offset, const char *p, size_t n, hl_error *err)
{
    /* Pieces, so that a failing disk or a signal is noticed within a fraction of a second. */
    enum { PIECE = 8 << 20 };
    while (n) {
        size_t piece = n < PIECE ? n : PIECE;
        ssize_t done = offset < 0 ? hl_sys_write(f->fd, p, piece) : hl_sys_write_at(f->fd, p, piece, offset);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return hl_file_fail(err, hl_file_written_path(f), "write it", done ? errno : EIO);
        p += done;
        n -= (size_t)done;
        offset += offset < 0 ? 0 : done;
    }
    return HL_OK;
}

hl_status hl_file_write(hl_file *f, const void *bytes, size_t n, hl_error *err)
{
    return write_all(f, -1, bytes, n, err);
}

hl_status hl_file_write_at(hl_file *f, uint64_t offset, const void *bytes, size_t n, hl_error *err)
{
    HL_ASSERT(f->temporary); /* a log's writes go to its end, whatever the offset */
    if (offset > INT64_MAX || n > INT64_MAX - offset)
        return hl_file_fail(err, hl_file_written_path(f), "write it", EFBIG);
    return write_all(f, (off_t)offset, bytes, n, err);
}

hl_status hl_file_truncate(hl_file *f, uint64_t size, hl_error *err)
{
    HL_ASSERT(f->temporary);
    if (size > INT64_MAX || hl_sys_truncate(f->fd, (off_t)size) != 0)
        return hl_file_fail(err, hl_file_written_path(f), "set its size", size > INT64_MAX ? EFBIG : errno);
    return HL_OK;
}

hl_status hl_file_sync(hl_file *f, hl_error *err)
{
    if (hl_sys_fsync(f->fd) != 0)
        return hl_file_fail(err, hl_file_written_path(f), "sync it to the disk", errno);
    return HL_OK;
}

const char *hl_file_written_path(const hl_file *f)
{
    return f->temporary ? f->temporary : f->path;
}

hl_status hl_file_commit(hl_file *f, hl_error *err)
{
    HL_ASSERT(f->temporary);
    hl_status status = hl_file_sync(f, err);
    if (status == HL_OK && hl_sys_rename(f->temporary, f->path) != 0)
        status = hl_file_fail(err, f->path, "rename its temporary to it", errno);
    if (status != HL_OK) {
        hl_file_abort(f);
        return status;
    }
    status = hl_file_sync_directory_of(f->path, err);
    if (status != HL_OK)
        (void)hl_fail_prefix(err, "%s: is written, but might not survive a loss of power", f->path);
    release(f);
    return status;
}

void hl_file_abort(hl_file *f)
{
    if (!f)
        return;
    HL_ASSERT(f->temporary);
    (void)unlink(f->temporary); /* best effort: the next hl_file_replace takes over what stays */
    release(f);
}

hl_status hl_file_close(hl_file *f, hl_error *err)
{
    hl_status status = HL_OK;
    if (!f)
        return HL_OK;
    HL_ASSERT(!f->temporary);
    if (close(f->fd) != 0) /* network file systems report a full disk here */
        status = hl_file_fail(err, f->path, "close it", errno);
    f->fd = -1;
    release(f);
    return status;
}

hl_status hl_file_save(const char *path, const void *bytes, size_t n, hl_error *err)
{
    hl_file *f;
    hl_status status = hl_file_replace(path, &f, err);
    if (status != HL_OK)
        return status;
    status = hl_file_write(f, bytes, n, err);
    if (status == HL_OK)
        return hl_file_commit(f, err);
    hl_file_abort(f);
    return status;
}

hl_status hl_file_remove_stale(const char *temporary, hl_error *err)
{
    int fd = hl_sys_open(temporary, O_RDWR | O_NOFOLLOW, 0);
    if (fd < 0 && errno == ENOENT)
        return HL_OK;
    if (fd < 0)
        return hl_file_fail(err, temporary, "open it to remove it", errno);
    hl_status status = HL_OK;
    int locked = try_lock(fd);
    if (locked < 0)
        status = hl_file_fail(err, temporary, "lock it", errno);
    else if (locked && still_named(fd, temporary))
        status = hl_file_remove(temporary, err);
    (void)close(fd);
    return status;
}
