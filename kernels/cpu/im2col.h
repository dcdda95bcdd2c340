/* Patches of an image as a matrix [I*kh*kw, OH*OW]: row (i, r, s) holds what kernel element (i, r, s)
 * reads at every position of the convolution, zeros outside of the image.  Made and read a stretch of
 * a row at a time, so that the matrix never lies in memory as a whole. */
#ifndef HL_KERNELS_CPU_IM2COL_H
#define HL_KERNELS_CPU_IM2COL_H

#include "run/backend.h"

typedef struct hl_conv_sizes {
    int64_t B, I, H, W; /* x [B,I,H,W] */
    int64_t O, kh, kw;  /* w [O,I,kh,kw] */
    int64_t OH, OW;     /* y [B,O,OH,OW] */
    int64_t stride, padding;
    int64_t patch;     /* I*kh*kw */
    int64_t positions; /* OH*OW */
} hl_conv_sizes;

hl_conv_sizes hl_conv_sizes_of(const hl_conv_params *p, hl_shape x, hl_shape w, hl_shape y);

/* Positions [begin, end) of one row -> out [end - begin]; image [I,H,W]. */
void hl_im2col(const hl_conv_sizes *s, const float *image, int64_t row, int64_t begin, int64_t end,
               float *out);
/* The transpose: adds a stretch of a row to the elements of image that it stands for. */
void hl_col2im(const hl_conv_sizes *s, const float *stretch, int64_t row, int64_t begin, int64_t end,
               float *image);

#endif
