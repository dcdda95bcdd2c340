/* All values of one data set of a demonstration: that they can be read, are finite, in range, and decode. */
#include "base/error.h"
#include "data/check_room.h"
#include "data/jpeg.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* A fault is told once, with the number of its kind. */
typedef struct tally {
    int64_t count;
    char first[HL_HDF_TEXT + 200];
} tally;

typedef struct values {
    checked *c;
    const demo_group *group;
    const char *key;
    char path[HL_HDF_PATH];
    hid_t set, type;
    int rank;
    hsize_t dim[HL_HDF_RANK];
    size_t per_step; /* elements */
    bool jpeg, bytes;
    float low, high;             /* what is in range; equal: anything is */
    tally unread, strange, away; /* chunks, values not finite (or frames that do not decode), out of range */
    int64_t height, width;       /* of JPEG, 0: not known yet */
} values;

static hl_status report(values *v, const tally *t, bool warning, hl_error *err)
{
    char text[sizeof t->first + 64];
    if (!t->count)
        return HL_OK;
    snprintf(text, sizeof text, "%s", t->first);
    if (t->count > 1)
        snprintf(text + strlen(text), sizeof text - strlen(text), " (and %lld more)",
                 (long long)(t->count - 1));
    if (warning)
        return demos_warn(v->c->all, v->c->file, v->path, text, err);
    hl_fail(err, HL_ERR_DATA, "%s", text);
    return demos_fault(v->c->all, v->c->file, v->path, HL_ERR_DATA, err);
}

/* FNV-1a: two demonstrations with one sum are copies. */
static void add_to_sum(checked *c, const float *x, size_t n)
{
    const unsigned char *byte = (const unsigned char *)x;
    for (size_t i = 0; i < n * sizeof *x; i++)
        c->sum = (c->sum ^ byte[i]) * UINT64_C(1099511628211);
}

/* ------------------------------------------------------------------ one block */

static void look_at_numbers(values *v, int64_t begin, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bool finite = isfinite(x[i]), inside = v->low >= v->high || (x[i] >= v->low && x[i] <= v->high);
        tally *t = !finite ? &v->strange : !inside ? &v->away : NULL;
        if (!t || t->count++)
            continue;
        snprintf(t->first, sizeof t->first, "found %g at step %lld, element %lld, expected ", (double)x[i],
                 (long long)begin + (long long)(i / v->per_step), (long long)(i % v->per_step));
        size_t used = strlen(t->first);
        if (!finite)
            snprintf(t->first + used, sizeof t->first - used, "a finite value");
        else if (v->low < 0)
            snprintf(t->first + used, sizeof t->first - used,
                     "-1 to 1; normalise them (action.normalize: min_max)");
        else
            snprintf(t->first + used, sizeof t->first - used, "a value in 0..1; give its range as a clip");
    }
}

static hl_status look_at_jpeg(values *v, int64_t step, const uint8_t *bytes, hl_error *err)
{
    hl_error fault = {0};
    uint8_t *rgb = NULL;
    int64_t height, width;
    hl_status status = hl_jpeg_size(bytes, v->per_step, &height, &width, &fault);
    if (status == HL_OK) {
        rgb = hl_alloc((size_t)(height * width), 3);
        if (!rgb)
            return hl_fail(err, HL_ERR_MEMORY, "%s: no memory for a frame", v->c->file);
        v->height = v->height ? v->height : height; /* the first frame says it */
        v->width = v->width ? v->width : width;
        status = hl_jpeg_read(bytes, v->per_step, height, width, rgb, &fault);
        if (status == HL_OK && (height != v->height || width != v->width))
            status = hl_fail(&fault, HL_ERR_DATA, "found %lld rows and %lld columns, expected %lld and %lld",
                             (long long)height, (long long)width, (long long)v->height, (long long)v->width);
    }
    hl_free(rgb);
    if (status == HL_ERR_MEMORY)
        return hl_fail(err, HL_ERR_MEMORY, "%s: %s", v->c->file, fault.message);
    if (status != HL_OK && !v->strange.count++)
        snprintf(v->strange.first, sizeof v->strange.first, "frame %lld: %.250s", (long long)step,
                 fault.message);
    return HL_OK;
}

