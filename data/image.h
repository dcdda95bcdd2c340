/* Camera frames as files hold them -> what the model reads: [C,S,S] floats in 0..1, right way up. */
#ifndef HL_DATA_IMAGE_H
#define HL_DATA_IMAGE_H

#include "hl.h"

typedef enum hl_image_layout { HL_HWC, HL_CHW } hl_image_layout;

typedef enum hl_image_resize {
    HL_RESIZE_AREA,    /* average of the covered area where an axis shrinks, bilinear where it grows */
    HL_RESIZE_BILINEAR /* two neighbours per axis, pixel centres at half integers (align_corners false) */
} hl_image_resize;

/* One frame. */
typedef struct hl_pixels {
    const void *data;
    bool bytes; /* uint8, 255 is 1 (never clipped); else float */
    hl_image_layout layout;
    int64_t channels, height, width;
    bool flip;     /* the first row is the bottom */
    float clip[2]; /* clamps to [clip[0], clip[1]] and maps that to 0..1; equal: values are in 0..1 already */
} hl_pixels;

/* Turns frames into size x size; holds the filter of the last source size and scratch rows. */
typedef struct hl_resizer hl_resizer;

/* Frames of up to height x width fit without allocating later.  NULL: no memory. */
hl_resizer *hl_resizer_new(int64_t size, hl_image_resize kind, int64_t height, int64_t width);
void hl_resizer_free(hl_resizer *r);

/* Where a frame held what no image can. */
typedef struct hl_bad_pixel {
    int64_t channel, row, column; /* as stored, before flipping */
    float value;
} hl_bad_pixel;

/* Writes [channels,size,size].  False, with *bad filled in, if a value is not finite or (unclipped) more
 * than 1e-3 outside 0..1. */
bool hl_pixels_read(hl_resizer *r, const hl_pixels *frame, float *out, hl_bad_pixel *bad);

#endif
