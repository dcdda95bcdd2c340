#include "io/checkpoint_parse.h"

#include "base/error.h"
#include "io/hdf5.h"

#include <string.h>

typedef struct parser {
    const char *path;
    hl_arena *arena;
    hl_error *err;
} parser;

static void close_id(hid_t id, herr_t (*close)(hid_t))
{
    if (id >= 0)
        (void)close(id);
}

/* The checksum holds, so what does not fit was written so. */
static hl_status strange(const parser *p, const char *name)
{
    return hl_hdf5_fail(p->err, HL_ERR_DATA,
                        "%s: '%s' is missing or not what a checkpoint holds; was it edited?", p->path, name);
}

static hl_status no_memory(const parser *p)
{
    return hl_fail(p->err, HL_ERR_MEMORY, "%s: no memory to read its structure", p->path);
}

/* ------------------------------------------------------------------ attributes */

/* Up to max numbers of one class into memory_type; *n of them. */
static hl_status get_attribute(const parser *p, hid_t object, const char *name, H5T_class_t class,
                               hid_t memory_type, int max, void *values, int *n)
{
    hl_status status = HL_OK;
    hid_t attribute = H5Aopen(object, name, H5P_DEFAULT);
    hid_t space = attribute < 0 ? H5I_INVALID_HID : H5Aget_space(attribute);
    hid_t type = attribute < 0 ? H5I_INVALID_HID : H5Aget_type(attribute);
    hssize_t points = space < 0 ? -1 : H5Sget_simple_extent_npoints(space);
    if (type < 0 || points < 0 || points > max || H5Tget_class(type) != class ||
        H5Aread(attribute, memory_type, values) < 0)
        status = strange(p, name);
    *n = (int)points;
    close_id(type, H5Tclose);
    close_id(space, H5Sclose);
    close_id(attribute, H5Aclose);
    return status;
}

static hl_status get_u64(const parser *p, hid_t object, const char *name, uint64_t *value)
{
    int n = 0;
    hl_status status = get_attribute(p, object, name, H5T_INTEGER, H5T_NATIVE_UINT64, 1, value, &n);
    return status == HL_OK && n != 1 ? strange(p, name) : status;
}

/* A text of `type`, read by one of the two calls below. */
typedef herr_t read_call(hid_t id, hid_t type, void *text);

static herr_t read_attribute(hid_t id, hid_t type, void *text)
{
    return H5Aread(id, type, text);
}

static herr_t read_data_set(hid_t id, hid_t type, void *text)
{
    return H5Dread(id, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, text);
}

static hl_status get_text(const parser *p, hid_t id, const char *name, hid_t type, hid_t space,
                          read_call *call, const char **text)
{
    size_t size = type < 0 ? 0 : H5Tget_size(type);
    if (!size || H5Tget_class(type) != H5T_STRING || H5Tis_variable_str(type) != 0 ||
        H5Sget_simple_extent_npoints(space) != 1)
        return strange(p, name);
    char *copy = hl_arena_alloc(p->arena, size + 1, 1); /* zeroed: ends even if the file's does not */
    if (!copy)
        return no_memory(p);
    *text = copy;
    return call(id, type, copy) < 0 ? strange(p, name) : HL_OK;
}

static hl_status get_text_attribute(const parser *p, hid_t object, const char *name, const char **text)
{
    hid_t attribute = H5Aopen(object, name, H5P_DEFAULT);
    if (attribute < 0)
        return strange(p, name);
    hid_t space = H5Aget_space(attribute), type = H5Aget_type(attribute);
    hl_status status = get_text(p, attribute, name, type, space, read_attribute, text);
    close_id(type, H5Tclose);
    close_id(space, H5Sclose);
    close_id(attribute, H5Aclose);
    return status;
}

/* ------------------------------------------------------------------ names */

typedef struct names {
    hl_arena *arena;
    const char **name; /* base/memory.h */
    int n, room;
    bool no_memory;
} names;

static herr_t add_name(names *list, const char *name)
{
    if (list->n == list->room) {
        int room = list->room ? 2 * list->room : 64;
        const char **more = hl_realloc(list->name, (size_t)room, sizeof *more);
        list->no_memory = !more;
        if (!more)
            return -1;
        list->name = more;
        list->room = room;
    }
    list->name[list->n] = hl_arena_strdup(list->arena, name);
    list->no_memory = !list->name[list->n];
    return list->no_memory ? -1 : (list->n++, 0);
}

static herr_t add_link(hid_t group, const char *name, const H5L_info_t *info, void *list)
{
    (void)group, (void)info;
    return add_name(list, name);
}

static herr_t add_attribute(hid_t object, const char *name, const H5A_info_t *info, void *list)
{
    (void)object, (void)info;
    return add_name(list, name);
}

/* Members of a group in order of creation, or its attributes; list->name is the caller's to free. */
static hl_status get_names(const parser *p, hid_t group, const char *what, bool attributes, names *list)
{
    herr_t done;
    *list = (names){.arena = p->arena};
    if (attributes)
        done = H5Aiterate2(group, H5_INDEX_NAME, H5_ITER_INC, NULL, add_attribute, list);
    else
        done = H5Literate(group, H5_INDEX_CRT_ORDER, H5_ITER_INC, NULL, add_link, list);
    if (list->no_memory)
        return no_memory(p);
    return done < 0 ? strange(p, what) : HL_OK;
}

