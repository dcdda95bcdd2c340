/* What a device can do at most, measured here and now, and how far a kernel call is from it: the roofline
 * (Williams et al., CACM 2009). */
#ifndef HL_APP_CEILINGS_H
#define HL_APP_CEILINGS_H

#include "hl.h"

/* 0: not measured, for it is of the host's processor alone, or the device does not compute so. */
typedef struct hl_ceilings {
    char device[32];
    int threads; /* of the host */
    int vector;  /* floats in a vector that hl is built with */
    /* FLOP/s */
    double multiply_add;          /* between registers */
    double integers;              /* products of eight bits, between registers */
    double matmul[HL_PRECISIONS]; /* a large product by the kernels that models run, */
    double matmul_integers;       /* and with weights of eight bits */
    /* bytes/s */
    double read, copy, triad; /* of memory, by plain loops */
    double cache;             /* reads of each core's second level */
    double elementwise;       /* a large elementwise op by the kernels that models run */
} hl_ceilings;

/* With as many threads as are set now (hl_setup_threads), each figure for `seconds` or a few trials. device
 * as in hl_session_options. */
hl_status hl_ceilings_measure(const char *device, double seconds, hl_ceilings *c, hl_error *err);

/* The roof over an op's products, FLOP/s, in integers if the op is quantized or else in a precision; and over
 * memory, bytes/s: the best that was measured. */
double hl_ceilings_peak(const hl_ceilings *c, const char *op, hl_precision precision);
double hl_ceilings_bandwidth(const hl_ceilings *c);

/* The least time that calls need under the ceilings. Starts as {0}. */
typedef struct hl_roof {
    double seconds;   /* of each call, by arithmetic or by memory, what takes longer */
    double computing; /* of these, in calls that arithmetic binds */
} hl_roof;

void hl_roof_add(hl_roof *r, const hl_ceilings *c, const char *op, hl_precision precision, double flops,
                 double bytes);
/* The calls of both, one after the other. */
void hl_roof_join(hl_roof *r, const hl_roof *other);
/* That least time as percent of the time they took, and in *bound what binds most of it: "compute", "memory",
 * or "cache" where it is more than memory allows (above 100%): operands lay in the cache. NAN and "-" without
 * time or ceilings. */
double hl_roof_percent(const hl_roof *r, double seconds, const char **bound);

#endif
