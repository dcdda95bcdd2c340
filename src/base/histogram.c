#include "base/histogram.h"

#include "base/error.h"
#include "base/memory.h"

#include <math.h>
#include <string.h>

enum {
    PRECISION = 10, /* 2^PRECISION buckets to an octave */
    TOP = 42,       /* samples are below 2^TOP ns */
    BUCKETS = (TOP - PRECISION + 1) << PRECISION,
};

struct hl_histogram {
    uint64_t count, too_long, invalid;
    uint64_t min, max, sum; /* ns; the sum overflows after 584 years */
    uint64_t bucket[BUCKETS];
};

/* The octave of ns is shifted until PRECISION + 1 bits are left: the index of a bucket is (shift, bits). */
static int bucket_of(uint64_t ns)
{
    int bits = ns ? 64 - __builtin_clzll(ns) : 0, shift = bits > PRECISION + 1 ? bits - PRECISION - 1 : 0;
    return (shift << PRECISION) + (int)(ns >> shift);
}

/* The least ns in a bucket; that of the one after the last is 2^TOP. */
static uint64_t begin_of(int bucket)
{
    int shift = bucket >> PRECISION;
    shift = shift > 0 ? shift - 1 : 0;
    return (uint64_t)(bucket - (shift << PRECISION)) << shift;
}

static double seconds_of(uint64_t ns)
{
    return (double)ns / 1e9;
}

hl_histogram *hl_histogram_new(void)
{
    hl_histogram *h = hl_alloc(1, sizeof *h);
    if (h)
        hl_histogram_clear(h); /* writes it all: recording will not wait for pages */
    return h;
}

void hl_histogram_free(hl_histogram *h)
{
    hl_free(h);
}

void hl_histogram_clear(hl_histogram *h)
{
    memset(h, 0, sizeof *h);
    h->min = UINT64_MAX;
}

void hl_histogram_record(hl_histogram *h, double seconds)
{
    if (!(seconds >= 0)) {
        h->invalid++;
        return;
    }
    double rounded = seconds * 1e9 + 0.5;
    if (rounded >= (double)(UINT64_C(1) << TOP)) {
        h->too_long++;
        return;
    }
    uint64_t ns = (uint64_t)rounded;
    h->bucket[bucket_of(ns)]++;
    h->count++;
    h->sum += ns;
    h->min = ns < h->min ? ns : h->min;
    h->max = ns > h->max ? ns : h->max;
}

uint64_t hl_histogram_too_long(const hl_histogram *h)
{
    return h->too_long;
}

uint64_t hl_histogram_invalid(const hl_histogram *h)
{
    return h->invalid;
}

void hl_histogram_merge(hl_histogram *to, const hl_histogram *from)
{
    for (int i = 0; i < BUCKETS; i++)
        to->bucket[i] += from->bucket[i];
    to->count += from->count;
    to->too_long += from->too_long;
    to->invalid += from->invalid;
    to->sum += from->sum;
    to->min = from->min < to->min ? from->min : to->min;
    to->max = from->max > to->max ? from->max : to->max;
}

uint64_t hl_histogram_count(const hl_histogram *h)
{
    return h->count;
}

double hl_histogram_min(const hl_histogram *h)
{
    return h->count ? seconds_of(h->min) : NAN;
}

double hl_histogram_max(const hl_histogram *h)
{
    return h->count ? seconds_of(h->max) : NAN;
}

double hl_histogram_mean(const hl_histogram *h)
{
    return h->count ? seconds_of(h->sum) / (double)h->count : NAN;
}

double hl_histogram_percentile(const hl_histogram *h, double percent)
{
    HL_ASSERT(percent >= 0 && percent <= 100);
    if (!h->count)
        return NAN;
    /* A rank that is whole on paper may come out a little above: 99.9% of 1000 is the 999th. */
    double rank = ceil(percent / 100 * (double)h->count * (1 - 1e-13));
    uint64_t before = 0;
    int i = 0;
    while (i < BUCKETS - 1 && (double)(before + h->bucket[i]) < fmax(rank, 1))
        before += h->bucket[i++];
    uint64_t last = begin_of(i + 1) - 1;
    return seconds_of(last < h->max ? last : h->max);
}

/* ------------------------------------------------------------------ drawing */

/* Where ns stands on an axis of that spacing; 0 ns has no logarithm: it stands at a half. */
static double place(hl_spacing spacing, double ns)
{
    return spacing == HL_SPACING_LOG ? log2(fmax(ns, 0.5)) : ns;
}

static double edge(hl_spacing spacing, double at)
{
    return (spacing == HL_SPACING_LOG ? exp2(at) : at) / 1e9;
}

int hl_histogram_bars(const hl_histogram *h, hl_spacing spacing, int n, hl_bar *bars)
{
    HL_ASSERT(n > 0);
    if (!h->count)
        return 0;
    int first = bucket_of(h->min), last = bucket_of(h->max), written = 0, previous = -1;
    double low = place(spacing, (double)begin_of(first)), high = place(spacing, (double)begin_of(last + 1));
    /* More bars than buckets would leave gaps that the samples do not have. */
    n = last - first + 1 < n ? last - first + 1 : n;
    double width = (high - low) / n;
    for (int i = first; i <= last; i++) {
        if (!h->bucket[i])
            continue;
        double middle = ((double)begin_of(i) + (double)begin_of(i + 1)) / 2;
        int bar = (int)((place(spacing, middle) - low) / width);
        bar = bar < n - 1 ? bar : n - 1;
        if (bar != previous)
            bars[written++] = (hl_bar){edge(spacing, low + bar * width),
                                       edge(spacing, low + (bar + 1) * width), 0};
        bars[written - 1].count += h->bucket[i];
        previous = bar;
    }
    return written;
}