static hl_status look_at_block(values *v, int64_t begin, int64_t n, const void *rows, hl_error *err)
{
    size_t count = (size_t)n * v->per_step;
    hl_status status = HL_OK;
    if (v->jpeg)
        for (int64_t i = 0; status == HL_OK && i < n; i++)
            status = look_at_jpeg(v, begin + i, (const uint8_t *)rows + (size_t)i * v->per_step, err);
    else if (!v->bytes)
        look_at_numbers(v, begin, rows, count);
    if (!v->bytes && v->rank <= 2)
        add_to_sum(v->c, rows, count);
    return status;
}

static herr_t read_block(const values *v, int64_t begin, int64_t n, void *rows)
{
    hsize_t start[HL_HDF_RANK] = {(hsize_t)begin}, count[HL_HDF_RANK];
    for (int i = 0; i < v->rank; i++)
        count[i] = i ? v->dim[i] : (hsize_t)n;
    hid_t space = H5Screate_simple(v->rank, v->dim, NULL), memory = H5Screate_simple(v->rank, count, NULL);
    herr_t ok = -1;
    if (space >= 0 && memory >= 0 &&
        H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL) >= 0)
        ok = H5Dread(v->set, v->bytes ? H5T_NATIVE_UCHAR : H5T_NATIVE_FLOAT, memory, space, H5P_DEFAULT,
                     rows);
    if (space >= 0)
        H5Sclose(space);
    if (memory >= 0)
        H5Sclose(memory);
    return ok;
}

/* In blocks of about a MiB; one that cannot be read does not hide those after it. */
static hl_status read_all(values *v, hl_error *err)
{
    size_t row = v->per_step * (v->bytes ? 1 : sizeof(float));
    int64_t steps = (int64_t)v->dim[0], block = row < (1 << 20) ? (int64_t)((1 << 20) / row) : 1;
    hl_status status = HL_OK;
    block = block > steps ? steps : block;
    void *rows = hl_alloc((size_t)block, row);
    if (!rows)
        return hl_fail(err, HL_ERR_MEMORY, "%s: %s: no memory for a step of it", v->c->file, v->path);
    for (int64_t t = 0, n; status == HL_OK && t < steps; t += n) {
        hl_error fault = {0};
        n = steps - t < block ? steps - t : block;
        if (read_block(v, t, n, rows) >= 0) {
            status = look_at_block(v, t, n, rows, err);
            continue;
        }
        hl_hdf5_fail(&fault, HL_ERR_DATA, "steps %lld to %lld cannot be read", (long long)t,
                     (long long)(t + n - 1));
        (void)H5Eclear2(H5E_DEFAULT);
        if (!v->unread.count++)
            snprintf(v->unread.first, sizeof v->unread.first, "%.300s", fault.message);
    }
    hl_free(rows);
    return status;
}

/* ------------------------------------------------------------------ the data set */

static hl_status no_values(const values *v, const char *found, const char *expected, hl_error *err)
{
    hl_hdf_fail(err, HL_ERR_DATA, v->c->file, v->path, "found %s, expected %s", found, expected);
    return demos_fault(v->c->all, v->c->file, v->path, HL_ERR_DATA, err);
}

static bool is_per_step(const values *v)
{
    for (const char *const *prefix = v->c->all->format->per_step; *prefix; prefix++)
        if (!strncmp(v->key, *prefix, strlen(*prefix)))
            return true;
    return false;
}

/* What the layout promises of a data set that no key maps; mapped ones were looked at when they were listed.
 */
