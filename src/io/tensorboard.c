/* A TFRecord is: u64 length | u32 masked CRC32C of the length | data | u32 masked CRC32C of data, all
 * little-endian. The data is a protobuf Event. */
#include "io/tensorboard.h"

#include "base/crc32c.h"
#include "base/error.h"
#include "base/file.h"
#include "base/half.h"
#include "base/memory.h"
#include "base/protobuf.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Histogram buckets: the top 11 bits of a float's magnitude (exponent and three bits of mantissa) are
 * its class. Classes below 2^-40 share one bucket around zero; finite floats end below class 2040. */
enum { LOWEST = (127 - 40) * 8, END = 255 * 8, SIDE = END - LOWEST, BUCKETS = 2 * SIDE + 1 };

typedef struct histogram {
    double min, max, num, sum, sum_squares;
    double count[BUCKETS];
} histogram;

struct hl_tensorboard {
    hl_file *file;
    char *path;
    hl_text value, summary, event, record;
    histogram histogram;
    bool torn;
};

/* ------------------------------------------------------------------ records */

/* Empty again, in the memory it has. */
static void clear(hl_text *t)
{
    t->size = 0;
    t->failed = false;
}

static uint32_t masked_crc(const void *data, size_t n)
{
    uint32_t crc = hl_crc32c(0, data, n);
    return (crc >> 15 | crc << 17) + 0xA282EAD8u;
}

/* Writes tb->event as one record in one call, so that a killed run tears at most the last one. */
static hl_status write_event(hl_tensorboard *tb, hl_error *err)
{
    hl_text *r = &tb->record;
    if (tb->torn)
        return hl_fail(err, HL_ERR_IO, "%s: an earlier write failed; open a new event file", tb->path);
    clear(r);
    hl_protobuf_fixed(r, tb->event.size, 8);
    if (!r->failed)
        hl_protobuf_fixed(r, masked_crc(r->at, 8), 4);
    hl_text_append_bytes(r, tb->event.at, tb->event.size);
    hl_protobuf_fixed(r, masked_crc(tb->event.at, tb->event.size), 4);
    if (r->failed || tb->event.failed)
        return hl_fail(err, HL_ERR_MEMORY, "%s: no memory for an event of %zu bytes", tb->path,
                       tb->event.size);
    hl_status status = hl_file_write(tb->file, r->at, r->size, err);
    tb->torn = status != HL_OK;
    return status;
}

static void begin_event(hl_tensorboard *tb, double wall_time, int64_t step)
{
    clear(&tb->event);
    hl_protobuf_double(&tb->event, 1, wall_time);
    if (step) /* zero is protobuf's default and is not written */
        hl_protobuf_int(&tb->event, 2, step);
}

/* tb->value, whose tag stands first, becomes the only value of the event's summary. */
static hl_status write_value(hl_tensorboard *tb, hl_error *err)
{
    clear(&tb->summary);
    hl_protobuf_message(&tb->summary, 1, &tb->value);
    hl_protobuf_message(&tb->event, 5, &tb->summary);
    return write_event(tb, err);
}

hl_status hl_tensorboard_scalar(hl_tensorboard *tb, double wall_time, int64_t step, const char *tag,
                                float value, hl_error *err)
{
    begin_event(tb, wall_time, step);
    clear(&tb->value);
    hl_protobuf_string(&tb->value, 1, tag);
    hl_protobuf_float(&tb->value, 2, value);
    return write_value(tb, err);
}

/* ------------------------------------------------------------------ histograms */

static void count_values(histogram *h, const float *values, size_t n)
{
    memset(h, 0, sizeof *h);
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = hl_float_bits(values[i]);
        int class = (int)(bits >> 20 & 2047), k = class < LOWEST ? 0 : class - LOWEST + 1;
        double x = values[i];
        if (class >= END)
            continue;
        h->count[bits >> 31 ? SIDE - k : SIDE + k]++;
        h->min = h->num == 0 || x < h->min ? x : h->min;
        h->max = h->num == 0 || x > h->max ? x : h->max;
        h->num++;
        h->sum += x;
        h->sum_squares += x * x;
    }
}

/* Smallest magnitude of class LOWEST + k; class END begins at 2^128. */
static double magnitude(int k)
{
    int class = LOWEST + k;
    return ldexp(8 + class % 8, class / 8 - 127 - 3);
}

