/* What the files describe*.c share.  Private to them. */
#ifndef HL_DATA_DESCRIBE_ROOM_H
#define HL_DATA_DESCRIBE_ROOM_H

#include "data/hdf5_query.h"

#include <jansson.h>

typedef struct description {
    const char *file;
    hid_t id;
    json_t *json;
} description;

hl_status hl_describe_no_memory(const description *d, hl_error *err);
void hl_describe_warn(description *d, const char *text);
/* Every data set below a group; steps: their first dimension counts steps and is left out. */
hl_status hl_describe_keys(description *d, hid_t group, bool steps, hl_error *err);

/* describe_demos.c: /data/demo_<i>, and ALOHA's one episode to a file. */
hl_status hl_describe_demos(description *d, hl_error *err);
hl_status hl_describe_episode(description *d, hl_error *err);

#endif
