#include "app/draw/markup.h"

#include <string.h>

static const char *escape_of(char c)
{
    switch (c) {
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '&':
        return "&amp;";
    case '"':
        return "&quot;";
    default:
        return (unsigned char)c < 0x20 ? " " : NULL;
    }
}

void hl_markup_append(hl_text *t, const char *string)
{
    while (*string) {
        size_t plain = 0;
        while (string[plain] && !escape_of(string[plain]) && (unsigned char)string[plain] != 0xEF)
            plain++;
        hl_text_append_bytes(t, string, plain);
        string += plain;
        if (!*string)
            return;
        if (!strncmp(string, "\xEF\xBF\xBE", 3) || !strncmp(string, "\xEF\xBF\xBF", 3)) { /* U+FFFE, U+FFFF */
            hl_text_append(t, " ");
            string += 3;
            continue;
        }
        const char *escape = escape_of(*string);
        if (escape)
            hl_text_append(t, escape);
        else
            hl_text_append_bytes(t, string, 1);
        string++;
    }
}

int hl_markup_letters(const char *string)
{
    int letters = 0;
    for (; *string; string++)
        letters += ((unsigned char)*string & 0xC0) != 0x80;
    return letters;
}