/* ------------------------------------------------------------------ data sets */

/* Contiguous f32, of a shape that fits into memory. */
static bool get_shape(hid_t set, hl_shape *shape, int64_t *count)
{
    hsize_t dim[H5S_MAX_RANK];
    size_t n = 1, bytes = 0;
    hid_t type = H5Dget_type(set), space = H5Dget_space(set), list = H5Dget_create_plist(set);
    int rank = space < 0 ? -1 : H5Sget_simple_extent_dims(space, dim, NULL);
    bool good = type >= 0 && H5Tequal(type, H5T_IEEE_F32LE) > 0 && rank >= 0 && rank <= HL_MAX_RANK &&
                list >= 0 && H5Pget_layout(list) == H5D_CONTIGUOUS &&
                H5Sget_simple_extent_type(space) != H5S_NULL;
    *shape = (hl_shape){.rank = good ? rank : 0};
    for (int i = 0; i < shape->rank && good; i++) {
        good = dim[i] <= INT64_MAX && hl_size_mul(n, (size_t)dim[i], &n);
        shape->dim[i] = good ? (int64_t)dim[i] : 0;
    }
    good = good && hl_size_mul(n, sizeof(float), &bytes) && bytes <= INT64_MAX;
    *count = good ? (int64_t)n : 0;
    close_id(list, H5Pclose);
    close_id(space, H5Sclose);
    close_id(type, H5Tclose);
    return good;
}

static hl_status get_tensor(const parser *p, hid_t group, const char *name, hl_role role,
                            hl_checkpoint_tensor *t)
{
    uint64_t crc32c = 0;
    hid_t set = H5Dopen2(group, name, H5P_DEFAULT);
    hl_status status = HL_OK;
    *t = (hl_checkpoint_tensor){.name = name, .role = role};
    if (set < 0 || !get_shape(set, &t->shape, &t->count))
        status = strange(p, name);
    if (status == HL_OK)
        status = get_u64(p, set, "crc32c", &crc32c);
    if (status == HL_OK && t->count) {
        haddr_t offset = H5Dget_offset(set);
        t->offset = offset;
        status = offset == HADDR_UNDEF ? strange(p, name) : HL_OK;
    }
    t->crc32c = (uint32_t)crc32c;
    close_id(set, H5Dclose);
    return status;
}

static hl_status get_tensors(const parser *p, hid_t file, const char *what, hl_role role, hl_parsed *out)
{
    names list = {0};
    hid_t group = H5Gopen2(file, what, H5P_DEFAULT);
    hl_status status = group < 0 ? strange(p, what) : get_names(p, group, what, false, &list);
    hl_checkpoint_tensor *all = NULL;
    if (status == HL_OK) {
        all = hl_arena_alloc(p->arena, (size_t)(out->n + list.n), sizeof *all);
        status = all ? HL_OK : no_memory(p);
    }
    if (status == HL_OK) {
        if (out->n)
            memcpy(all, out->tensors, (size_t)out->n * sizeof *all);
        for (int i = 0; i < list.n && status == HL_OK; i++)
            status = get_tensor(p, group, list.name[i], role, &all[out->n + i]);
        out->tensors = all;
        out->n += list.n;
    }
    hl_free(list.name);
    close_id(group, H5Gclose);
    return status;
}

static hl_status get_array(const parser *p, hid_t group, hl_checkpoint_array *a)
{
    hl_shape shape;
    int64_t count = 0;
    hid_t set = H5Dopen2(group, a->name, H5P_DEFAULT);
    hl_status status = HL_OK;
    /* What it claims to hold must be in the file, before memory is taken for it. */
    if (set < 0 || !get_shape(set, &shape, &count) ||
        H5Dget_storage_size(set) != (hsize_t)count * sizeof(float))
        status = strange(p, a->name);
    float *values = status == HL_OK ? hl_arena_alloc(p->arena, (size_t)count, sizeof *values) : NULL;
    if (status == HL_OK && !values)
        status = no_memory(p);
    if (status == HL_OK && count && H5Dread(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) < 0)
        status = strange(p, a->name);
    a->count = (size_t)count;
    a->values = values;
    close_id(set, H5Dclose);
    return status;
}

static hl_status get_arrays(const parser *p, hid_t file, hl_checkpoint_meta *meta)
{
    names list = {0};
    hid_t group = H5Gopen2(file, "normalization", H5P_DEFAULT);
    hl_status status = group < 0 ? strange(p, "normalization")
                                 : get_names(p, group, "normalization", false, &list);
    hl_checkpoint_array *all = status == HL_OK ? hl_arena_alloc(p->arena, (size_t)list.n, sizeof *all) : NULL;
    if (status == HL_OK && !all)
        status = no_memory(p);
    for (int i = 0; i < list.n && status == HL_OK; i++) {
        all[i].name = list.name[i];
        status = get_array(p, group, &all[i]);
    }
    meta->n_arrays = list.n;
    meta->arrays = all;
    hl_free(list.name);
    close_id(group, H5Gclose);
    return status;
}

