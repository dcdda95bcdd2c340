#include "app/report/page.h"

#include "app/draw/markup.h"

#include <math.h>
#include <stdio.h>

/* ------------------------------------------------------------------ values */

double hl_page_number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

const char *hl_page_string(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

const char *hl_page_reason(const json_t *object, const char *key, const char *otherwise)
{
    char name[64];
    snprintf(name, sizeof name, "%s_absent", key);
    const char *reason = hl_page_string(object, name);
    return *reason ? reason : otherwise;
}

void hl_page_text(hl_page *p, const char *text)
{
    hl_markup_append(&p->html, text);
}

void hl_page_absent(hl_page *p, const char *reason)
{
    hl_text_append(&p->html,
                   *reason ? "<span class=\"absent\">not measured: " : "<span class=\"absent\">not measured");
    hl_page_text(p, reason);
    hl_text_append(&p->html, "</span>");
}

void hl_page_quantity(hl_page *p, double value, hl_unit unit, const char *reason)
{
    if (isnan(value)) {
        hl_page_absent(p, reason);
        return;
    }
    hl_quantity q = hl_quantity_of(value, unit);
    if (*q.exact.text)
        hl_text_appendf(&p->html, "<span title=\"%s\">%s</span>", q.exact.text, q.shown.text);
    else
        hl_text_append(&p->html, q.shown.text);
}

hl_digits hl_page_ms(double ms)
{
    return hl_quantity_of(ms, HL_UNIT_MS).shown;
}

static const char *reason_of(const json_t *object, const char *key)
{
    return hl_page_reason(object, key, "");
}

void hl_page_value(hl_page *p, const json_t *object, const char *key, hl_unit unit)
{
    hl_page_quantity(p, hl_page_number(object, key), unit, reason_of(object, key));
}

/* ------------------------------------------------------------------ facts and tables */

void hl_page_fact(hl_page *p, const char *name)
{
    hl_text_append(&p->html, "<div><dt>");
    hl_page_text(p, name);
    hl_text_append(&p->html, "</dt><dd>");
}

void hl_page_fact_end(hl_page *p)
{
    hl_text_append(&p->html, "</dd></div>\n");
}

void hl_page_fact_value(hl_page *p, const char *name, const json_t *object, const char *key, hl_unit unit)
{
    hl_page_fact(p, name);
    hl_page_value(p, object, key, unit);
    hl_page_fact_end(p);
}

void hl_page_table_begin(hl_page *p, const char *caption)
{
    hl_text *t = &p->html;
    hl_text_append(t, "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"");
    hl_page_text(p, caption);
    hl_text_append(t, "\"><table><caption>");
    hl_page_text(p, caption);
    hl_text_append(t, "</caption>\n<thead><tr>");
}

static void append_head(hl_page *p, char side, const char *name)
{
    hl_text_append(&p->html, side == 'l' ? "<th scope=\"col\" class=\"words\">" : "<th scope=\"col\">");
    hl_page_text(p, name);
    hl_text_append(&p->html, "</th>");
}

void hl_page_table_body(hl_page *p)
{
    hl_text_append(&p->html, "</tr></thead>\n<tbody>\n");
}

void hl_page_table(hl_page *p, const char *caption, const char *sides, const char *const *heads)
{
    hl_page_table_begin(p, caption);
    for (size_t i = 0; sides[i]; i++)
        append_head(p, sides[i], heads[i]);
    hl_page_table_body(p);
}

void hl_page_table_end(hl_page *p)
{
    hl_text_append(&p->html, "</tbody></table></div>\n");
}

void hl_page_row(hl_page *p, const char *name, int key)
{
    hl_text_append(&p->html, "<tr><th scope=\"row\">");
    if (key != HL_NO_KEY)
        hl_text_appendf(&p->html, "<span class=\"key k%d\"></span>%d ", key % HL_KEYS, key + 1);
    hl_page_text(p, name);
    hl_text_append(&p->html, "</th>");
}

void hl_page_row_end(hl_page *p)
{
    hl_text_append(&p->html, "</tr>\n");
}

void hl_page_cell_quantity(hl_page *p, double value, hl_unit unit, const char *reason)
{
    hl_text_append(&p->html, "<td>");
    hl_page_quantity(p, value, unit, reason);
    hl_text_append(&p->html, "</td>");
}

void hl_page_cell(hl_page *p, const json_t *object, const char *key, hl_unit unit)
{
    hl_page_cell_quantity(p, hl_page_number(object, key), unit, reason_of(object, key));
}

void hl_page_cell_text(hl_page *p, const char *text)
{
    hl_text_append(&p->html, "<td class=\"words\">");
    hl_page_text(p, text);
    hl_text_append(&p->html, "</td>");
}
