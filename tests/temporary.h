/* A directory for one test program, made under the working directory and removed with all it holds. */
#ifndef HL_TESTS_TEMPORARY_H
#define HL_TESTS_TEMPORARY_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char temporary_dir[64];

static inline void temporary_remove(const char *path)
{
    struct stat info;
    if (lstat(path, &info) != 0)
        return;
    if (S_ISDIR(info.st_mode)) {
        (void)chmod(path, 0700);
        DIR *dir = opendir(path);
        for (struct dirent *e; dir && (e = readdir(dir));) {
            size_t room = strlen(path) + strlen(e->d_name) + 2;
            if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
                continue;
            char *child = malloc(room);
            if (!child)
                continue;
            snprintf(child, room, "%s/%s", path, e->d_name);
            temporary_remove(child);
            free(child);
        }
        if (dir)
            closedir(dir);
    }
    (void)remove(path);
}

/* cmocka group setup and teardown. */
static inline int temporary_make(void **state)
{
    (void)state;
    strcpy(temporary_dir, "hl-test-XXXXXX");
    return mkdtemp(temporary_dir) ? 0 : -1;
}

static inline int temporary_drop(void **state)
{
    (void)state;
    temporary_remove(temporary_dir);
    return 0;
}

/* The same, and the program works in there: for files whose names its messages tell. */
static inline int temporary_enter(void **state)
{
    return temporary_make(state) == 0 && chdir(temporary_dir) == 0 ? 0 : -1;
}

static inline int temporary_leave(void **state)
{
    return chdir("..") == 0 ? temporary_drop(state) : -1;
}

/* "DIR/name"; the text lives for 256 more calls. Not for threads. */
static inline const char *temporary_path(const char *name)
{
    static char ring[256][256];
    static int next;
    char *path = ring[next++ % 256];
    snprintf(path, sizeof ring[0], "%s/%s", temporary_dir, name);
    return path;
}

/* Number of entries of a directory whose names end in suffix ("" counts all). */
static inline int temporary_count(const char *path, const char *suffix)
{
    int n = 0;
    DIR *dir = opendir(path);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        size_t length = strlen(e->d_name), tail = strlen(suffix);
        if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..") && length >= tail)
            n += !strcmp(e->d_name + length - tail, suffix);
    }
    if (dir)
        closedir(dir);
    return n;
}

#endif
