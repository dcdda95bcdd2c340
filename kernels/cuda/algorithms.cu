/* The file is a header and entries, as they lie in memory: it is of this machine's GPU and library, and the
 * header says so. What is wrong with a file costs the measurements that it would have saved, nothing else. */
#include "kernels/cuda/algorithms.h"

#include "base/crc32c.h"
#include "base/file.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct file_header {
    char magic[16];
    char device[128];
    uint64_t library; /* version of cuBLASLt */
    int32_t processors;
    uint32_t crc; /* of the entries */
    uint64_t count;
} file_header;

typedef struct file_entry {
    hl_product_key key;
    cublasLtMatmulAlgo_t algorithm;
} file_entry;

struct hl_algorithms {
    file_header header; /* crc and count while reading and writing */
    char *path;         /* NULL: none */
    file_entry *entries;
    size_t count, room;
    bool changed;
};

static const char MAGIC[16] = "hl products 1";
/* A damaged count must not make us ask for all memory. */
enum { MOST_ENTRIES = 1 << 16 };

/* ------------------------------------------------------------------ where */

/* To be freed; NULL if there is no such place. */
static char *directory(void)
{
    const char *given = getenv("HL_CUDA_CACHE"), *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (given)
        return *given ? hl_strdup(given) : NULL;
    if (cache && *cache == '/')
        return hl_file_join(cache, "hl");
    return home && *home ? hl_file_join(home, ".cache/hl") : NULL;
}

/* "nvidia-h200-130100.products" */
static char *file_path(const file_header *h)
{
    char name[sizeof h->device + 64];
    int n = snprintf(name, sizeof name, "%s-%llu.products", h->device, (unsigned long long)h->library);
    for (int i = 0; i < n; i++) {
        bool upper = name[i] >= 'A' && name[i] <= 'Z';
        bool plain = (name[i] >= 'a' && name[i] <= 'z') || (name[i] >= '0' && name[i] <= '9') ||
                     name[i] == '.';
        name[i] = upper ? (char)(name[i] - 'A' + 'a') : plain ? name[i] : '-';
    }
    char *dir = directory(), *path = dir ? hl_file_join(dir, name) : NULL;
    hl_free(dir);
    return path;
}

/* ------------------------------------------------------------------ reading */

static bool of_this_device(const file_header *h, const file_header *wanted)
{
    return !memcmp(h->magic, wanted->magic, sizeof h->magic) &&
           !memcmp(h->device, wanted->device, sizeof h->device) && h->library == wanted->library &&
           h->processors == wanted->processors;
}

static bool read_entries(hl_algorithms *a, int fd, uint64_t size)
{
    file_header h;
    if (hl_file_read(fd, a->path, 0, &h, sizeof h, NULL) != HL_OK || !of_this_device(&h, &a->header) ||
        h.count > MOST_ENTRIES || size != sizeof h + h.count * sizeof(file_entry))
        return false;
    a->entries = static_cast<file_entry *>(hl_alloc(h.count + 1, sizeof *a->entries));
    if (!a->entries)
        return false;
    a->count = a->room = h.count;
    size_t bytes = a->count * sizeof *a->entries;
    return hl_file_read(fd, a->path, sizeof h, a->entries, bytes, NULL) == HL_OK &&
           hl_crc32c(0, a->entries, bytes) == h.crc;
}

static void read_file(hl_algorithms *a)
{
    int fd;
    uint64_t size;
    if (!a->path || hl_file_open(a->path, &fd, &size, NULL) != HL_OK)
        return;
    if (!read_entries(a, fd, size)) {
        hl_free(a->entries);
        a->entries = NULL;
        a->count = a->room = 0;
    }
    (void)close(fd);
}

hl_algorithms *hl_algorithms_open(const char *device, int processors, uint64_t library)
{
    hl_algorithms *a = static_cast<hl_algorithms *>(hl_alloc(1, sizeof *a));
    if (!a)
        return NULL;
    memcpy(a->header.magic, MAGIC, sizeof MAGIC);
    snprintf(a->header.device, sizeof a->header.device, "%s", device);
    a->header.processors = processors;
    a->header.library = library;
    a->path = file_path(&a->header);
    read_file(a);
    return a;
}

/* ------------------------------------------------------------------ knowing */

static file_entry *entry_of(const hl_algorithms *a, const hl_product_key *key)
{
    for (size_t i = 0; i < a->count; i++)
        if (!memcmp(&a->entries[i].key, key, sizeof *key))
            return &a->entries[i];
    return NULL;
}

const cublasLtMatmulAlgo_t *hl_algorithms_find(const hl_algorithms *a, const hl_product_key *key)
{
    const file_entry *e = entry_of(a, key);
    return e ? &e->algorithm : NULL;
}

void hl_algorithms_add(hl_algorithms *a, const hl_product_key *key, const cublasLtMatmulAlgo_t *algorithm)
{
    file_entry *e = entry_of(a, key);
    if (!e && a->count == a->room) {
        size_t room = a->room ? 2 * a->room : 64;
        void *grown = a->count < MOST_ENTRIES ? hl_realloc(a->entries, room, sizeof *a->entries) : NULL;
        if (!grown)
            return;
        a->entries = static_cast<file_entry *>(grown);
        a->room = room;
    }
    if (!e)
        e = &a->entries[a->count++];
    e->key = *key;
    e->algorithm = *algorithm;
    a->changed = true;
}

/* ------------------------------------------------------------------ writing */

static hl_status write_entries(const hl_algorithms *a, hl_file *file)
{
    file_header h = a->header;
    size_t bytes = a->count * sizeof *a->entries;
    h.count = a->count;
    h.crc = hl_crc32c(0, a->entries, bytes);
    hl_status status = hl_file_write(file, &h, sizeof h, NULL);
    return status == HL_OK ? hl_file_write(file, a->entries, bytes, NULL) : status;
}

static void write_file(const hl_algorithms *a)
{
    hl_file *file;
    char *dir = directory();
    hl_status status = dir ? hl_file_mkdirs(dir, NULL) : HL_ERR_MEMORY;
    hl_free(dir);
    if (status != HL_OK || hl_file_replace(a->path, &file, NULL) != HL_OK)
        return;
    if (write_entries(a, file) == HL_OK)
        (void)hl_file_commit(file, NULL);
    else
        hl_file_abort(file);
}

void hl_algorithms_close(hl_algorithms *a)
{
    if (!a)
        return;
    if (a->changed && a->path)
        write_file(a);
    hl_free(a->path);
    hl_free(a->entries);
    hl_free(a);
}
