/* A sample of a convolution as pairs of integers: lanes of 32 bits with two of 16, which one instruction
 * multiplies by two weights and adds. A pair is of two channels (c, c + 1); where their number is odd, of two
 * columns (x, x + 1), so columns lie in two pairs each.
 *
 * The image is padded, and the columns of a row are sorted by their remainder modulo the stride: neighbouring
 * positions of the convolution read neighbouring lanes, whatever the stride. It is made a strip at a time:
 * the rows that some rows of the result read. [planes][rows][remainders][width] A tap is a place of the
 * kernel in pairs; it lies at the same distance from every position. */
#ifndef HL_KERNELS_CPU_PAIR_IMAGE_H
#define HL_KERNELS_CPU_PAIR_IMAGE_H

#include "kernels/cpu/im2col.h"

typedef struct hl_pair_image {
    bool columns;         /* pairs are of columns */
    int64_t planes, rows; /* planes of pairs; rows of a strip */
    int64_t remainders;   /* of columns that some tap reads */
    int64_t width, row;   /* lanes of one remainder, and of a whole row */
    int64_t lanes;        /* of a strip */
    int64_t across, taps; /* taps in a row of the kernel, and in all of it */
    int64_t line;         /* lanes of scratch that hl_pair_image_make takes */
} hl_pair_image;

/* Strips for `high` rows of the result, and `positions` in a row, at least OW: as many can be read. False if
 * sizes overflow. */
bool hl_pair_image_of(const hl_conv_sizes *s, int64_t high, int64_t positions, hl_pair_image *image);
/* taps [image->taps] */
void hl_pair_image_taps(const hl_conv_sizes *s, const hl_pair_image *image, int64_t *taps);
/* The weights of a tap; w [I,kh,kw] is one filter. */
int32_t hl_pair_of_filter(const hl_conv_sizes *s, const hl_pair_image *image, const int8_t *w, int64_t tap);
/* The strip for the rows [top, top + high) of the result, no more than it was laid out for; x [I,H,W] is the
 * sample. */
void hl_pair_image_make(const hl_conv_sizes *s, const hl_pair_image *image, const float *x, float step,
                        int64_t top, int64_t high, int32_t *line, int32_t *strip);

#endif
