/* Text of the world inside XML and HTML. */
#ifndef HL_APP_MARKUP_H
#define HL_APP_MARKUP_H

#include "base/text.h"

/* Appends a UTF-8 string so that it is nothing but text, between tags or in a quoted attribute: what markup
 * is made of is escaped, and characters that XML has no way to say become spaces. */
void hl_markup_append(hl_text *t, const char *string);
/* Its width in letters, about: characters, not bytes. */
int hl_markup_letters(const char *string);

#endif
