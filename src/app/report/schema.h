/* What a result of hl stress consists of, as data. */
#ifndef HL_APP_REPORT_SCHEMA_H
#define HL_APP_REPORT_SCHEMA_H

#include "hl.h"

typedef enum hl_schema_kind {
    TEXT,
    FLAG,
    NUMBER, /* whole or not */
    WHOLE,  /* may be below 0: a difference */
    COUNT,  /* whole, 0 or more */
    OBJECT, /* of fields */
    LIST,   /* of objects of fields */
    ROWS,   /* of numbers; the first of a row is not null */
    SERIES, /* one row of numbers */
    NAMES,  /* texts */
} hl_schema_kind;

typedef struct hl_schema_field {
    const char *key; /* NULL ends a list of them */
    hl_schema_kind kind;
    bool or_null;
    const struct hl_schema_field *of; /* OBJECT, LIST */
    size_t columns;                   /* ROWS; 0: as many as check.c says, or any */
    const char *const *choice;        /* TEXT: one of these, NULL ends them; NULL: any */
} hl_schema_field;

extern const hl_schema_field hl_schema[];

#endif
