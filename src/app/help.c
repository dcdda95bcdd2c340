#include "app/help.h"

#include "app/help_form.h"
#include "base/error.h"

#include <string.h>

/* ------------------------------------------------------------------ commands and their groups */

hl_group hl_group_of(const hl_command *command)
{
    hl_group group = {0};
    const char *space = strchr(command->name, ' ');
    size_t n = space ? (size_t)(space - command->name) : 0;
    HL_ASSERT(n < sizeof group.name);
    memcpy(group.name, command->name, n);
    return group;
}

bool hl_is_first_of_group(int i)
{
    int n;
    const hl_command *c = hl_commands(&n);
    hl_group own = hl_group_of(&c[i]);
    return i == 0 || !*own.name || strcmp(own.name, hl_group_of(&c[i - 1]).name) != 0;
}

/* The command whose usage this is: the synopsis begins with its name. */
static const hl_command *command_of(const hl_usage *usage)
{
    int n;
    const hl_command *c = hl_commands(&n);
    for (int i = 0; i < n; i++) {
        size_t length = strlen(c[i].name);
        const char *after = usage->synopsis + 3 + length; /* "hl " */
        if (!strncmp(usage->synopsis + 3, c[i].name, length) && (*after == ' ' || !*after))
            return &c[i];
    }
    HL_ASSERT(!"a usage begins with `hl` and the name of its command");
    return NULL;
}

/* ------------------------------------------------------------------ for a person */

void hl_help_list(FILE *to, const char *group)
{
    int n;
    const hl_command *c = hl_commands(&n);
    for (int i = 0; i < n; i++)
        if (!group || !strcmp(group, hl_group_of(&c[i]).name))
            fprintf(to, "  %-12s %s\n", c[i].name, c[i].summary);
}

static void text_of_command(const hl_command *command, const hl_usage *u)
{
    (void)command;
    printf("usage: %s\n\n%s\n", u->synopsis, u->text);
    if (u->flags && u->flags->name)
        printf("\n");
    for (const hl_flag *f = u->flags; f && f->name; f++) {
        char left[64];
        snprintf(left, sizeof left, "--%s%s%s", f->name, f->value ? " " : "", f->value ? f->value : "");
        printf("  %-22s %s\n", left, f->help);
    }
    printf("\nExit code: 0 ok, 1 the run failed, 2 usage, configuration or input.\n");
}

static void text_of_hl(void)
{
    printf("hl %s: train, measure and deploy the H-L robot model\n\nusage: hl COMMAND ...\n\n", HL_VERSION);
    hl_help_list(stdout, NULL);
    printf(
        "\nhl COMMAND --help tells more; hl --version the version. hl COMMAND --help=man prints the manual\n"
        "page; hl --help=bash, =zsh or =fish what completes command lines in that shell.\n");
}

/* ------------------------------------------------------------------ forms */

static const hl_help_form text = {"", text_of_command, text_of_hl, NULL};
static const hl_help_form *const forms[] = {&text, &hl_help_man, &hl_help_bash, &hl_help_zsh, &hl_help_fish};

bool hl_help_asked(const char *argument, const hl_help_form **form)
{
    static const char asks[] = "--help=";
    *form = &text;
    if (!strcmp(argument, "--help") || !strcmp(argument, "-h"))
        return true;
    if (strncmp(argument, asks, sizeof asks - 1) != 0)
        return false;
    *form = NULL;
    for (size_t i = 1; i < sizeof forms / sizeof *forms; i++)
        if (!strcmp(argument + sizeof asks - 1, forms[i]->name))
            *form = forms[i];
    return true;
}

static int no_such_form(void)
{
    fprintf(stderr, "hl: there is no such form of --help; there are --help=man, bash, zsh and fish\n");
    return HL_EXIT_USAGE;
}

int hl_help_of_command(const hl_usage *usage, const hl_help_form *form)
{
    if (!form)
        return no_such_form();
    form->of_command(command_of(usage), usage);
    return HL_EXIT_OK;
}

/* Each command knows its usage by itself, and is asked for it. */
int hl_help_of_hl(const hl_help_form *form)
{
    int n, code = HL_EXIT_OK;
    const hl_command *c = hl_commands(&n);
    if (!form)
        return no_such_form();
    form->of_hl();
    for (int i = 0; form->after && i < n && code == HL_EXIT_OK; i++) {
        char name[] = "hl", argument[32];
        snprintf(argument, sizeof argument, "--help=%s", form->name);
        code = c[i].run(2, (char *[]){name, argument, NULL});
    }
    if (form->after)
        form->after();
    return code;
}
