#include "data/loader.h"

#include "base/error.h"
#include "base/memory.h"
#include "data/permutation.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>

/* A data set is read by one thread at a time, but a training and a validation loader may share it. */
static pthread_mutex_t reading = PTHREAD_MUTEX_INITIALIZER;

typedef struct slot {
    hl_batch batch;
    hl_status status;
    hl_error error;
} slot;

struct hl_loader {
    hl_dataset *dataset;
    hl_loader_options o;
    uint64_t count;          /* samples of the split */
    hl_loader_position next; /* to be read; the reader's alone */
    slot *slots;             /* [n_slots] filled and handed out in turn */
    int n_slots;
    float *block; /* all arrays of all batches */
    size_t bytes;
    bool threaded;
    pthread_t thread;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t filled, emptied;
    uint64_t produced, consumed; /* batches: slot i % n_slots */
    bool out;                    /* a batch is handed out: slot consumed - 1 must stay as it is */
    bool stop;
    uint64_t waits;
};

/* ------------------------------------------------------------------ reading */

static void advance(const hl_loader *l, hl_loader_position *p)
{
    if (++p->index == l->count) {
        p->index = 0;
        p->epoch++;
    }
}

static bool stopping(hl_loader *l)
{
    pthread_mutex_lock(&l->lock);
    bool stop = l->stop;
    pthread_mutex_unlock(&l->lock);
    return stop;
}

static hl_status read_sample(hl_loader *l, const hl_batch *b, int64_t i, hl_error *err)
{
    const hl_data_shape *shape = &l->dataset->shape;
    hl_sample out = {.presence = b->presence + i * HL_SENSES,
                     .action = b->action + i * shape->action,
                     .action_mask = b->action_mask + i * shape->action,
                     .previous = b->previous + i * shape->action};
    for (int s = 0; s < HL_SENSES; s++)
        if (shape->size[s])
            out.sense[s] = b->sense[s] + i * shape->frames * shape->size[s];
    int64_t index = (int64_t)l->next.index;
    if (l->o.order == HL_SHUFFLED)
        index = hl_permute(l->o.seed, l->next.epoch, (int64_t)l->count, index);
    pthread_mutex_lock(&reading);
    hl_status status = l->dataset->read(l->dataset, l->o.split, index, &out, err);
    pthread_mutex_unlock(&reading);
    return status;
}

/* Fills a slot that nobody else looks at.  False: told to stop before it was full. */
static bool fill(hl_loader *l, slot *s)
{
    hl_batch *b = &s->batch;
    b->first = l->next;
    b->in_epoch = 0;
    s->status = HL_OK;
    for (int64_t i = 0; s->status == HL_OK && i < b->count; i++) {
        if (l->threaded && stopping(l))
            return false;
        s->error = (hl_error){0};
        b->in_epoch += l->next.epoch == b->first.epoch;
        s->status = read_sample(l, b, i, &s->error);
        advance(l, &l->next);
    }
    b->next = l->next;
    return true;
}

static void *read_ahead(void *argument)
{
    hl_loader *l = argument;
    for (;;) {
        pthread_mutex_lock(&l->lock);
        while (!l->stop && l->produced - l->consumed + l->out == (uint64_t)l->n_slots)
            pthread_cond_wait(&l->emptied, &l->lock);
        bool stop = l->stop;
        slot *s = &l->slots[l->produced % (uint64_t)l->n_slots];
        pthread_mutex_unlock(&l->lock);
        if (stop || !fill(l, s))
            return NULL;
        pthread_mutex_lock(&l->lock);
        l->produced++;
        pthread_cond_signal(&l->filled);
        pthread_mutex_unlock(&l->lock);
        if (s->status != HL_OK)
            return NULL; /* the error stays in its slot; there is nothing to read after it */
    }
}

hl_status hl_loader_next(hl_loader *l, const hl_batch **batch, hl_error *err)
{
    *batch = NULL;
    if (!l->threaded && l->slots[0].status == HL_OK)
        (void)fill(l, &l->slots[0]);
    pthread_mutex_lock(&l->lock);
    slot *s = &l->slots[0];
    if (l->threaded) {
        l->out = false; /* the one handed out before is free again */
        pthread_cond_signal(&l->emptied);
        l->waits += l->produced == l->consumed;
        while (l->produced == l->consumed)
            pthread_cond_wait(&l->filled, &l->lock);
        s = &l->slots[l->consumed % (uint64_t)l->n_slots];
        if (s->status == HL_OK) {
            l->consumed++;
            l->out = true;
        }
    }
    pthread_mutex_unlock(&l->lock);
    if (s->status != HL_OK)
        return hl_fail(err, s->status, "%s", s->error.message);
    *batch = &s->batch;
    return HL_OK;
}

/* ------------------------------------------------------------------ beginning and end */

/* Floats of an array, rounded up so that the next one is 64-byte aligned too. */
static bool add_array(size_t *total, int64_t a, int64_t b, int64_t c, size_t *floats)
{
    size_t n;
    if (!hl_size_mul((size_t)a, (size_t)b, &n) || !hl_size_mul(n, (size_t)c, &n) || n > SIZE_MAX / 8)
        return false;
    *floats = hl_size_align(n, 16);
    return hl_size_add(*total, *floats, total);
}