static hl_status check_shape(values *v, bool *readable, hl_error *err)
{
    demonstration *d = &v->c->all->demo[v->c->demo];
    char shape[HL_HDF_TEXT], kind[HL_HDF_TEXT], expected[HL_HDF_TEXT + 80];
    hl_hdf_type_name(v->type, kind, sizeof kind);
    hl_hdf_shape_text(v->rank, v->dim, shape, sizeof shape);
    *readable = false;
    if (!is_per_step(v)) {
        *readable = hl_hdf_is_number(v->type) && v->rank > 0 && v->dim[0] > 0;
        return HL_OK;
    }
    if (!hl_hdf_is_number(v->type))
        return no_values(v, kind, "numbers", err);
    if (v->rank < 1 || v->dim[0] < 1)
        return no_values(v, shape, "a row per step, and at least one", err);
    *readable = true;
    if (!d->steps)
        d->steps = (int64_t)v->dim[0]; /* no actions tell: the first key does */
    if ((int64_t)v->dim[0] != d->steps) {
        snprintf(expected, sizeof expected, "%lld steps as in the demonstration's other data sets",
                 (long long)d->steps);
        return no_values(v, shape, expected, err);
    }
    if (v->rank > 3 || v->jpeg)
        return HL_OK; /* cameras may differ */
    v->dim[0] = 0;
    hl_hdf_shape_text(v->rank, v->dim, shape, sizeof shape);
    v->dim[0] = (hsize_t)d->steps;
    const char *before = json_string_value(json_object_get(v->c->shapes, v->key));
    if (!before && json_object_set_new(v->c->shapes, v->key, json_string(shape)))
        return HL_OK; /* a name that is not UTF-8: nothing is compared */
    if (!before || !strcmp(before, shape))
        return HL_OK;
    hl_hdf_shape_text(v->rank, v->dim, shape, sizeof shape);
    snprintf(expected, sizeof expected, "(%lld%s as in the demonstrations before it", (long long)d->steps,
             before + 2);
    return no_values(v, shape, expected, err);
}

static hl_status look(values *v, hl_error *err)
{
    const demos *all = v->c->all;
    hid_t space = v->type < 0 ? H5I_INVALID_HID : H5Dget_space(v->set);
    v->rank = space < 0 ? -1 : H5Sget_simple_extent_ndims(space);
    bool known = v->rank >= 0 && v->rank <= HL_HDF_RANK &&
                 H5Sget_simple_extent_dims(space, v->dim, NULL) >= 0;
    if (space >= 0)
        H5Sclose(space);
    if (!known)
        return no_values(v, "a data set that cannot be opened", "a row per step", err);
    v->bytes = H5Tget_class(v->type) == H5T_INTEGER && H5Tget_size(v->type) == 1 &&
               H5Tget_sign(v->type) == H5T_SGN_NONE;
    v->jpeg = v->bytes && v->rank == 2 && all->file[all->demo[v->c->demo].file].jpeg &&
              (!v->group || v->group->image);
    bool actions = v->group == &all->group[DEMO_ACTION];
    if (actions && all->format == &demo_robomimic && v->group->normalize == HL_NORMALIZE_NONE)
        v->low = -1, v->high = 1;
    else if (v->group && v->group->image && v->group->clip[0] >= v->group->clip[1])
        v->low = 0, v->high = 1;
    v->per_step = 1;
    for (int i = 1; i < v->rank; i++)
        if (!hl_size_mul(v->per_step, (size_t)v->dim[i], &v->per_step))
            return no_values(v, "a shape that overflows", "rows that fit memory", err);
    bool readable = v->rank > 0 && v->dim[0] > 0;
    hl_status status = v->c->everything && !actions ? check_shape(v, &readable, err) : HL_OK;
    if (status == HL_OK && readable && v->per_step)
        status = read_all(v, err);
    if (status == HL_OK)
        status = report(v, &v->unread, false, err);
    if (status == HL_OK)
        status = report(v, &v->strange, false, err);
    return status == HL_OK ? report(v, &v->away, actions, err) : status;
}

hl_status demos_check_values(checked *c, const char *key, const demo_group *g, hl_error *err)
{
    values v = {.c = c, .group = g, .key = key};
    demos_path(c->all, c->demo, key, v.path);
    v.set = H5Dopen2(c->id, v.path, H5P_DEFAULT);
    v.type = v.set < 0 ? H5I_INVALID_HID : H5Dget_type(v.set);
    hl_status status = look(&v, err);
    if (v.type >= 0)
        H5Tclose(v.type);
    if (v.set >= 0)
        H5Dclose(v.set);
    return status;
}
