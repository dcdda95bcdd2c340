#include "io/checkpoint_frame.h"

#include "base/crc32c.h"
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "io/checkpoint.h"

#include <string.h>

static const unsigned char magic[8] = {0x89, 'H', 'L', 'C', 'K', 'P', 'T', '\n'};

enum {
    VERSION = 8,
    BLOCK_CRC = 12,
    BLOCK = 16,
    LENGTH = 24,
    EXTENTS = 32,
    STRUCTURE_CRC = 40,
    HEADER = 48, /* bytes before the extents */
    EXTENT = 24,
    SMALLEST = 4096, /* a page, so that page-aligned tensors are so in the file too */
};
#define LARGEST ((uint64_t)1 << 30)

static void store(unsigned char *p, uint64_t value, int n)
{
    for (int i = 0; i < n; i++)
        p[i] = (unsigned char)(value >> 8 * i);
}

static uint64_t fetch(const unsigned char *p, int n)
{
    uint64_t value = 0;
    for (int i = 0; i < n; i++)
        value |= (uint64_t)p[i] << 8 * i;
    return value;
}

uint64_t hl_frame_block(uint64_t n)
{
    uint64_t block = SMALLEST;
    if (n > (LARGEST - HEADER) / EXTENT)
        return 0;
    while (block < HEADER + n * EXTENT)
        block *= 2;
    return block;
}

/* CRC of a block with its own CRC taken as zero. */
static uint32_t block_crc(const unsigned char *block, uint64_t bytes)
{
    static const unsigned char zero[4];
    uint32_t crc = hl_crc32c(0, block, BLOCK_CRC);
    crc = hl_crc32c(crc, zero, 4);
    return hl_crc32c(crc, block + BLOCK, (size_t)bytes - BLOCK);
}

unsigned char *hl_frame_encode(const hl_frame *frame)
{
    unsigned char *block = hl_alloc((size_t)frame->block, 1);
    if (!block)
        return NULL;
    memcpy(block, magic, sizeof magic);
    store(block + VERSION, HL_CHECKPOINT_VERSION, 4);
    store(block + BLOCK, frame->block, 8);
    store(block + LENGTH, frame->length, 8);
    store(block + EXTENTS, frame->n, 8);
    store(block + STRUCTURE_CRC, frame->structure_crc32c, 4);
    for (uint64_t i = 0; i < frame->n; i++) {
        unsigned char *p = block + HEADER + i * EXTENT;
        store(p, frame->extents[i].offset, 8);
        store(p + 8, frame->extents[i].bytes, 8);
        store(p + 16, frame->extents[i].crc32c, 4);
    }
    store(block + BLOCK_CRC, block_crc(block, frame->block), 4);
    return block;
}

static hl_status damaged(const char *path, const char *what, hl_error *err)
{
    return hl_fail(err, HL_ERR_DATA, "%s: the checkpoint is damaged (%s); use an older one", path, what);
}

/* Before the CRC is known to hold, nothing but magic and size may be believed. */
static hl_status read_block(int fd, const char *path, uint64_t length, unsigned char **block, uint64_t *bytes,
                            hl_error *err)
{
    unsigned char head[HEADER];
    if (length < SMALLEST)
        return hl_fail(err, HL_ERR_DATA, "%s: is no checkpoint of hl, or cut short: it has %llu bytes", path,
                       (unsigned long long)length);
    hl_status status = hl_file_read(fd, path, 0, head, sizeof head, err);
    if (status != HL_OK)
        return status;
    if (!memcmp(head, "\x89HDF\r\n\x1a\n", 8))
        return hl_fail(err, HL_ERR_DATA, "%s: is an HDF5 file but no checkpoint of hl", path);
    if (memcmp(head, magic, sizeof magic))
        return hl_fail(err, HL_ERR_DATA, "%s: is no checkpoint of hl: it begins with other bytes", path);
    *bytes = fetch(head + BLOCK, 8);
    if (*bytes < SMALLEST || *bytes > LARGEST || (*bytes & (*bytes - 1)))
        return damaged(path, "the size of its header", err);
    if (*bytes > length)
        return hl_fail(err, HL_ERR_DATA,
                       "%s: the checkpoint is truncated: %llu bytes, and its header alone has %llu", path,
                       (unsigned long long)length, (unsigned long long)*bytes);
    *block = hl_alloc((size_t)*bytes, 1);
    if (!*block)
        return hl_fail(err, HL_ERR_MEMORY, "%s: no memory for its header", path);
    status = hl_file_read(fd, path, 0, *block, (size_t)*bytes, err);
    if (status == HL_OK && block_crc(*block, *bytes) != fetch(*block + BLOCK_CRC, 4))
        status = damaged(path, "the checksum of its header", err);
    return status;
}

