/* What the writers of demonstrations share: a demonstration as plain arrays, and arrays into HDF5. */
#ifndef HL_DATA_DEMO_WRITE_H
#define HL_DATA_DEMO_WRITE_H

#include "hl.h"

typedef enum hl_field_kind {
    HL_FIELD_RGB,   /* given as [3,H,W] in 0..1; stored as uint8, so within 1/510 */
    HL_FIELD_DEPTH, /* given as [1,H,W] in 0..1; stored as it is */
    HL_FIELD_VECTOR /* [D] */
} hl_field_kind;

typedef struct hl_field {
    const char *key; /* "agentview_rgb" */
    hl_field_kind kind;
    int64_t height, width; /* images */
    int64_t size;          /* vectors: D */
} hl_field;

/* One demonstration; nothing is kept after the call.  Values must be finite. */
typedef struct hl_demo {
    int64_t steps;              /* N >= 1 */
    const float *actions;       /* [N, A] */
    const float *states;        /* [N, states], NULL if there are none */
    const float *rewards;       /* [N]; NULL: zeros */
    const bool *dones;          /* [N]; NULL: the last step alone */
    const float *const *fields; /* [n_fields] each [N, elements of the field] */
    bool valid;                 /* mask/valid, else mask/train */
} hl_demo;

/* Of one frame. */
int64_t hl_field_elements(const hl_field *f);

#endif
