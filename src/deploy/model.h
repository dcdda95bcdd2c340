/* What an exported file says of itself, for who reads it and who writes it. */
#ifndef HL_DEPLOY_MODEL_H
#define HL_DEPLOY_MODEL_H

#include "hl.h"

/* The store its graph reads: an entry for each tensor of the file. */
const hl_params *hl_model_params(const hl_model *m);

/* Whether a batch of any size has rows in all inputs that are no scalars, and in all outputs: HL_ERR_DATA
 * names one that has not. Graphs are free to be without; what acts is not. */
hl_status hl_model_check_batch(const hl_model *m, hl_error *err);

#define HL_MODEL_FORMAT "hl-model"
/* Of what is written, and the newest that is read. */
enum { HL_MODEL_FORMAT_VERSION = 1 };

/* "int8": some weights are; sessions run in fp32 around them. */
#define HL_MODEL_INT8 "int8"

#endif
