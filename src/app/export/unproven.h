/* The name under which what is written stands until it is proven: "TO.unproven". A program that is
 * interrupted takes the file along. */
#ifndef HL_APP_UNPROVEN_H
#define HL_APP_UNPROVEN_H

#include "hl.h"

/* From here on SIGINT, SIGTERM and SIGHUP, unless ignored, remove the file, and what else is half written,
 * before they end the program. onnx: TO is an ONNX model. One at a time in a process, and one of that name
 * among processes: HL_ERR_IO. *path lives until hl_unproven_end. That it and the report can be written has
 * been tried: what cannot is known before the work. */
hl_status hl_unproven_begin(const char *to, bool onnx, const char **path, hl_error *err);
/* Signals are what they were. The file is the caller's to rename or remove before. */
void hl_unproven_end(void);

#endif
