/* CRC32C: the Castagnoli polynomial 0x1EDC6F41, reflected (RFC 3720, appendix B.4). It guards every
 * byte of a checkpoint and every record of a TensorBoard file. */
#ifndef HL_BASE_CRC32C_H
#define HL_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* CRC of n more bytes after those that gave crc; a first call passes 0. With SSE4.2 it runs at the
 * speed of memory, elsewhere by tables. */
uint32_t hl_crc32c(uint32_t crc, const void *bytes, size_t n);
/* The same by tables alone: what the fast path answers to. */
uint32_t hl_crc32c_portable(uint32_t crc, const void *bytes, size_t n);
/* CRC of A followed by B, from the CRC of each and the length of B in bytes. */
uint32_t hl_crc32c_combine(uint32_t a, uint32_t b, uint64_t length_b);

#ifdef __cplusplus
}
#endif
#endif
