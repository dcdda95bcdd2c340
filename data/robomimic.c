/* robomimic's layout, and LIBERO's: /data/demo_<i>/{actions, obs/<key>, ...}, and masks, which are lists of
 * demonstrations.  https://robomimic.github.io/docs/datasets/overview.html */
#include "base/error.h"
#include "data/demos_room.h"

#include <stdio.h>
#include <string.h>

static bool is(hid_t file)
{
    return hl_hdf_is(file, "data", H5I_GROUP);
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
static hl_status read_mask(demos *all, hid_t id, const char *file, const char *mask,
                           const hl_hdf_names *there, bool *flag, hl_error *err)
{
    hl_hdf_names listed;
    char text[200];
    hl_status status = demos_fault(all, file, mask, hl_hdf_strings(id, mask, file, &listed, err), err);
    for (int64_t i = 0; status == HL_OK && i < listed.count; i++) {
        int64_t at = hl_hdf_names_find(there, listed.name[i]);
        if (at < 0) {
            hl_hdf_nearest(there, listed.name[i], text, sizeof text);
            status = hl_hdf_fail(err, HL_ERR_DATA, file, mask,
                                 "names the demonstration '%s', which /data does not have: found %s",
                                 listed.name[i], text);
            status = demos_fault(all, file, mask, status, err);
        } else if (flag[at]) {
            snprintf(text, sizeof text, "names the demonstration '%.150s' more than once", listed.name[i]);
            status = demos_warn(all, file, mask, text, err);
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
static hl_status find_masks(demos *all, hid_t id, const char *file, const hl_demos_options *o, masks *m,
                            hl_error *err)
{
    const char *asked[HL_SPLITS] = {o->train_mask, o->valid_mask};
    bool any = false;
    for (int s = 0; s < HL_SPLITS; s++) {
        m->path[s] = asked[s] && hl_hdf_exists(id, asked[s]) ? asked[s] : NULL;
        any |= m->path[s] != NULL;
    }
    hl_status status = HL_OK;
    for (int s = 0; status == HL_OK && s < HL_SPLITS; s++)
        if (asked[s] && !m->path[s] && (any || !o->masks_optional))
            status = demos_fault(all, file, asked[s], missing_mask(id, file, asked[s], err), err);
    return status;
}

static hl_status place(demos *all, int64_t file, hid_t id, const masks *m, const char *name, int64_t i,
                       hl_error *err)
{
    bool train = m->path[HL_TRAIN] ? m->flag[HL_TRAIN][i] : m->path[HL_VALID] && !m->flag[HL_VALID][i];
    bool valid = m->path[HL_VALID] && m->flag[HL_VALID][i];
    bool listed = (m->path[HL_TRAIN] && train) || valid, by_mask = m->path[HL_TRAIN] || m->path[HL_VALID];
    char path[HL_HDF_PATH];
    if (by_mask && !train && !valid)
        return HL_OK; /* neither split wants it */
    snprintf(path, sizeof path, "/data/%s", name);
    const char *in = all->file[file].path;
    hl_status status = HL_OK;
    if (!hl_hdf_is(id, path, H5I_GROUP)) {
        if (listed)
            status = hl_hdf_fail(err, HL_ERR_DATA, in, path,
                                 "a mask names it as a demonstration, but it is not a group");
        return demos_fault(all, in, path, status, err);
    }
    if (train && valid && strcmp(m->path[HL_TRAIN], m->path[HL_VALID]) != 0) {
        status = hl_hdf_fail(err, HL_ERR_DATA, in, path,
                             "is in both %s and %s: what validates must not train", m->path[HL_TRAIN],
                             m->path[HL_VALID]);
        status = demos_fault(all, in, path, status, err);
    }
    if (status == HL_OK && !by_mask)
        status = demos_add(all, file, path, demos_undecided, err);
    if (status == HL_OK && train)
        status = demos_add(all, file, path, HL_TRAIN, err);
    if (status == HL_OK && valid)
        status = demos_add(all, file, path, HL_VALID, err);
    return status;
}

static hl_status place_all(demos *all, int64_t file, hid_t id, const hl_demos_options *o,
                           const hl_hdf_names *there, hl_error *err)
{
    masks m = {{NULL}, {NULL}};
    const char *path = all->file[file].path;
    hl_status status = find_masks(all, id, path, o, &m, err);
    for (int s = 0; status == HL_OK && s < HL_SPLITS; s++) {
        m.flag[s] = hl_alloc((size_t)there->count, sizeof *m.flag[s]);
        if (!m.flag[s])
            status = hl_fail(err, HL_ERR_MEMORY, "no memory for the masks");
        else if (m.path[s])
            status = read_mask(all, id, path, m.path[s], there, m.flag[s], err);
    }
    for (int64_t i = 0; status == HL_OK && i < there->count; i++)
        status = place(all, file, id, &m, there->name[i], i, err);
    hl_free(m.flag[HL_TRAIN]);
    hl_free(m.flag[HL_VALID]);
    return status;
}

/* A check looks at the masks too that nobody asked for. */
static hl_status check_masks(demos *all, hid_t id, const char *file, const hl_demos_options *o,
                             const hl_hdf_names *there, hl_error *err)
{
    hl_hdf_names found;
    if (!all->faults || !hl_hdf_is(id, "mask", H5I_GROUP))
        return HL_OK;
    hl_status status = demos_fault(all, file, "mask", hl_hdf_list(id, "mask", file, &found, err), err);
    for (int64_t i = 0; status == HL_OK && i < found.count; i++) {
        char path[HL_HDF_PATH];
        snprintf(path, sizeof path, "mask/%s", found.name[i]);
        if ((o->train_mask && !strcmp(path, o->train_mask)) ||
            (o->valid_mask && !strcmp(path, o->valid_mask)))
            continue;
        bool *flag = hl_alloc((size_t)there->count, sizeof *flag);
        status = flag ? read_mask(all, id, file, path, there, flag, err)
                      : hl_fail(err, HL_ERR_MEMORY, "no memory for the masks");
        hl_free(flag);
    }
    hl_hdf_names_free(&found);
    return status;
}

static hl_status image_convention(demos *all, int64_t file, hid_t id, hl_error *err)
{
    char *text;
    hid_t data = H5Gopen2(id, "/data", H5P_DEFAULT);
    if (data < 0)
        return hl_hdf_fail(err, HL_ERR_DATA, all->file[file].path, "/data", "the group cannot be opened");
    hl_status status = hl_hdf_text(data, "macros_image_convention", all->file[file].path, "/data", &text,
                                   err);
    H5Gclose(data);
    all->file[file].upside_down = text && !strcmp(text, "opengl");
    hl_free(text);
    return status;
}

static hl_status list(demos *all, int64_t file, hid_t id, const hl_demos_options *o, hl_error *err)
{
    hl_hdf_names names;
    int64_t before = all->n_demos;
    const char *path = all->file[file].path;
    hl_status status = demos_fault(all, path, "/data", image_convention(all, file, id, err), err);
    if (status == HL_OK)
        status = hl_hdf_list(id, "/data", path, &names, err);
    if (status != HL_OK)
        return status;
    if (names.count == 0)
        status = hl_hdf_fail(err, HL_ERR_DATA, path, "/data",
                             "found no demonstrations, expected demo_0, ...");
    else
        status = place_all(all, file, id, o, &names, err);
    if (status == HL_OK)
        status = check_masks(all, id, path, o, &names, err);
    hl_hdf_names_free(&names);
    if (status == HL_OK && all->n_demos == before && !o->train_mask && !o->valid_mask)
        status = hl_hdf_fail(err, HL_ERR_DATA, path, "/data", "found no groups, expected demo_0, ...");
    return demos_fault(all, path, "/data", status, err);
}

static const char *const per_step[] = {"actions", "action_dict/", "obs/",   "next_obs/",
                                       "rewards", "dones",        "states", NULL};

const demo_format demo_robomimic = {.name = "robomimic",
                                    .looks_like = "robomimic's layout (/data/demo_0/actions, ...)",
                                    .actions = "actions",
                                    .per_step = per_step,
                                    .is = is,
                                    .list = list};
