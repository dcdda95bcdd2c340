/* The memory of a phase in numbers: planned against measured, and the largest tensors. */
#include "app/report/figure.h"

#include <math.h>
#include <string.h>

static const char by_category[] = "Planned and measured memory by category";
static const char largest[] = "Largest tensors alive at the peak";

static double over(double measured, double planned)
{
    return planned > 0 ? measured / planned - 1 : NAN;
}

/* The number a category has in the chart. */
static int key_of(const json_t *memory, const char *name)
{
    const json_t *names = json_object_get(json_object_get(memory, "timeline_categories"), "names");
    for (size_t i = 0; i < json_array_size(names); i++)
        if (!strcmp(json_string_value(json_array_get(names, i)), name))
            return (int)i;
    return HL_NO_KEY;
}

static void append_unplanned(hl_page *p, const json_t *category)
{
    hl_text_append(&p->html, "<td>");
    hl_page_text(p, hl_page_reason(category, "planned", "not planned"));
    hl_text_append(&p->html, "</td>");
}

static void append_categories(hl_page *p, const json_t *memory)
{
    static const char *const heads[] = {"category", "planned", "now", "peak", "over plan"};
    const json_t *list = json_object_get(memory, "categories");
    if (!json_array_size(list)) {
        hl_figure_nothing(p, by_category, "No category was measured.");
        return;
    }
    hl_page_table(p, by_category, "lrrrr", heads);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *c = json_array_get(list, i);
        double planned = hl_page_number(c, "planned");
        hl_page_row(p, hl_page_string(c, "name"), key_of(memory, hl_page_string(c, "name")));
        if (isnan(planned))
            append_unplanned(p, c);
        else
            hl_page_cell(p, c, "planned", HL_UNIT_BYTES);
        hl_page_cell(p, c, "current", HL_UNIT_BYTES);
        hl_page_cell(p, c, "peak", HL_UNIT_BYTES);
        double more = over(hl_page_number(c, "peak"), planned);
        if (isnan(more))
            hl_text_append(&p->html, "<td>\u2013</td>");
        else
            hl_page_cell_quantity(p, more, HL_UNIT_FRACTION, "");
        hl_page_row_end(p);
    }
    hl_page_table_end(p);
}

static void append_largest(hl_page *p, const json_t *memory)
{
    static const char *const heads[] = {"tensor", "part", "bytes"};
    const json_t *list = json_object_get(memory, "largest");
    double most = 0;
    if (!json_array_size(list)) {
        hl_figure_nothing(p, largest, hl_page_reason(memory, "largest", "They were not recorded."));
        return;
    }
    hl_page_table(p, largest, "llr", heads);
    for (size_t i = 0; i < json_array_size(list); i++)
        most = fmax(most, hl_page_number(json_array_get(list, i), "bytes"));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *t = json_array_get(list, i);
        hl_page_row(p, hl_page_string(t, "name"), HL_NO_KEY);
        hl_page_cell_text(p, hl_page_string(t, "section"));
        hl_text_append(&p->html, "<td class=\"bar\">");
        hl_text_appendf(&p->html, "<span style=\"width:%.1f%%\"></span>",
                        most > 0 ? 100 * hl_page_number(t, "bytes") / most : 0);
        hl_page_value(p, t, "bytes", HL_UNIT_BYTES);
        hl_text_append(&p->html, "</td>");
        hl_page_row_end(p);
    }
    hl_page_table_end(p);
}

static void append_peak(hl_page *p, const json_t *memory)
{
    const json_t *at = json_object_get(memory, "peak_at");
    hl_page_fact(p, "peak was at");
    if (json_is_object(at)) {
        hl_page_text(p, hl_page_string(at, "session"));
        hl_text_append(&p->html, ", call ");
        hl_page_value(p, at, "call", HL_UNIT_COUNT);
        hl_text_append(&p->html, ": ");
        hl_page_text(p, hl_page_string(at, "op"));
        hl_text_append(&p->html, *hl_page_string(at, "section") ? " in " : "");
        hl_page_text(p, hl_page_string(at, "section"));
    } else {
        hl_page_absent(p, hl_page_reason(memory, "peak_at", ""));
    }
    hl_page_fact_end(p);
}

