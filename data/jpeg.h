/* JPEG frames in memory, by libjpeg-turbo.  Strict: what libjpeg only warns of (a frame that ends too early,
 * bits that no encoder writes) is an error too, since half a frame is grey and nobody would notice. */
#ifndef HL_DATA_JPEG_H
#define HL_DATA_JPEG_H

#include "base/text.h"

/* Of an RGB frame, from its header; bytes after the end of the frame are ignored (padding).  HL_ERR_DATA,
 * HL_ERR_MEMORY. */
hl_status hl_jpeg_size(const void *bytes, size_t n, int64_t *height, int64_t *width, hl_error *err);
/* Writes [height,width,3].  A frame of another size is HL_ERR_DATA. */
hl_status hl_jpeg_read(const void *bytes, size_t n, int64_t height, int64_t width, uint8_t *rgb,
                       hl_error *err);
/* Appends [height,width,3] as a JPEG of quality 1 .. 100, sides of at most 65500 pixels. */
hl_status hl_jpeg_append(hl_text *to, const uint8_t *rgb, int64_t height, int64_t width, int quality,
                         hl_error *err);

#endif
