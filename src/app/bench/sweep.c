#include "app/bench/sweep.h"

#include "base/error.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a list is made of. */
typedef struct kind {
    const char *flag;
    char values[64]; /* for the error: "numbers from 1 to 8" */
    const char *example;
    int64_t most; /* of integers */
    /* False: the word is no such value. */
    bool (*read)(const struct kind *kind, const char *word, double *value);
} kind;

static bool read_integer(const kind *k, const char *word, double *value)
{
    char *end;
    long long n = strtoll(word, &end, 10);
    *value = (double)n;
    return end != word && !*end && n >= 1 && n <= k->most;
}

static bool read_fraction(const kind *k, const char *word, double *value)
{
    char *end;
    (void)k;
    *value = strtod(word, &end);
    return end != word && !*end && *value >= 0 && *value <= 1;
}

static bool read_precision(const kind *k, const char *word, double *value)
{
    (void)k;
    for (int p = 0; p < HL_PRECISIONS; p++) {
        *value = p;
        if (!strcmp(word, hl_precision_name((hl_precision)p)))
            return true;
    }
    return false;
}

/* The word at *text, which then stands after its comma, or is NULL after the last. False: it is too long. */
static bool next_word(const char **text, char *word, size_t size)
{
    size_t n = strcspn(*text, ",");
    if (n >= size)
        return false;
    memcpy(word, *text, n);
    word[n] = 0;
    *text = (*text)[n] ? *text + n + 1 : NULL;
    return true;
}

static hl_status read_list(const kind *k, const char *text, hl_list *list, hl_error *err)
{
    char word[32];
    double value;
    list->n = 0;
    for (const char *at = text; at;) {
        if (!next_word(&at, word, sizeof word) || !k->read(k, word, &value) || list->n == HL_LIST_MOST)
            return hl_fail(err, HL_ERR_USAGE, "--%s: '%s' is not a list of 1 to %d %s, as in %s", k->flag,
                           hl_excerpt_of(text).text, HL_LIST_MOST, k->values, k->example);
        for (int i = 0; i < list->n; i++)
            if (list->at[i] == value)
                return hl_fail(err, HL_ERR_USAGE, "--%s: '%s' stands twice in '%s'", k->flag, word,
                               hl_excerpt_of(text).text);
        list->at[list->n++] = value;
    }
    return HL_OK;
}

hl_status hl_list_integers(const char *flag, const char *text, int64_t most, hl_list *list, hl_error *err)
{
    kind k = {.flag = flag, .example = "1,2,4", .most = most, .read = read_integer};
    snprintf(k.values, sizeof k.values, "numbers from 1 to %lld", (long long)most);
    return read_list(&k, text, list, err);
}

hl_status hl_list_fractions(const char *flag, const char *text, hl_list *list, hl_error *err)
{
    kind k = {.flag = flag, .values = "fractions from 0 to 1", .example = "0,0.5,0.9", .read = read_fraction};
    return read_list(&k, text, list, err);
}

hl_status hl_list_precisions(const char *flag, const char *text, hl_list *list, hl_error *err)
{
    kind k = {.flag = flag,
              .values = "names of fp32, tf32, bf16, fp16",
              .example = "fp32,bf16",
              .read = read_precision};
    return read_list(&k, text, list, err);
}