static void append_slope(hl_page *p, const json_t *memory)
{
    const json_t *slope = json_object_get(memory, "rss_slope");
    hl_page_fact(p, "RSS grows by");
    if (json_is_object(slope)) {
        hl_page_value(p, slope, "bytes_per_minute", HL_UNIT_BYTES_PER_MINUTE);
        hl_text_append(&p->html, "<small>95% interval ");
        hl_page_value(p, slope, "low", HL_UNIT_BYTES_PER_MINUTE);
        hl_text_append(&p->html, " to ");
        hl_page_value(p, slope, "high", HL_UNIT_BYTES_PER_MINUTE);
        hl_text_append(&p->html, ", ");
        hl_page_value(p, slope, "samples", HL_UNIT_COUNT);
        hl_text_append(&p->html, " samples</small>");
    } else {
        hl_page_absent(p, hl_page_reason(memory, "rss_slope", "too few samples"));
    }
    hl_page_fact_end(p);
}

static void append_facts(hl_page *p, const json_t *memory)
{
    hl_text_append(&p->html, "<dl class=\"facts\">\n");
    hl_page_fact(p, "planned peak");
    hl_page_value(p, memory, "planned_peak", HL_UNIT_BYTES);
    hl_text_append(&p->html, "<small>lower bound ");
    hl_page_value(p, memory, "lower_bound", HL_UNIT_BYTES);
    hl_text_append(&p->html, "</small>");
    hl_page_fact_end(p);
    hl_page_fact(p, "measured peak");
    hl_page_value(p, memory, "measured_peak", HL_UNIT_BYTES);
    hl_text_append(&p->html, "<small>off the plan by ");
    hl_page_value(p, memory, "difference_percent", HL_UNIT_PERCENT);
    hl_text_append(&p->html, "</small>");
    hl_page_fact_end(p);
    append_peak(p, memory);
    hl_page_fact(p, "RSS");
    hl_page_value(p, memory, "rss", HL_UNIT_BYTES);
    hl_text_append(&p->html, "<small>peak ");
    hl_page_value(p, memory, "rss_peak", HL_UNIT_BYTES);
    hl_text_append(&p->html, "</small>");
    hl_page_fact_end(p);
    append_slope(p, memory);
    hl_page_fact(p, "unaccounted");
    hl_page_value(p, memory, "unaccounted", HL_UNIT_BYTES);
    hl_text_append(&p->html, "<small>");
    hl_page_value(p, memory, "unaccounted_percent", HL_UNIT_PERCENT);
    hl_text_append(&p->html, " of RSS</small>");
    hl_page_fact_end(p);
    hl_page_fact(p, "device memory");
    bool cpu = !strcmp(hl_page_string(p->result, "device"), "cpu");
    hl_page_quantity(p, hl_page_number(memory, "device_bytes"), HL_UNIT_BYTES,
                     hl_page_reason(memory, "device_bytes", cpu ? "the CPU has none of its own" : ""));
    hl_page_fact_end(p);
    hl_page_fact_value(p, "fragmentation", memory, "fragmentation", HL_UNIT_FRACTION);
    hl_page_fact_value(p, "versions of the parameters", memory, "versions", HL_UNIT_COUNT);
    hl_page_fact_value(p, "allocations in steady state", memory, "allocations", HL_UNIT_COUNT);
    hl_text_append(&p->html, "</dl>\n");
}

void hl_page_memory(hl_page *p, const json_t *memory)
{
    append_facts(p, memory);
    hl_text_append(&p->html, "<div class=\"cards wide\">\n");
    hl_page_memory_stack(p, memory);
    append_categories(p, memory);
    append_largest(p, memory);
    hl_text_append(&p->html, "</div>\n");
}
