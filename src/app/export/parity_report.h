/* What hl export tells of a model: for people, and as JSON. */
#ifndef HL_APP_PARITY_REPORT_H
#define HL_APP_PARITY_REPORT_H

#include "app/export/parity.h"
#include "base/json.h"
#include "export/quantize.h"

typedef struct hl_export_told {
    const char *from, *to, *precision, *range; /* range: how operands were calibrated; NULL: row by row */
    const hl_parity *parity;
    const hl_layers *layers; /* NULL: not quantized */
    double most_error;       /* allowed of an element of the action; 0: any */
} hl_export_told;

/* Whether the action is finite, and as near as was asked for. */
bool hl_parity_near(const hl_export_told *t);
void hl_parity_print(const hl_export_told *t);
/* A new object; NULL if there is no memory. */
json_t *hl_parity_json(const hl_export_told *t);

#endif
