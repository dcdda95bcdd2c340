/* An HDF5 file whose structure is in memory and whose large data is nowhere: libhdf5 lays out a file of
 * gigabytes in it without a byte of the data, and reads the structure of one back. So every byte of the
 * real file is written and read by us, in order, checked, and libhdf5 never sees a disk that is full or
 * a byte that is damaged. */
#ifndef HL_IO_HDF5_IMAGE_H
#define HL_IO_HDF5_IMAGE_H

#include <hdf5.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct hl_image hl_image;

hl_image *hl_image_new(void);
/* Not while libhdf5 has it open. */
void hl_image_free(hl_image *image);
/* false: no memory. */
bool hl_image_write(hl_image *image, uint64_t offset, const void *bytes, size_t n);
/* Zeros where nothing was written. */
void hl_image_read(const hl_image *image, uint64_t offset, void *bytes, size_t n);
/* Length of the file. */
uint64_t hl_image_length(const hl_image *image);
void hl_image_set_length(hl_image *image, uint64_t length);
/* libhdf5 is spared a failing write, after which it cannot close a file; so ask here when it is closed. */
bool hl_image_out_of_memory(const hl_image *image);
/* How much of it is in memory, in bytes. */
size_t hl_image_memory(const hl_image *image);

/* libhdf5's handle, negative on error; name is for its messages. create: an empty file whose first
 * user_block bytes (a power of two, at least 512) are ours; data of a page or more begins on a page. */
hid_t hl_image_create_hdf5(hl_image *image, const char *name, uint64_t user_block);
/* For reading only. */
hid_t hl_image_open_hdf5(hl_image *image, const char *name);

#endif
