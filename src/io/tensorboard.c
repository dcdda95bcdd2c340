/* A TFRecord is: u64 length | u32 masked CRC32C of the length | data | u32 masked CRC32C of data, all
 * little-endian. The data is a protobuf Event, written here field by field. */
#include "io/tensorboard.h"

#include "base/crc32c.h"
#include "base/error.h"
#include "base/file.h"
#include "base/half.h"
#include "base/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef struct bytes {
    unsigned char *at;
    size_t n, room;
    bool failed; /* no memory; what is in it is incomplete */
} bytes;

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
    bytes value, summary, event, record;
    histogram histogram;
    bool torn;
};

/* ------------------------------------------------------------------ protobuf */

static void put(bytes *b, const void *data, size_t n)
{
    size_t need;
    if (!n)
        return;
    if (b->failed || !hl_size_add(b->n, n, &need) || need > SIZE_MAX / 2) {
        b->failed = true;
        return;
    }
    if (need > b->room) {
        size_t room = 2 * need + 64;
        unsigned char *more = hl_realloc(b->at, room, 1);
        if (!more) {
            b->failed = true;
            return;
        }
        b->at = more;
        b->room = room;
    }
    memcpy(b->at + b->n, data, n);
    b->n = need;
}

static void put_little(bytes *b, uint64_t value, int n)
{
    unsigned char little[8];
    for (int i = 0; i < n; i++)
        little[i] = (unsigned char)(value >> 8 * i);
    put(b, little, (size_t)n);
}

static void put_varint(bytes *b, uint64_t value)
{
    for (; value >= 128; value >>= 7)
        put_little(b, (value & 127) | 128, 1);
    put_little(b, value, 1);
}

enum { VARINT = 0, FIXED64 = 1, DELIMITED = 2, FIXED32 = 5 };

static void put_key(bytes *b, int field, int wire)
{
    put_varint(b, (uint64_t)(field << 3 | wire));
}

static void put_double_value(bytes *b, double x)
{
    uint64_t bits;
    memcpy(&bits, &x, 8);
    put_little(b, bits, 8);
}

static void put_double(bytes *b, int field, double x)
{
    put_key(b, field, FIXED64);
    put_double_value(b, x);
}

static void put_delimited(bytes *b, int field, const void *data, size_t n)
{
    put_key(b, field, DELIMITED);
    put_varint(b, n);
    put(b, data, n);
}

static void put_message(bytes *b, int field, const bytes *message)
{
    b->failed |= message->failed;
    put_delimited(b, field, message->at, message->n);
}

static void clear(bytes *b)
{
    b->n = 0;
    b->failed = false;
}

/* ------------------------------------------------------------------ records */

static uint32_t masked_crc(const void *data, size_t n)
{
    uint32_t crc = hl_crc32c(0, data, n);
    return (crc >> 15 | crc << 17) + 0xA282EAD8u;
}

/* Writes tb->event as one record in one call, so that a killed run tears at most the last one. */
static hl_status write_event(hl_tensorboard *tb, hl_error *err)
{
    bytes *r = &tb->record;
    if (tb->torn)
        return hl_fail(err, HL_ERR_IO, "%s: an earlier write failed; open a new event file", tb->path);
    clear(r);
    put_little(r, tb->event.n, 8);
    if (!r->failed)
        put_little(r, masked_crc(r->at, 8), 4);
    put(r, tb->event.at, tb->event.n);
    put_little(r, masked_crc(tb->event.at, tb->event.n), 4);
    if (r->failed || tb->event.failed)
        return hl_fail(err, HL_ERR_MEMORY, "%s: no memory for an event of %zu bytes", tb->path, tb->event.n);
    hl_status status = hl_file_write(tb->file, r->at, r->n, err);
    tb->torn = status != HL_OK;
    return status;
}

static void begin_event(hl_tensorboard *tb, double wall_time, int64_t step)
{
    clear(&tb->event);
    put_double(&tb->event, 1, wall_time);
    if (step) { /* zero is protobuf's default and is not written */
        put_key(&tb->event, 2, VARINT);
        put_varint(&tb->event, (uint64_t)step);
    }
}

/* tb->value, whose tag stands first, becomes the only value of the event's summary. */
static hl_status write_value(hl_tensorboard *tb, hl_error *err)
{
    clear(&tb->summary);
    put_message(&tb->summary, 1, &tb->value);
    put_message(&tb->event, 5, &tb->summary);
    return write_event(tb, err);
}

hl_status hl_tensorboard_scalar(hl_tensorboard *tb, double wall_time, int64_t step, const char *tag,
                                float value, hl_error *err)
{
    begin_event(tb, wall_time, step);
    clear(&tb->value);
    put_delimited(&tb->value, 1, tag, strlen(tag));
    put_key(&tb->value, 2, FIXED32);
    put_little(&tb->value, hl_float_bits(value), 4);
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
static void put_buckets(bytes *b, const histogram *h, int field, bool limits, bytes *scratch)
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
        put_double_value(scratch, limits ? right_edge(i) : h->count[i]);
    }
    put_message(b, field, scratch);
}

hl_status hl_tensorboard_histogram(hl_tensorboard *tb, double wall_time, int64_t step, const char *tag,
                                   const float *values, size_t n, hl_error *err)
{
    histogram *h = &tb->histogram;
    count_values(h, values, n);
    bytes *proto = &tb->summary, *scratch = &tb->record; /* both are free until write_value */
    clear(proto);
    const double moments[5] = {h->min, h->max, h->num, h->sum, h->sum_squares};
    for (int i = 0; i < 5; i++)
        put_double(proto, i + 1, moments[i]);
    put_buckets(proto, h, 6, true, scratch);
    put_buckets(proto, h, 7, false, scratch);
    begin_event(tb, wall_time, step);
    clear(&tb->value);
    put_delimited(&tb->value, 1, tag, strlen(tag));
    put_message(&tb->value, 5, proto);
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
        put_delimited(&tb->event, 3, version, sizeof version - 1);
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
    bytes *all[] = {&tb->value, &tb->summary, &tb->event, &tb->record};
    for (int i = 0; i < 4; i++)
        hl_free(all[i]->at);
    hl_free(tb->path);
    hl_free(tb);
    return status;
}
