/* Demonstrations in HDF5 files, one or many to a file.  A format (demo_format) knows where a layout keeps
 * them; what is done with them is the same for all.
 *
 * Files stay on disk: what is held is an index (a few dozen bytes per demonstration), one frame window,
 * libhdf5's chunk caches (bounded by chunk_cache), and what `cache` asks for.  So a 50 GB file trains in the
 * memory of one batch queue. */
#ifndef HL_DATA_DEMOS_H
#define HL_DATA_DEMOS_H

#include "data/dataset.h"
#include "data/image.h"

typedef enum hl_image_flip { HL_FLIP_AUTO, HL_FLIP_ON, HL_FLIP_OFF } hl_image_flip;

typedef enum hl_normalize_mode {
    HL_NORMALIZE_NONE,
    HL_NORMALIZE_MEAN_STD, /* to mean 0, standard deviation 1 */
    HL_NORMALIZE_MIN_MAX   /* to [-1, 1] */
} hl_normalize_mode;

typedef enum hl_data_cache {
    HL_CACHE_NONE,    /* every sample is read from the file */
    HL_CACHE_LOW_DIM, /* vectors and actions in memory */
    HL_CACHE_ALL      /* images too, as stored */
} hl_data_cache;

typedef enum hl_demos_format {
    HL_DEMOS_ANY,       /* what the first file is, all others are */
    HL_DEMOS_ROBOMIMIC, /* and LIBERO: many to a file */
    HL_DEMOS_ALOHA      /* and ACT: one to a file */
} hl_demos_format;

/* Where a sense comes from.  Visual and depth take one key; vectors may concatenate several. */
typedef struct hl_demos_sense {
    const char *const *keys; /* data sets below a demonstration: "obs/agentview_rgb" */
    int n_keys;              /* 0: not mapped, so presence is 0 */
    bool optional; /* a demonstration may lack it (presence 0 there); else a missing key is an error */

    /* images: uint8 is divided by 255; floats must be in 0..1 unless clipped */
    hl_image_layout layout; /* of arrays; JPEG frames have none */
    hl_image_resize resize; /* to shape.image */
    hl_image_flip flip;     /* auto: where /data says macros_image_convention = "opengl" */
    float clip[2];          /* clamps to [clip[0], clip[1]] and maps that to 0..1; {0, 0}: no clipping */

    /* vectors: the keys together have at most shape.size elements, exactly as many unless padded */
    bool pad; /* zeros after them */
    hl_normalize_mode normalize;
    float std_floor; /* least standard deviation, or half range (0: 0.01) */
} hl_demos_sense;

typedef struct hl_demos_action {
    const char *const *keys; /* n_keys 0: as the format calls them */
    int n_keys;
    bool pad;          /* to shape.action, with zeros */
    bool mask_padding; /* action_mask is 0 for padded dimensions (else 1 everywhere) */
    int64_t offset;    /* the target of frame t is action t + offset, kept within the demonstration */
    hl_normalize_mode normalize;
    float std_floor;
} hl_demos_action;

typedef struct hl_demos_options {
    hl_demos_format format;
    const char *const *files; /* paths, or glob(3) patterns where no such path exists */
    int n_files;
    /* Data sets of demo names: "mask/train", "mask/valid".  Only one given: the other split is the rest (a
     * missing valid_mask: nothing).  Both NULL: valid_fraction of the demonstrations, drawn by seed. */
    const char *train_mask, *valid_mask;
    bool masks_optional; /* files without the masks are split by valid_fraction; else that is an error */
    float valid_fraction;
    uint64_t seed;
    hl_demos_sense sense[HL_SENSES]; /* those of size 0 in the shape are ignored */
    hl_demos_action action;
    hl_data_cache cache;
    size_t chunk_cache; /* bytes of decompressed chunks to hold (0: 64 MiB) */
} hl_demos_options;

/* Opens, checks every demonstration that a split uses, and computes the normalisation over the train split.
 * Options are copied.  NULL on error: HL_ERR_CONFIG (options that make no sense), HL_ERR_IO (no such file),
 * HL_ERR_DATA (content; names file, path, found, expected), HL_ERR_MEMORY. */
hl_dataset *hl_demos_open(const hl_demos_options *options, const hl_data_shape *shape, hl_error *err);

/* Demonstrations in a split, and how many of them have a sense. */
int64_t hl_demos_count(const hl_dataset *d, hl_split split);
int64_t hl_demos_present(const hl_dataset *d, hl_split split, hl_sense sense);
/* A sentence about what will be slow (a chunk must be decompressed whole for one frame), or NULL. */
const char *hl_demos_warning(const hl_dataset *d);

#endif
