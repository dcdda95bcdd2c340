/* The user block of a checkpoint, which guards the rest of the file without any help of libhdf5:
 *
 *   0  magic "\x89HLCKPT\n"      8  u32 version        12  u32 CRC32C of the block, this field as 0
 *   16 u64 size of the block, a power of two           24  u64 length of the file
 *   32 u64 number of extents    40  u32 CRC32C of the structure          44  u32 0
 *   48 extents: u64 offset, u64 bytes, u32 CRC32C, u32 0; by rising offset; then zeros
 *
 * all little-endian. An extent is the data of one tensor that is not empty; the structure is what lies
 * outside of block and extents. So every byte of the file is under exactly one CRC. */
#ifndef HL_IO_CHECKPOINT_FRAME_H
#define HL_IO_CHECKPOINT_FRAME_H

#include "hl.h"

typedef struct hl_extent {
    uint64_t offset, bytes;
    uint32_t crc32c;
} hl_extent;

typedef struct hl_frame {
    uint64_t block, length; /* bytes of the user block and of the file */
    uint32_t structure_crc32c;
    uint64_t n;
    hl_extent *extents;
} hl_frame;

/* Size of the user block for n extents; 0 if it overflows. */
uint64_t hl_frame_block(uint64_t n);
/* The block in new memory (hl_free), NULL if there is none. */
unsigned char *hl_frame_encode(const hl_frame *frame);
/* Reads and checks the block of an open file of `length` bytes. */
hl_status hl_frame_read(int fd, const char *path, uint64_t length, hl_frame *frame, hl_error *err);
void hl_frame_free(hl_frame *frame);

/* Part i of the structure, 0 <= i <= n: what lies before extent i, or after the last. May be empty. */
void hl_frame_gap(const hl_frame *frame, uint64_t i, uint64_t *offset, uint64_t *bytes);
/* The extent that begins at offset, or NULL. */
const hl_extent *hl_frame_find(const hl_frame *frame, uint64_t offset);

#endif
