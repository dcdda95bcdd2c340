/* Gives a fuzz target the files of a corpus: replay_NAME FOLDER|FILE... */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static int replay_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f || fseek(f, 0, SEEK_END) != 0)
        return -1;
    const long n = ftell(f);
    uint8_t *bytes = malloc(n > 0 ? (size_t)n : 1); /* no larger, so that a sanitizer sees a byte too far */
    rewind(f);
    const int read = bytes && n >= 0 && fread(bytes, 1, (size_t)n, f) == (size_t)n;
    fclose(f);
    if (read)
        (void)LLVMFuzzerTestOneInput(bytes, (size_t)n);
    free(bytes);
    return read ? 1 : -1;
}

/* Number of files, -1 for what cannot be read. A folder need not be there. */
static int replay(const char *path)
{
    DIR *folder = opendir(path);
    int n = 0;
    if (!folder)
        return errno == ENOENT ? 0 : replay_file(path);
    for (struct dirent *e; n >= 0 && (e = readdir(folder));) {
        char file[4096];
        if (e->d_name[0] == '.')
            continue;
        snprintf(file, sizeof file, "%s/%s", path, e->d_name);
        const int more = replay(file);
        n = more < 0 ? -1 : n + more;
    }
    closedir(folder);
    return n;
}

int main(int argc, char **argv)
{
    int all = 0;
    for (int i = 1; i < argc; i++) {
        const int n = replay(argv[i]);
        if (n < 0) {
            fprintf(stderr, "%s: cannot be read\n", argv[i]);
            return 1;
        }
        all += n;
    }
    printf("%d inputs\n", all);
    return all ? 0 : 1; /* a corpus that is not there is no test */
}
