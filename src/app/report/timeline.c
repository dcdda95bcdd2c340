#include "app/report/times.h"

#include <math.h>
#include <stdio.h>

enum { SECONDS, MEAN, MOST, RUNS, MOMENT };

/* Moments without a run have no latency. */
static hl_rows read_moments(const json_t *list, hl_text *html)
{
    hl_rows r = hl_rows_read(list, MOMENT, html);
    for (size_t i = 0; i < r.n; i++)
        if (hl_rows_at(&r, i, RUNS) <= 0)
            r.at[i * MOMENT + MEAN] = r.at[i * MOMENT + MOST] = NAN;
    hl_rows_thin(&r, HL_FIGURE_MOMENTS, MOST);
    return r;
}

static void draw_timeline(hl_page *p, const hl_times *t, hl_rows *moments)
{
    double seconds[2] = {0, 0}, mean[2] = {0, 0}, most[2] = {0, 0};
    hl_rows_extent(moments, SECONDS, seconds);
    hl_rows_extent(moments, MEAN, mean);
    hl_rows_extent(moments, MOST, most);
    double deadline = hl_times_deadline_near(t, most[1]);
    hl_unit_scale scale = hl_unit_scale_of(most[1], HL_UNIT_MS);
    hl_rows_scale(moments, MEAN, RUNS, scale.factor);
    bool spikes = most[1] > 20 * mean[1] && mean[0] > 0;
    char about[256], unit[32];
    snprintf(about, sizeof about, "Mean between %s and %s, greatest %s.", hl_page_ms(mean[0]).text,
             hl_page_ms(mean[1]).text, hl_page_ms(most[1]).text);
    snprintf(unit, sizeof unit, "%s%s", scale.unit, spikes ? ", logarithmic" : "");
    hl_figure_begin(p, t->timeline);
    hl_figure f = hl_figure_plot(
        p, &(hl_figure_frame){.title = t->timeline,
                              .about = about,
                              .x_unit = "seconds",
                              .y_unit = unit,
                              .x = {fmin(0, seconds[0]), seconds[1]},
                              .y = {spikes ? mean[0] * scale.factor : 0,
                                    fmax(most[1], isnan(deadline) ? 0 : deadline) * scale.factor},
                              .log_y = spikes});
    hl_figure_area(&f, moments, MEAN, MOST, "k1 faint");
    hl_figure_line(&f, moments, MOST, "k1");
    hl_figure_line(&f, moments, MEAN, "k0 strong");
    hl_figure_level(&f, deadline * scale.factor, "late");
    hl_text_append(&p->html, "</svg>\n<ul class=\"keys\">");
    hl_figure_key(p, "k1", "greatest", most[1], HL_UNIT_MS);
    hl_figure_key(p, "k0", "mean", hl_page_number(t->latency, "mean"), HL_UNIT_MS);
    if (!isnan(deadline))
        hl_figure_key(p, "late", "deadline", deadline, HL_UNIT_MS);
    hl_text_append(&p->html, "</ul>\n");
    hl_figure_end(p);
}

void hl_times_timeline(hl_page *p, const hl_times *t)
{
    double most[2];
    hl_rows moments = read_moments(json_object_get(t->run, "timeline"), &p->html);
    if (hl_rows_extent(&moments, MOST, most))
        draw_timeline(p, t, &moments);
    else
        hl_figure_nothing(p, t->timeline, hl_page_reason(t->run, "timeline", "No run was recorded."));
    hl_rows_free(&moments);
}
