/* Which files, and which of their demonstrations train and which validate. */
#include "data/robomimic_room.h"

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

/* Two patterns may match the same file: it counts once. */
static bool seen(const robomimic *r, const char *path)
{
    struct stat a, b;
    if (stat(path, &a) != 0)
        return false; /* opening it will say why */
    for (int64_t i = 0; i < r->n_files; i++)
        if (stat(r->file[i].path, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino)
            return true;
    return false;
}

hl_status rm_find_files(robomimic *r, const hl_robomimic_options *o, hl_error *err)
{
    hl_hdf_names names = {0};
    hl_status status = HL_OK;
    for (int i = 0; status == HL_OK && i < o->n_files; i++)
        status = expand(o->files[i], &names, err);
    if (status == HL_OK) {
        r->file = hl_arena_alloc(r->arena, (size_t)names.count, sizeof *r->file);
        status = r->file ? HL_OK : no_memory(err, "file names");
    }
    for (int64_t i = 0; status == HL_OK && i < names.count; i++) {
        if (seen(r, names.name[i]))
            continue;
        rm_file f = {.path = hl_arena_strdup(r->arena, names.name[i]), .id = -1};
        if (!f.path)
            status = no_memory(err, "file names");
        else
            r->file[r->n_files++] = f;
    }
    hl_hdf_names_free(&names);
    return status;
}

/* ------------------------------------------------------------------ demonstrations */

/* Not yet given to a split: drawn by valid_fraction. */
static const hl_split undecided = HL_SPLITS;

static hl_status add_demo(robomimic *r, int64_t file, const char *name, hl_split split, hl_error *err)
{
    if (r->n_demos == r->demo_room) {
        int64_t room = r->demo_room ? 2 * r->demo_room : 64;
        rm_demo *demo = hl_realloc(r->demo, (size_t)room, sizeof *demo);
        if (!demo)
            return no_memory(err, "the index of demonstrations");
        r->demo = demo;
        r->demo_room = room;
    }
    rm_demo d = {.file = file, .name = hl_arena_strdup(r->arena, name), .split = split};
    if (!d.name)
        return no_memory(err, "the index of demonstrations");
    r->demo[r->n_demos++] = d;
    return HL_OK;
}

static hl_status missing_mask(hid_t id, const char *file, const char *mask, hl_error *err)
{
    hl_hdf_names there = {0};
    char text[320] = "no masks at all";
    if (hl_hdf_is(id, "mask", H5I_GROUP)) {
        hl_status status = hl_hdf_list(id, "mask", file, &there, err);
        if (status != HL_OK)
            return status;
        const char *slash = strrchr(mask, '/');
        snprintf(text, sizeof text, "under /mask there is ");
        hl_hdf_nearest(&there, slash ? slash + 1 : mask, text + strlen(text), sizeof text - strlen(text));
        hl_hdf_names_free(&there);
    }
    return hl_hdf_fail(err, HL_ERR_DATA, file, mask,
                       "no such mask: found %s; name one of them, or split by a fraction", text);
}

/* Sets flag[i] for the demonstrations a mask names. */
static hl_status read_mask(hid_t id, const char *file, const char *mask, const hl_hdf_names *demos,
                           bool *flag, hl_error *err)
{
    hl_hdf_names listed;
    hl_status status = hl_hdf_strings(id, mask, file, &listed, err);
    for (int64_t i = 0; status == HL_OK && i < listed.count; i++) {
        int64_t at = hl_hdf_names_find(demos, listed.name[i]);
        if (at < 0) {
            char text[200];
            hl_hdf_nearest(demos, listed.name[i], text, sizeof text);
            status = hl_hdf_fail(err, HL_ERR_DATA, file, mask,
                                 "names the demonstration '%s', which /data does not have: found %s",
                                 listed.name[i], text);
        } else {
            flag[at] = true;
        }
    }
    hl_hdf_names_free(&listed);
    return status;
}

typedef struct masks {
    const char *path[HL_SPLITS]; /* NULL: not used for this file */
    bool *flag[HL_SPLITS];       /* [demos] */
} masks;

/* Which of the masks asked for this file has. */
static hl_status find_masks(hid_t id, const char *file, const hl_robomimic_options *o, masks *m,
                            hl_error *err)
{
    const char *asked[HL_SPLITS] = {o->train_mask, o->valid_mask};
    bool any = false;
    for (int s = 0; s < HL_SPLITS; s++) {
        m->path[s] = asked[s] && hl_hdf_exists(id, asked[s]) ? asked[s] : NULL;
        any |= m->path[s] != NULL;
    }
    for (int s = 0; s < HL_SPLITS; s++)
        if (asked[s] && !m->path[s] && (any || !o->masks_optional))
            return missing_mask(id, file, asked[s], err);
    return HL_OK;
}

static hl_status place(robomimic *r, int64_t file, hid_t id, const masks *m, const char *name, int64_t i,
                       hl_error *err)
{
    bool train = m->path[HL_TRAIN] ? m->flag[HL_TRAIN][i] : m->path[HL_VALID] && !m->flag[HL_VALID][i];
    bool valid = m->path[HL_VALID] && m->flag[HL_VALID][i];
    bool listed = (m->path[HL_TRAIN] && train) || valid, by_mask = m->path[HL_TRAIN] || m->path[HL_VALID];
    char path[HL_HDF_PATH];
    if (by_mask && !train && !valid)
        return HL_OK; /* neither split wants it */
    snprintf(path, sizeof path, "/data/%s", name);
    if (!hl_hdf_is(id, path, H5I_GROUP)) {
        if (listed)
            return hl_hdf_fail(err, HL_ERR_DATA, r->file[file].path, path,
                               "a mask names it as a demonstration, but it is not a group");
        return HL_OK;
    }
    if (train && valid && strcmp(m->path[HL_TRAIN], m->path[HL_VALID]) != 0)
        return hl_hdf_fail(err, HL_ERR_DATA, r->file[file].path, path,
                           "is in both %s and %s: what validates must not train", m->path[HL_TRAIN],
                           m->path[HL_VALID]);
    hl_status status = HL_OK;
    if (!by_mask)
        status = add_demo(r, file, name, undecided, err);
    if (train)
        status = add_demo(r, file, name, HL_TRAIN, err);
    if (status == HL_OK && valid)
        status = add_demo(r, file, name, HL_VALID, err);
    return status;
}

static hl_status place_all(robomimic *r, int64_t file, hid_t id, const hl_robomimic_options *o,
                           const hl_hdf_names *demos, hl_error *err)
{
    masks m = {{NULL}, {NULL}};
    const char *path = r->file[file].path;
    hl_status status = find_masks(id, path, o, &m, err);
    for (int s = 0; status == HL_OK && s < HL_SPLITS; s++) {
        m.flag[s] = hl_alloc((size_t)demos->count, sizeof *m.flag[s]);
        if (!m.flag[s])
            status = no_memory(err, "the masks");
        else if (m.path[s])
            status = read_mask(id, path, m.path[s], demos, m.flag[s], err);
    }
    for (int64_t i = 0; status == HL_OK && i < demos->count; i++)
        status = place(r, file, id, &m, demos->name[i], i, err);
    hl_free(m.flag[HL_TRAIN]);
    hl_free(m.flag[HL_VALID]);
    return status;
}

static hl_status no_data_group(hid_t id, const char *file, hl_error *err)
{
    hl_hdf_names names;
    char text[240];
    if (hl_hdf_is(id, "action", H5I_DATASET) && hl_hdf_is(id, "observations", H5I_GROUP))
        return hl_hdf_fail(err, HL_ERR_DATA, file, "/data",
                           "no such group: this is an ALOHA episode (/observations, /action), expected "
                           "robomimic's layout (/data/demo_0/actions, ...)");
    hl_status status = hl_hdf_list(id, "/", file, &names, err);
    if (status != HL_OK)
        return status;
    hl_hdf_nearest(&names, "data", text, sizeof text);
    hl_hdf_names_free(&names);
    return hl_hdf_fail(err, HL_ERR_DATA, file, "/data",
                       "no such group: found %s, expected robomimic's layout (/data/demo_0/actions, ...)",
                       text);
}

static hl_status image_convention(robomimic *r, int64_t file, hid_t id, hl_error *err)
{
    char *text;
    hid_t data = H5Gopen2(id, "/data", H5P_DEFAULT);
    if (data < 0)
        return hl_hdf_fail(err, HL_ERR_DATA, r->file[file].path, "/data", "the group cannot be opened");
    hl_status status = hl_hdf_text(data, "macros_image_convention", r->file[file].path, "/data", &text, err);
    H5Gclose(data);
    r->file[file].upside_down = text && !strcmp(text, "opengl");
    hl_free(text);
    return status;
}

static hl_status demos_of_file(robomimic *r, int64_t file, const hl_robomimic_options *o, hl_error *err)
{
    hid_t id = rm_file_open(r, file, err);
    hl_hdf_names names;
    int64_t before = r->n_demos;
    const char *path = r->file[file].path;
    if (id < 0)
        return err ? err->status : HL_ERR_IO;
    if (!hl_hdf_is(id, "data", H5I_GROUP))
        return no_data_group(id, path, err);
    hl_status status = image_convention(r, file, id, err);
    if (status == HL_OK)
        status = hl_hdf_list(id, "/data", path, &names, err);
    if (status != HL_OK)
        return status;
    if (names.count == 0)
        status = hl_hdf_fail(err, HL_ERR_DATA, path, "/data",
                             "found no demonstrations, expected demo_0, ...");
    else
        status = place_all(r, file, id, o, &names, err);
    hl_hdf_names_free(&names);
    if (status == HL_OK && r->n_demos == before && !o->train_mask && !o->valid_mask)
        status = hl_hdf_fail(err, HL_ERR_DATA, path, "/data", "found no groups, expected demo_0, ...");
    return status;
}

/* The rest is drawn: the same seed, the same files, the same split. */
static void draw(robomimic *r, const hl_robomimic_options *o)
{
    int64_t count = 0, k = 0;
    for (int64_t i = 0; i < r->n_demos; i++)
        count += r->demo[i].split == undecided;
    int64_t valid = (int64_t)((double)count * (double)o->valid_fraction + 0.5);
    if (o->valid_fraction > 0 && valid == 0)
        valid = 1;
    if (valid > count - 1)
        valid = count - 1; /* something must train */
    for (int64_t i = 0; i < r->n_demos; i++)
        if (r->demo[i].split == undecided)
            r->demo[i].split = hl_permute(o->seed, UINT64_MAX, count, k++) < valid ? HL_VALID : HL_TRAIN;
}

hl_status rm_find_demos(robomimic *r, const hl_robomimic_options *o, hl_error *err)
{
    hl_status status = HL_OK;
    for (int64_t i = 0; status == HL_OK && i < r->n_files; i++)
        status = demos_of_file(r, i, o, err);
    if (status != HL_OK)
        return status;
    draw(r, o);
    for (int64_t i = 0; i < r->n_demos; i++)
        r->n_split[r->demo[i].split]++;
    if (r->n_split[HL_TRAIN] == 0)
        return hl_fail(err, HL_ERR_DATA, "%s%s: no demonstration is left to train on%s%s", r->file[0].path,
                       r->n_files > 1 ? " and others" : "", o->train_mask ? ": empty mask " : "",
                       o->train_mask ? o->train_mask : "");
    return HL_OK;
}
