/* Directories, links, and reading. */
#include "base/file_internal.h"

#include "base/error.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char *hl_file_suffixed(const char *text, const char *suffix)
{
    size_t n = strlen(text), m = strlen(suffix) + 1;
    char *all = hl_alloc(n + m, 1);
    if (!all)
        return NULL;
    memcpy(all, text, n);
    memcpy(all + n, suffix, m);
    return all;
}

char *hl_file_join(const char *dir, const char *name)
{
    size_t n = strlen(dir), m = strlen(name) + 1;
    size_t slash = n && dir[n - 1] != '/';
    char *all = hl_alloc(n + slash + m, 1);
    if (!all)
        return NULL;
    memcpy(all, dir, n);
    if (slash)
        all[n] = '/';
    memcpy(all + n + slash, name, m);
    return all;
}

hl_status hl_file_sync_directory_of(const char *path, hl_error *err)
{
    char *dir = hl_strdup(path);
    if (!dir)
        return hl_fail(err, HL_ERR_MEMORY, "%s: no memory to sync its directory", path);
    char *slash = strrchr(dir, '/');
    if (slash == dir)
        slash++; /* "/name" lies in "/" */
    if (slash)
        *slash = 0;
    const char *name = slash ? dir : ".";
    hl_status status = HL_OK;
    int fd = hl_sys_open(name, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        status = hl_file_fail(err, name, "open the directory", errno);
    else if (hl_sys_fsync(fd) != 0 && errno != EINVAL) /* EINVAL: this file system cannot, nor need it */
        status = hl_file_fail(err, name, "sync the directory to the disk", errno);
    if (fd >= 0)
        (void)close(fd);
    hl_free(dir);
    return status;
}

static hl_status make_directory(const char *path, hl_error *err)
{
    struct stat info;
    if (stat(path, &info) == 0)
        return S_ISDIR(info.st_mode) ? HL_OK : hl_file_fail(err, path, "make the directory", EEXIST);
    if (hl_sys_mkdir(path, 0777) != 0) {
        int number = errno;
        if (number == EEXIST && stat(path, &info) == 0 && S_ISDIR(info.st_mode))
            return HL_OK; /* another process was faster */
        return hl_file_fail(err, path, "make the directory", number);
    }
    return hl_file_sync_directory_of(path, err);
}

hl_status hl_file_mkdirs(const char *path, hl_error *err)
{
    if (!*path)
        return hl_file_fail(err, "''", "make the directory", ENOENT);
    char *part = hl_strdup(path);
    if (!part)
        return hl_fail(err, HL_ERR_MEMORY, "%s: no memory to make the directory", path);
    size_t n = strlen(part);
    while (n > 1 && part[n - 1] == '/')
        part[--n] = 0; /* "a/b/" is "a/b" */
    hl_status status = HL_OK;
    for (size_t i = 1; i <= n && status == HL_OK; i++) {
        if (part[i] && part[i] != '/')
            continue;
        char kept = part[i];
        part[i] = 0;
        status = make_directory(part, err);
        part[i] = kept;
    }
    hl_free(part);
    return status;
}

hl_status hl_file_symlink(const char *target, const char *link_path, hl_error *err)
{
    char *temporary = hl_file_suffixed(link_path, ".tmp");
    if (!temporary)
        return hl_fail(err, HL_ERR_MEMORY, "%s: no memory to link it", link_path);
    hl_status status = HL_OK;
    (void)unlink(temporary); /* of a killed process; if it cannot go, symlink says why */
    if (hl_sys_symlink(target, temporary) != 0) {
        status = hl_file_fail(err, temporary, "make a symbolic link", errno);
    } else if (hl_sys_rename(temporary, link_path) != 0) {
        status = hl_file_fail(err, link_path, "replace the symbolic link", errno);
        (void)unlink(temporary);
    }
    hl_free(temporary);
    return status == HL_OK ? hl_file_sync_directory_of(link_path, err) : status;
}

hl_status hl_file_rename(const char *from, const char *to, hl_error *err)
{
    if (hl_sys_rename(from, to) != 0)
        return hl_file_fail(err, to, "rename what was written beside it to it", errno);
    hl_status status = hl_file_sync_directory_of(to, err);
    if (status != HL_OK)
        (void)hl_fail_prefix(err, "%s: is written, but might not survive a loss of power", to);
    return status;
}

hl_status hl_file_remove(const char *path, hl_error *err)
{
    return hl_sys_unlink(path) == 0 ? HL_OK : hl_file_fail(err, path, "remove it", errno);
}

/* ------------------------------------------------------------------ reading */

hl_status hl_file_open(const char *path, int *fd, uint64_t *size, hl_error *err)
{
    struct stat info;
    /* O_NONBLOCK: a named pipe must be refused below, not waited for here. */
    *fd = hl_sys_open(path, O_RDONLY | O_NONBLOCK, 0);
    if (*fd < 0)
        return hl_file_fail(err, path, "open it", errno);
    int number = fstat(*fd, &info) != 0 ? errno : S_ISDIR(info.st_mode) ? EISDIR : 0;
    if (!number && S_ISREG(info.st_mode)) {
        *size = (uint64_t)info.st_size;
        return HL_OK;
    }
    (void)close(*fd);
    *fd = -1;
    if (number)
        return hl_file_fail(err, path, "read it", number);
    return hl_fail(err, HL_ERR_IO, "%s: is not a regular file; name one", path);
}

hl_status hl_file_read(int fd, const char *path, uint64_t offset, void *bytes, size_t n, hl_error *err)
{
    char *p = bytes;
    while (n) {
        ssize_t done = pread(fd, p, n < (size_t)1 << 30 ? n : (size_t)1 << 30, (off_t)offset);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return hl_file_fail(err, path, "read it", errno);
        if (!done)
            return hl_fail(err, HL_ERR_DATA, "%s: ends at byte %llu, %zu bytes too early: it is truncated",
                           path, (unsigned long long)offset, n);
        p += done;
        offset += (uint64_t)done;
        n -= (size_t)done;
    }
    return HL_OK;
}

/* Reads to the end, or to one byte more than limit. */
static hl_status read_all(int fd, const char *path, size_t limit, char **text, size_t *size, hl_error *err)
{
    size_t room = 0;
    *size = 0;
    for (;;) {
        if (*size + 1 >= room) {
            char *more = hl_realloc(*text, room ? 2 * room : 4096, 1);
            if (!more)
                return hl_fail(err, HL_ERR_MEMORY, "%s: no memory to read it", path);
            *text = more;
            room = room ? 2 * room : 4096;
        }
        ssize_t done = read(fd, *text + *size, room - *size - 1);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return hl_file_fail(err, path, "read it", errno);
        *size += (size_t)done;
        if (*size > limit)
            return hl_fail(err, HL_ERR_DATA,
                           "%s: is larger than the %zu bytes allowed; is it the right file?", path, limit);
        if (!done)
            break;
    }
    (*text)[*size] = 0;
    const char *zero = memchr(*text, 0, *size);
    if (zero)
        return hl_fail(err, HL_ERR_DATA, "%s: byte %zu is zero, so it is not a text; is it the right file?",
                       path, (size_t)(zero - *text));
    return HL_OK;
}

hl_status hl_file_read_text(const char *path, size_t limit, char **text, size_t *size, hl_error *err)
{
    size_t n = 0;
    *text = NULL;
    int fd = hl_sys_open(path, O_RDONLY, 0);
    if (fd < 0)
        return hl_file_fail(err, path, "open it", errno);
    hl_status status = read_all(fd, path, limit, text, &n, err);
    (void)close(fd);
    if (status != HL_OK) {
        hl_free(*text);
        *text = NULL;
    } else if (size) {
        *size = n;
    }
    return status;
}
