#include "data/check.h"

#include "base/error.h"
#include "data/check_room.h"

#include <stdio.h>
#include <string.h>

/* ------------------------------------------------------------------ keys that come and go */

/* counts: {key: how many demonstrations have it}. */
static void count_key(json_t *counts, const char *key)
{
    json_int_t n = json_integer_value(json_object_get(counts, key));
    json_object_set_new(counts, key,
                        json_integer(n + 1)); /* refuses what is not UTF-8: then it is not counted */
}

static hl_status warn_missing(checked *c, json_t *counts, int64_t demos_read, hl_error *err)
{
    const char *key;
    json_t *count;
    json_object_foreach(counts, key, count)
    {
        char path[HL_HDF_PATH], text[HL_HDF_TEXT];
        json_int_t n = json_integer_value(count);
        demos_path(c->all, c->demo, key, path);
        if (n == demos_read || hl_hdf_exists(c->id, path))
            continue;
        snprintf(text, sizeof text, "no such data set, expected it as %lld of %lld demonstrations have it",
                 (long long)n, (long long)demos_read);
        hl_status status = demos_warn(c->all, c->file, path, text, err);
        if (status != HL_OK)
            return status;
    }
    return HL_OK;
}

/* ------------------------------------------------------------------ one demonstration */

static hl_status check_mapped(checked *c, hl_error *err)
{
    for (int g = 0; g < DEMO_GROUPS; g++) {
        const demo_group *group = &c->all->group[g];
        for (int k = 0; k < group->n_keys && c->all->demo[c->demo].has >> g & 1u; k++) {
            hl_status status = demos_check_values(c, group->key[k].path, group, err);
            if (status != HL_OK)
                return status;
        }
    }
    return HL_OK;
}

static hl_status check_everything(checked *c, json_t *counts, hl_error *err)
{
    char path[HL_HDF_PATH];
    hl_hdf_names names = {0};
    demo_group *actions = &c->all->group[DEMO_ACTION];
    demos_path(c->all, c->demo, NULL, path);
    hid_t group = H5Gopen2(c->id, path, H5P_DEFAULT);
    hl_status status = group < 0 ? hl_hdf_fail(err, HL_ERR_DATA, c->file, path, "the group cannot be opened")
                                 : hl_hdf_walk(group, c->file, &names, err);
    status = demos_fault(c->all, c->file, path, status, err);
    if (group >= 0)
        H5Gclose(group);
    for (int64_t i = 0; status == HL_OK && i < names.count; i++) {
        bool action = !strcmp(names.name[i], actions->key[0].path);
        status = demos_check_values(c, names.name[i], action ? actions : NULL, err);
        if (!action) /* which is an error where it is missing */
            count_key(counts, names.name[i]);
    }
    hl_hdf_names_free(&names);
    return status;
}

/* ------------------------------------------------------------------ all of them */

typedef struct pass {
    demos *all;
    bool everything;
    json_t *shapes, *counts;
    uint64_t *sum; /* [demos] */
    int64_t read;  /* demonstrations, each once */
} pass;

/* A demonstration of two splits is there twice, one after the other. */
static bool same_as_last(const demos *all, int64_t i)
{
    return i > 0 && all->demo[i].file == all->demo[i - 1].file &&
           !strcmp(all->demo[i].group, all->demo[i - 1].group);
}

static hl_status find_copy(pass *p, int64_t i, hl_error *err)
{
    const demos *all = p->all;
    char path[HL_HDF_PATH], other[HL_HDF_PATH];
    for (int64_t k = 0; k < i; k++) {
        if (p->sum[k] != p->sum[i] || all->demo[k].steps != all->demo[i].steps || !all->demo[i].steps)
            continue;
        demos_path(all, i, NULL, path);
        demos_path(all, k, NULL, other);
        const char *file = all->file[all->demo[i].file].path;
        hl_status status = hl_fail(err, HL_ERR_DATA,
                                   "found a copy of %.300s: %.300s, the same in every vector, expected each "
                                   "demonstration once",
                                   all->file[all->demo[k].file].path, other);
        return demos_fault(p->all, file, path, status, err);
    }
    return HL_OK;
}

