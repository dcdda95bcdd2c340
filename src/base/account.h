/* What the memory of this process that is resident consists of. */
#ifndef HL_BASE_ACCOUNT_H
#define HL_BASE_ACCOUNT_H

#include "base/memory.h"
#include "hl.h"

/* Resident bytes by what is mapped, as /proc/self/smaps tells. */
typedef struct hl_mappings {
    size_t total;
    size_t files;     /* the program, libraries, files mapped by them */
    size_t heap;      /* what malloc has near the program's data: used, and free for later use */
    size_t stack;     /* of the first thread */
    size_t anonymous; /* tensors, large blocks of malloc's, stacks of other threads, code made at run time */
    size_t shared;    /* memory that is no file but may be shared */
    size_t other;     /* the kernel's own */
} hl_mappings;

/* path: "/proc/self/smaps", or a file like it. HL_ERR_UNSUPPORTED where there is none, HL_ERR_DATA. */
hl_status hl_mappings_read(const char *path, hl_mappings *m, hl_error *err);

/* Resident bytes; all parts together are rss. */
typedef struct hl_account {
    size_t rss;
    size_t tensors[HL_USES]; /* pages of live blocks that were written to */
    size_t heap;             /* live through hl_alloc, as far as they can be resident */
    size_t files; /* the program and its libraries; weights in a mapped file, as far as they were read */
    size_t stack; /* of the first thread */
    int64_t unaccounted; /* the rest: memory that libraries allocate, threads' stacks, what malloc keeps free.
                          * Below 0 only if memory went while it was being counted. */
    hl_mappings mappings; /* the same, as the operating system sees it */
} hl_account;

/* Walks every page: 2 ms with 25 MiB resident, 55 ms with 4 GiB, where hl_resident_bytes takes 20 us. Blocks
 * of tensors can neither come nor go meanwhile. HL_ERR_UNSUPPORTED where /proc does not tell. */
hl_status hl_account_now(hl_account *a, hl_error *err);

#endif
