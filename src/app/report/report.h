/* The result of `hl stress` as a page: one HTML file that needs nothing else, with its charts in it. */
#ifndef HL_APP_REPORT_REPORT_H
#define HL_APP_REPORT_REPORT_H

#include "base/json.h"

/* Whether result has all that the page shows, each value of its kind. HL_ERR_DATA names the first that has
 * not, by its path ("phases[2].inference.latency_ms.p99: ..."). Keys that are not known are left alone. */
hl_status hl_report_check(const json_t *result, hl_error *err);

/* Checks result, and replaces path by its page: well-formed as XML too, without scripts. HL_ERR_DATA,
 * HL_ERR_IO, HL_ERR_MEMORY; after an error path is what it was. */
hl_status hl_report_write(const json_t *result, const char *path, hl_error *err);

#endif
