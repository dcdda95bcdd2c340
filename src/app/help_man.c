/* Manual pages, in the macros of man(7). */
#include "app/help_form.h"

#include <ctype.h>
#include <string.h>

/* A backslash is roff's own, and a bare hyphen may be printed as another character than the one to type. */
static void print_roff(const char *text)
{
    for (; *text; text++) {
        if (*text == '\\')
            fputs("\\e", stdout);
        else if (*text == '-')
            fputs("\\-", stdout);
        else
            putchar(*text);
    }
}

/* Lines, none of which roff may take for a request; the spaces that line them up at a terminal go. */
static void print_lines(const char *text)
{
    while (*text) {
        char line[256];
        size_t n = strcspn(text, "\n");
        snprintf(line, sizeof line, "%.*s", (int)n, text);
        const char *first = line + strspn(line, " ");
        fputs(*first == '.' || *first == '\'' ? "\\&" : "", stdout);
        print_roff(first);
        putchar('\n');
        text += n + (text[n] == '\n');
    }
}

/* The page of "data info" is hl-data-info. */
static void print_name(const char *command)
{
    fputs("hl", stdout);
    if (command)
        fputs("\\-", stdout);
    for (; command && *command; command++)
        fputs(*command == ' ' ? "\\-" : (char[]){*command, 0}, stdout);
}

static void begin(const char *command, const char *summary)
{
    fputs(".TH \"", stdout);
    for (const char *c = command ? "HL-" : "HL"; *c; c++)
        putchar(*c);
    for (const char *c = command; c && *c; c++)
        putchar(*c == ' ' ? '-' : toupper((unsigned char)*c));
    printf("\" 1 \"\" \"hl %s\" \"hl\"\n.SH NAME\n", HL_VERSION);
    print_name(command);
    fputs(" \\- ", stdout);
    print_roff(summary);
    printf("\n.SH SYNOPSIS\n.nf\n");
}

static void exit_status(void)
{
    printf(".SH EXIT STATUS\n0 ok, 1 the run failed, 2 usage, configuration or input.\n.SH SEE ALSO\n");
}

static void man_of_command(const hl_command *command, const hl_usage *u)
{
    begin(command->name, command->summary);
    print_lines(u->synopsis);
    printf(".fi\n.SH DESCRIPTION\n");
    print_lines(u->text);
    if (u->flags && u->flags->name)
        printf(".SH OPTIONS\n");
    for (const hl_flag *f = u->flags; f && f->name; f++) {
        printf(".TP\n.BI \"\\-\\-");
        print_roff(f->name);
        printf("%s", f->value ? " \" \"" : "");
        print_roff(f->value ? f->value : "");
        printf("\"\n");
        print_lines(f->help);
    }
    exit_status();
    printf(".BR hl (1)\n");
}

static void man_of_hl(void)
{
    int n;
    const hl_command *c = hl_commands(&n);
    begin(NULL, "train, measure and deploy the H-L robot model");
    printf("hl COMMAND ...\nhl COMMAND \\-\\-help\nhl \\-\\-version\n.fi\n.SH COMMANDS\n");
    for (int i = 0; i < n; i++) {
        printf(".TP\n.B hl %s\n", c[i].name);
        print_lines(c[i].summary);
    }
    exit_status();
    for (int i = 0; i < n; i++) {
        fputs(".BR ", stdout);
        print_name(c[i].name);
        printf(" (1)%s\n", i < n - 1 ? "," : "");
    }
}

const hl_help_form hl_help_man = {"man", man_of_command, man_of_hl, NULL};
