#include "data/hdf5_query.h"

#include "base/error.h"
#include "base/memory.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ------------------------------------------------------------------ errors */

hl_status hl_hdf_fail(hl_error *err, hl_status status, const char *file, const char *path, const char *format,
                      ...)
{
    char text[640];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    status = hl_hdf5_fail(err, status, "%s%s%s: %s", file, path ? ": " : "", path ? path : "", text);
    (void)H5Eclear2(H5E_DEFAULT); /* the reason is used up: it does not explain the next fault */
    return status;
}

hid_t hl_hdf_open(const char *file, hl_error *err)
{
    struct stat s;
    if (stat(file, &s) != 0 || access(file, R_OK) != 0) {
        hl_fail(err, HL_ERR_IO, "%s: %s", file, strerror(errno));
        return -1;
    }
    if (!S_ISREG(s.st_mode)) {
        hl_fail(err, HL_ERR_IO, "%s: not a regular file, expected an HDF5 file", file);
        return -1;
    }
    if (H5Fis_hdf5(file) <= 0) {
        (void)H5Eclear2(H5E_DEFAULT);
        hl_fail(err, HL_ERR_DATA, "%s: not an HDF5 file (%lld bytes without its signature)", file,
                (long long)s.st_size);
        return -1;
    }
    hid_t id = H5Fopen(file, H5F_ACC_RDONLY, H5P_DEFAULT);
    if (id < 0)
        hl_hdf_fail(err, HL_ERR_DATA, file, NULL,
                    "an HDF5 file that cannot be opened: damaged, truncated, or being written");
    return id;
}

/* ------------------------------------------------------------------ what is there */

/* H5Lexists answers for the last component only and fails if one before it is missing. */
bool hl_hdf_exists(hid_t loc, const char *path)
{
    char part[HL_HDF_PATH];
    size_t n = strlen(path);
    if (n == 0 || n >= sizeof part)
        return false;
    for (size_t i = 1; i <= n; i++) {
        if (i < n && path[i] != '/')
            continue;
        memcpy(part, path, i);
        part[i] = 0;
        if (H5Lexists(loc, part, H5P_DEFAULT) <= 0 || H5Oexists_by_name(loc, part, H5P_DEFAULT) <= 0) {
            (void)H5Eclear2(H5E_DEFAULT);
            return false;
        }
    }
    return true;
}

bool hl_hdf_is(hid_t loc, const char *path, H5I_type_t kind)
{
    if (!hl_hdf_exists(loc, path))
        return false;
    hid_t id = H5Oopen(loc, path, H5P_DEFAULT);
    if (id < 0)
        return false;
    bool is = H5Iget_type(id) == kind;
    H5Oclose(id);
    return is;
}

/* Chunks, or bytes, that a data set of this shape takes. */
static double full_size(int rank, const hsize_t *dim, const hsize_t *chunk, size_t element)
{
    double size = chunk ? 1 : (double)element;
    for (int i = 0; i < rank; i++)
        size *= chunk ? ceil((double)dim[i] / (double)chunk[i]) : (double)dim[i];
    return size;
}

hl_hdf_layout hl_hdf_layout_of(hid_t set)
{
    return (hl_hdf_layout){H5Dget_type(set), H5Dget_space(set), H5Dget_create_plist(set)};
}

bool hl_hdf_layout_ok(const hl_hdf_layout *l)
{
    return l->type >= 0 && l->space >= 0 && l->plan >= 0;
}

void hl_hdf_layout_close(const hl_hdf_layout *l)
{
    if (l->type >= 0)
        H5Tclose(l->type);
    if (l->space >= 0)
        H5Sclose(l->space);
    if (l->plan >= 0)
        H5Pclose(l->plan);
}

bool hl_hdf_is_whole(hid_t set)
{
    const hl_hdf_layout l = hl_hdf_layout_of(set);
    hsize_t dim[H5S_MAX_RANK], chunk[H5S_MAX_RANK], there = 0;
    int rank = l.space < 0 ? -1 : H5Sget_simple_extent_dims(l.space, dim, NULL);
    H5D_layout_t layout = l.plan < 0 ? H5D_LAYOUT_ERROR : H5Pget_layout(l.plan);
    bool whole = layout == H5D_VIRTUAL || H5Sget_simple_extent_npoints(l.space) == 0;
    if (!whole && layout == H5D_CHUNKED)
        whole = rank >= 0 && H5Pget_chunk(l.plan, H5S_MAX_RANK, chunk) == rank &&
                H5Dget_num_chunks(set, l.space, &there) >= 0 &&
                (double)there >= full_size(rank, dim, chunk, 0);
    else if (!whole)
        whole = rank >= 0 && l.type >= 0 &&
                (double)H5Dget_storage_size(set) >= full_size(rank, dim, NULL, H5Tget_size(l.type));
    hl_hdf_layout_close(&l);
    return whole;
}

bool hl_hdf_is_number(hid_t type)
{
    H5T_class_t class = H5Tget_class(type);
    return class == H5T_INTEGER || class == H5T_FLOAT || class == H5T_ENUM;
}

void hl_hdf_type_name(hid_t type, char *text, size_t size)
{
    static const struct {
        H5T_class_t class;
        const char *name;
    } other[] = {{H5T_STRING, "string"},       {H5T_BITFIELD, "bitfield"},
                 {H5T_OPAQUE, "opaque"},       {H5T_COMPOUND, "compound"},
                 {H5T_REFERENCE, "reference"}, {H5T_VLEN, "variable-length"},
                 {H5T_ARRAY, "array"},         {H5T_TIME, "time"}};
    H5T_class_t class = H5Tget_class(type);
    size_t bits = 8 * H5Tget_size(type);
    if (class == H5T_INTEGER) {
        snprintf(text, size, "%sint%zu", H5Tget_sign(type) == H5T_SGN_NONE ? "u" : "", bits);
    } else if (class == H5T_FLOAT) {
        snprintf(text, size, "float%zu", bits);
    } else if (class == H5T_ENUM) {
        snprintf(text, size, "%s", bits == 8 && H5Tget_nmembers(type) == 2 ? "bool" : "enum");
    } else {
        snprintf(text, size, "unknown type");
        for (size_t i = 0; i < sizeof other / sizeof *other; i++)
            if (other[i].class == class)
                snprintf(text, size, "%s", other[i].name);
    }
}

void hl_hdf_shape_text(int rank, const hsize_t *dim, char *text, size_t size)
{
    size_t n = (size_t)snprintf(text, size, "(");
    for (int i = 0; i < rank && n < size; i++)
        n += (size_t)snprintf(text + n, size - n, "%s%llu", i ? ", " : "", (unsigned long long)dim[i]);
    if (n < size)
        snprintf(text + n, size - n, "%s)", rank == 1 ? "," : "");
}
