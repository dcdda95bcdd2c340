/* The configuration of a run: a struct whose members are the keys of app/config/config.def, so that the key
 * `model.refiner.heads` is c.model.refiner.heads.
 *
 * Errors are HL_ERR_CONFIG (HL_ERR_IO and HL_ERR_MEMORY where it is that) and say where:
 *     configs/x.yaml:14:9: optim.lr: -1 is below 0
 *     override 'optim.lr=-1': optim.lr: -1 is below 0 */
#ifndef HL_APP_CONFIG_H
#define HL_APP_CONFIG_H

#include "hl.h"
#include "base/text.h"
#include "layers/model.h"
#include "optim/schedule.h"

/* A list of strings, owned by the configuration. */
typedef struct hl_strings {
    int n;
    char **at;
} hl_strings;

/* Members of the types of app/config/config.def. An ENUM is the index of its name: where a room has an enum
 * for it (hl_compressor, hl_schedule_kind, hl_data_cache, hl_image_layout, hl_image_resize, hl_image_flip,
 * hl_normalize_mode), the values are the same. Those without one: */
enum { HL_STATE_FP32, HL_STATE_BF16 };
enum { HL_HIERARCHY_LINEAR, HL_HIERARCHY_ASPECTS };
enum { HL_FORMAT_REACH, HL_FORMAT_ROBOMIMIC, HL_FORMAT_ALOHA, HL_FORMAT_AUTO };
enum { HL_MISSING_ERROR, HL_MISSING_ZERO };
enum { HL_PAD_NONE, HL_PAD_ZERO };
enum { HL_STRESS_INFERENCE, HL_STRESS_TRAINING, HL_STRESS_MIXED, HL_STRESS_CONTROL };

#define HL_CONFIG_INT   int64_t
#define HL_CONFIG_SEED  uint64_t
#define HL_CONFIG_SIZE  size_t
#define HL_CONFIG_FLOAT double
#define HL_CONFIG_BOOL  bool
#define HL_CONFIG_ENUM  int
#define HL_CONFIG_TEXT  char *
#define HL_CONFIG_INTS  hl_widths
#define HL_CONFIG_TEXTS hl_strings

#define HL_RECORD(name) typedef struct name {
#define HL_RECORD_END(name)                                                                                  \
    }                                                                                                        \
    name;
#define HL_GROUP(path, name, help) struct {
#define HL_END(name)                                                                                         \
    }                                                                                                        \
    name;
#define HL_FIELD(type, record, name, default_text, limits, help) HL_CONFIG_##type name;
#define HL_KEY(type, group, name, default_text, limits, help)    HL_CONFIG_##type name;
#define HL_PART(of, record, name, help)                          of name;
#define HL_LIST(of, record, name, help)                                                                      \
    struct {                                                                                                 \
        int n;                                                                                               \
        of *at;                                                                                              \
    } name;
#include "app/config/config.def"
#undef HL_RECORD
#undef HL_RECORD_END
#undef HL_GROUP
#undef HL_END
#undef HL_FIELD
#undef HL_KEY
#undef HL_PART
#undef HL_LIST

/* Each of these fills *c, which is the caller's (hl_config_free); after an error *c is {0}.
 * The defaults, alone: */
hl_status hl_config_defaults(hl_config *c, hl_error *err);
/* The defaults, a file (NULL: none), then n overrides "KEY=VALUE"; all checked. The last of several
 * overrides of one key counts; in a file a key twice is an error. A list of groups is given as a whole, and
 * stress.phases[1].seconds=5 then changes one of its entries. */
hl_status hl_config_load(hl_config *c, const char *path, int n, char *const *overrides, hl_error *err);
/* As hl_config_load with the file's content; name stands for it in messages. */
hl_status hl_config_parse_text(hl_config *c, const char *text, const char *name, int n,
                               char *const *overrides, hl_error *err);
/* Several of them: what a later layer says replaces what an earlier one said. */
typedef struct hl_config_layer {
    const char *name; /* the file; with a text: what stands for it in messages */
    const char *text; /* its content; NULL: read the file */
} hl_config_layer;
hl_status hl_config_load_layers(hl_config *c, int n_layers, const hl_config_layer *layers, int n,
                                char *const *overrides, hl_error *err);
/* Frees what *c owns and makes it {0}. */
void hl_config_free(hl_config *c);

/* YAML that hl_config_parse_text reads back to the same configuration. The caller's (hl_free); NULL if
 * there is no memory. */
char *hl_config_print(const hl_config *c);
/* Appends a string in double quotes, with escapes where YAML needs them. */
void hl_config_quote(hl_text *t, const char *string);
/* docs/config.md, from the table; likewise. */
char *hl_config_markdown(void);

/* What parts of the configuration are to the layers and the optimizer. */
hl_model_options hl_config_model(const hl_config *c);
hl_loss_weights hl_config_loss(const hl_config *c);
hl_adamw_options hl_config_adamw(const hl_config *c);
hl_lr_schedule hl_config_schedule(const hl_config *c);
/* What a phase of the stress test is called, and computes with. */
const char *hl_config_phase_name(const hl_stress_phase *phase);
hl_precision hl_config_phase_precision(const hl_config *c, const hl_stress_phase *phase);

#endif
