/* Writes demonstrations in ALOHA's layout, an episode to a file, whatever world made them.
 *
 *   /                          attributes sim (bool), and compress (bool) where frames are JPEG
 *   /action                    float (T,A)
 *   /observations/<key>        RGB uint8 (T,H,W,3), or JPEG uint8 (T,bytes) padded with zeros; depth float
 *                              (T,H,W,1); vectors float (T,D)
 *   /compress_len              float (RGB fields,T): bytes of each JPEG
 *
 * The file appears under its name only when it is complete and safe on disk. */
#ifndef HL_DATA_ALOHA_WRITE_H
#define HL_DATA_ALOHA_WRITE_H

#include "data/demo_write.h"

typedef struct hl_aloha_options {
    const hl_field *fields; /* keys below observations: "qpos", "images/top" */
    int n_fields;
    int64_t action; /* A */
    bool sim;       /* not a real robot */
    int quality;    /* of JPEG, 1 .. 100; 0: frames as arrays */
    bool overwrite; /* else a file of that name is an error */
} hl_aloha_options;

/* HL_ERR_USAGE (options), HL_ERR_DATA (values), HL_ERR_IO, HL_ERR_MEMORY. */
hl_status hl_aloha_write(const char *path, const hl_aloha_options *options, const hl_demo *demo,
                         hl_error *err);

#endif
