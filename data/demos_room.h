/* What the files demos_*.c and the formats share.  Private to them. */
#ifndef HL_DATA_DEMOS_ROOM_H
#define HL_DATA_DEMOS_ROOM_H

#include "base/memory.h"
#include "data/hdf5_query.h"
#include "data/demo_format.h"

#include <jansson.h>
#include <sys/types.h>

enum { DEMO_ACTION = HL_SENSES, DEMO_GROUPS };  /* the senses, and the action after them */
enum { DEMOS_HANDLES = 256, DEMOS_FILES = 64 }; /* data sets and files held open at most */

/* One mapped key.  Keys of a group are concatenated in order. */
typedef struct demo_key {
    const char *path; /* below a demonstration */
    int64_t size;     /* elements per step of a vector, 0 until the first demonstration says; images: 0 */
    int64_t first;    /* its place among the group's elements */
} demo_key;

/* Frames of a demonstration as its file holds them: pixels, or JPEG padded with zeros. */
typedef struct demo_frames {
    hl_pixels pixels; /* of one frame, without its data */
    const void *rows; /* consecutive frames, as stored */
    size_t row;       /* bytes of one of them */
    bool jpeg;
} demo_frames;

/* A sense or the action: where it comes from and how it is turned into samples. */
typedef struct demo_group {
    const char *name;
    demo_key *key;
    int n_keys;   /* 0: not mapped, or the model does not use it */
    int first_id; /* its keys are numbered first_id .. first_id + n_keys - 1 over all groups */
    bool image, optional, pad;
    int64_t channels; /* of an image */
    int64_t size;     /* elements per step: of the file (vectors) */
    int64_t wanted;   /* elements per step: of the sample */
    hl_image_layout layout;
    hl_image_resize resize;
    hl_image_flip flip;
    float clip[2];
    hl_normalize_mode normalize;
    double floor;
    int64_t most_height, most_width; /* of any frame */
    int64_t most_packed;             /* bytes of any JPEG with its padding; 0: none is */
    bool floats;                     /* some frames are not uint8 */
    hl_resizer *resizer;
    float *cache;        /* vectors: [steps of all demos, size], as stored; or NULL */
    demo_frames *frames; /* images: [demos] their frames as stored; or NULL */
} demo_group;

typedef struct demo_file {
    const char *path;
    dev_t device; /* with the inode: which file it is, whatever its path */
    ino_t inode;
    hid_t id; /* negative: closed */
    uint64_t used;
    bool upside_down; /* its images */
    bool jpeg;        /* those of rank 2 are JPEG */
} demo_file;

typedef struct demonstration {
    int64_t file;
    const char *group; /* its keys are below: "/data/demo_0", or "" for the whole file */
    int64_t steps;
    int64_t first;                   /* its first step among the steps of all demos */
    unsigned has;                    /* bit s: has sense s */
    int64_t jpeg_height, jpeg_width; /* of its frames, where they are JPEG */
    hl_split split;
} demonstration;

typedef struct demos demos;

/* An open data set: libhdf5's chunk cache lives as long as it does. */
typedef struct demo_handle {
    int64_t demo;
    int key; /* of all groups' */
    hid_t set;
    int rank;
    hsize_t dim[HL_HDF_RANK];
    bool bytes;         /* uint8 */
    bool jpeg;          /* its rows are JPEG frames */
    size_t chunk_cache; /* bytes it may hold */
    uint64_t used;
} demo_handle;

struct demos {
    hl_dataset base;
    const demo_format *format; /* of every file; NULL until the first one tells */
    json_t *faults;            /* of a check that goes on after a fault (data/check.h); else NULL */
    hl_arena *arena;           /* names and tables */
    demo_group group[DEMO_GROUPS];
    int n_keys;
    int64_t offset; /* of the action */
    bool mask_padding;
    hl_data_cache cache;

