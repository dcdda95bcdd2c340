#include "app/command.h"

#include "app/help.h"
#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const hl_command commands[] = {
#define HL_COMMAND(name, summary)           {#name, summary, hl_command_##name},
#define HL_SUBCOMMAND(group, name, summary) {#group " " #name, summary, hl_command_##group##_##name},
#include "app/commands.def"
#undef HL_COMMAND
#undef HL_SUBCOMMAND
};

const hl_command *hl_commands(int *n)
{
    *n = (int)(sizeof commands / sizeof *commands);
    return commands;
}

int hl_exit_code(hl_status status)
{
    if (status == HL_OK)
        return HL_EXIT_OK;
    return status == HL_ERR_DEVICE || status == HL_ERR_NUMERIC ? HL_EXIT_FAILED : HL_EXIT_USAGE;
}

int hl_report(const hl_error *err)
{
    fprintf(stderr, "hl: %s\n", err->message);
    return hl_exit_code(err->status);
}

bool hl_same_file(const char *a, const char *b)
{
    struct stat x, y;
    return !stat(a, &x) && !stat(b, &y) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* ------------------------------------------------------------------ flags */

int hl_wrong_arguments(const hl_usage *u, const char *what)
{
    fprintf(stderr, "hl: %s\nusage: %s\n", what, u->synopsis);
    return HL_EXIT_USAGE;
}

static int wrong_flag(const hl_usage *u, const char *dashes, const char *name)
{
    const char *known[32];
    int n = 0;
    for (const hl_flag *f = u->flags; f && f->name && n < 32; f++)
        known[n++] = f->name;
    const char *nearest = hl_nearest(name, known, (size_t)n);
    fprintf(stderr, "hl: unknown flag '%s%s'%s%s%s\nusage: %s\n", dashes, name,
            nearest ? "; did you mean '--" : "", nearest ? nearest : "", nearest ? "'?" : "", u->synopsis);
    return HL_EXIT_USAGE;
}

static bool set_flag(const hl_flag *f, const char *value)
{
    if (f->kind == HL_FLAG_TEXT) {
        *(const char **)f->out = value;
        return true;
    }
    char *end;
    errno = 0;
    long long n = strtoll(value, &end, 10);
    if (errno || end == value || *end || n < 0) {
        fprintf(stderr, "hl: --%s: '%s' is not a whole number of 0 or more\n", f->name, value);
        return false;
    }
    *(int64_t *)f->out = n;
    return true;
}

/* Reads the flag at argv[*i], and its value. */
static int parse_flag(const hl_usage *u, int argc, char **argv, int *i)
{
    char name[64];
    const char *text = argv[*i] + 2, *equals = strchr(text, '=');
    size_t length = equals ? (size_t)(equals - text) : strlen(text);
    snprintf(name, sizeof name, "%.*s", (int)(length < 63 ? length : 63), text);
    for (const hl_flag *f = u->flags; f && f->name; f++) {
        if (strcmp(f->name, name))
            continue;
        if (f->kind == HL_FLAG_BOOL && equals) {
            fprintf(stderr, "hl: --%s takes no value\n", name);
            return HL_EXIT_USAGE;
        }
        if (f->kind == HL_FLAG_BOOL) {
            *(bool *)f->out = true;
            return HL_GO_ON;
        }
        const char *value = equals ? equals + 1 : *i + 1 < argc ? argv[++*i] : "";
        if (!*value || (!equals && !strncmp(value, "--", 2))) { /* --input --output: the file was forgotten */
            fprintf(stderr, "hl: --%s needs a value: %s\n", name, f->value);
            return HL_EXIT_USAGE;
        }
        return set_flag(f, value) ? HL_GO_ON : HL_EXIT_USAGE;
    }
    return wrong_flag(u, "--", name);
}

int hl_parse_arguments(const hl_usage *u, int argc, char **argv, int *n)
{
    const hl_help_form *form;
    *n = 0;
    for (int i = 1; i < argc; i++)
        if (hl_help_asked(argv[i], &form))
            return hl_help_of_command(u, form);
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] != '-' || !argv[i][1]) {
            argv[++*n] = argv[i];
            continue;
        }
        if (argv[i][1] != '-')
            return wrong_flag(u, "-", argv[i] + 1);
        int code = parse_flag(u, argc, argv, &i);
        if (code != HL_GO_ON)
            return code;
    }
    if (*n < u->min_positional)
        return hl_wrong_arguments(u, "an argument is missing");
    if (u->max_positional >= 0 && *n > u->max_positional)
        return hl_wrong_arguments(u, "too many arguments");
    return HL_GO_ON;
}

