/* Text that grows, words that are nearly right, and sizes. */
#ifndef HL_BASE_TEXT_H
#define HL_BASE_TEXT_H

#include "hl.h"

/* A string under construction; {0} is the empty one. Running out of memory sticks: later appends do
 * nothing, and the end asks once, by hl_text_take. */
typedef struct hl_text {
    char *at;    /* zero-terminated once anything was appended, else NULL */
    size_t size; /* bytes before the terminating zero */
    size_t capacity;
    bool failed;
} hl_text;

void hl_text_append(hl_text *t, const char *string);
void hl_text_append_bytes(hl_text *t, const char *bytes, size_t n);
void hl_text_appendf(hl_text *t, const char *format, ...) HL_PRINTF(2, 3);
/* The string, now the caller's (hl_free), and t is {0} again. NULL if memory ran out on the way. */
char *hl_text_take(hl_text *t);
void hl_text_free(hl_text *t);

/* Edit distance with insertions, deletions, substitutions and exchanges of neighbours (Damerau 1964,
 * each place edited once). Words of more than 64 bytes are not compared: SIZE_MAX. */
size_t hl_edit_distance(const char *a, const char *b);
/* The candidate that was probably meant, or NULL: close by edit distance, or one is the other's
 * beginning. The first of equals. */
const char *hl_nearest(const char *word, const char *const *candidates, size_t n);

/* Whether the text ends in `end`, and is more than that. */
bool hl_ends_in(const char *text, const char *end);

/* A number of bytes: "8GiB", "512MiB", "1.5GB", "1e9", "4096". Units are B, kB, MB, GB, TB (powers of 1000)
 * and KiB, MiB, GiB, TiB (of 1024). A fraction of a byte is cut off. False, and *bytes as it was, for
 * anything else: a sign, a space, another unit, what does not fit, less than a byte that is not 0. */
bool hl_parse_size(const char *text, size_t *bytes);
/* And back, exactly, in the largest unit that allows it: "8GiB", "1536MiB", "4097", "0". */
void hl_text_append_size(hl_text *t, size_t bytes);

/* What the world wrote, made fit for a message: at most 48 bytes of it, "..." after a cut, '?' for
 * control characters; never cuts a UTF-8 character. */
typedef struct hl_excerpt {
    char text[52];
} hl_excerpt;
hl_excerpt hl_excerpt_of(const char *string);

/* The same of what names a tensor: its end tells it from others, so at most 128 bytes. */
typedef struct hl_long_excerpt {
    char text[132];
} hl_long_excerpt;
hl_long_excerpt hl_long_excerpt_of(const char *string);

#endif
