/* Device memory: pages of this process that only running kernels and copies can touch, NaN when allocated,
 * what lies behind an allocation checked when it is freed. */
#include "tests/cuda_emulator/runtime.h"

#include "tests/cuda_emulator/sanitizers.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <sys/mman.h>
#include <unistd.h>
#include <vector>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, bytes)   ((void)(p))
#define ASAN_UNPOISON_MEMORY_REGION(p, bytes) ((void)(p))
#endif

namespace
{

struct allocation {
    size_t bytes;
    void *pages; /* NULL: pinned memory, from the heap */
    size_t page_bytes;
    int device;
};

enum { ALIGNMENT = 256 };

} // namespace

static std::map<uintptr_t, allocation> allocations;
static int open_depth;

static std::map<uintptr_t, allocation>::iterator find(const void *p)
{
    auto next = allocations.upper_bound((uintptr_t)p);
    if (next == allocations.begin())
        return allocations.end();
    auto it = std::prev(next);
    return (uintptr_t)p <= it->first + it->second.bytes ? it : allocations.end();
}

place memory_place(const void *p, size_t *room)
{
    auto it = find(p);
    *room = it == allocations.end() ? SIZE_MAX : it->first + it->second.bytes - (uintptr_t)p;
    return it == allocations.end() ? PLACE_HOST : it->second.pages ? PLACE_DEVICE : PLACE_PINNED;
}

bool memory_is_mapped(const void *p, size_t bytes)
{
    size_t room;
    return !bytes || (memory_place(p, &room) != PLACE_HOST && room >= bytes);
}

bool memory_is_reachable(const void *p, int device)
{
    auto it = find(p);
    return !p || (it != allocations.end() && (!it->second.pages || it->second.device == device));
}

/* ------------------------------------------------------------------ pages
 * All device memory is one stretch of addresses, so that one call opens or closes it, however many
 * allocations there are. */

static const size_t SPAN = (size_t)1 << 38; /* reserved, not used */
static unsigned char *span, *span_end;      /* what was used so far */
static std::map<unsigned char *, size_t> free_pages;

