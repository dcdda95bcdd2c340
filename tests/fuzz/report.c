/* The input: a result of `hl stress`, of which `hl report` makes a page. */
#include "app/report/report.h"
#include "base/error.h"
#include "base/memory.h"

#include "tests/fuzz/fuzz.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    hl_error err = {0};
    char *html = NULL;
    json_t *result = hl_json_parse((const char *)bytes, n, "fuzz", &err);
    HL_ASSERT(result || (err.status == HL_ERR_DATA && !strncmp(err.message, "fuzz:", 5)));
    if (result && hl_report_html(result, &html, &err) == HL_OK)
        HL_ASSERT(hl_report_check(result, &err) == HL_OK && strstr(html, "</html>"));
    else
        HL_ASSERT(err.status == HL_ERR_DATA && *err.message);
    hl_free(html);
    json_decref(result);
    return 0;
}
