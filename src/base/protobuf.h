/* Protobuf's wire format, field by field. A message under construction is an hl_text, whose bytes need not be
 * text; running out of memory sticks to it, and to the messages it goes into. */
#ifndef HL_BASE_PROTOBUF_H
#define HL_BASE_PROTOBUF_H

#include "base/text.h"

/* int32, int64, enum */
void hl_protobuf_int(hl_text *message, int field, int64_t value);
void hl_protobuf_float(hl_text *message, int field, float value);
void hl_protobuf_double(hl_text *message, int field, double value);
void hl_protobuf_bytes(hl_text *message, int field, const void *bytes, size_t n);
void hl_protobuf_string(hl_text *message, int field, const char *string);
void hl_protobuf_message(hl_text *message, int field, const hl_text *inner);
/* The n lowest bytes of value, the lowest first: an element of a packed field. */
void hl_protobuf_fixed(hl_text *message, uint64_t value, int n);
/* The key and length of bytes or a message of size n: what follows is the caller's to write, for what is too
 * large to be copied. */
void hl_protobuf_begin(hl_text *message, int field, uint64_t n);
/* What hl_protobuf_begin appends, and the n bytes. */
uint64_t hl_protobuf_size(int field, uint64_t n);

#endif
