/* Edits of an HDF5 file through libhdf5: what comes out is a file that it could have written, however
 * strange. To be included by one file of a program. */
#ifndef HL_TESTS_FUZZ_HDF5_EDITS_H
#define HL_TESTS_FUZZ_HDF5_EDITS_H

#include "base/error.h"

#include <hdf5.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { EDIT_PATHS = 64, EDIT_BYTES = 1 << 16, EDITS = 8 };

/* An edit, as it lies in the input. */
typedef struct edit {
    uint8_t what, path, other, type, rank, dim[3], layout, value;
} edit;

typedef struct paths {
    char path[EDIT_PATHS][128];
    int n;
} paths;

static inline herr_t add_path(hid_t at, const char *name, const H5O_info_t *info, void *to)
{
    paths *all = to;
    (void)at, (void)info;
    if (all->n < EDIT_PATHS && strlen(name) < sizeof *all->path)
        strcpy(all->path[all->n++], name);
    return 0;
}

static inline hid_t text_of(size_t size)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    HL_ASSERT(H5Tset_size(type, size) >= 0);
    return type;
}

static inline hid_t pair_of(hid_t member)
{
    hid_t type = H5Tcreate(H5T_COMPOUND, 16);
    HL_ASSERT(H5Tinsert(type, "a", 0, member) >= 0 && H5Tinsert(type, "b", 8, member) >= 0);
    return type;
}

static inline hid_t boolean(void)
{
    const int8_t no = 0, yes = 1;
    hid_t type = H5Tenum_create(H5T_NATIVE_INT8);
    HL_ASSERT(H5Tenum_insert(type, "FALSE", &no) >= 0 && H5Tenum_insert(type, "TRUE", &yes) >= 0);
    return type;
}

static inline hid_t edit_type(uint8_t which)
{
    const hsize_t three = 3;
    switch (which % 16) {
    case 0:
        return H5Tcopy(H5T_STD_U8LE);
    case 1:
        return H5Tcopy(H5T_STD_I8LE);
    case 2:
        return H5Tcopy(H5T_STD_I16BE);
    case 3:
        return H5Tcopy(H5T_STD_U64LE);
    case 4:
        return H5Tcopy(H5T_STD_I64BE);
    case 5:
        return H5Tcopy(H5T_IEEE_F32LE);
    case 6:
        return H5Tcopy(H5T_IEEE_F64BE);
    case 7:
        return text_of(3);
    case 8:
        return text_of(H5T_VARIABLE);
    case 9:
        return boolean();
    case 10:
        return pair_of(H5T_NATIVE_FLOAT);
    case 11:
        return H5Tcreate(H5T_OPAQUE, 5);
    case 12:
        return H5Tarray_create2(H5T_NATIVE_FLOAT, 1, &three);
    case 13:
        return H5Tvlen_create(H5T_NATIVE_INT);
    case 14:
        return text_of((size_t)which << 12);
    default:
        return H5Tcopy(H5T_STD_B16LE);
    }
}

static inline hid_t edit_space(const edit *e)
{
    const hsize_t large[3] = {(hsize_t)1 << 31, (hsize_t)1 << 40, (hsize_t)1 << 62};
    hsize_t dim[6];
    int rank = e->rank % 7;
    for (int i = 0; i < rank; i++)
        dim[i] = e->dim[i % 3] >= 253 ? large[e->dim[i % 3] - 253] : e->dim[i % 3] % 16;
    return e->rank == 255 ? H5Screate(H5S_NULL)
           : rank         ? H5Screate_simple(rank, dim, NULL)
                          : H5Screate(H5S_SCALAR);
}

/* Bytes of one value for all; NaN among them. Of a type of pointers they would be taken for such: NULL. */
static inline const void *edit_values(hid_t type, hid_t space, uint8_t value)
{
    static unsigned char bytes[EDIT_BYTES];
    hssize_t n = H5Sget_simple_extent_npoints(space);
    if (n < 0 || n > EDIT_BYTES || (size_t)n * H5Tget_size(type) > EDIT_BYTES)
        return NULL;
    memset(bytes, H5Tget_class(type) == H5T_VLEN || H5Tis_variable_str(type) > 0 ? 0 : value, sizeof bytes);
    return bytes;
}

static inline void edit_chunks(hid_t plan, hid_t space, uint8_t layout)
{
    hsize_t dim[6], chunk[6];
    int rank = H5Sget_simple_extent_dims(space, dim, NULL);
    for (int i = 0; i < rank; i++)
        chunk[i] = dim[i] < 1 ? 1 : dim[i] > 3 ? 3 : dim[i];
    if (rank > 0 && H5Pset_chunk(plan, rank, chunk) >= 0 && layout & 4)
        (void)H5Pset_deflate(plan, 1);
}

