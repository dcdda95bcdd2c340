/* Blocks of tensors: mapped from the operating system, and known by what they are for. */
#include "base/memory_internal.h"

#include "base/error.h"

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

/* Stands behind a block's last byte, in the same mapping: whoever knows a block and its size finds it, and
 * whoever wrote past the end, or gives another size, is found out. The data keep their page. */
typedef struct tag {
    const void *block;
    size_t bytes; /* as asked for */
    hl_use use;
    struct tag *previous, *next;
} tag;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of all below */
static tag *newest;
static hl_allocated totals; /* without the heap */

const char *hl_use_name(hl_use use)
{
    static const char *const names[HL_USES] = {"parameters", "16-bit copies", "optimizer", "arena",
                                               "packed",     "input/output",  "other"};
    return (unsigned)use < HL_USES ? names[use] : "?";
}

static void enter(tag *t)
{
    size_t *live = &totals.live[t->use], *peak = &totals.peak[t->use];
    pthread_mutex_lock(&lock);
    t->next = newest;
    if (newest)
        newest->previous = t;
    newest = t;
    totals.blocks++;
    *live += t->bytes;
    totals.tensors += t->bytes;
    *peak = *live > *peak ? *live : *peak;
    if (totals.tensors > totals.tensors_peak)
        totals.tensors_peak = totals.tensors;
    pthread_mutex_unlock(&lock);
}

static void leave(tag *t)
{
    pthread_mutex_lock(&lock);
    *(t->previous ? &t->previous->next : &newest) = t->next;
    if (t->next)
        t->next->previous = t->previous;
    totals.blocks--;
    totals.live[t->use] -= t->bytes;
    totals.tensors -= t->bytes;
    pthread_mutex_unlock(&lock);
}

/* Where the tag of a block of so many bytes is, and how much both take. */
static bool measure(size_t bytes, size_t *tag_at, size_t *mapped)
{
    if (!hl_size_add(bytes, HL_ALIGN + sizeof(tag), mapped))
        return false;
    *tag_at = hl_size_align(bytes, HL_ALIGN);
    *mapped = *tag_at + sizeof(tag);
    return true;
}

void *hl_alloc_tensor(size_t bytes, hl_use use)
{
    size_t tag_at, mapped;
    HL_ASSERT((unsigned)use < HL_USES);
    if (hl_memory_must_fail() || !measure(bytes, &tag_at, &mapped))
        return NULL;
    unsigned char *block = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED)
        return NULL;
#ifdef MADV_HUGEPAGE
    /* Large pages cut TLB misses of streaming kernels; the kernel may say no, and that is fine. */
    if (mapped >= (size_t)4 << 20)
        (void)madvise(block, mapped, MADV_HUGEPAGE);
#endif
    tag *t = (tag *)(void *)(block + tag_at);
    *t = (tag){.block = block, .bytes = bytes, .use = use};
    enter(t);
    return block;
}

void hl_free_tensor(void *block, size_t bytes)
{
    size_t tag_at = 0, mapped = 0;
    if (!block)
        return;
    HL_ASSERT(measure(bytes, &tag_at, &mapped));
    tag *t = (tag *)(void *)((unsigned char *)block + tag_at);
    HL_ASSERT(t->block == block && t->bytes == bytes); /* else: another size, or written past the end */
    leave(t);
    munmap(block, mapped);
}

hl_allocated hl_allocated_now(void)
{
    pthread_mutex_lock(&lock);
    hl_allocated now = totals;
    pthread_mutex_unlock(&lock);
    now.heap = hl_heap_live();
    now.heap_peak = hl_heap_peak();
    return now;
}

void hl_allocated_new_peaks(void)
{
    pthread_mutex_lock(&lock);
    memcpy(totals.peak, totals.live, sizeof totals.peak);
    totals.tensors_peak = totals.tensors;
    pthread_mutex_unlock(&lock);
    hl_heap_new_peak();
}

void hl_tensors_visit(hl_tensor_visit *visit, void *context)
{
    pthread_mutex_lock(&lock);
    for (const tag *t = newest; t; t = t->next)
        visit(context, t->block, t->bytes, t->use);
    pthread_mutex_unlock(&lock);
}
