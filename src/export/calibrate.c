#include "export/calibrate.h"

#include "base/error.h"
#include "base/memory.h"

#include <math.h>
#include <stdio.h>

/* Magnitudes of an operand: bins of equal width from 0 to `top`, which doubles, and neighbours merge, when a
 * larger one comes. */
enum { BINS = 4096 };

typedef struct seen {
    float largest, top;
    uint64_t count, bin[BINS];
    double error, total; /* sums of squares: of integers - floats, of floats */
} seen;

struct hl_calibration {
    const hl_layers *layers;
    int n;
    seen *layer;                                 /* [n] */
    const float **operand, **integers, **floats; /* [n] outputs of the probe; NULL: the layer is kept */
    int64_t *operands, *results;                 /* [n] how many elements */
};

static const float *output(const hl_session *s, int layer, const char *what, int64_t *count)
{
    char name[32];
    snprintf(name, sizeof name, "%d.%s", layer, what);
    const float *at = hl_session_output(s, name);
    *count = at ? hl_shape_count(hl_session_shape(s, name)) : 0;
    return at;
}

hl_calibration *hl_calibration_new(hl_session *probe, const hl_layers *layers, hl_error *err)
{
    const size_t n = (size_t)layers->n + 1;
    hl_calibration *c = hl_alloc(1, sizeof *c);
    bool ok = c && (c->layer = hl_alloc(n, sizeof *c->layer)) &&
              (c->operand = hl_alloc(n, sizeof *c->operand)) &&
              (c->integers = hl_alloc(n, sizeof *c->integers)) &&
              (c->floats = hl_alloc(n, sizeof *c->floats)) &&
              (c->operands = hl_alloc(n, sizeof *c->operands)) &&
              (c->results = hl_alloc(n, sizeof *c->results));
    if (!ok) {
        hl_fail(err, HL_ERR_MEMORY, "no memory to watch %d layers", layers->n);
        hl_calibration_free(c);
        return NULL;
    }
    c->layers = layers;
    c->n = layers->n;
    for (int i = 0; i < c->n; i++) {
        c->operand[i] = output(probe, i, "operand", &c->operands[i]);
        c->integers[i] = output(probe, i, "integers", &c->results[i]);
        c->floats[i] = output(probe, i, "floats", &c->results[i]);
        HL_ASSERT(layers->at[i].kept == !c->operand[i]); /* it is the probe of these layers */
    }
    return c;
}

void hl_calibration_free(hl_calibration *c)
{
    if (!c)
        return;
    hl_free(c->layer);
    hl_free((void *)c->operand);
    hl_free((void *)c->integers);
    hl_free((void *)c->floats);
    hl_free(c->operands);
    hl_free(c->results);
    hl_free(c);
}

/* ------------------------------------------------------------------ taking in */

static void make_room(seen *s, float x)
{
    if (s->top <= 0)
        s->top = x;
    while (s->top < x && s->top <= INFINITY / 4) {
        for (int i = 0; i < BINS / 2; i++)
            s->bin[i] = s->bin[2 * i] + s->bin[2 * i + 1];
        for (int i = BINS / 2; i < BINS; i++)
            s->bin[i] = 0;
        s->top *= 2;
    }
}

/* False: an element is not finite. */
static bool take_operand(seen *s, const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        const float size = fabsf(x[i]);
        if (!isfinite(size))
            return false;
        if (size > s->top)
            make_room(s, size);
        const int at = s->top > 0 ? (int)(size / s->top * BINS) : 0;
        s->bin[at < BINS ? at : BINS - 1]++;
        s->count++;
        s->largest = size > s->largest ? size : s->largest;
    }
    return true;
}

static void take_results(seen *s, const float *integers, const float *floats, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        const double d = (double)integers[i] - floats[i];
        s->error += d * d;
        s->total += (double)floats[i] * floats[i];
    }
}

hl_status hl_calibration_take(hl_calibration *c, hl_error *err)
{
    for (int i = 0; i < c->n; i++) {
        if (!c->operand[i])
            continue;
        if (!take_operand(&c->layer[i], c->operand[i], c->operands[i]))
            return hl_fail(err, HL_ERR_NUMERIC, "the operand of '%s' has an element that is not finite",
                           c->layers->at[i].name);
        take_results(&c->layer[i], c->integers[i], c->floats[i], c->results[i]);
    }
    return HL_OK;
}

/* ------------------------------------------------------------------ what follows */

/* What all but one in 10,000 elements do not exceed: the upper edge of the bin where that is so. */
static float percentile(const seen *s)
{
    const uint64_t enough = s->count - s->count / 10000;
    uint64_t below = 0;
    for (int i = 0; i < BINS; i++) {
        below += s->bin[i];
        if (below >= enough)
            return fminf(s->top * (float)(i + 1) / BINS, s->largest);
    }
    return s->largest;
}

void hl_calibration_set_scales(const hl_calibration *c, hl_layers *layers, hl_range range)
{
    for (int i = 0; i < c->n; i++) {
        const seen *s = &c->layer[i];
        const float most = range == HL_RANGE_LARGEST ? s->largest : percentile(s);
        if (c->operand[i])
            layers->at[i].scale = most > 0 ? most / 127 : 1; /* an operand that is always zero stays zero */
    }
}

int hl_calibration_keep(const hl_calibration *c, hl_layers *layers, double most)
{
    int kept = 0;
    for (int i = 0; i < c->n; i++) {
        const seen *s = &c->layer[i];
        if (!c->operand[i])
            continue;
        layers->at[i].error = s->total > 0 ? sqrt(s->error / s->total) : s->error > 0 ? INFINITY : 0;
        layers->at[i].kept = layers->at[i].error > most;
        kept += layers->at[i].kept;
    }
    return kept;
}
