#include "io/checkpoint_layout.h"

#include "base/error.h"
#include "io/hdf5.h"

#include <string.h>

typedef struct layout {
    const char *path;
    const hl_checkpoint_meta *meta;
    int n;
    hl_layout_tensor *tensors;
} layout;

static void close_id(hid_t id, herr_t (*close)(hid_t))
{
    if (id >= 0)
        (void)close(id); /* what failed before is the error to tell */
}

static hid_t new_space(int rank, const int64_t *dim)
{
    hsize_t size[HL_MAX_RANK];
    for (int i = 0; i < rank; i++)
        size[i] = (hsize_t)dim[i];
    return rank ? H5Screate_simple(rank, size, NULL) : H5Screate(H5S_SCALAR);
}

/* count 0: a scalar. */
static hl_status put_attribute(const layout *l, hid_t object, const char *name, hid_t file_type,
                               hid_t memory_type, int64_t count, const void *value, hl_error *err)
{
    hid_t space = new_space(count ? 1 : 0, &count);
    hid_t attribute = H5Acreate2(object, name, file_type, space, H5P_DEFAULT, H5P_DEFAULT);
    hl_status status = HL_OK;
    if (attribute < 0 || H5Awrite(attribute, memory_type, value) < 0)
        status = hl_hdf5_fail(err, HL_ERR_USAGE, "%s: cannot lay out attribute '%s'", l->path, name);
    close_id(attribute, H5Aclose);
    close_id(space, H5Sclose);
    return status;
}

static hl_status put_u64(const layout *l, hid_t object, const char *name, uint64_t value, hl_error *err)
{
    return put_attribute(l, object, name, H5T_STD_U64LE, H5T_NATIVE_UINT64, 0, &value, err);
}

/* Fixed length with its zero, for an HDF5 string cannot be empty. Negative on error. */
static hid_t text_type(const char *text)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    if (type >= 0 && H5Tset_size(type, strlen(text) + 1) >= 0 && H5Tset_cset(type, H5T_CSET_UTF8) >= 0)
        return type;
    close_id(type, H5Tclose);
    return H5I_INVALID_HID;
}

static hl_status put_text_attribute(const layout *l, hid_t object, const char *name, const char *text,
                                    hl_error *err)
{
    hid_t type = text_type(text);
    hl_status status = put_attribute(l, object, name, type, type, 0, text, err);
    close_id(type, H5Tclose);
    return status;
}

/* A contiguous data set; its id, or a negative one and the error. early: place now, write never. */
static hid_t new_data_set(const layout *l, hid_t parent, const char *name, hid_t type, int rank,
                          const int64_t *dim, bool early, hl_error *err)
{
    hid_t space = new_space(rank, dim), list = H5Pcreate(H5P_DATASET_CREATE), set = H5I_INVALID_HID;
    if (list >= 0 && H5Pset_layout(list, H5D_CONTIGUOUS) >= 0 && H5Pset_obj_track_times(list, false) >= 0 &&
        (!early || (H5Pset_alloc_time(list, H5D_ALLOC_TIME_EARLY) >= 0 &&
                    H5Pset_fill_time(list, H5D_FILL_TIME_NEVER) >= 0)))
        set = H5Dcreate2(parent, name, type, space, H5P_DEFAULT, list, H5P_DEFAULT);
    if (set < 0)
        (void)hl_hdf5_fail(err, HL_ERR_USAGE, "%s: cannot lay out '%s'", l->path, name);
    close_id(list, H5Pclose);
    close_id(space, H5Sclose);
    return set;
}

static hl_status put_data(const layout *l, hid_t parent, const char *name, hid_t file_type, hid_t memory_type,
                          int rank, int64_t count, const void *data, hl_error *err)
{
    hid_t set = new_data_set(l, parent, name, file_type, rank, &count, false, err);
    if (set < 0)
        return HL_ERR_USAGE;
    hl_status status = HL_OK;
    if (count && H5Dwrite(set, memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) < 0)
        status = hl_hdf5_fail(err, HL_ERR_USAGE, "%s: cannot lay out '%s'", l->path, name);
    close_id(set, H5Dclose);
    return status;
}

/* A group that remembers the order of its members; negative on error. */
static hid_t new_group(const layout *l, hid_t file, const char *name, hl_error *err)
{
    hid_t list = H5Pcreate(H5P_GROUP_CREATE), group = H5I_INVALID_HID;
    if (list >= 0 && H5Pset_link_creation_order(list, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED) >= 0 &&
        H5Pset_obj_track_times(list, false) >= 0)
        group = H5Gcreate2(file, name, H5P_DEFAULT, list, H5P_DEFAULT);
    if (group < 0)
        (void)hl_hdf5_fail(err, HL_ERR_USAGE, "%s: cannot lay out '%s'", l->path, name);
    close_id(list, H5Pclose);
    return group;
}