static double right_edge(int bucket)
{
    return bucket >= SIDE ? magnitude(bucket - SIDE) : -magnitude(SIDE - bucket - 1);
}

/* Runs of empty buckets become one, so that a histogram costs what it shows. */
static void put_buckets(hl_text *message, const histogram *h, int field, bool limits, hl_text *scratch)
{
    clear(scratch);
    int last = BUCKETS - 1, first = 0;
    while (last >= 0 && h->count[last] == 0)
        last--;
    while (first <= last && h->count[first] == 0)
        first++;
    if (first > 0 && first <= last)
        first--; /* an empty one before, whose limit is the left edge of the first full one */
    for (int i = first; i <= last; i++) {
        if (h->count[i] == 0 && i < last && h->count[i + 1] == 0)
            continue;
        double value = limits ? right_edge(i) : h->count[i];
        uint64_t bits;
        memcpy(&bits, &value, sizeof bits);
        hl_protobuf_fixed(scratch, bits, 8);
    }
    hl_protobuf_message(message, field, scratch);
}

hl_status hl_tensorboard_histogram(hl_tensorboard *tb, double wall_time, int64_t step, const char *tag,
                                   const float *values, size_t n, hl_error *err)
{
    histogram *h = &tb->histogram;
    count_values(h, values, n);
    hl_text *proto = &tb->summary, *scratch = &tb->record; /* both are free until write_value */
    clear(proto);
    const double moments[5] = {h->min, h->max, h->num, h->sum, h->sum_squares};
    for (int i = 0; i < 5; i++)
        hl_protobuf_double(proto, i + 1, moments[i]);
    put_buckets(proto, h, 6, true, scratch);
    put_buckets(proto, h, 7, false, scratch);
    begin_event(tb, wall_time, step);
    clear(&tb->value);
    hl_protobuf_string(&tb->value, 1, tag);
    hl_protobuf_message(&tb->value, 5, proto);
    return write_value(tb, err);
}

/* ------------------------------------------------------------------ files */

double hl_tensorboard_now(void)
{
    struct timespec now = {0};
    HL_ASSERT(clock_gettime(CLOCK_REALTIME, &now) == 0);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static char *new_path(const char *dir)
{
    char host[128] = "", name[256];
    struct timespec now = {0};
    HL_ASSERT(clock_gettime(CLOCK_REALTIME, &now) == 0);
    if (gethostname(host, sizeof host) != 0 || !host[0])
        strcpy(host, "localhost");
    host[sizeof host - 1] = 0;
    /* The nanoseconds keep apart two runs that a container gives the same process id. */
    snprintf(name, sizeof name, "events.out.tfevents.%010lld.%s.%ld.%ld", (long long)now.tv_sec, host,
             (long)getpid(), now.tv_nsec);
    return hl_file_join(dir, name);
}

hl_status hl_tensorboard_open(const char *dir, double wall_time, hl_tensorboard **out, hl_error *err)
{
    *out = NULL;
    hl_status status = hl_file_mkdirs(dir, err);
    if (status != HL_OK)
        return status;
    hl_tensorboard *tb = hl_alloc(1, sizeof *tb);
    if (!tb || !(tb->path = new_path(dir))) {
        hl_free(tb);
        return hl_fail(err, HL_ERR_MEMORY, "%s: no memory to open an event file", dir);
    }
    status = hl_file_append(tb->path, &tb->file, err);
    if (status == HL_OK) {
        static const char version[] = "brain.Event:2";
        begin_event(tb, wall_time, 0);
        hl_protobuf_string(&tb->event, 3, version);
        status = write_event(tb, err);
    }
    if (status != HL_OK) {
        (void)hl_tensorboard_close(tb, NULL); /* the first error is the one to tell */
        return status;
    }
    *out = tb;
    return HL_OK;
}

const char *hl_tensorboard_path(const hl_tensorboard *tb)
{
    return tb->path;
}

hl_status hl_tensorboard_close(hl_tensorboard *tb, hl_error *err)
{
    if (!tb)
        return HL_OK;
    hl_status status = hl_file_close(tb->file, err);
    hl_text *all[] = {&tb->value, &tb->summary, &tb->event, &tb->record};
    for (int i = 0; i < 4; i++)
        hl_text_free(all[i]);
    hl_free(tb->path);
    hl_free(tb);
    return status;
}
