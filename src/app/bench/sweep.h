/* Lists of values on the command line: "1,2,4". */
#ifndef HL_APP_SWEEP_H
#define HL_APP_SWEEP_H

#include "hl.h"

enum { HL_LIST_MOST = 32 };

typedef struct hl_list {
    int n;
    double at[HL_LIST_MOST];
} hl_list;

/* Each reads the value of a flag (named in the error) into a list: 1..HL_LIST_MOST values, none of them
 * twice. HL_ERR_USAGE. */
hl_status hl_list_integers(const char *flag, const char *text, int64_t most, hl_list *list, hl_error *err);
/* Of 0 to 1. */
hl_status hl_list_fractions(const char *flag, const char *text, hl_list *list, hl_error *err);
/* Names of hl_precision. */
hl_status hl_list_precisions(const char *flag, const char *text, hl_list *list, hl_error *err);

#endif
