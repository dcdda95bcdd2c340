/* The result of `hl stress` as a page: one HTML file that needs nothing else, with its charts in it. */
#ifndef HL_APP_REPORT_REPORT_H
#define HL_APP_REPORT_REPORT_H

#include "base/json.h"

/* Whether result has all that the page shows, each value of its kind. HL_ERR_DATA names the first that has
 * not, by its path ("phases[2].inference.latency_ms.p99: ..."). Keys that are not known are left alone. */
hl_status hl_report_check(const json_t *result, hl_error *err);

/* Checks result and makes its page (hl_free): well-formed as XML too, without scripts. HL_ERR_DATA,
 * HL_ERR_MEMORY. */
hl_status hl_report_html(const json_t *result, char **html, hl_error *err);
/* Replaces path by it. Also HL_ERR_IO; after an error path is what it was, as hl_file_save has it. */
hl_status hl_report_write(const json_t *result, const char *path, hl_error *err);

#endif
