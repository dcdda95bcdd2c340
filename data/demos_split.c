/* Which files, and which of their demonstrations train and which validate. */
#include "data/demos_room.h"

#include "base/error.h"
#include "data/permutation.h"

#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ------------------------------------------------------------------ files */

static hl_status no_memory(hl_error *err, const char *what)
{
    return hl_fail(err, HL_ERR_MEMORY, "no memory for %s", what);
}

/* A path that exists is taken as it is, whatever characters it holds. */
static hl_status expand(const char *pattern, hl_hdf_names *names, hl_error *err)
{
    glob_t found;
    int64_t from = names->count;
    if (access(pattern, F_OK) == 0)
        return hl_hdf_names_add(names, pattern) ? HL_OK : no_memory(err, "file names");
    int code = glob(pattern, GLOB_ERR, NULL, &found);
    hl_status status = HL_OK;
    if (code == GLOB_NOMATCH)
        status = hl_fail(err, HL_ERR_IO, "%s: no such file, and no file matches it as a pattern", pattern);
    else if (code != 0)
        status = hl_fail(err, code == GLOB_NOSPACE ? HL_ERR_MEMORY : HL_ERR_IO,
                         "%s: the pattern cannot be expanded: %s", pattern,
                         code == GLOB_NOSPACE ? "no memory" : "a directory cannot be read");
    for (size_t i = 0; status == HL_OK && i < found.gl_pathc; i++)
        if (!hl_hdf_names_add(names, found.gl_pathv[i]))
            status = no_memory(err, "file names");
    if (code == 0 || code == GLOB_NOMATCH)
        globfree(&found);
    hl_hdf_names_sort(names, from);
    return status;
}

/* Two patterns may match the same file: it counts once.  Fills in what tells files apart. */
static bool seen(const demos *all, demo_file *f)
{
    struct stat s;
    if (stat(f->path, &s) != 0)
        return false; /* opening it will say why */
    f->device = s.st_dev;
    f->inode = s.st_ino;
    for (int64_t i = 0; i < all->n_files; i++)
        if (all->file[i].device == f->device && all->file[i].inode == f->inode)
            return true;
    return false;
}

hl_status demos_find_files(demos *all, const hl_demos_options *o, hl_error *err)
{
    hl_hdf_names names = {0};
    hl_status status = HL_OK;
    for (int i = 0; status == HL_OK && i < o->n_files; i++)
        status = demos_fault(all, o->files[i], NULL, expand(o->files[i], &names, err), err);
    if (status == HL_OK) {
        all->file = hl_arena_alloc(all->arena, (size_t)names.count, sizeof *all->file);
        status = all->file ? HL_OK : no_memory(err, "file names");
    }
    for (int64_t i = 0; status == HL_OK && i < names.count; i++) {
        demo_file f = {.path = hl_arena_strdup(all->arena, names.name[i]), .id = -1};
        if (!f.path)
            status = no_memory(err, "file names");
        else if (!seen(all, &f))
            all->file[all->n_files++] = f;
    }
    hl_hdf_names_free(&names);
    return status;
}

/* ------------------------------------------------------------------ demonstrations */

hl_status demos_add(demos *all, int64_t file, const char *group, hl_split split, hl_error *err)
{
    if (all->n_demos == all->demo_room) {
        int64_t room = all->demo_room ? 2 * all->demo_room : 64;
        demonstration *demo = hl_realloc(all->demo, (size_t)room, sizeof *demo);
        if (!demo)
            return no_memory(err, "the index of demonstrations");
        all->demo = demo;
        all->demo_room = room;
    }
    demonstration d = {.file = file, .group = hl_arena_strdup(all->arena, group), .split = split};
    if (!d.group)
        return no_memory(err, "the index of demonstrations");
    all->demo[all->n_demos++] = d;
    return HL_OK;
}

static const demo_format *const formats[] = {&demo_robomimic, &demo_aloha};
enum { FORMATS = sizeof formats / sizeof *formats };

const demo_format *demos_format(hl_demos_format which)
{
    return which == HL_DEMOS_ANY ? NULL : formats[which - HL_DEMOS_ROBOMIMIC];
}

/* What the first file is, unless options say it, all others must be. */
static hl_status check_format(demos *all, hid_t id, const char *file, hl_error *err)
{
    const demo_format *found = NULL;
    hl_hdf_names names;
    char text[240], expected[240] = "";
    for (int i = 0; i < FORMATS; i++)
        found = !found && formats[i]->is(id) ? formats[i] : found;
    if (!all->format)
        all->format = found;
    if (found && found == all->format)
        return HL_OK;
    for (int i = 0; i < FORMATS; i++)
        if (!all->format || all->format == formats[i])
            snprintf(expected + strlen(expected), sizeof expected - strlen(expected), "%s%s",
                     *expected ? " or " : "", formats[i]->looks_like);
    if (found)
        return hl_fail(err, HL_ERR_DATA, "%s: found %s, expected %s", file, found->looks_like, expected);
    hl_status status = hl_hdf_list(id, "/", file, &names, err);
    if (status != HL_OK)
        return status;
    hl_hdf_nearest(&names, "data", text, sizeof text);
    hl_hdf_names_free(&names);
    return hl_hdf_fail(err, HL_ERR_DATA, file, "/", "found %s, expected %s", text, expected);
}

static hl_status demos_of_file(demos *all, int64_t file, const hl_demos_options *o, hl_error *err)
{
    hid_t id = demos_file(all, file, err);
    if (id < 0)
        return err ? err->status : HL_ERR_IO;
    hl_status status = check_format(all, id, all->file[file].path, err);
    return status == HL_OK ? all->format->list(all, file, id, o, err) : status;
}

/* The rest is drawn: the same seed, the same files, the same split. */
static void draw(demos *all, const hl_demos_options *o)
{
    int64_t count = 0, k = 0;
    for (int64_t i = 0; i < all->n_demos; i++)
        count += all->demo[i].split == demos_undecided;
    int64_t valid = (int64_t)((double)count * (double)o->valid_fraction + 0.5);
    if (o->valid_fraction > 0 && valid == 0)
        valid = 1;
    if (valid > count - 1)
        valid = count - 1; /* something must train */
    for (int64_t i = 0; i < all->n_demos; i++)
        if (all->demo[i].split == demos_undecided)
            all->demo[i].split = hl_permute(o->seed, UINT64_MAX, count, k++) < valid ? HL_VALID : HL_TRAIN;
}

hl_status demos_find_demos(demos *all, const hl_demos_options *o, hl_error *err)
{
    hl_status status = HL_OK;
    for (int64_t i = 0; status == HL_OK && i < all->n_files; i++)
        status = demos_fault(all, all->file[i].path, NULL, demos_of_file(all, i, o, err), err);
    if (status != HL_OK)
        return status;
    draw(all, o);
    for (int64_t i = 0; i < all->n_demos; i++)
        all->n_split[all->demo[i].split]++;
    if (all->n_split[HL_TRAIN] == 0 && !json_array_size(all->faults))
        return hl_fail(err, HL_ERR_DATA, "%s%s: no demonstration is left to train on%s%s", all->file[0].path,
                       all->n_files > 1 ? " and others" : "", o->train_mask ? ": empty mask " : "",
                       o->train_mask ? o->train_mask : "");
    return HL_OK;
}