static hl_status decode(const unsigned char *block, const char *path, uint64_t length, hl_frame *frame,
                        hl_error *err)
{
    uint64_t version = fetch(block + VERSION, 4), end = frame->block;
    if (version > HL_CHECKPOINT_VERSION)
        return hl_fail(err, HL_ERR_UNSUPPORTED, "%s: has format %llu, this hl reads up to %d; use a newer hl",
                       path, (unsigned long long)version, HL_CHECKPOINT_VERSION);
    frame->length = fetch(block + LENGTH, 8);
    if (frame->length != length)
        return hl_fail(err, HL_ERR_DATA,
                       "%s: the checkpoint is truncated or extended: %llu bytes instead of %llu", path,
                       (unsigned long long)length, (unsigned long long)frame->length);
    frame->structure_crc32c = (uint32_t)fetch(block + STRUCTURE_CRC, 4);
    frame->n = fetch(block + EXTENTS, 8);
    if (frame->n > (frame->block - HEADER) / EXTENT)
        return damaged(path, "the number of its tensors", err);
    frame->extents = hl_alloc((size_t)frame->n, sizeof *frame->extents);
    if (!frame->extents)
        return hl_fail(err, HL_ERR_MEMORY, "%s: no memory for its table of tensors", path);
    for (uint64_t i = 0; i < frame->n; i++) {
        const unsigned char *p = block + HEADER + i * EXTENT;
        hl_extent e = {fetch(p, 8), fetch(p + 8, 8), (uint32_t)fetch(p + 16, 4)};
        if (e.offset < end || e.offset > length || !e.bytes || e.bytes > length - e.offset)
            return damaged(path, "its table of tensors", err);
        end = e.offset + e.bytes;
        frame->extents[i] = e;
    }
    return HL_OK;
}

hl_status hl_frame_read(int fd, const char *path, uint64_t length, hl_frame *frame, hl_error *err)
{
    unsigned char *block = NULL;
    memset(frame, 0, sizeof *frame);
    hl_status status = read_block(fd, path, length, &block, &frame->block, err);
    if (status == HL_OK)
        status = decode(block, path, length, frame, err);
    hl_free(block);
    if (status != HL_OK)
        hl_frame_free(frame);
    return status;
}

void hl_frame_free(hl_frame *frame)
{
    hl_free(frame->extents);
    frame->extents = NULL;
    frame->n = 0;
}

void hl_frame_gap(const hl_frame *frame, uint64_t i, uint64_t *offset, uint64_t *bytes)
{
    *offset = i ? frame->extents[i - 1].offset + frame->extents[i - 1].bytes : frame->block;
    *bytes = (i < frame->n ? frame->extents[i].offset : frame->length) - *offset;
}

const hl_extent *hl_frame_find(const hl_frame *frame, uint64_t offset)
{
    uint64_t low = 0, high = frame->n;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (frame->extents[middle].offset == offset)
            return &frame->extents[middle];
        if (frame->extents[middle].offset < offset)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}
