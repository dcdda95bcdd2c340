/* A run's directory: step-*.h5, of which some may be half written, damaged or gone at any time. */
#include "io/checkpoint.h"

#include "base/error.h"
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct folder {
    uint64_t *steps; /* rising; base/memory.h */
    int n, room;
} folder;

/* "step-NUMBER.h5" and nothing else; suffix is ".h5" or ".h5.tmp". */
static bool parse_name(const char *name, const char *suffix, uint64_t *step)
{
    static const char prefix[] = "step-";
    if (strncmp(name, prefix, sizeof prefix - 1))
        return false;
    const char *digits = name + sizeof prefix - 1;
    size_t n = strspn(digits, "0123456789");
    if (n < 6 || n > 19 || strcmp(digits + n, suffix) || (n > 6 && digits[0] == '0'))
        return false; /* not a name that we give: leave it alone */
    *step = strtoull(digits, NULL, 10);
    return true;
}

/* dir/step-NUMBER.h5 in new memory. */
static char *step_path(const char *dir, uint64_t step)
{
    char name[48];
    snprintf(name, sizeof name, "step-%06llu.h5", (unsigned long long)step);
    return hl_file_join(dir, name);
}

static int rising(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static hl_status add_step(folder *f, const char *dir, uint64_t step, hl_error *err)
{
    if (f->n == f->room) {
        int room = f->room ? 2 * f->room : 16;
        uint64_t *more = hl_realloc(f->steps, (size_t)room, sizeof *more);
        if (!more)
            return hl_fail(err, HL_ERR_MEMORY, "%s: no memory to list it", dir);
        f->steps = more;
        f->room = room;
    }
    f->steps[f->n++] = step;
    return HL_OK;
}

/* All step files with that suffix; none if there is no such directory. */
static hl_status list_steps(const char *dir, const char *suffix, folder *f, hl_error *err)
{
    *f = (folder){0};
    DIR *d = opendir(dir);
    if (!d)
        return errno == ENOENT ? HL_OK : hl_file_fail(err, dir, "list the directory", errno);
    hl_status status = HL_OK;
    errno = 0;
    for (struct dirent *e; status == HL_OK && (e = readdir(d)); errno = 0) {
        uint64_t step;
        if (parse_name(e->d_name, suffix, &step))
            status = add_step(f, dir, step, err);
    }
    if (status == HL_OK && errno)
        status = hl_file_fail(err, dir, "list the directory", errno);
    (void)closedir(d);
    if (f->n)
        qsort(f->steps, (size_t)f->n, sizeof *f->steps, rising);
    return status;
}

hl_status hl_checkpoint_latest(const char *dir, char **path, int *damaged, hl_error *err)
{
    folder f;
    hl_error first = {0}, why;
    *path = NULL;
    *damaged = 0;
    hl_status status = list_steps(dir, ".h5", &f, err);
    for (int i = f.n - 1; i >= 0 && status == HL_OK && !*path; i--) {
        char *candidate = step_path(dir, f.steps[i]);
        if (!candidate) {
            status = hl_fail(err, HL_ERR_MEMORY, "%s: no memory to look for checkpoints", dir);
            break;
        }
        hl_status valid = hl_checkpoint_verify(candidate, &why);
        if (valid == HL_OK) {
            *path = candidate;
            break;
        }
        hl_free(candidate);
        if (valid == HL_ERR_MEMORY) /* says nothing of the file */
            status = hl_fail(err, valid, "%s", why.message);
        else if (!(*damaged)++)
            first = why;
    }
    hl_free(f.steps);
    if (status == HL_OK && *damaged && !*path)
        return hl_fail(err, HL_ERR_DATA, "%s: none of its %d checkpoints is valid; the newest: %s", dir,
                       *damaged, first.message);
    if (status == HL_OK && *damaged)
        (void)hl_fail(err, first.status, "%s", first.message);
    return status;
}

/* ------------------------------------------------------------------ saving */

/* Temporaries of writers that were killed. Ours is made after this, another's is locked. */
static hl_status remove_stale(const char *dir, hl_error *err)
{
    folder f;
    hl_status status = list_steps(dir, ".h5.tmp", &f, err);
    for (int i = 0; i < f.n && status == HL_OK; i++) {
        char name[48];
        snprintf(name, sizeof name, "step-%06llu.h5.tmp", (unsigned long long)f.steps[i]);
        char *path = hl_file_join(dir, name);
        status = path ? hl_file_remove_stale(path, err)
                      : hl_fail(err, HL_ERR_MEMORY, "%s: no memory to tidy it", dir);
        hl_free(path);
    }
    hl_free(f.steps);
    return status;
}

/* The one just written is verified and stays whatever its number, so a valid one always remains. */
static hl_status remove_oldest(const char *dir, int keep, uint64_t just_written, hl_error *err)
{
    folder f;
    hl_status status = list_steps(dir, ".h5", &f, err);
    int surplus = f.n - keep;
    for (int i = 0; i < f.n && surplus > 0 && status == HL_OK; i++) {
        if (f.steps[i] == just_written)
            continue;
        char *path = step_path(dir, f.steps[i]);
        status = path ? hl_file_remove(path, err)
                      : hl_fail(err, HL_ERR_MEMORY, "%s: no memory to tidy it", dir);
        hl_free(path);
        surplus--;
    }
    hl_free(f.steps);
    return status;
}

static hl_status point_last(const char *dir, const char *path, hl_error *err)
{
    char *link_path = hl_file_join(dir, "last.h5");
    if (!link_path)
        return hl_fail(err, HL_ERR_MEMORY, "%s: no memory to link last.h5", dir);
    hl_status status = hl_file_symlink(strrchr(path, '/') ? strrchr(path, '/') + 1 : path, link_path, err);
    hl_free(link_path);
    return status;
}

hl_status hl_checkpoint_save(const char *dir, int keep, const hl_snapshot *params,
                             const hl_checkpoint_meta *meta, char **path, hl_error *err)
{
    if (path)
        *path = NULL;
    hl_status status = hl_file_mkdirs(dir, err);
    if (status == HL_OK)
        status = remove_stale(dir, err);
    if (status != HL_OK)
        return status;
    char *name = step_path(dir, meta->step);
    if (!name)
        return hl_fail(err, HL_ERR_MEMORY, "%s: no memory to name a checkpoint", dir);
    status = hl_checkpoint_write_snapshot(name, params, meta, HL_CHECKPOINT_ALL, err);
    if (status == HL_OK) {
        status = point_last(dir, name, err);
        if (status == HL_OK && keep > 0)
            status = remove_oldest(dir, keep, meta->step, err);
        if (status != HL_OK)
            (void)hl_fail_prefix(err, "%s: is written and good, but", name);
        if (path) {
            *path = name;
            name = NULL;
        }
    }
    hl_free(name);
    return status;
}
