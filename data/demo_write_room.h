/* What the files *_write*.c share.  Private to them.  The herr_t are libhdf5's: negative after a fault. */
#ifndef HL_DATA_DEMO_WRITE_ROOM_H
#define HL_DATA_DEMO_WRITE_ROOM_H

#include "data/demo_write.h"
#include "data/hdf5_query.h"

/* Keys, sizes; HL_ERR_USAGE names the file. */
hl_status hl_fields_check(const char *file, const hl_field *fields, int n, hl_error *err);
/* Fields and actions of a demonstration are there, finite, and images in 0..1.  HL_ERR_USAGE, HL_ERR_DATA:
 * the message begins with name. */
hl_status hl_demo_check(const char *name, const hl_field *fields, int n, int64_t action, const hl_demo *d,
                        hl_error *err);
/* [steps, size] is finite, and (unit) in 0..1. */
hl_status hl_values_check(const char *name, const char *key, const float *x, int64_t steps, int64_t size,
                          bool unit, hl_error *err);
/* HL_ERR_IO if the file is there and must not be replaced. */
hl_status hl_may_write(const char *file, bool overwrite, hl_error *err);

/* A data set; `name` may have groups before it, which come into being.  chunk: its first dimension's, 0: all
 * in one piece, which gzip cannot be. */
hid_t hl_put_set(hid_t group, const char *name, int rank, const hsize_t *dim, hid_t stored, hsize_t chunk,
                 int gzip);
/* One with its values.  gzip: in chunks of about 64 KiB. */
herr_t hl_put_array(hid_t group, const char *name, int rank, const hsize_t *dim, hid_t stored, hid_t given,
                    int gzip, const void *values);
/* Row t of a set, which has rank dimensions, dim[0] of them rows. */
herr_t hl_put_row(hid_t set, int rank, const hsize_t *dim, hsize_t t, hid_t given, const void *values);
/* Frames [steps, elements] of an image field, a chunk each; bytes: room for one RGB frame. */
herr_t hl_put_frames(hid_t group, const char *name, const hl_field *f, int64_t steps, const float *x,
                     int gzip, uint8_t *bytes);
/* [3,H,W] in 0..1 -> uint8 [H,W,3] */
void hl_frame_to_bytes(const hl_field *f, const float *x, uint8_t *out);

#endif
