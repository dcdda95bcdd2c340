/* Files. Everything that changes the disk goes through here, so that a test can make the n-th such
 * call fail, and so that a file is replaced whole or not at all. Errors are HL_ERR_IO (HL_ERR_DATA
 * where the content is at fault) and say path, reason and way out. */
#ifndef HL_BASE_FILE_H
#define HL_BASE_FILE_H

#include "hl.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The n-th open, write, truncate, fsync, rename, symlink, mkdir or unlink from now (1 is the next)
 * fails once with ENOSPC; 0 switches it off. Also from the environment: HL_FAIL_WRITE=n. Undoing
 * (hl_file_abort) is not counted: it must work when all else has failed. */
void hl_file_fail_at(uint64_t n);
/* How many such calls this process has made. */
uint64_t hl_file_calls(void);

/* ------------------------------------------------------------------ writing */

typedef struct hl_file hl_file;

/* Opens a log: made if it is not there, written at its end. */
hl_status hl_file_append(const char *path, hl_file **file, hl_error *err);
/* Begins to replace path: writes go to the sibling "PATH.tmp", and path stays what it is until
 * hl_file_commit. The sibling is locked, so a second writer of the same path is refused and what a
 * killed process left behind is taken over. */
hl_status hl_file_replace(const char *path, hl_file **file, hl_error *err);
/* All n bytes, or an error. */
hl_status hl_file_write(hl_file *file, const void *bytes, size_t n, hl_error *err);
/* All n bytes from an offset on, wherever hl_file_write stands; what lies between the end of the file and
 * them becomes zeros. Not for a log. */
hl_status hl_file_write_at(hl_file *file, uint64_t offset, const void *bytes, size_t n, hl_error *err);
/* Cuts the file to size bytes, or adds zeros up to there. */
hl_status hl_file_truncate(hl_file *file, uint64_t size, hl_error *err);
/* Returns when what was written is on the disk. */
hl_status hl_file_sync(hl_file *file, hl_error *err);
/* Where the bytes are: "PATH.tmp" until hl_file_commit; for the caller who verifies before that. */
const char *hl_file_written_path(const hl_file *file);
/* Sync, rename over path, sync the directory; frees file whatever happens. After an error path is
 * what it was, unless the directory's sync failed: then it is the new file, which the message says. */
hl_status hl_file_commit(hl_file *file, hl_error *err);
/* Undoes hl_file_replace, and frees file; accepts NULL. */
void hl_file_abort(hl_file *file);
/* Ends hl_file_append; frees file whatever happens; accepts NULL. */
hl_status hl_file_close(hl_file *file, hl_error *err);
/* hl_file_replace, one write, hl_file_commit. */
hl_status hl_file_save(const char *path, const void *bytes, size_t n, hl_error *err);

/* ------------------------------------------------------------------ directories and names */

/* Makes a directory and those above it; one that is there already is fine. */
hl_status hl_file_mkdirs(const char *path, hl_error *err);
/* Makes link_path a symbolic link to target, replacing what stands there by rename. A relative target
 * is relative to link_path's directory. */
hl_status hl_file_symlink(const char *target, const char *link_path, hl_error *err);
/* Gives a file another name, where it replaces what is there, and syncs the directory: where only that fails
 * the name is given, which the message says. Both are in one file system. */
hl_status hl_file_rename(const char *from, const char *to, hl_error *err);
/* Removes a file; one that is not there is an error. */
hl_status hl_file_remove(const char *path, hl_error *err);
/* Removes the "*.tmp" sibling that a killed hl_file_replace left; not one that a live writer holds. */
hl_status hl_file_remove_stale(const char *temporary, hl_error *err);
/* "dir/name" in new memory (hl_free), NULL if there is none. */
char *hl_file_join(const char *dir, const char *name);

/* ------------------------------------------------------------------ reading */

/* Opens a regular file; *size in bytes. The caller closes *fd. */
hl_status hl_file_open(const char *path, int *fd, uint64_t *size, hl_error *err);
/* Exactly n bytes from offset; a file that ends before is HL_ERR_DATA. path is for the message. */
hl_status hl_file_read(int fd, const char *path, uint64_t offset, void *bytes, size_t n, hl_error *err);
/* A whole text of at most limit bytes, with a zero byte after it (hl_free). A zero byte inside it, or
 * more than limit bytes, is HL_ERR_DATA. size may be NULL. */
hl_status hl_file_read_text(const char *path, size_t limit, char **text, size_t *size, hl_error *err);

/* "PATH: cannot WHAT: strerror(number); way out": for callers with system calls of their own. */
hl_status hl_file_fail(hl_error *err, const char *path, const char *what, int number);

#ifdef __cplusplus
}
#endif
#endif
