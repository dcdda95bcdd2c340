/* Attributes, whatever integer or string type their writer chose. */
#include "data/hdf5_query.h"

#include "base/error.h"
#include "base/memory.h"

#include <string.h>

typedef struct attribute {
    hid_t id, type;
    hssize_t count;
} attribute;

static void attribute_close(attribute *a)
{
    if (a->type >= 0)
        H5Tclose(a->type);
    if (a->id >= 0)
        H5Aclose(a->id);
}

/* id stays -1 where there is no such attribute. */
static hl_status attribute_open(hid_t object, const char *name, const char *file, const char *path,
                                attribute *a, hl_error *err)
{
    *a = (attribute){-1, -1, 0};
    htri_t there = H5Aexists(object, name);
    if (there == 0)
        return HL_OK;
    a->id = there > 0 ? H5Aopen(object, name, H5P_DEFAULT) : -1;
    hid_t space = a->id >= 0 ? H5Aget_space(a->id) : -1;
    a->type = a->id >= 0 ? H5Aget_type(a->id) : -1;
    if (space >= 0) {
        a->count = H5Sget_simple_extent_npoints(space);
        H5Sclose(space);
    }
    if (a->type >= 0 && space >= 0)
        return HL_OK;
    attribute_close(a);
    return hl_hdf_fail(err, HL_ERR_DATA, file, path, "attribute %s cannot be read", name);
}

hl_status hl_hdf_integer(hid_t object, const char *name, const char *file, const char *path, long long *value,
                         bool *found, hl_error *err)
{
    attribute a;
    hl_status status = attribute_open(object, name, file, path, &a, err);
    *found = false;
    if (status != HL_OK || a.id < 0)
        return status;
    H5T_class_t class = H5Tget_class(a.type);
    if ((class != H5T_INTEGER && class != H5T_ENUM) || a.count != 1) {
        char type[HL_HDF_TEXT];
        hl_hdf_type_name(a.type, type, sizeof type);
        status = hl_hdf_fail(err, HL_ERR_DATA, file, path,
                             "attribute %s: found %lld values of type %s, expected one integer", name,
                             (long long)a.count, type);
    } else if (H5Aread(a.id, H5T_NATIVE_LLONG, value) < 0) {
        status = hl_hdf_fail(err, HL_ERR_DATA, file, path, "attribute %s cannot be read", name);
    } else {
        *found = true;
    }
    attribute_close(&a);
    return status;
}

/* Variable length: libhdf5 allocates, and takes back with H5free_memory. */
static char *read_variable(const attribute *a, hid_t memory, bool *no_memory)
{
    char *text = NULL, *copy = NULL;
    if (H5Tset_size(memory, H5T_VARIABLE) < 0 || H5Aread(a->id, memory, &text) < 0)
        return NULL;
    copy = hl_strdup(text ? text : "");
    *no_memory = !copy;
    if (text)
        (void)H5free_memory(text);
    return copy;
}

static char *read_fixed(const attribute *a, hid_t memory, bool *no_memory)
{
    size_t size = H5Tget_size(a->type) + 1;
    char *text = H5Tset_size(memory, size) < 0 ? NULL : hl_alloc(size, 1);
    *no_memory = !text;
    if (text && H5Aread(a->id, memory, text) < 0) {
        hl_free(text);
        return NULL;
    }
    return text;
}

hl_status hl_hdf_text(hid_t object, const char *name, const char *file, const char *path, char **text,
                      hl_error *err)
{
    attribute a;
    hl_status status = attribute_open(object, name, file, path, &a, err);
    *text = NULL;
    if (status != HL_OK || a.id < 0)
        return status;
    if (H5Tget_class(a.type) != H5T_STRING || a.count != 1) {
        char type[HL_HDF_TEXT];
        hl_hdf_type_name(a.type, type, sizeof type);
        status = hl_hdf_fail(err, HL_ERR_DATA, file, path,
                             "attribute %s: found %lld values of type %s, expected one string", name,
                             (long long)a.count, type);
    } else {
        bool no_memory = false;
        hid_t memory = H5Tcopy(H5T_C_S1);
        if (memory >= 0 && H5Tset_cset(memory, H5Tget_cset(a.type)) >= 0)
            *text = H5Tis_variable_str(a.type) > 0 ? read_variable(&a, memory, &no_memory)
                                                   : read_fixed(&a, memory, &no_memory);
        if (memory >= 0)
            H5Tclose(memory);
        if (!*text)
            status = hl_hdf_fail(err, no_memory ? HL_ERR_MEMORY : HL_ERR_DATA, file, path,
                                 "attribute %s cannot be read%s", name, no_memory ? ": no memory" : "");
    }
    attribute_close(&a);
    return status;
}
