/* The structure of a checkpoint, which libhdf5 lays out in memory. Only src/io/checkpoint*.c. */
#ifndef HL_IO_CHECKPOINT_LAYOUT_H
#define HL_IO_CHECKPOINT_LAYOUT_H

#include "io/checkpoint.h"
#include "io/hdf5_image.h"

/* A tensor on its way into a file. */
typedef struct hl_layout_tensor {
    hl_param_info info;
    uint64_t offset; /* in the file, found by the layout; 0 if it is empty */
    uint32_t crc32c;
} hl_layout_tensor;

/* The image of a file that begins with `block` bytes of ours and has room for the tensors, in their order;
 * fills their offsets. path is for messages. */
hl_status hl_checkpoint_lay_out(const char *path, const hl_checkpoint_meta *meta, uint64_t block, int n,
                                hl_layout_tensor *tensors, hl_image *image, hl_error *err);

#endif
