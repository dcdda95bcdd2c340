/* What the files robomimic_write*.c share.  Private to them. */
#ifndef HL_DATA_ROBOMIMIC_WRITE_ROOM_H
#define HL_DATA_ROBOMIMIC_WRITE_ROOM_H

#include "base/memory.h"
#include "data/demo_write_room.h"
#include "data/hdf5_sink.h"
#include "data/robomimic_write.h"

struct hl_robomimic_writer {
    hl_robomimic_writer_options o;
    hl_arena *arena;
    char *path;
    hl_hdf_sink *sink;
    hid_t data; /* the group /data */
    int64_t demos, room, total;
    bool *valid; /* [demos] */
    bool failed, finished;
    uint8_t *row; /* one RGB frame as stored */
};

herr_t hl_write_integer(hid_t object, const char *name, int64_t value);
hl_status hl_writer_failed(const hl_robomimic_writer *w, const char *path, hl_error *err);

#endif