enum { PRESENCE = HL_SENSES, ACTION, MASK, PREVIOUS, ARRAYS };

/* Lays the arrays of a batch out one after another.  sizes: floats of each, *total: of all. */
static bool measure(const hl_data_shape *shape, int64_t batch, size_t sizes[ARRAYS], size_t *total)
{
    *total = 0;
    for (int i = 0; i < ARRAYS; i++) {
        bool sense = i < HL_SENSES;
        int64_t width = sense ? shape->size[i] : i == PRESENCE ? HL_SENSES : shape->action;
        if (!add_array(total, batch, sense ? shape->frames : 1, width, &sizes[i]))
            return false;
    }
    return true;
}

static void place(hl_batch *b, const hl_data_shape *shape, int64_t batch, const size_t sizes[ARRAYS],
                  float *at)
{
    float *array[ARRAYS];
    for (int i = 0; i < ARRAYS; i++) {
        array[i] = at;
        at += sizes[i];
    }
    for (int s = 0; s < HL_SENSES; s++)
        b->sense[s] = shape->size[s] ? array[s] : NULL;
    b->presence = array[PRESENCE];
    b->action = array[ACTION];
    b->action_mask = array[MASK];
    b->previous = array[PREVIOUS];
    b->count = batch;
}

static bool allocate(hl_loader *l)
{
    size_t sizes[ARRAYS], each, bytes;
    const hl_data_shape *shape = &l->dataset->shape;
    if (!measure(shape, l->o.batch, sizes, &each) || !hl_size_mul(each, (size_t)l->n_slots, &bytes) ||
        !hl_size_mul(bytes, sizeof(float), &bytes))
        return false;
    l->slots = hl_alloc((size_t)l->n_slots, sizeof *l->slots);
    l->block = l->slots ? hl_alloc_tensor(bytes, HL_USE_IO) : NULL;
    l->bytes = bytes;
    for (int i = 0; l->block && i < l->n_slots; i++)
        place(&l->slots[i].batch, shape, l->o.batch, sizes, l->block + (size_t)i * each);
    return l->block != NULL;
}

/* Signals belong to the program's own thread: an interrupt must not land here. */
static int start(hl_loader *l)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int code = pthread_create(&l->thread, NULL, read_ahead, l);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return code;
}

static hl_status check(const hl_dataset *d, const hl_loader_options *o, hl_error *err)
{
    if ((unsigned)o->split >= HL_SPLITS || o->batch < 1 || o->prefetch < 0 || o->prefetch > 65536)
        return hl_fail(err, HL_ERR_USAGE,
                       "loader: batch %lld, prefetch %d: expected a batch of 1 or more, and 0 to "
                       "65536 of them",
                       (long long)o->batch, o->prefetch);
    if (d->count[o->split] < 1)
        return hl_fail(err, HL_ERR_DATA, "%s: the %s split has no samples", d->name,
                       o->split == HL_TRAIN ? "train" : "valid");
    if (o->start.index >= (uint64_t)d->count[o->split])
        return hl_fail(
            err, HL_ERR_USAGE,
            "loader: position %llu in an epoch of %lld samples: the data set is not the one that was "
            "trained on",
            (unsigned long long)o->start.index, (long long)d->count[o->split]);
    return HL_OK;
}

static void release(hl_loader *l)
{
    pthread_cond_destroy(&l->filled);
    pthread_cond_destroy(&l->emptied);
    pthread_mutex_destroy(&l->lock);
    hl_free_tensor(l->block, l->bytes);
    hl_free(l->slots);
    hl_free(l);
}

hl_loader *hl_loader_new(hl_dataset *dataset, const hl_loader_options *options, hl_error *err)
{
    if (check(dataset, options, err) != HL_OK)
        return NULL;
    hl_loader *l = hl_alloc(1, sizeof *l);
    if (!l) {
        hl_fail(err, HL_ERR_MEMORY, "loader: no memory");
        return NULL;
    }
    l->dataset = dataset;
    l->o = *options;
    l->count = (uint64_t)dataset->count[options->split];
    l->next = options->start;
    l->n_slots = options->prefetch + 1; /* read ahead, and the one handed out */
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->filled, NULL);
    pthread_cond_init(&l->emptied, NULL);
    if (!allocate(l)) {
        hl_fail(err, HL_ERR_MEMORY,
                "loader: no memory for %d batches of %lld samples: lower prefetch or batch", l->n_slots,
                (long long)options->batch);
        release(l);
        return NULL;
    }
    l->threaded = options->prefetch > 0;
    int code = l->threaded ? start(l) : 0;
    if (code != 0) {
        hl_fail(err, HL_ERR_IO, "loader: no thread: %s", strerror(code));
        release(l);
        return NULL;
    }
    return l;
}

size_t hl_loader_bytes(const hl_loader *l)
{
    return l->bytes;
}

uint64_t hl_loader_waits(const hl_loader *l)
{
    return l->waits; /* counted by the thread that calls next, and read by it */
}

void hl_loader_free(hl_loader *l)
{
    if (!l)
        return;
    if (l->threaded) {
        pthread_mutex_lock(&l->lock);
        l->stop = true;
        pthread_cond_signal(&l->emptied);
        pthread_mutex_unlock(&l->lock);
        pthread_join(l->thread, NULL);
    }
    release(l);
}
