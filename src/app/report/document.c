/* The whole page, in the order in which it is read. */
#include "app/report/report.h"

#include "app/report/page.h"
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"

#include <string.h>

/* XML as much as HTML: every element closed, every attribute quoted. */
static void compose(hl_page *p)
{
    const json_t *phases = json_object_get(p->result, "phases");
    hl_text_append(&p->html,
                   "<!DOCTYPE html>\n<html lang=\"en\" xmlns=\"http://www.w3.org/1999/xhtml\">\n<head>\n"
                   "<meta charset=\"utf-8\"/>\n"
                   "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
                   "<meta name=\"color-scheme\" content=\"light dark\"/>\n<title>Stress test: ");
    hl_page_text(p, hl_page_string(p->result, "verdict"));
    hl_text_append(&p->html, ", ");
    hl_page_text(p, hl_page_string(p->result, "config"));
    hl_text_append(&p->html, "</title>\n<style>\n");
    for (const char *const *s = hl_page_style; *s; s++)
        hl_text_append(&p->html, *s);
    hl_text_append(&p->html, "</style>\n</head>\n<body>\n");
    hl_page_summary(p);
    for (size_t i = 0; i < json_array_size(phases); i++)
        hl_page_phase(p, json_array_get(phases, i), i);
    hl_text_append(&p->html, "</main>\n</body>\n</html>\n");
}

hl_status hl_report_html(const json_t *result, char **html, hl_error *err)
{
    hl_page page = {.result = result};
    hl_status status = hl_report_check(result, err);
    if (status != HL_OK)
        return status;
    compose(&page);
    *html = hl_text_take(&page.html);
    return *html ? HL_OK : hl_fail(err, HL_ERR_MEMORY, "no memory for the report");
}

hl_status hl_report_write(const json_t *result, const char *path, hl_error *err)
{
    char *html = NULL;
    hl_status status = hl_report_html(result, &html, err);
    if (status == HL_OK)
        status = hl_file_save(path, html, strlen(html), err);
    hl_free(html);
    return status;
}