static unsigned char *take_pages(size_t bytes)
{
    for (auto it = free_pages.begin(); it != free_pages.end(); ++it) {
        if (it->second < bytes)
            continue;
        unsigned char *pages = it->first;
        size_t left = it->second - bytes;
        free_pages.erase(it);
        if (left)
            free_pages[pages + bytes] = left;
        return pages;
    }
    if (!span) {
        void *reserved = mmap(nullptr, SPAN, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (reserved == MAP_FAILED)
            return nullptr;
        span = span_end = static_cast<unsigned char *>(reserved);
    }
    if (bytes > SPAN - (size_t)(span_end - span))
        return nullptr;
    unsigned char *pages = span_end;
    span_end += bytes;
    if (open_depth && mprotect(pages, bytes, PROT_READ | PROT_WRITE))
        return nullptr;
    return pages;
}

static void give_pages(unsigned char *pages, size_t bytes)
{
    madvise(pages, bytes, MADV_DONTNEED);
    auto next = free_pages.upper_bound(pages);
    if (next != free_pages.end() && pages + bytes == next->first) {
        bytes += next->second;
        next = free_pages.erase(next);
    }
    if (next != free_pages.begin()) {
        auto before = std::prev(next);
        if (before->first + before->second == pages) {
            before->second += bytes;
            return;
        }
    }
    free_pages[pages] = bytes;
}

/* HL_EMULATOR_OPEN=1: memory stays within the host's reach. For tests of many short steps, which spend most of
 * their time here. */
static void protect_all(int protection)
{
    static const bool open = getenv("HL_EMULATOR_OPEN") != nullptr;
    if (open)
        protection = PROT_READ | PROT_WRITE;
    static unsigned char *opened;
    if (open && opened == span_end)
        return;
    opened = span_end;
    if (span_end > span && mprotect(span, (size_t)(span_end - span), protection))
        abort();
}

void memory_open()
{
    if (open_depth++ == 0)
        protect_all(PROT_READ | PROT_WRITE);
}

void memory_close()
{
    if (--open_depth == 0)
        protect_all(PROT_NONE);
}

void memory_held(size_t *bytes, int *blocks, int *pinned)
{
    *bytes = 0;
    *blocks = *pinned = 0;
    for (auto &[address, a] : allocations) {
        *bytes += a.pages ? a.bytes : 0;
        ++*(a.pages ? blocks : pinned);
    }
}

static size_t used(int device)
{
    size_t bytes = 0;
    for (auto &[address, a] : allocations)
        bytes += a.pages && a.device == device ? (a.bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT : 0;
    return bytes;
}

/* ------------------------------------------------------------------ API */

extern "C" cudaError_t cudaMalloc(void **p, size_t bytes)
{
    CALL(cudaMalloc, CAPTURE_UNSAFE);
    if (!p)
        return fail(cudaErrorInvalidValue);
    *p = nullptr;
    if (!bytes)
        return cudaSuccess;
    size_t page = (size_t)sysconf(_SC_PAGESIZE), total = machine_now.memory, in_use = used(current_device());
    if (in_use > total || bytes > total - in_use)
        return fail(cudaErrorMemoryAllocation);
    size_t rounded = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    size_t page_bytes = (rounded + page - 1) / page * page + page; /* the last page is nobody's */
    unsigned char *pages = take_pages(page_bytes);
    if (!pages)
        return fail(cudaErrorMemoryAllocation);
    memory_open();
    ASAN_UNPOISON_MEMORY_REGION(pages, page_bytes);
    memset(pages, 0xff, page_bytes);
    memory_close();
    unsigned char *memory = pages + page_bytes - page - rounded;
    ASAN_POISON_MEMORY_REGION(pages, (size_t)(memory - pages));
    ASAN_POISON_MEMORY_REGION(memory + bytes, rounded - bytes + page);
    *p = memory;
    allocations[(uintptr_t)*p] = {bytes, pages, page_bytes, current_device()};
    return cudaSuccess;
}

/* What lies behind an allocation is as it was. */
static void check_end(const allocation &a, const unsigned char *memory)
{
    const unsigned char *end = static_cast<const unsigned char *>(a.pages) + a.page_bytes;
    ASAN_UNPOISON_MEMORY_REGION(a.pages, a.page_bytes);
    memory_open();
    for (const unsigned char *p = memory + a.bytes; p < end; p++) {
        if (*p == 0xff)
            continue;
        fprintf(stderr, "CUDA emulator: a kernel wrote %zu bytes behind an allocation of %zu\n",
                (size_t)(p - memory) - a.bytes, a.bytes);
        abort();
    }
    memory_close();
}

extern "C" cudaError_t cudaFree(void *p)
{
    CALL(cudaFree, CAPTURE_UNSAFE);
    if (!p)
        return cudaSuccess;
    auto it = allocations.find((uintptr_t)p);
    if (it == allocations.end() || !it->second.pages)
        return fail(cudaErrorInvalidValue);
    device_wait();
    check_end(it->second, static_cast<unsigned char *>(p));
    ASAN_POISON_MEMORY_REGION(it->second.pages, it->second.page_bytes);
    give_pages(static_cast<unsigned char *>(it->second.pages), it->second.page_bytes);
    allocations.erase(it);
    return fail(device_broken());
}

static cudaError_t pin(void **p, size_t bytes)
{
    if (!p)
        return fail(cudaErrorInvalidValue);
    *p = nullptr;
    if (!bytes)
        return cudaSuccess;
    *p = malloc(bytes);
    if (!*p)
        return fail(cudaErrorMemoryAllocation);
    memset(*p, 0xff, bytes);
    allocations[(uintptr_t)*p] = {bytes, nullptr, 0, 0};
    return cudaSuccess;
}

extern "C" cudaError_t cudaMallocHost(void **p, size_t bytes)
{
    CALL(cudaMallocHost, CAPTURE_UNSAFE);
    return pin(p, bytes);
}

extern "C" cudaError_t cudaHostAlloc(void **p, size_t bytes, unsigned)
{
    CALL(cudaHostAlloc, CAPTURE_UNSAFE);
    return pin(p, bytes);
}

extern "C" cudaError_t cudaFreeHost(void *p)
{
    CALL(cudaFreeHost, CAPTURE_UNSAFE);
    if (!p)
        return cudaSuccess;
    auto it = allocations.find((uintptr_t)p);
    if (it == allocations.end() || it->second.pages)
        return fail(cudaErrorInvalidValue);
    device_wait();
    free(p);
    allocations.erase(it);
    return fail(device_broken());
}

extern "C" cudaError_t cudaMemGetInfo(size_t *available, size_t *total)
{
    CALL(cudaMemGetInfo);
    size_t in_use = used(current_device());
    *total = machine_now.memory;
    *available = in_use < *total ? *total - in_use : 0;
    return cudaSuccess;
}

/* Where kind says that p lies. */
static bool is_at(const void *p, size_t bytes, bool device)
{
    size_t room;
    place at = memory_place(p, &room);
    return p && room >= bytes && (at == PLACE_DEVICE) == device;
}

static cudaError_t copy(void *to, const void *from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream,
                        bool wait)
{
    size_t room;
    if (!bytes)
        return wait ? stream_wait(stream) : cudaSuccess;
    if (kind == cudaMemcpyDefault)
        kind = memory_place(to, &room) == PLACE_DEVICE     ? memory_place(from, &room) == PLACE_DEVICE
                                                                 ? cudaMemcpyDeviceToDevice
                                                                 : cudaMemcpyHostToDevice
               : memory_place(from, &room) == PLACE_DEVICE ? cudaMemcpyDeviceToHost
                                                           : cudaMemcpyHostToHost;
    if ((unsigned)kind > cudaMemcpyDefault)
        return fail(cudaErrorInvalidMemcpyDirection);
    bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
    bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
    if (!is_at(to, bytes, to_device) || !is_at(from, bytes, from_device))
        return fail(cudaErrorInvalidValue);
    bool capturing = stream_is_capturing(stream);
    /* From pageable memory the runtime takes its own copy first; to pageable memory it waits. */
    bool pageable_from = !from_device && memory_place(from, &room) == PLACE_HOST;
    bool pageable_to = !to_device && memory_place(to, &room) == PLACE_HOST;
    cudaError_t code;
    if (pageable_from && !capturing) {
        std::vector<unsigned char> staged(static_cast<const unsigned char *>(from),
                                          static_cast<const unsigned char *>(from) + bytes);
        code = stream_submit(stream, [to, staged] { memcpy(to, staged.data(), staged.size()); });
    } else {
        code = stream_submit(stream, [to, from, bytes] { memmove(to, from, bytes); });
    }
    if (!code && (wait || pageable_to) && !capturing)
        code = stream_wait(stream);
    return fail(code);
}

extern "C" cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, cudaMemcpyKind kind)
{
    CALL(cudaMemcpy, CAPTURE_UNSAFE);
    return copy(to, from, bytes, kind, nullptr, true);
}

extern "C" cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind,
                                       cudaStream_t stream)
{
    CALL(cudaMemcpyAsync);
    return copy(to, from, bytes, kind, stream, false);
}

