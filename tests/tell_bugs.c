/* Linked into test programs: what breaks in the library says where. */
#include "hl.h"

#include <stdio.h>

static void tell(const char *sentence)
{
    fprintf(stderr, "%s\n", sentence);
}

__attribute__((constructor)) static void listen_to_bugs(void)
{
    hl_on_bug(tell);
}