static hl_status put_tensor(const layout *l, hid_t group, hl_layout_tensor *t, hl_error *err)
{
    const hl_param_info *p = &t->info;
    hid_t set = new_data_set(l, group, p->name, H5T_IEEE_F32LE, p->shape.rank, p->shape.dim, true, err);
    if (set < 0)
        return HL_ERR_USAGE;
    hl_status status = put_attribute(l, set, "crc32c", H5T_STD_U32LE, H5T_NATIVE_UINT32, 0, &t->crc32c, err);
    haddr_t offset = p->count ? H5Dget_offset(set) : 0;
    if (status == HL_OK && offset == HADDR_UNDEF)
        status = hl_hdf5_fail(err, HL_ERR_USAGE, "%s: '%s' has no place in the file", l->path, p->name);
    t->offset = offset;
    close_id(set, H5Dclose);
    return status;
}

static hl_status put_tensors(const layout *l, hid_t file, const char *name, hl_role role, hl_error *err)
{
    hid_t group = new_group(l, file, name, err);
    hl_status status = group < 0 ? HL_ERR_USAGE : HL_OK;
    for (int i = 0; i < l->n && status == HL_OK; i++)
        if (l->tensors[i].info.role == role)
            status = put_tensor(l, group, &l->tensors[i], err);
    close_id(group, H5Gclose);
    return status;
}

static hl_status put_arrays(const layout *l, hid_t file, hl_error *err)
{
    hid_t group = new_group(l, file, "normalization", err);
    hl_status status = group < 0 ? HL_ERR_USAGE : HL_OK;
    for (int i = 0; i < l->meta->n_arrays && status == HL_OK; i++) {
        const hl_checkpoint_array *a = &l->meta->arrays[i];
        status = put_data(l, group, a->name, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, 1, (int64_t)a->count,
                          a->values, err);
    }
    close_id(group, H5Gclose);
    return status;
}

static hl_status put_values(const layout *l, hid_t file, hl_error *err)
{
    hid_t group = new_group(l, file, "values", err);
    hl_status status = group < 0 ? HL_ERR_USAGE : HL_OK;
    for (int i = 0; i < l->meta->n_values && status == HL_OK; i++) {
        const hl_checkpoint_value *v = &l->meta->values[i];
        status = v->is_real
                     ? put_attribute(l, group, v->name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, 0, &v->real, err)
                     : put_u64(l, group, v->name, v->integer, err);
    }
    close_id(group, H5Gclose);
    return status;
}

static hl_status put_root(const layout *l, hid_t file, hl_error *err)
{
    const hl_checkpoint_meta *meta = l->meta;
    const char *config = meta->config ? meta->config : "",
               *version = meta->hl_version ? meta->hl_version : "";
    const struct {
        const char *name;
        uint64_t value;
    } numbers[] = {{"format_version", HL_CHECKPOINT_VERSION},
                   {"step", meta->step},
                   {"epoch", meta->epoch},
                   {"seed", meta->seed}};
    hl_status status = put_text_attribute(l, file, "format", "hl-checkpoint", err);
    if (status == HL_OK)
        status = put_text_attribute(l, file, "hl_version", version, err);
    for (int i = 0; i < 4 && status == HL_OK; i++)
        status = put_u64(l, file, numbers[i].name, numbers[i].value, err);
    if (status == HL_OK && meta->n_loader)
        status = put_attribute(l, file, "loader", H5T_STD_U64LE, H5T_NATIVE_UINT64, meta->n_loader,
                               meta->loader, err);
    if (status != HL_OK)
        return status;
    hid_t type = text_type(config);
    status = put_data(l, file, "config", type, type, 0, 1, config, err);
    close_id(type, H5Tclose);
    return status;
}

hl_status hl_checkpoint_lay_out(const char *path, const hl_checkpoint_meta *meta, uint64_t block, int n,
                                hl_layout_tensor *tensors, hl_image *image, hl_error *err)
{
    const layout l = {path, meta, n, tensors};
    hl_hdf5_scope scope = hl_hdf5_begin();
    hl_status status = HL_OK;
    hid_t file = hl_image_create_hdf5(image, path, block);
    if (file < 0)
        status = hl_hdf5_fail(err, HL_ERR_MEMORY, "%s: cannot lay it out", path);
    if (status == HL_OK)
        status = put_root(&l, file, err);
    if (status == HL_OK)
        status = put_arrays(&l, file, err);
    if (status == HL_OK)
        status = put_values(&l, file, err);
    if (status == HL_OK)
        status = put_tensors(&l, file, "parameters", HL_PARAMETER, err);
    if (status == HL_OK)
        status = put_tensors(&l, file, "optimizer", HL_OPTIMIZER, err);
    if (file >= 0 && H5Fclose(file) < 0 && status == HL_OK)
        status = hl_hdf5_fail(err, HL_ERR_MEMORY, "%s: cannot finish its layout", path);
    hl_hdf5_end(scope);
    if (status == HL_OK && hl_image_out_of_memory(image))
        status = hl_fail(err, HL_ERR_MEMORY, "%s: no memory for its structure", path);
    return status;
}