    demo_file *file;
    int64_t n_files;
    demonstration *demo; /* of both splits, in the order of files and names */
    int64_t n_demos, demo_room, steps;
    int64_t *of_split[HL_SPLITS]; /* demos of a split */
    int64_t *ends[HL_SPLITS];     /* [n] samples of the split up to and with that demo */
    int64_t n_split[HL_SPLITS];

    demo_handle handle[DEMOS_HANDLES];
    int n_handles, open_files;
    size_t chunk_cache, chunk_used; /* budget, and what the open data sets may hold */
    uint64_t clock;
    void *scratch;     /* one window, as stored */
    uint8_t *unpacked; /* one frame that was JPEG */
    float *column;     /* one key of a vector before it is put among the others */
    int64_t block;     /* steps of a vector group that fit scratch and column, at least frames */
    char warning[512];
};

/* demos.c: the data set before any file is looked at, to be closed as any other. */
demos *demos_new(const hl_demos_options *o, const hl_data_shape *shape, hl_error *err);
/* After the demonstrations are found: the action, where options do not name its keys. */
hl_status demos_name_actions(demos *all, hl_error *err);

/* demos_fault.c */
/* What opening does about a fault: gives it back.  What a check does: notes it and goes on (HL_OK), unless it
 * is a lack of memory.  file and path are where it lies; path may be NULL. */
hl_status demos_fault(demos *all, const char *file, const char *path, hl_status status, hl_error *err);
/* What does not stop training; opening says nothing. */
hl_status demos_warn(demos *all, const char *file, const char *path, const char *text, hl_error *err);

/* demos_files.c: files and data sets, opened on demand, the least recently used closed. */
hid_t demos_file(demos *all, int64_t file, hl_error *err);
demo_handle *demos_handle(demos *all, int64_t demo, int key, hl_error *err);
void demos_close_files(demos *all);
/* The path of a key in its file, or (key NULL) of its demonstration: for opening, and for messages. */
void demos_path(const demos *all, int64_t demo, const char *key, char path[HL_HDF_PATH]);
demo_group *demos_group_of(demos *all, int key);

/* demos_split.c: which files there are and of what format (NULL: any); which demonstrations are used, and for
 * what. */
static const hl_split demos_undecided = HL_SPLITS; /* of a demonstration that is drawn by valid_fraction */
const demo_format *demos_format(hl_demos_format which);
hl_status demos_add(demos *all, int64_t file, const char *group, hl_split split, hl_error *err);
hl_status demos_find_files(demos *all, const hl_demos_options *o, hl_error *err);
hl_status demos_find_demos(demos *all, const hl_demos_options *o, hl_error *err);

/* demos_check.c: lengths, types and shapes of every demonstration. */
hl_status demos_check_demos(demos *all, hl_error *err);

/* demos_steps.c */
/* Steps [begin, begin+n) of a vector group as stored, n <= block: [n, size], valid until the next call. */
const float *demos_vectors(demos *all, int64_t demo, int g, int64_t begin, int64_t n, hl_error *err);
/* Frames [begin, begin+n) of an image group as stored, into `to` (NULL: nothing is read), and what they
 * are. */
hl_status demos_frames(demos *all, int64_t demo, int g, int64_t begin, int64_t n, void *to, demo_frames *f,
                       hl_error *err);
/* One row of them, which is this step, as pixels: valid until the next call, or as long as the rows are. */
hl_status demos_frame(demos *all, int64_t demo, int g, const demo_frames *f, int64_t row, int64_t step,
                      hl_pixels *out, hl_error *err);
/* What is wrong with a pixel, as a sentence. */
hl_status demos_bad_pixel(const demos *all, int64_t demo, int g, int64_t step, const hl_bad_pixel *bad,
                          hl_error *err);

/* demos_read.c */
hl_status demos_read(hl_dataset *d, hl_split split, int64_t index, hl_sample *out, hl_error *err);

/* demos_stats.c */
hl_status demos_fill_cache(demos *all, hl_error *err);
hl_status demos_statistics(demos *all, hl_error *err);

#endif
