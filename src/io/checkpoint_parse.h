/* The structure of a checkpoint, read back by libhdf5 from memory. Only src/io/checkpoint*.c. */
#ifndef HL_IO_CHECKPOINT_PARSE_H
#define HL_IO_CHECKPOINT_PARSE_H

#include "io/checkpoint.h"
#include "io/hdf5_image.h"

typedef struct hl_parsed {
    hl_checkpoint_meta meta;
    int n;
    hl_checkpoint_tensor *tensors; /* in the order they were written */
} hl_parsed;

/* Everything lives in the arena. The image holds a structure whose checksum was seen to hold. */
hl_status hl_checkpoint_parse(const char *path, hl_image *image, hl_arena *arena, hl_parsed *out,
                              hl_error *err);

#endif