/* ------------------------------------------------------------------ hl */

/* How many words of argv[1..] are the name of a command: 0 if they name another. */
static int words_of(const char *name, int argc, char **argv)
{
    int words = 0;
    while (words + 1 < argc) {
        size_t n = strcspn(name, " ");
        if (strncmp(name, argv[words + 1], n) != 0 || argv[words + 1][n])
            return 0;
        words++;
        if (!name[n])
            return words;
        name += n + 1;
    }
    return 0;
}

/* `hl data`, `hl data --help`: the commands of a group. */
static bool is_group(const char *word)
{
    int n;
    const hl_command *c = hl_commands(&n);
    size_t length = strlen(word);
    for (int i = 0; i < n; i++)
        if (!strncmp(c[i].name, word, length) && c[i].name[length] == ' ')
            return true;
    return false;
}

static int group(int argc, char **argv)
{
    if (argc == 2) {
        fprintf(stderr, "hl: an argument is missing\nusage: hl %s COMMAND ...\nhl %s --help tells more\n",
                argv[1], argv[1]);
        return HL_EXIT_USAGE;
    }
    printf("usage: hl %s COMMAND ...\n\n", argv[1]);
    hl_help_list(stdout, argv[1]);
    return HL_EXIT_OK;
}

static int no_such_command(int argc, char **argv)
{
    int n;
    const hl_command *c = hl_commands(&n);
    const char *names[64];
    char said[64];
    snprintf(said, sizeof said, "%s%s%s", argv[1], is_group(argv[1]) ? " " : "",
             argc > 2 && is_group(argv[1]) ? argv[2] : "");
    for (int i = 0; i < n; i++)
        names[i] = c[i].name;
    const char *nearest = hl_nearest(said, names, (size_t)n);
    fprintf(stderr, "hl: there is no command '%s'%s%s%s\n", said,
            nearest ? "; did you mean '" : " (see hl --help)", nearest ? nearest : "", nearest ? "'?" : "");
    return HL_EXIT_USAGE;
}

static int dispatch(int argc, char **argv)
{
    int n;
    const hl_command *c = hl_commands(&n);
    const hl_help_form *form;
    if (argc < 2) {
        fprintf(stderr, "usage: hl COMMAND ...\n\n");
        hl_help_list(stderr, NULL);
        return HL_EXIT_USAGE;
    }
    if (!strcmp(argv[1], "help"))
        return hl_help_of_hl(hl_help_asked("--help", &form) ? form : NULL);
    if (hl_help_asked(argv[1], &form))
        return hl_help_of_hl(form);
    if (!strcmp(argv[1], "--version")) {
        printf("hl %s\n", HL_VERSION);
        return HL_EXIT_OK;
    }
    for (int i = 0; i < n; i++) {
        int words = words_of(c[i].name, argc, argv);
        if (words)
            return c[i].run(argc - words, argv + words);
    }
    if (is_group(argv[1]) && (argc == 2 || hl_help_asked(argv[2], &form)))
        return group(argc, argv);
    return no_such_command(argc, argv);
}

int hl_main(int argc, char **argv)
{
    int code = dispatch(argc, argv);
    if (code || (!fflush(stdout) && !ferror(stdout))) /* a fault has been told already */
        return code;
    fprintf(stderr, "hl: the result could not be written to stdout: %s\n", strerror(errno));
    return HL_EXIT_USAGE; /* as for any file */
}
