/* Where windows lie: of a convolution over its input, and of an adaptive pool over its. */
#ifndef HL_OPS_WINDOW_H
#define HL_OPS_WINDOW_H

#include <stdint.h>

/* Positions of a kernel over `size` elements padded on both sides; 0 where it does not fit. */
static inline int64_t hl_window_count(int64_t size, int64_t kernel, int64_t stride, int64_t padding)
{
    return size + 2 * padding < kernel ? 0 : (size + 2 * padding - kernel) / stride + 1;
}

/* Cell i of n over `size` elements is [begin, end): floor(i size / n) .. ceil((i + 1) size / n), as in
 * PyTorch's AdaptiveAvgPool2d.  Cells overlap where n does not divide size; none is empty. */
static inline int64_t hl_cell_begin(int64_t i, int64_t size, int64_t n)
{
    return i * size / n;
}

static inline int64_t hl_cell_end(int64_t i, int64_t size, int64_t n)
{
    return ((i + 1) * size + n - 1) / n;
}

#endif
