/* The operating system's text files about itself and its processes (/proc), read line by line without
 * allocating. */
#ifndef HL_BASE_PROC_H
#define HL_BASE_PROC_H

#include "hl.h"

typedef struct hl_proc {
    int fd;
    int fault; /* errno of a read that failed, or 0 */
    size_t begin, end;
    bool cut; /* what comes next is the rest of a line that was cut */
    char text[8192];
} hl_proc;

/* HL_ERR_UNSUPPORTED where there is no such file. */
hl_status hl_proc_open(hl_proc *p, const char *path, hl_error *err);
/* The next line, without its end, until the next call; NULL after the last. Of a line of more than 8191 bytes
 * the beginning. */
char *hl_proc_line(hl_proc *p);
/* HL_ERR_IO if it was not read to its end because a read failed. */
hl_status hl_proc_close(hl_proc *p, const char *path, hl_error *err);

/* The number in the line "KEY: number ..." of a file, or an error. */
hl_status hl_proc_number(const char *path, const char *key, uint64_t *number, hl_error *err);

#endif
