/* What a checkpoint promises, asserted of a file. To be included by one file of a program. */
#ifndef HL_TESTS_FUZZ_READ_CHECKPOINT_H
#define HL_TESTS_FUZZ_READ_CHECKPOINT_H

#include "base/crc32c.h"
#include "base/error.h"
#include "base/memory.h"
#include "io/checkpoint.h"
#include "io/checkpoint_frame.h"
#include "run/params.h"

#include "tests/fuzz/input_file.h"

#include <hdf5.h>
#include <string.h>

static inline void use_checkpoint(hl_checkpoint *c)
{
    const hl_checkpoint_meta *meta = hl_checkpoint_meta_of(c);
    hl_error err = {0};
    HL_ASSERT(meta->config && meta->hl_version && meta->n_loader <= HL_CHECKPOINT_LOADER);
    for (int i = 0; i < meta->n_arrays; i++)
        HL_ASSERT(hl_checkpoint_find_array(meta, meta->arrays[i].name));
    for (int i = 0; i < meta->n_values; i++)
        HL_ASSERT(hl_checkpoint_find_value(meta, meta->values[i].name));
    for (int i = 0; i < hl_checkpoint_count(c); i++)
        HL_ASSERT(hl_checkpoint_at(c, i)->count >= 0);
    (void)hl_checkpoint_check(c, &err);
}

/* As `hl resume` does, into a store that has what the file has. */
static inline void load_checkpoint(hl_checkpoint *c)
{
    hl_error err = {0};
    hl_params *params = hl_params_new(0);
    HL_ASSERT(params);
    for (int i = 0, index; i < hl_checkpoint_count(c); i++) {
        const hl_checkpoint_tensor *t = hl_checkpoint_at(c, i);
        (void)hl_params_declare(params, t->name, t->role, HL_F32, t->shape, (hl_init_rule){HL_ZEROS, 0, 0},
                                &index, &err);
    }
    (void)hl_checkpoint_load(c, params, HL_CHECKPOINT_ALL, &err);
    hl_params_free(params);
}

static inline void read_checkpoint(const uint8_t *bytes, size_t n)
{
    hl_error err = {0};
    hl_checkpoint *c;
    const char *path = input_file(bytes, n);
    if (hl_checkpoint_open(path, &c, &err) == HL_OK) {
        use_checkpoint(c);
        load_checkpoint(c);
    } else {
        HL_ASSERT(!c && err.status != HL_OK && !strncmp(err.message, path, strlen(path)));
    }
    hl_checkpoint_close(c);
    HL_ASSERT(H5Fget_obj_count((hid_t)H5F_OBJ_ALL, H5F_OBJ_ALL) == 0);
}

static inline uint64_t fetch(const uint8_t *p, int n)
{
    uint64_t value = 0;
    for (int i = 0; i < n; i++)
        value |= (uint64_t)p[i] << 8 * i;
    return value;
}

/* The table of tensors as the file has it, as far as it may be: what is beyond is left out. */
static inline void read_extents(const uint8_t *bytes, size_t n, hl_frame *frame)
{
    uint64_t end = frame->block, listed = fetch(bytes + 32, 8);
    for (uint64_t i = 0; i < listed && 48 + (i + 1) * 24 <= frame->block; i++) {
        const uint8_t *p = bytes + 48 + i * 24;
        hl_extent e = {fetch(p, 8), fetch(p + 8, 8), (uint32_t)fetch(p + 16, 4)};
        if (e.offset < end || e.offset > n || !e.bytes || e.bytes > n - e.offset)
            return;
        end = e.offset + e.bytes;
        frame->extents[frame->n++] = e;
    }
}

/* Makes the checksums of n >= 4096 bytes right. */
static inline void repair_checkpoint(uint8_t *bytes, size_t n)
{
    hl_extent extents[4096 / 24];
    hl_frame frame = {.block = 4096, .length = n, .extents = extents};
    read_extents(bytes, n, &frame);
    for (uint64_t i = 0, offset, gap; i <= frame.n; i++) {
        hl_frame_gap(&frame, i, &offset, &gap);
        frame.structure_crc32c = hl_crc32c(frame.structure_crc32c, bytes + offset, (size_t)gap);
    }
    unsigned char *block = hl_frame_encode(&frame);
    HL_ASSERT(block);
    memcpy(bytes, block, (size_t)frame.block);
    hl_free(block);
}

#endif
