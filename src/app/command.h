/* What every command shares: its arguments, its exit code, its way to speak.
 * Results go to stdout, logs and progress to stderr. */
#ifndef HL_APP_COMMAND_H
#define HL_APP_COMMAND_H

#include "hl.h"

/* Exit codes that scripts rely on. */
enum { HL_EXIT_OK = 0, HL_EXIT_FAILED = 1, HL_EXIT_USAGE = 2 };

typedef struct hl_command {
    const char *name, *summary;        /* "train"; of a group two words: "data info" */
    int (*run)(int argc, char **argv); /* argv[0] is the command's last word; returns the exit code */
} hl_command;

#define HL_COMMAND(name, summary)           int hl_command_##name(int argc, char **argv);
#define HL_SUBCOMMAND(group, name, summary) int hl_command_##group##_##name(int argc, char **argv);
#include "app/commands.def"
#undef HL_COMMAND
#undef HL_SUBCOMMAND

/* All commands; *n is their number. */
const hl_command *hl_commands(int *n);

/* `hl ...`: finds the command and runs it. */
int hl_main(int argc, char **argv);

typedef enum hl_flag_kind { HL_FLAG_BOOL, HL_FLAG_INT, HL_FLAG_TEXT } hl_flag_kind;

/* One --flag of a command. out: bool *, int64_t * (0 or more) or const char **. */
typedef struct hl_flag {
    const char *name; /* without the dashes; NULL ends a list */
    hl_flag_kind kind;
    void *out;
    const char *value; /* shown in the help: N, PATH; NULL for HL_FLAG_BOOL */
    const char *help;
} hl_flag;

typedef struct hl_usage {
    const char *synopsis; /* "hl eval CHECKPOINT [--episodes N]" */
    const char *text;     /* what the command does, in a paragraph */
    const hl_flag *flags;
    int min_positional, max_positional; /* max -1: any number */
} hl_usage;

/* hl_parse_arguments: the command goes on. */
enum { HL_GO_ON = -1 };

/* Reads the flags (--name VALUE, --name=VALUE) and moves the positional arguments to the front of
 * argv[1..], their number to *n. HL_GO_ON, or the code to exit with: after --help, which prints the usage
 * to stdout (app/help.h), or a fault, which is told on stderr. */
int hl_parse_arguments(const hl_usage *usage, int argc, char **argv, int *n);

/* Tells on stderr what is wrong with the arguments, and the usage. Returns the code to exit with. */
int hl_wrong_arguments(const hl_usage *usage, const char *what);

/* The exit code that fits a status: 1 for failures of the run (device, numeric), 2 for usage, config, input,
 * files and memory. */
int hl_exit_code(hl_status status);
/* Prints "hl: message" to stderr and returns the exit code of its status. */
int hl_report(const hl_error *err);

/* Whether both are there and are one file: what a command writes must not be what it reads. */
bool hl_same_file(const char *a, const char *b);

#endif
