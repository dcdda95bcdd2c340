#include "base/text.h"

#include "base/memory.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Room for n more bytes and the terminating zero. */
static bool reserve(hl_text *t, size_t n)
{
    size_t needed;
    if (t->failed)
        return false;
    if (!hl_size_add(t->size, n, &needed) || !hl_size_add(needed, 1, &needed)) {
        t->failed = true;
        return false;
    }
    if (needed <= t->capacity)
        return true;
    size_t capacity = t->capacity ? t->capacity : 64;
    while (capacity < needed)
        if (!hl_size_mul(capacity, 2, &capacity))
            capacity = needed;
    char *grown = hl_realloc(t->at, capacity, 1);
    if (!grown) {
        t->failed = true;
        return false;
    }
    t->at = grown;
    t->capacity = capacity;
    return true;
}

void hl_text_append_bytes(hl_text *t, const char *bytes, size_t n)
{
    if (!reserve(t, n))
        return;
    if (n)
        memcpy(t->at + t->size, bytes, n);
    t->size += n;
    t->at[t->size] = 0;
}

void hl_text_append(hl_text *t, const char *string)
{
    hl_text_append_bytes(t, string, strlen(string));
}

void hl_text_appendf(hl_text *t, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    if (n < 0)
        t->failed = true;
    else if (reserve(t, (size_t)n)) {
        vsnprintf(t->at + t->size, (size_t)n + 1, format, again);
        t->size += (size_t)n;
    }
    va_end(again);
    va_end(args);
}

char *hl_text_take(hl_text *t)
{
    hl_text_append_bytes(t, "", 0); /* the empty string is a string too */
    char *string = t->failed ? NULL : t->at;
    if (t->failed)
        hl_free(t->at);
    *t = (hl_text){0};
    return string;
}

void hl_text_free(hl_text *t)
{
    hl_free(t->at);
    *t = (hl_text){0};
}

/* ------------------------------------------------------------------ words */

enum { WORD = 64 };

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t hl_edit_distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    size_t rows[3][WORD + 1];
    size_t *before = rows[0], *last = rows[1], *now = rows[2];
    if (n > WORD || m > WORD)
        return SIZE_MAX;
    for (size_t j = 0; j <= m; j++)
        last[j] = before[j] = j;
    for (size_t i = 1; i <= n; i++) {
        now[0] = i;
        for (size_t j = 1; j <= m; j++) {
            now[j] = least(last[j - 1] + (a[i - 1] != b[j - 1]), least(last[j], now[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = least(now[j], before[j - 2] + 1);
        }
        size_t *oldest = before;
        before = last;
        last = now;
        now = oldest;
    }
    return last[m];
}

const char *hl_nearest(const char *word, const char *const *candidates, size_t n)
{
    const char *nearest = NULL;
    size_t length = strlen(word), best = SIZE_MAX;
    for (size_t i = 0; i < n; i++) {
        size_t other = strlen(candidates[i]), shorter = least(length, other);
        size_t distance = hl_edit_distance(word, candidates[i]);
        /* More than a third of the letters wrong is another word. */
        if (distance > 1 + shorter / 4)
            distance = SIZE_MAX;
        if (shorter >= 3 && !strncmp(word, candidates[i], shorter))
            distance = least(distance, 3);
        if (distance < best) {
            best = distance;
            nearest = candidates[i];
        }
    }
    return nearest;
}

bool hl_ends_in(const char *text, const char *end)
{
    const size_t n = strlen(text), m = strlen(end);
    return n > m && !strcmp(text + n - m, end);
}

/* room: bytes of string; to has four more. */
static void excerpt(char *to, size_t room, const char *string)
{
    size_t n = 0;
    for (; n < room && string[n]; n++)
        to[n] = (unsigned char)string[n] < 0x20 || string[n] == 0x7f ? '?' : string[n];
    if (string[n]) {
        while (n && ((unsigned char)string[n] & 0xC0) == 0x80)
            n--;
        memcpy(to + n, "...", 3);
        n += 3;
    }
    to[n] = 0;
}

hl_excerpt hl_excerpt_of(const char *string)
{
    hl_excerpt e;
    excerpt(e.text, sizeof e.text - 4, string);
    return e;
}

hl_long_excerpt hl_long_excerpt_of(const char *string)
{
    hl_long_excerpt e;
    excerpt(e.text, sizeof e.text - 4, string);
    return e;
}

/* ------------------------------------------------------------------ sizes */

/* Of memory, the largest first. */
static const struct {
    const char *name;
    size_t bytes;
} units[] = {
    {"TiB", (size_t)1 << 40},
    {"TB", 1000000000000},
    {"GiB", (size_t)1 << 30},
    {"GB", 1000000000},
    {"MiB", (size_t)1 << 20},
    {"MB", 1000000},
    {"KiB", (size_t)1 << 10},
    {"kB", 1000},
    {"", 1},
    {"B", 1},
};

/* Bytes per unit; 0: there is no such unit. */
static size_t unit_of(const char *name)
{
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (!strcmp(units[i].name, name))
            return units[i].bytes;
    return 0;
}

/* Whole numbers are exact, others have the 53 bits of a double. */
bool hl_parse_size(const char *text, size_t *bytes)
{
    size_t digits = strspn(text, "0123456789");
    char *end;
    if (!digits)
        return false;
    errno = 0;
    if (!text[digits] || !strchr(".eE", text[digits])) {
        unsigned long long n = strtoull(text, &end, 10);
        size_t unit = unit_of(end), product;
        if (errno || !unit || n > SIZE_MAX || !hl_size_mul((size_t)n, unit, &product))
            return false;
        *bytes = product;
        return true;
    }
    double x = strtod(text, &end), product = x * (double)unit_of(end);
    if (errno || !unit_of(end) || product >= (double)SIZE_MAX || (x > 0 && product < 1))
        return false;
    *bytes = (size_t)product;
    return true;
}

void hl_text_append_size(hl_text *t, size_t bytes)
{
    size_t i = 0;
    while (bytes % units[i].bytes)
        i++;
    hl_text_appendf(t, "%zu%s", bytes / units[i].bytes, bytes ? units[i].name : "");
}
