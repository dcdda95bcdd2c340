/* What the files check*.c share.  Private to them. */
#ifndef HL_DATA_CHECK_ROOM_H
#define HL_DATA_CHECK_ROOM_H

#include "data/demos_room.h"

/* One demonstration under check. */
typedef struct checked {
    demos *all;
    int64_t demo;
    const char *file;
    hid_t id;        /* of the file */
    bool everything; /* no configuration says what is read */
    json_t *shapes;  /* everything: key -> the shape of a step where it was first seen */
    uint64_t sum;    /* over all vectors, to find copies */
} checked;

/* Reads all of a data set.  g: the group it is mapped to, or NULL. */
hl_status demos_check_values(checked *c, const char *key, const demo_group *g, hl_error *err);

#endif
