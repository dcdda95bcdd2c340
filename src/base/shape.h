/* Shapes and dtypes: what every room asks of them. */
#ifndef HL_BASE_SHAPE_H
#define HL_BASE_SHAPE_H

#include "hl.h"

/* Text of a shape: "[32,256]". */
typedef struct hl_shape_text {
    char text[96]; /* cut where it is longer */
} hl_shape_text;
hl_shape_text hl_shape_print(hl_shape s);

hl_shape hl_shape_make(int rank, const int64_t *dim);
bool hl_shape_equal(hl_shape a, hl_shape b);
/* Elements, or -1 if a dim is negative or the bytes overflow: those of all dims that are not 0, so that no
 * product of some of them does. */
int64_t hl_shape_count(hl_shape s);
/* Product of dims [begin, end). */
int64_t hl_shape_span(hl_shape s, int begin, int end);
size_t hl_dtype_size(hl_dtype dtype);
const char *hl_dtype_name(hl_dtype dtype);
extern const char *const hl_dtype_words[HL_DTYPES + 1]; /* their names; ends with NULL */

#endif
