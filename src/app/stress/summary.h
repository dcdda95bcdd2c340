/* The result of a stress test as tables for a terminal. */
#ifndef HL_APP_STRESS_SUMMARY_H
#define HL_APP_STRESS_SUMMARY_H

#include "base/json.h"

/* HL_ERR_IO, HL_ERR_MEMORY. */
hl_status hl_stress_print(FILE *to, const json_t *result, hl_error *err);

#endif
