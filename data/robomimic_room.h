/* What the files robomimic_*.c share.  Private to them. */
#ifndef HL_DATA_ROBOMIMIC_ROOM_H
#define HL_DATA_ROBOMIMIC_ROOM_H

#include "base/memory.h"
#include "data/hdf5_query.h"
#include "data/robomimic.h"

enum { RM_ACTION = HL_SENSES, RM_GROUPS }; /* the senses, and the action after them */
enum { RM_HANDLES = 256, RM_FILES = 64 };  /* data sets and files held open at most */

/* One mapped key.  Keys of a group are concatenated in order. */
typedef struct rm_key {
    const char *path; /* below a demonstration */
    int64_t size;     /* elements per step of a vector, 0 until the first demonstration says; images: 0 */
    int64_t first;    /* its place among the group's elements */
} rm_key;

/* A sense or the action: where it comes from and how it is turned into samples. */
typedef struct rm_group {
    const char *name;
    rm_key *key;
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
    bool floats;                     /* some frames are not uint8 */
    hl_resizer *resizer;
    float *cache;      /* vectors: [steps of all demos, size], as stored; or NULL */
    hl_pixels *frames; /* images: [demos] their frames as stored; or NULL */
} rm_group;

typedef struct rm_file {
    const char *path;
    hid_t id; /* negative: closed */
    uint64_t used;
    bool upside_down; /* macros_image_convention is "opengl" */
} rm_file;

typedef struct rm_demo {
    int64_t file;
    const char *name;
    int64_t steps;
    int64_t first; /* its first step among the steps of all demos */
    unsigned has;  /* bit s: has sense s */
    hl_split split;
} rm_demo;

/* An open data set: libhdf5's chunk cache lives as long as it does. */
typedef struct rm_handle {
    int64_t demo;
    int key; /* of all groups' */
    hid_t set;
    int rank;
    hsize_t dim[HL_HDF_RANK];
    bool bytes;         /* uint8 */
    size_t chunk_cache; /* bytes it may hold */
    uint64_t used;
} rm_handle;

typedef struct robomimic {
    hl_dataset base;
    hl_arena *arena; /* names and tables */
    rm_group group[RM_GROUPS];
    int n_keys;
    int64_t offset; /* of the action */
    bool mask_padding;
    hl_data_cache cache;

    rm_file *file;
    int64_t n_files;
    rm_demo *demo; /* of both splits, in the order of files and names */
    int64_t n_demos, demo_room, steps;
    int64_t *of_split[HL_SPLITS]; /* demos of a split */
    int64_t *ends[HL_SPLITS];     /* [n] samples of the split up to and with that demo */
    int64_t n_split[HL_SPLITS];

    rm_handle handle[RM_HANDLES];
    int n_handles, open_files;
    size_t chunk_cache, chunk_used; /* budget, and what the open data sets may hold */
    uint64_t clock;
    void *scratch; /* one window, as stored */
    float *column; /* one key of a vector before it is put among the others */
    int64_t block; /* steps of a vector group that fit scratch and column, at least frames */
    char warning[512];
} robomimic;

/* robomimic_files.c: files and data sets, opened on demand, the least recently used closed. */
hid_t rm_file_open(robomimic *r, int64_t file, hl_error *err);
rm_handle *rm_handle_open(robomimic *r, int64_t demo, int key, hl_error *err);
void rm_files_close(robomimic *r);
/* The path of a key in its file, for opening and for messages. */
void rm_path(const robomimic *r, int64_t demo, const char *key, char path[HL_HDF_PATH]);
rm_group *rm_group_of(robomimic *r, int key);

/* robomimic_split.c: which demonstrations are used, and for what. */
hl_status rm_find_files(robomimic *r, const hl_robomimic_options *o, hl_error *err);
hl_status rm_find_demos(robomimic *r, const hl_robomimic_options *o, hl_error *err);

/* robomimic_check.c: lengths, types and shapes of every demonstration. */
hl_status rm_check_demos(robomimic *r, hl_error *err);

/* robomimic_read.c */
/* Steps [begin, begin+n) of a vector group as stored, n <= block: [n, size], valid until the next call. */
const float *rm_vectors(robomimic *r, int64_t demo, int g, int64_t begin, int64_t n, hl_error *err);
/* Frames [begin, begin+n) of an image group as stored, into `to` (NULL: nothing is read), and what they
 * are. */
hl_status rm_frames(robomimic *r, int64_t demo, int g, int64_t begin, int64_t n, void *to, hl_pixels *what,
                    hl_error *err);
size_t rm_frame_bytes(const hl_pixels *m);
hl_status rm_read(hl_dataset *d, hl_split split, int64_t index, hl_sample *out, hl_error *err);

/* robomimic_stats.c */
hl_status rm_fill_cache(robomimic *r, hl_error *err);
hl_status rm_statistics(robomimic *r, hl_error *err);

#endif