/* Whatever libhdf5 will not do is left undone. */
static inline void new_data_set(hid_t file, const char *path, const edit *e)
{
    hid_t type = edit_type(e->type), space = edit_space(e), plan = H5Pcreate(H5P_DATASET_CREATE);
    const void *values = edit_values(type, space, e->value);
    if (e->layout % 4 == 1)
        (void)H5Pset_layout(plan, H5D_COMPACT);
    else if (e->layout % 4 > 1)
        edit_chunks(plan, space, e->layout);
    (void)H5Ldelete(file, path, H5P_DEFAULT);
    hid_t set = values || e->layout % 4 > 1
                    ? H5Dcreate2(file, path, type, space, H5P_DEFAULT, plan, H5P_DEFAULT)
                    : H5I_INVALID_HID;
    if (set >= 0 && values && !(e->layout & 8))
        (void)H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
    if (set >= 0)
        (void)H5Dclose(set);
    (void)H5Pclose(plan);
    (void)H5Sclose(space);
    (void)H5Tclose(type);
}

static inline void new_attribute(hid_t file, const char *path, const edit *e)
{
    static const char *const names[] = {"num_samples", "macros_image_convention",
                                        "format",      "format_version",
                                        "hl_version",  "step",
                                        "epoch",       "seed",
                                        "loader",      "crc32c",
                                        "best",        "x"};
    const char *name = names[e->other % (sizeof names / sizeof *names)];
    hid_t type = edit_type(e->type), space = edit_space(e);
    const void *values = edit_values(type, space, e->value);
    (void)H5Adelete_by_name(file, path, name, H5P_DEFAULT);
    hid_t a = values ? H5Acreate_by_name(file, path, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT)
                     : H5I_INVALID_HID;
    if (a >= 0 && !(e->layout & 8))
        (void)H5Awrite(a, type, values);
    if (a >= 0)
        (void)H5Aclose(a);
    (void)H5Sclose(space);
    (void)H5Tclose(type);
}

/* One element of a data set of numbers that has some already. */
static inline void new_value(hid_t file, const char *path, const edit *e)
{
    static const double values[] = {0, -1, 0.5, 1e-30, 3e38, -3e38, 1e300, INFINITY, -INFINITY, NAN};
    const hsize_t start[6] = {e->dim[0] % 4, e->dim[1] % 4, e->dim[2] % 4}, count[6] = {1, 1, 1, 1, 1, 1};
    const double x = values[e->value % (sizeof values / sizeof *values)];
    hid_t set = H5Dopen2(file, path, H5P_DEFAULT), space = set < 0 ? -1 : H5Dget_space(set);
    hid_t one = H5Screate(H5S_SCALAR);
    if (space >= 0 && H5Dget_storage_size(set) > 0 && H5Sget_simple_extent_ndims(space) > 0 &&
        H5Sget_simple_extent_ndims(space) <= 6 &&
        H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL) >= 0)
        (void)H5Dwrite(set, H5T_NATIVE_DOUBLE, one, space, H5P_DEFAULT, &x);
    (void)H5Sclose(one);
    if (space >= 0)
        (void)H5Sclose(space);
    if (set >= 0)
        (void)H5Dclose(set);
}

static inline void apply_edit(hid_t file, const edit *e)
{
    paths all = {.n = 0};
    (void)H5Ovisit1(file, H5_INDEX_NAME, H5_ITER_INC, add_path, &all);
    if (!all.n)
        return;
    const char *path = all.path[e->path % all.n], *other = all.path[e->other % all.n];
    switch (e->what % 8) {
    case 0:
        (void)H5Ldelete(file, path, H5P_DEFAULT);
        break;
    case 1:
    case 2:
        if (strcmp(path, ".") != 0)
            new_data_set(file, path, e);
        break;
    case 3:
        new_attribute(file, path, e);
        break;
    case 4:
        new_value(file, path, e);
        break;
    case 5:
        if (H5Ldelete(file, path, H5P_DEFAULT) >= 0)
            (void)H5Lcreate_hard(file, other, file, path, H5P_DEFAULT, H5P_DEFAULT);
        break;
    case 6:
        if (H5Ldelete(file, path, H5P_DEFAULT) >= 0)
            (void)H5Lcreate_soft(other, file, path, H5P_DEFAULT, H5P_DEFAULT);
        break;
    default:
        if (H5Ldelete(file, path, H5P_DEFAULT) >= 0)
            (void)H5Gclose(H5Gcreate2(file, path, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    }
}

/* The first edits that the bytes say. */
static inline void edit_hdf5(const char *path, const uint8_t *bytes, size_t n)
{
    hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    HL_ASSERT(file >= 0);
    for (size_t i = 0; i < EDITS && (i + 1) * sizeof(edit) <= n; i++) {
        edit e;
        memcpy(&e, bytes + i * sizeof e, sizeof e);
        apply_edit(file, &e);
    }
    HL_ASSERT(H5Fclose(file) >= 0);
}

#endif
