/* The input: a checkpoint, read as it is, and again with its checksums made right. */
#include "base/crc32c.h"
#include "base/error.h"
#include "base/memory.h"
#include "io/checkpoint.h"
#include "io/checkpoint_frame.h"

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/hdf5.h"
#include "tests/fuzz/memory_file.h"

#include <hdf5.h>
#include <stdlib.h>
#include <string.h>

static void use(hl_checkpoint *c)
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
static void load(hl_checkpoint *c)
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

static void read_file(const uint8_t *bytes, size_t n)
{
    hl_error err = {0};
    hl_checkpoint *c;
    if (hl_checkpoint_open(memory_file(bytes, n), &c, &err) == HL_OK) {
        use(c);
        load(c);
    } else {
        HL_ASSERT(!c && err.status != HL_OK && !strncmp(err.message, "/proc/self/fd/", 14));
    }
    hl_checkpoint_close(c);
    HL_ASSERT(H5Fget_obj_count((hid_t)H5F_OBJ_ALL, H5F_OBJ_ALL) == 0);
}

static uint64_t fetch(const uint8_t *p, int n)
{
    uint64_t value = 0;
    for (int i = 0; i < n; i++)
        value |= (uint64_t)p[i] << 8 * i;
    return value;
}

/* The table of tensors as the file has it, as far as it may be: what is beyond is left out. */
static void read_extents(const uint8_t *bytes, size_t n, hl_frame *frame)
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

static void repair(uint8_t *bytes, size_t n)
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

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    read_file(bytes, n);
    if (n < 4096)
        return 0;
    uint8_t *copy = malloc(n);
    HL_ASSERT(copy);
    memcpy(copy, bytes, n);
    repair(copy, n);
    read_file(copy, n);
    free(copy);
    return 0;
}
