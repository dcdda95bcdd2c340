/* Ctrl-C, or a polite kill: a long command ends well. */
#ifndef HL_APP_STOPPING_H
#define HL_APP_STOPPING_H

#include <signal.h>

/* Becomes true when it is asked to stop. */
extern volatile sig_atomic_t hl_stop_asked;

/* From here on SIGINT and SIGTERM ask; the first one says `note`, a line that lives as long as the program,
 * on stderr, and a second one ends the program at once. */
void hl_stop_listen(const char *note);

#endif
