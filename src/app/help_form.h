/* One form of help, within the rooms that make them. */
#ifndef HL_APP_HELP_FORM_H
#define HL_APP_HELP_FORM_H

#include "app/help.h"

struct hl_help_form {
    const char *name; /* as in --help=NAME; "" for --help */
    void (*of_command)(const hl_command *command, const hl_usage *usage);
    /* Of hl: what stands before all commands, and after them. Without `after` it is all there is. */
    void (*of_hl)(void);
    void (*after)(void);
};

extern const hl_help_form hl_help_man, hl_help_bash, hl_help_zsh, hl_help_fish;

/* The group of a command ("data"), cut from its name; "" if it is of none. */
typedef struct hl_group {
    char name[32];
} hl_group;
hl_group hl_group_of(const hl_command *command);
/* Whether command i is the first of its group, or of none: where a list of first words has one. */
bool hl_is_first_of_group(int i);

#endif
