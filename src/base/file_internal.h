/* The system calls that change the disk, each of which a test can make fail. Only src/base/file*.c. */
#ifndef HL_BASE_FILE_INTERNAL_H
#define HL_BASE_FILE_INTERNAL_H

#include "base/file.h"

#include <sys/types.h>

/* As the calls they are named after: -1 and errno. */
int hl_sys_open(const char *path, int flags, unsigned mode);
ssize_t hl_sys_write(int fd, const void *bytes, size_t n);
ssize_t hl_sys_write_at(int fd, const void *bytes, size_t n, off_t offset);
int hl_sys_truncate(int fd, off_t length);
int hl_sys_fsync(int fd);
int hl_sys_rename(const char *from, const char *to);
int hl_sys_symlink(const char *target, const char *path);
int hl_sys_mkdir(const char *path, unsigned mode);
int hl_sys_unlink(const char *path);

/* Makes the names in path's directory durable. */
hl_status hl_file_sync_directory_of(const char *path, hl_error *err);
/* text followed by suffix, in new memory. */
char *hl_file_suffixed(const char *text, const char *suffix);

#endif
