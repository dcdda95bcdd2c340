/* What is in an HDF5 file: errors that name file, path and cause, and attributes, strings and
 * groups of whatever kind a writer chose.  Private to data/.  Call them between
 * hl_hdf5_begin and hl_hdf5_end. */
#ifndef HL_DATA_HDF5_QUERY_H
#define HL_DATA_HDF5_QUERY_H

#include "io/hdf5.h"

enum { HL_HDF_RANK = 8, HL_HDF_TEXT = 160, HL_HDF_PATH = 1024 };

/* "file: path: text (HDF5: innermost cause)".  path may be NULL; the cause is left out if there is none. */
hl_status hl_hdf_fail(hl_error *err, hl_status status, const char *file, const char *path, const char *format,
                      ...) HL_PRINTF(5, 6);

/* Opens for reading.  Tells apart: no such file, not HDF5, damaged or truncated.  Negative on error. */
hid_t hl_hdf_open(const char *file, hl_error *err);

/* Does every component of path (relative to loc, or absolute) exist and resolve? */
bool hl_hdf_exists(hid_t loc, const char *path);
/* Is it a group, or a data set?  False where it does not exist. */
bool hl_hdf_is(hid_t loc, const char *path, H5I_type_t kind);

/* What describes a data set: its type, its shape and how it is stored. Negative: libhdf5 could not tell. */
typedef struct hl_hdf_layout {
    hid_t type, space, plan;
} hl_hdf_layout;
hl_hdf_layout hl_hdf_layout_of(hid_t set);
bool hl_hdf_layout_ok(const hl_hdf_layout *l); /* all three are there */
void hl_hdf_layout_close(const hl_hdf_layout *l);

/* Is all there that the data set's shape claims?  What was never written reads as zeros, and a file of a few
 * bytes may claim any number of steps.  True of a virtual data set, whose data is elsewhere. */
bool hl_hdf_is_whole(hid_t set);

typedef struct hl_hdf_names {
    char **name;
    int64_t count, room;
} hl_hdf_names;
/* The functions below that fill names leave them empty on error: freeing them then is harmless. */
void hl_hdf_names_free(hl_hdf_names *names);
bool hl_hdf_names_add(hl_hdf_names *names, const char *text); /* copies; false: no memory */
/* Sorts from index `from` on, digits compared as numbers: demo_2 before demo_10. */
void hl_hdf_names_sort(hl_hdf_names *names, int64_t from);
/* Index in sorted names, or -1. */
int64_t hl_hdf_names_find(const hl_hdf_names *names, const char *text);
/* The names in a group, sorted. */
hl_status hl_hdf_list(hid_t loc, const char *path, const char *file, hl_hdf_names *names, hl_error *err);
/* Appends the paths (relative to loc) of all data sets below it, depth first. A group that has several paths
 * is entered by the first. */
hl_status hl_hdf_walk(hid_t loc, const char *file, hl_hdf_names *names, hl_error *err);
/* The strings of a rank-1 (or scalar) data set, of fixed or variable length. */
hl_status hl_hdf_strings(hid_t loc, const char *path, const char *file, hl_hdf_names *names, hl_error *err);
/* "a, b, c ..." with the names most like wanted first; cut to size. */
void hl_hdf_nearest(const hl_hdf_names *names, const char *wanted, char *text, size_t size);

/* Attributes.  *found is false (and HL_OK returned) where there is none of that name. */
hl_status hl_hdf_integer(hid_t object, const char *name, const char *file, const char *path, long long *value,
                         bool *found, hl_error *err);
/* *text is the caller's (hl_free), NULL where absent. */
hl_status hl_hdf_text(hid_t object, const char *name, const char *file, const char *path, char **text,
                      hl_error *err);

/* "uint8", "float64", "bool", "string", ... */
void hl_hdf_type_name(hid_t type, char *text, size_t size);
/* "(96, 84, 84, 3)" */
void hl_hdf_shape_text(int rank, const hsize_t *dim, char *text, size_t size);
/* Integers, floating-point numbers and enumerations of them (h5py's bool). */
bool hl_hdf_is_number(hid_t type);

#endif
