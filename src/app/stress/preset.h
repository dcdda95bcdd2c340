/* Phases of the stress test that come with the program: the files of configs/stress, within it. */
#ifndef HL_APP_STRESS_PRESET_H
#define HL_APP_STRESS_PRESET_H

#include "app/config/config.h"

typedef struct hl_preset {
    const char *name, *path, *text;
} hl_preset;

extern const hl_preset hl_presets[];
extern const int hl_preset_count;

/* What lies over the user's file as a layer of hl_config_load_layers. HL_ERR_USAGE: there is none of that
 * name, and which there are. */
hl_status hl_preset_find(const char *name, hl_config_layer *layer, hl_error *err);

#endif
