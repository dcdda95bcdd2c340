/* Numbers as people read them: three digits and a unit. */
#ifndef HL_APP_REPORT_UNITS_H
#define HL_APP_REPORT_UNITS_H

#include "hl.h"

typedef enum hl_unit {
    HL_UNIT_NONE,
    HL_UNIT_COUNT,
    HL_UNIT_MS,
    HL_UNIT_SECONDS,
    HL_UNIT_BYTES,
    HL_UNIT_BYTES_PER_MINUTE,
    HL_UNIT_PER_SECOND,
    HL_UNIT_HZ,
    HL_UNIT_MHZ,
    HL_UNIT_PERCENT,
    HL_UNIT_FRACTION, /* shown in percent */
    HL_UNIT_CELSIUS,
    HL_UNIT_WATT,
} hl_unit;

typedef struct hl_digits {
    char text[48]; /* UTF-8 */
} hl_digits;

/* A value as it is shown, and all of it where that is less. */
typedef struct hl_quantity {
    hl_digits shown, exact; /* exact: "" if shown says all */
} hl_quantity;

/* value in the unit's base: ms, bytes, a fraction of 1. NaN is "not measured". */
hl_quantity hl_quantity_of(double value, hl_unit unit);

/* For an axis: what values up to most (in the unit's base) are multiplied by, and the unit they are in then.
 */
typedef struct hl_unit_scale {
    double factor;
    const char *unit;
} hl_unit_scale;
hl_unit_scale hl_unit_scale_of(double most, hl_unit unit);

#endif