static hl_status check_demo(pass *p, int64_t i, hl_error *err)
{
    demos *all = p->all;
    const uint64_t begin = UINT64_C(14695981039346656037);
    checked c = {.all = all,
                 .demo = i,
                 .file = all->file[all->demo[i].file].path,
                 .id = demos_file(all, all->demo[i].file, err),
                 .everything = p->everything,
                 .shapes = p->shapes,
                 .sum = begin};
    if (c.id < 0)
        return demos_fault(all, c.file, NULL, HL_ERR_DATA, err);
    hl_status status = p->everything ? check_everything(&c, p->counts, err) : check_mapped(&c, err);
    p->sum[i] = c.sum;
    p->read++;
    return status == HL_OK && c.sum != begin ? find_copy(p, i, err) : status;
}

static hl_status check_missing(pass *p, hl_error *err)
{
    hl_status status = HL_OK;
    for (int64_t i = 0; status == HL_OK && p->everything && i < p->all->n_demos; i++) {
        checked c = {.all = p->all, .demo = i, .file = p->all->file[p->all->demo[i].file].path};
        c.id = same_as_last(p->all, i) ? H5I_INVALID_HID : demos_file(p->all, p->all->demo[i].file, err);
        if (c.id >= 0)
            status = warn_missing(&c, p->counts, p->read, err);
    }
    return status;
}

static hl_status check_all(demos *all, const hl_demos_options *o, pass *p, hl_error *err)
{
    hl_status status = demos_find_files(all, o, err);
    if (status == HL_OK && all->n_files)
        status = demos_fault(all, all->file[0].path, NULL, demos_find_demos(all, o, err), err);
    if (status == HL_OK)
        status = demos_name_actions(all, err);
    if (status == HL_OK)
        status = demos_check_demos(all, err);
    p->sum = hl_alloc((size_t)all->n_demos, sizeof *p->sum);
    if (status == HL_OK && (!p->sum || !p->shapes || !p->counts))
        status = hl_fail(err, HL_ERR_MEMORY, "no memory to check %lld demonstrations",
                         (long long)all->n_demos);
    for (int64_t i = 0; status == HL_OK && i < all->n_demos; i++)
        if (!same_as_last(all, i))
            status = check_demo(p, i, err);
    return status == HL_OK ? check_missing(p, err) : status;
}

static json_t *conclude(const pass *p)
{
    const demos *all = p->all;
    json_int_t steps = 0, errors = 0;
    json_t *fault;
    size_t k;
    for (int64_t i = 0; i < all->n_demos; i++)
        steps += same_as_last(all, i) ? 0 : all->demo[i].steps;
    json_array_foreach(all->faults, k, fault)
    {
        errors += !strcmp(json_string_value(json_object_get(fault, "level")), "error");
    }
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:O}", "files", (json_int_t)all->n_files, "demonstrations",
                     (json_int_t)p->read, "steps", steps, "errors", errors, "warnings",
                     (json_int_t)json_array_size(all->faults) - errors, "faults", all->faults);
}

/* Whatever size the actions have. */
static const hl_data_shape any_shape = {.action = INT32_MAX, .frames = 1};

json_t *hl_data_check(const hl_demos_options *options, const hl_data_shape *shape, hl_error *err)
{
    hl_demos_options o = *options;
    if (!shape)
        o.action = (hl_demos_action){.pad = true};
    demos *all = demos_new(&o, shape ? shape : &any_shape, err);
    if (!all)
        return NULL;
    pass p = {.all = all, .everything = !shape, .shapes = json_object(), .counts = json_object()};
    all->faults = json_array();
    hl_hdf5_scope scope = hl_hdf5_begin();
    hl_status status = all->faults ? check_all(all, &o, &p, err)
                                   : hl_fail(err, HL_ERR_MEMORY, "no memory for the list of faults");
    hl_hdf5_end(scope);
    json_t *result = status == HL_OK ? conclude(&p) : NULL;
    if (status == HL_OK && !result)
        hl_fail(err, HL_ERR_MEMORY, "no memory for the list of faults");
    json_decref(p.shapes);
    json_decref(p.counts);
    hl_free(p.sum);
    hl_dataset_close(&all->base);
    return result;
}
