#include "data/image.h"

#include "base/error.h"
#include "base/memory.h"

#include <math.h>
#include <string.h>

/* The filter of one axis: output i is the sum over k of weight[i*width + k] * input[first[i] + k]. */
typedef struct axis {
    int64_t from;  /* input length this is made for, 0: none yet */
    int64_t most;  /* longest input there is room for */
    int64_t width; /* taps per output */
    int64_t *first, *taps;
    float *weight;
} axis;

struct hl_resizer {
    int64_t size;
    hl_image_resize kind;
    axis rows, columns;
    float *line;  /* [width] one decoded row */
    float *strip; /* [height, size] rows already filtered along x */
};

static int64_t most_taps(int64_t from, int64_t to)
{
    return from / to + 2;
}

static bool axis_new(axis *a, int64_t most, int64_t size)
{
    size_t count;
    a->most = most;
    a->first = hl_alloc((size_t)size, sizeof *a->first);
    a->taps = hl_alloc((size_t)size, sizeof *a->taps);
    a->weight = hl_size_mul((size_t)size, (size_t)most_taps(most, size), &count)
                    ? hl_alloc(count, sizeof *a->weight)
                    : NULL;
    return a->first && a->taps && a->weight;
}

static void axis_free(axis *a)
{
    hl_free(a->first);
    hl_free(a->taps);
    hl_free(a->weight);
}

static void two_neighbours(axis *a, int64_t i, double scale)
{
    double x = ((double)i + 0.5) * scale - 0.5;
    x = x < 0 ? 0 : x > (double)(a->from - 1) ? (double)(a->from - 1) : x;
    int64_t left = (int64_t)x;
    double part = x - (double)left;
    a->first[i] = left;
    a->taps[i] = part > 0 ? 2 : 1;
    a->weight[i * a->width] = (float)(1 - part);
    if (part > 0)
        a->weight[i * a->width + 1] = (float)part;
}

/* Output i covers [i*scale, (i+1)*scale) of the input; each pixel counts by the part that is covered. */
static void covered_area(axis *a, int64_t i, double scale)
{
    enum { TINY = 1000000 }; /* a part below 1/TINY of a pixel is rounding */
    double begin = (double)i * scale, end = (double)(i + 1) * scale, sum = 0;
    int64_t first = (int64_t)begin, n = 0;
    float *weight = a->weight + i * a->width;
    if ((double)(first + 1) - begin < 1.0 / TINY)
        first++;
    for (int64_t j = first; j < a->from && n < a->width; j++, n++) {
        double left = (double)j < begin ? begin : (double)j;
        double right = (double)(j + 1) > end ? end : (double)(j + 1);
        if (right - left < 1.0 / TINY)
            break;
        weight[n] = (float)(right - left);
        sum += right - left;
    }
    for (int64_t k = 0; k < n; k++)
        weight[k] = (float)((double)weight[k] / sum);
    a->first[i] = first;
    a->taps[i] = n;
}

static void axis_fit(axis *a, int64_t from, int64_t to, hl_image_resize kind)
{
    if (a->from == from)
        return;
    HL_ASSERT(from <= a->most);
    double scale = (double)from / (double)to;
    a->from = from;
    a->width = most_taps(from, to);
    for (int64_t i = 0; i < to; i++) {
        if (kind == HL_RESIZE_AREA && from > to)
            covered_area(a, i, scale);
        else
            two_neighbours(a, i, scale);
    }
}

hl_resizer *hl_resizer_new(int64_t size, hl_image_resize kind, int64_t height, int64_t width)
{
    hl_resizer *r = hl_alloc(1, sizeof *r);
    size_t strip;
    if (!r || !hl_size_mul((size_t)height, (size_t)size, &strip)) {
        hl_free(r);
        return NULL;
    }
    r->size = size;
    r->kind = kind;
    r->line = hl_alloc((size_t)width, sizeof *r->line);
    r->strip = hl_alloc(strip, sizeof *r->strip);
    bool rows = axis_new(&r->rows, height, size), columns = axis_new(&r->columns, width, size);
    if (!r->line || !r->strip || !rows || !columns) {
        hl_resizer_free(r);
        return NULL;
    }
    return r;
}

