#include "app/train/run_dir.h"

#include "app/command.h"
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* What hl train writes and a later one would replace or prune. */
static bool is_of_a_run(const char *name)
{
    size_t n = strlen(name);
    return !strcmp(name, "metrics.jsonl") || !strcmp(name, "config.yaml") || !strcmp(name, "last.h5") ||
           (!strncmp(name, "step-", 5) && n > 8 && !strcmp(name + n - 3, ".h5"));
}

static bool holds_a_run(const char *dir)
{
    DIR *d = opendir(dir);
    bool found = false;
    for (struct dirent *e; d && !found && (e = readdir(d));)
        found = is_of_a_run(e->d_name);
    if (d)
        closedir(d);
    return found; /* a directory that cannot be read: making or writing it will say so */
}

/* Whether path, links followed, lies directly in dir; true where it is not there at all, for whoever opens
 * it has the better message. */
static bool lies_in(const char *path, const char *dir)
{
    char real[PATH_MAX];
    struct stat a, b;
    if (!realpath(path, real))
        return true;
    char *slash = strrchr(real, '/');
    slash[slash == real] = '\0';
    return !stat(real, &a) && !stat(dir, &b) && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

hl_status hl_run_dir_check(const char *dir, const char *from, hl_error *err)
{
    if ((from && !strcmp(from, "auto")) || !holds_a_run(dir))
        return HL_OK;
    if (!from)
        return hl_fail(err, HL_ERR_USAGE,
                       "%s: there is a run here already; go on with --resume auto, or choose another run.dir",
                       dir);
    if (!lies_in(from, dir))
        return hl_fail(err, HL_ERR_USAGE,
                       "%s: there is a run here already, and %s is not of it; choose another run.dir", dir,
                       from);
    return HL_OK;
}

hl_status hl_run_dir_hold(const char *dir, int *hold, hl_error *err)
{
    *hold = -1;
    hl_status status = hl_file_mkdirs(dir, err);
    if (status != HL_OK)
        return status;
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return hl_file_fail(err, dir, "open the directory", errno);
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
        *hold = fd;
        return HL_OK;
    }
    int reason = errno;
    close(fd);
    if (reason == EWOULDBLOCK)
        return hl_fail(err, HL_ERR_USAGE,
                       "%s: another hl train is at work here; wait for it, or choose another run.dir", dir);
    return HL_OK;
}

void hl_run_dir_release(int hold)
{
    if (hold >= 0)
        close(hold);
}

hl_status hl_run_dir_link_last(const char *dir, int64_t step, hl_error *err)
{
    char name[48];
    snprintf(name, sizeof name, "step-%06lld.h5", (long long)step);
    char *path = hl_file_join(dir, name), *link = hl_file_join(dir, "last.h5");
    hl_status status = HL_OK;
    if (!path || !link)
        status = hl_fail(err, HL_ERR_MEMORY, "no memory for the names in %s", dir);
    else if (access(path, F_OK) == 0 && !hl_same_file(path, link))
        status = hl_file_symlink(name, link, err);
    hl_free(path);
    hl_free(link);
    return status;
}
