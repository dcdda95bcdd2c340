#include "app/stress/timing.h"

#include "base/memory.h"
#include "base/timeline.h"

struct hl_timing {
    hl_histogram *whole, *part[HL_TIMING_PARTS];
    const char *const *names;
    int n;
    hl_timeline *timeline; /* mean and largest ms, runs */
};

enum { ROWS = 600, COLUMNS = 3, BARS = 60 };

hl_timing *hl_timing_new(int n, const char *const *names)
{
    static const hl_summary columns[COLUMNS] = {HL_SUMMARY_MEAN, HL_SUMMARY_MAX, HL_SUMMARY_SUM};
    hl_timing *t = hl_alloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->names = names;
    t->n = n;
    t->whole = hl_histogram_new();
    t->timeline = hl_timeline_new(COLUMNS, columns, ROWS, 0.1);
    bool made = t->whole && t->timeline;
    for (int i = 0; i < n && made; i++)
        made = (t->part[i] = hl_histogram_new()) != NULL;
    if (made)
        return t;
    hl_timing_free(t);
    return NULL;
}

void hl_timing_free(hl_timing *t)
{
    if (!t)
        return;
    for (int i = 0; i < t->n; i++)
        hl_histogram_free(t->part[i]);
    hl_histogram_free(t->whole);
    hl_timeline_free(t->timeline);
    hl_free(t);
}

void hl_timing_record(hl_timing *t, double at, double whole, const double *parts)
{
    const double row[COLUMNS] = {1e3 * whole, 1e3 * whole, 1};
    hl_histogram_record(t->whole, whole);
    for (int i = 0; i < t->n; i++)
        hl_histogram_record(t->part[i], parts[i]);
    hl_timeline_add(t->timeline, at > 0 ? at : 0, row);
}

void hl_timing_merge(hl_timing *to, const hl_timing *from)
{
    hl_histogram_merge(to->whole, from->whole);
    for (int i = 0; i < to->n; i++)
        hl_histogram_merge(to->part[i], from->part[i]);
    hl_timeline_merge(to->timeline, from->timeline);
}

const hl_histogram *hl_timing_whole(const hl_timing *t)
{
    return t->whole;
}

/* ------------------------------------------------------------------ JSON */

static json_t *ms(double seconds)
{
    return hl_json_number(1e3 * seconds);
}

static json_t *percentile(const hl_histogram *h, double percent)
{
    return ms(hl_histogram_percentile(h, percent));
}

json_t *hl_timing_latency(const hl_timing *t)
{
    const hl_histogram *h = t->whole;
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "min", ms(hl_histogram_min(h)), "mean",
                     ms(hl_histogram_mean(h)), "p50", percentile(h, 50), "p90", percentile(h, 90), "p95",
                     percentile(h, 95), "p99", percentile(h, 99), "p99.9", percentile(h, 99.9), "max",
                     ms(hl_histogram_max(h)));
}

json_t *hl_timing_split(const hl_timing *t)
{
    json_t *list = json_array();
    for (int i = 0; i < t->n; i++) {
        const hl_histogram *h = t->part[i];
        json_t *part = json_pack("{s:s, s:o, s:o, s:o}", "name", t->names[i], "mean",
                                 ms(hl_histogram_mean(h)), "p50", percentile(h, 50), "p99",
                                 percentile(h, 99));
        if (json_array_append_new(list, part)) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

json_t *hl_timing_histogram(const hl_timing *t)
{
    hl_bar bars[BARS];
    const hl_histogram *h = t->whole;
    const bool wide = hl_histogram_max(h) > 4 * hl_histogram_min(h);
    int n = hl_histogram_bars(h, wide ? HL_SPACING_LOG : HL_SPACING_LINEAR, BARS, bars);
    json_t *list = json_array();
    for (int i = 0; i < n; i++) {
        json_t *bar = json_pack("[o, o, I]", ms(bars[i].low), ms(bars[i].high), (json_int_t)bars[i].count);
        if (json_array_append_new(list, bar)) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

json_t *hl_timing_timeline(const hl_timing *t)
{
    return hl_timeline_json(t->timeline);
}
