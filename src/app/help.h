/* What a command does, from its usage, in every form in which somebody wants it: --help for a person at a
 * terminal,
 * --help=man as a manual page, and of hl itself --help=bash, =zsh and =fish as completions for that shell. */
#ifndef HL_APP_HELP_H
#define HL_APP_HELP_H

#include "app/command.h"

#include <stdio.h>

typedef struct hl_help_form hl_help_form;

/* Whether an argument asks for help: -h, --help, --help=FORM. *form is NULL where there is no such form. */
bool hl_help_asked(const char *argument, const hl_help_form **form);

/* Of a command, and of hl, to stdout. Return the code to exit with: a form that is NULL is told on stderr. */
int hl_help_of_command(const hl_usage *usage, const hl_help_form *form);
int hl_help_of_hl(const hl_help_form *form);

/* The commands with their summaries; of one group, or of all (NULL). */
void hl_help_list(FILE *to, const char *group);

#endif
