#include "data/jpeg.h"

#include "base/error.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jerror.h>
#include <jpeglib.h>

/* More is no frame of a camera, and a header may claim anything. */
static const int64_t most_pixels = INT64_C(1) << 26;

/* libjpeg's way out of an error: its own would end the program. */
typedef struct manager {
    struct jpeg_error_mgr base;
    jmp_buf out;
    char text[JMSG_LENGTH_MAX];
} manager;

HL_NORETURN static void leave(j_common_ptr about)
{
    manager *m = (manager *)about->err;
    about->err->format_message(about, m->text);
    longjmp(m->out, 1);
}

/* A negative level is a warning; others trace. */
static void hear(j_common_ptr about, int level)
{
    if (level < 0)
        leave(about);
}

static struct jpeg_error_mgr *manage(manager *m)
{
    struct jpeg_error_mgr *base = jpeg_std_error(&m->base);
    base->error_exit = leave;
    base->emit_message = hear;
    return base;
}

static hl_status failed(const manager *m, const char *what, hl_error *err)
{
    return hl_fail(err, m->base.msg_code == JERR_OUT_OF_MEMORY ? HL_ERR_MEMORY : HL_ERR_DATA, "%s: %s", what,
                   m->text);
}

/* ------------------------------------------------------------------ reading */

static hl_status check_header(const struct jpeg_decompress_struct *d, int64_t height, int64_t width,
                              hl_error *err)
{
    if (d->num_components != 3)
        return hl_fail(err, HL_ERR_DATA, "found a JPEG of %d component%s, expected 3 (RGB)",
                       d->num_components, d->num_components == 1 ? "" : "s");
    if ((int64_t)d->image_height * (int64_t)d->image_width > most_pixels)
        return hl_fail(err, HL_ERR_DATA, "found a JPEG of %u x %u pixels, expected at most %lld",
                       d->image_height, d->image_width, (long long)most_pixels);
    if (height && (d->image_height != height || d->image_width != width))
        return hl_fail(err, HL_ERR_DATA, "found a JPEG of %u rows and %u columns, expected %lld and %lld",
                       d->image_height, d->image_width, (long long)height, (long long)width);
    return HL_OK;
}

static void decode(struct jpeg_decompress_struct *d, uint8_t *rgb)
{
    d->out_color_space = JCS_RGB;
    (void)jpeg_start_decompress(d);
    while (d->output_scanline < d->output_height) {
        JSAMPROW row = rgb + (size_t)d->output_scanline * d->output_width * 3;
        (void)jpeg_read_scanlines(d, &row, 1);
    }
    (void)jpeg_finish_decompress(d);
}

/* rgb NULL: the header alone.  height 0: any size.  Writes what it found into *d. */
static hl_status open_frame(struct jpeg_decompress_struct *d, const void *bytes, size_t n, int64_t height,
                            int64_t width, uint8_t *rgb, hl_error *err)
{
    manager m;
    *d = (struct jpeg_decompress_struct){.err = manage(&m)};
    if (setjmp(m.out)) {
        jpeg_destroy_decompress(d);
        return failed(&m, "cannot be decoded as JPEG", err);
    }
    jpeg_create_decompress(d);
    jpeg_mem_src(d, bytes, (unsigned long)n);
    (void)jpeg_read_header(d, TRUE);
    hl_status status = check_header(d, height, width, err);
    if (status == HL_OK && rgb)
        decode(d, rgb);
    jpeg_destroy_decompress(d);
    return status;
}

hl_status hl_jpeg_size(const void *bytes, size_t n, int64_t *height, int64_t *width, hl_error *err)
{
    struct jpeg_decompress_struct d;
    hl_status status = open_frame(&d, bytes, n, 0, 0, NULL, err);
    if (status == HL_OK) {
        *height = d.image_height;
        *width = d.image_width;
    }
    return status;
}

hl_status hl_jpeg_read(const void *bytes, size_t n, int64_t height, int64_t width, uint8_t *rgb,
                       hl_error *err)
{
    struct jpeg_decompress_struct d;
    return open_frame(&d, bytes, n, height, width, rgb, err);
}

/* ------------------------------------------------------------------ writing */

/* libjpeg's buffer, of malloc.  Not a local of the function that jumps: its locals would be lost. */
typedef struct buffer {
    unsigned char *bytes;
    unsigned long n;
} buffer;

static void encode(struct jpeg_compress_struct *c, const uint8_t *rgb, int quality)
{
    jpeg_set_defaults(c);
    jpeg_set_quality(c, quality, TRUE);
    jpeg_start_compress(c, TRUE);
    while (c->next_scanline < c->image_height) {
        JSAMPROW row = (JSAMPROW)(uintptr_t)(rgb + (size_t)c->next_scanline * c->image_width * 3);
        (void)jpeg_write_scanlines(c, &row, 1);
    }
    jpeg_finish_compress(c);
}

static hl_status make_frame(buffer *out, const uint8_t *rgb, int64_t height, int64_t width, int quality,
                            hl_error *err)
{
    manager m;
    struct jpeg_compress_struct c = {.err = manage(&m)};
    if (setjmp(m.out)) {
        jpeg_destroy_compress(&c);
        return failed(&m, "cannot be encoded as JPEG", err);
    }
    jpeg_create_compress(&c);
    jpeg_mem_dest(&c, &out->bytes, &out->n);
    c.image_height = (JDIMENSION)height;
    c.image_width = (JDIMENSION)width;
    c.input_components = 3;
    c.in_color_space = JCS_RGB;
    encode(&c, rgb, quality);
    jpeg_destroy_compress(&c);
    return HL_OK;
}

hl_status hl_jpeg_append(hl_text *to, const uint8_t *rgb, int64_t height, int64_t width, int quality,
                         hl_error *err)
{
    buffer out = {0};
    hl_status status = make_frame(&out, rgb, height, width, quality, err);
    if (status == HL_OK)
        hl_text_append_bytes(to, (const char *)out.bytes, out.n);
    free(out.bytes);
    if (status == HL_OK && to->failed)
        status = hl_fail(err, HL_ERR_MEMORY, "no memory for a JPEG of %lu bytes", out.n);
    return status;
}