static cudaError_t set(void *to, int value, size_t bytes, cudaStream_t stream)
{
    if (!bytes)
        return cudaSuccess;
    if (!is_at(to, bytes, true))
        return fail(cudaErrorInvalidValue);
    return fail(stream_submit(stream, [to, value, bytes] { memset(to, value, bytes); }));
}

extern "C" cudaError_t cudaMemset(void *to, int value, size_t bytes)
{
    CALL(cudaMemset, CAPTURE_UNSAFE);
    return set(to, value, bytes, nullptr);
}

extern "C" cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t stream)
{
    CALL(cudaMemsetAsync);
    return set(to, value, bytes, stream);
}

extern "C" cudaError_t cudaPointerGetAttributes(cudaPointerAttributes *attributes, const void *p)
{
    CALL(cudaPointerGetAttributes);
    size_t room;
    place at = memory_place(p, &room);
    *attributes = {};
    attributes->type = at == PLACE_DEVICE   ? cudaMemoryTypeDevice
                       : at == PLACE_PINNED ? cudaMemoryTypeHost
                                            : cudaMemoryTypeUnregistered;
    attributes->device = at == PLACE_HOST ? -2 : current_device();
    attributes->devicePointer = at == PLACE_HOST ? nullptr : const_cast<void *>(p);
    attributes->hostPointer = at == PLACE_PINNED ? const_cast<void *>(p) : nullptr;
    return cudaSuccess;
}
