#include "app/stopping.h"

#include <string.h>
#include <unistd.h>

volatile sig_atomic_t hl_stop_asked;
static const char *stop_note;
static size_t stop_note_size;

static void ask(int signal_number)
{
    if (hl_stop_asked)
        _exit(128 + signal_number);
    hl_stop_asked = 1;
    ssize_t told = write(STDERR_FILENO, stop_note,
                         stop_note_size); /* fprintf may not be called from a handler */
    (void)told;                           /* nor is there anyone else to tell */
}

void hl_stop_listen(const char *note)
{
    stop_note = note;
    stop_note_size = strlen(note);
    signal(SIGINT, ask);
    signal(SIGTERM, ask);
}
