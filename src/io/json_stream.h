/* A large JSON document, written value by value so that it is never in memory as a whole. */
#ifndef HL_IO_JSON_STREAM_H
#define HL_IO_JSON_STREAM_H

#include "base/file.h"
#include "base/json.h"

/* Start with {.file = ...}. The first error sticks: later calls do nothing, and hl_json_stream_end tells it.
 */
typedef struct hl_json_stream {
    hl_file *file;
    hl_text text; /* what is not in the file yet */
    bool more;    /* a value stands before the next one */
    hl_error error;
} hl_json_stream;

/* Punctuation and keys between the values; what follows is the first of its list. */
void hl_json_stream_open(hl_json_stream *s, const char *text);
/* The next value of a list, on a line of its own. Takes the reference; NULL is no memory. */
void hl_json_stream_put(hl_json_stream *s, json_t *value);
/* Writes what is left. */
hl_status hl_json_stream_end(hl_json_stream *s, const char *text, hl_error *err);

#endif
