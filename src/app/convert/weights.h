/* Tensors by name, as PyTorch's users have them: one .safetensors file, or several that an index names. */
#ifndef HL_APP_WEIGHTS_H
#define HL_APP_WEIGHTS_H

#include "io/safetensors.h"

typedef struct hl_weights hl_weights;

typedef struct hl_weight {
    const char *path; /* the file that it is in */
    hl_safetensor tensor;
} hl_weight;

/* Whether the name is that of an index: "model.safetensors.index.json". */
bool hl_weights_is_index(const char *path);
/* Opens a file, or an index and all files that it names, which lie beside it; index and files must tell the
 * same. NULL on error. */
hl_weights *hl_weights_open(const char *path, hl_error *err);
void hl_weights_close(hl_weights *w);
/* All tensors of all files; they live until hl_weights_close. */
int hl_weights_count(const hl_weights *w);
hl_weight hl_weights_at(const hl_weights *w, int index);
/* False if there is none. */
bool hl_weights_find(const hl_weights *w, const char *name, hl_weight *out);
/* Of the first file that has it, or NULL. */
const char *hl_weights_metadata(const hl_weights *w, const char *key);

#endif