/* Whether a value is real is told by its type in the file. */
static hl_status get_value(const parser *p, hid_t group, hl_checkpoint_value *v)
{
    hid_t attribute = H5Aopen(group, v->name, H5P_DEFAULT);
    hid_t type = attribute < 0 ? H5I_INVALID_HID : H5Aget_type(attribute);
    int n = 0;
    v->is_real = type >= 0 && H5Tget_class(type) == H5T_FLOAT;
    close_id(type, H5Tclose);
    close_id(attribute, H5Aclose);
    if (!v->is_real)
        return get_u64(p, group, v->name, &v->integer);
    hl_status status = get_attribute(p, group, v->name, H5T_FLOAT, H5T_NATIVE_DOUBLE, 1, &v->real, &n);
    return status == HL_OK && n != 1 ? strange(p, v->name) : status;
}

static hl_status get_values(const parser *p, hid_t file, hl_checkpoint_meta *meta)
{
    names list = {0};
    hid_t group = H5Gopen2(file, "values", H5P_DEFAULT);
    hl_status status = group < 0 ? strange(p, "values") : get_names(p, group, "values", true, &list);
    hl_checkpoint_value *all = status == HL_OK ? hl_arena_alloc(p->arena, (size_t)list.n, sizeof *all) : NULL;
    if (status == HL_OK && !all)
        status = no_memory(p);
    for (int i = 0; i < list.n && status == HL_OK; i++) {
        all[i].name = list.name[i];
        status = get_value(p, group, &all[i]);
    }
    meta->n_values = list.n;
    meta->values = all;
    hl_free(list.name);
    close_id(group, H5Gclose);
    return status;
}

/* ------------------------------------------------------------------ all of it */

static hl_status get_config(const parser *p, hid_t file, hl_checkpoint_meta *meta)
{
    hid_t set = H5Dopen2(file, "config", H5P_DEFAULT);
    if (set < 0)
        return strange(p, "config");
    hid_t type = H5Dget_type(set), space = H5Dget_space(set);
    hl_status status = HL_OK;
    if (type < 0 || H5Dget_storage_size(set) != H5Tget_size(type))
        status = strange(p, "config");
    else
        status = get_text(p, set, "config", type, space, read_data_set, &meta->config);
    close_id(space, H5Sclose);
    close_id(type, H5Tclose);
    close_id(set, H5Dclose);
    return status;
}

static hl_status get_root(const parser *p, hid_t file, hl_checkpoint_meta *meta)
{
    const char *format = "";
    uint64_t version = 0;
    hl_status status = get_text_attribute(p, file, "format", &format);
    if (status == HL_OK && strcmp(format, "hl-checkpoint"))
        status = strange(p, "format");
    if (status == HL_OK)
        status = get_u64(p, file, "format_version", &version);
    if (status == HL_OK && version != HL_CHECKPOINT_VERSION)
        status = strange(p, "format_version"); /* the user block has said otherwise */
    if (status == HL_OK)
        status = get_text_attribute(p, file, "hl_version", &meta->hl_version);
    if (status == HL_OK)
        status = get_u64(p, file, "step", &meta->step);
    if (status == HL_OK)
        status = get_u64(p, file, "epoch", &meta->epoch);
    if (status == HL_OK)
        status = get_u64(p, file, "seed", &meta->seed);
    if (status == HL_OK && H5Aexists(file, "loader") > 0)
        status = get_attribute(p, file, "loader", H5T_INTEGER, H5T_NATIVE_UINT64, HL_CHECKPOINT_LOADER,
                               meta->loader, &meta->n_loader);
    return status == HL_OK ? get_config(p, file, meta) : status;
}

hl_status hl_checkpoint_parse(const char *path, hl_image *image, hl_arena *arena, hl_parsed *out,
                              hl_error *err)
{
    const parser p = {path, arena, err};
    *out = (hl_parsed){0};
    hl_hdf5_scope scope = hl_hdf5_begin();
    hid_t file = hl_image_open_hdf5(image, path);
    hl_status status = HL_OK;
    if (file < 0 && hl_image_out_of_memory(image))
        status = no_memory(&p);
    else if (file < 0)
        status = hl_hdf5_fail(err, HL_ERR_DATA, "%s: libhdf5 cannot read its structure", path);
    if (status == HL_OK)
        status = get_root(&p, file, &out->meta);
    if (status == HL_OK)
        status = get_arrays(&p, file, &out->meta);
    if (status == HL_OK)
        status = get_values(&p, file, &out->meta);
    if (status == HL_OK)
        status = get_tensors(&p, file, "parameters", HL_PARAMETER, out);
    if (status == HL_OK)
        status = get_tensors(&p, file, "optimizer", HL_OPTIMIZER, out);
    close_id(file, H5Fclose);
    hl_hdf5_end(scope);
    return status;
}
