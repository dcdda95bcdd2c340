/* safetensors: tensors by name in one file that is mapped into memory, as other tools read and write them.
 *
 *   u64 N, little-endian | N bytes of JSON | data
 *
 * The JSON names each tensor: {"dtype": "F32", "shape": [2,3], "data_offsets": [begin, end]}, in bytes from
 * where the data begins, and under "__metadata__" texts by key. Tensors lie end to end and fill the data.
 * This room knows nothing of models. Errors name file and tensor, found and expected: HL_ERR_DATA for
 * content, HL_ERR_IO for the system, HL_ERR_UNSUPPORTED for what is legal and we cannot hold. */
#ifndef HL_IO_SAFETENSORS_H
#define HL_IO_SAFETENSORS_H

#include "hl.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The longest header that readers take, in bytes. */
enum { HL_SAFETENSORS_HEADER = 100000000 };

typedef struct hl_safetensor {
    const char *name;
    const char *type; /* as in the file: "F32", "BF16", "I64" */
    bool known;       /* it is one of our dtypes: */
    hl_dtype dtype;
    hl_shape shape;
    int64_t count;
    size_t bytes;
    const void *data; /* of a file that is read: in the mapping; see hl_safetensor_aligned */
} hl_safetensor;

/* A tensor to be written. HL_ASSERTs that it fits into memory, as what is in memory does. */
hl_safetensor hl_safetensor_make(const char *name, hl_dtype dtype, hl_shape shape, const void *data);
/* Bytes of an element of a type as files name it; 0: there is no such type. */
size_t hl_safetensor_type_size(const char *type);
/* Whether data may be read as elements of its type. The format does not promise it: a file of another tool
 * may begin its data, or put a tensor behind a shorter one, anywhere. Where it may not, copy the bytes, or
 * widen. */
bool hl_safetensor_aligned(const hl_safetensor *t);
/* The values of an F32, F16 or BF16 as f32, exactly, wherever they lie. to [count] */
void hl_safetensor_widen(const hl_safetensor *t, float *to);

/* ------------------------------------------------------------------ reading */

typedef struct hl_safetensors hl_safetensors;

/* Maps a file and checks all that its header says; data is not looked at. NULL on error. A file that is
 * replaced by a rename stays as it was for who has it open; one that is cut short in place takes its data
 * away (SIGBUS), as with any mapped file. */
hl_safetensors *hl_safetensors_open(const char *path, hl_error *err);
/* The same of n bytes that outlive it; name stands for the file in messages. */
hl_safetensors *hl_safetensors_parse(const void *bytes, size_t n, const char *name, hl_error *err);
void hl_safetensors_close(hl_safetensors *f); /* accepts NULL */

/* Tensors in order of their names; what they point to lives until hl_safetensors_close. */
int hl_safetensors_count(const hl_safetensors *f);
hl_safetensor hl_safetensors_at(const hl_safetensors *f, int index);
/* Index of a name, or -1. */
int hl_safetensors_find(const hl_safetensors *f, const char *name);
/* A text of the metadata, or NULL. */
const char *hl_safetensors_metadata(const hl_safetensors *f, const char *key);

/* ------------------------------------------------------------------ writing */

typedef struct hl_safetensors_text {
    const char *key, *value;
} hl_safetensors_text;

/* Writes path: temporary, fsync, read back and compare, rename, fsync of the directory. Data goes straight
 * from where it lies. A tensor of which 2^k divides the size, up to 64, begins at a multiple of 2^k of the
 * file: tensors are in the order of that, and then of their names. */
hl_status hl_safetensors_write(const char *path, int n, const hl_safetensor *tensors, int n_metadata,
                               const hl_safetensors_text *metadata, hl_error *err);

/* The same; check looks at the written file before it takes path's place, and may refuse it. */
typedef hl_status hl_safetensors_look(const char *written, void *context, hl_error *err);
hl_status hl_safetensors_write_checked(const char *path, int n, const hl_safetensor *tensors, int n_metadata,
                                       const hl_safetensors_text *metadata, hl_safetensors_look *check,
                                       void *context, hl_error *err);

#ifdef __cplusplus
}
#endif
#endif
