/* What sets one layout of demonstrations apart from another.  Private to data/. */
#ifndef HL_DATA_DEMO_FORMAT_H
#define HL_DATA_DEMO_FORMAT_H

#include "data/demos.h"
#include "data/hdf5_query.h"

struct demos;

/* A layout of files: what is one, where its demonstrations are, and what it tells of their frames. */
typedef struct demo_format {
    const char *name;
    const char *looks_like;      /* "robomimic's layout (/data/demo_0/actions, ...)" */
    const char *actions;         /* the key of the actions, unless options name others */
    const char *const *per_step; /* keys that begin so have a row per step; NULL ends them */
    bool (*is)(hid_t file);
    /* Adds the demonstrations of a file that is one (demos_add). */
    hl_status (*list)(struct demos *all, int64_t file, hid_t id, const hl_demos_options *o, hl_error *err);
} demo_format;

extern const demo_format demo_robomimic, demo_aloha;

#endif