void hl_resizer_free(hl_resizer *r)
{
    if (!r)
        return;
    axis_free(&r->rows);
    axis_free(&r->columns);
    hl_free(r->line);
    hl_free(r->strip);
    hl_free(r);
}

/* Column of the first value outside what is allowed, or -1; the rest become 0..1. */
static int64_t to_unit(float *line, int64_t width, const float clip[2])
{
    bool clipped = clip[0] < clip[1];
    float low = clipped ? clip[0] : 0, high = clipped ? clip[1] : 1, factor = 1 / (high - low);
    for (int64_t x = 0; x < width; x++) {
        float v = line[x];
        if (!isfinite(v) || (!clipped && !(v >= -1e-3f && v <= 1 + 1e-3f)))
            return x;
        v = v < low ? low : v > high ? high : v;
        line[x] = (v - low) * factor;
    }
    return -1;
}

/* Stored row y of channel c as floats in 0..1.  Returns the column of a bad value, or -1. */
static int64_t decode_row(const hl_pixels *m, int64_t c, int64_t y, float *line, float *bad)
{
    int64_t step = m->layout == HL_HWC ? m->channels : 1;
    int64_t start = m->layout == HL_HWC ? y * m->width * m->channels + c : (c * m->height + y) * m->width;
    if (m->bytes) {
        const uint8_t *p = (const uint8_t *)m->data + start;
        for (int64_t x = 0; x < m->width; x++)
            line[x] = (float)p[x * step] / 255.0f;
        return -1; /* a byte is always a pixel */
    }
    const float *p = (const float *)m->data + start;
    for (int64_t x = 0; x < m->width; x++)
        line[x] = p[x * step];
    int64_t at = to_unit(line, m->width, m->clip);
    if (at >= 0)
        *bad = p[at * step];
    return at;
}

static void filter_row(const axis *a, int64_t size, const float *line, float *out)
{
    for (int64_t i = 0; i < size; i++) {
        const float *weight = a->weight + i * a->width, *in = line + a->first[i];
        float sum = 0;
        for (int64_t k = 0; k < a->taps[i]; k++)
            sum += weight[k] * in[k];
        out[i] = sum;
    }
}

static void filter_columns(const axis *a, int64_t size, const float *strip, float *out)
{
    for (int64_t i = 0; i < size; i++) {
        const float *weight = a->weight + i * a->width;
        float *row = out + i * size;
        memset(row, 0, (size_t)size * sizeof *row);
        for (int64_t k = 0; k < a->taps[i]; k++) {
            const float *in = strip + (a->first[i] + k) * size;
            for (int64_t x = 0; x < size; x++)
                row[x] += weight[k] * in[x];
        }
    }
}

bool hl_pixels_read(hl_resizer *r, const hl_pixels *m, float *out, hl_bad_pixel *bad)
{
    bool same_width = m->width == r->size, same_height = m->height == r->size;
    axis_fit(&r->rows, m->height, r->size, r->kind);
    axis_fit(&r->columns, m->width, r->size, r->kind);
    for (int64_t c = 0; c < m->channels; c++, out += r->size * r->size) {
        float *strip = same_height ? out : r->strip;
        for (int64_t y = 0; y < m->height; y++) {
            int64_t stored = m->flip ? m->height - 1 - y : y;
            float *row = strip + y * r->size, *line = same_width ? row : r->line;
            int64_t at = decode_row(m, c, stored, line, &bad->value);
            if (at >= 0) {
                bad->channel = c;
                bad->row = stored;
                bad->column = at;
                return false;
            }
            if (!same_width)
                filter_row(&r->columns, r->size, line, row);
        }
        if (!same_height)
            filter_columns(&r->rows, r->size, strip, out);
    }
    return true;
}
