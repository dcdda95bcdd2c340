/* ALOHA's layout, and ACT's: one episode to a file, /action and /observations/{qpos, qvel, images/<camera>}.
 * Frames are uint8 [T,H,W,3], or, where the attribute compress is true, JPEG padded with zeros, uint8
 * [T,bytes]. https://github.com/tonyzhaozh/aloha */
#include "base/error.h"
#include "data/demos_room.h"

static bool is(hid_t file)
{
    return hl_hdf_is(file, "action", H5I_DATASET) && hl_hdf_is(file, "observations", H5I_GROUP);
}

static hl_status list(demos *all, int64_t file, hid_t id, const hl_demos_options *o, hl_error *err)
{
    demo_file *f = &all->file[file];
    long long compress = 0;
    bool found;
    if ((o->train_mask || o->valid_mask) && !o->masks_optional)
        return hl_fail(err, HL_ERR_DATA, "%s: an ALOHA episode has no mask %s; split by a fraction", f->path,
                       o->train_mask ? o->train_mask : o->valid_mask);
    hl_status status = hl_hdf_integer(id, "compress", f->path, "/", &compress, &found, err);
    f->jpeg = status == HL_OK && found && compress != 0;
    return status == HL_OK ? demos_add(all, file, "", demos_undecided, err) : status;
}

static const char *const per_step[] = {"action", "observations/", NULL};

const demo_format demo_aloha = {.name = "aloha",
                                .looks_like = "ALOHA's layout (/action, /observations/qpos, ...)",
                                .actions = "action",
                                .per_step = per_step,
                                .is = is,
                                .list = list};
