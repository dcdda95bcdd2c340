/* Completions: commands, then a command's flags; a flag's value and all else is a file, as shells do by
 * default. In bash and zsh one `case` over the place of the word and the words that name the command. */
#include "app/help_form.h"

#include <string.h>

/* ------------------------------------------------------------------ what all have */

/* Calls print for every first word (group NULL), or for the second words of a group. */
static void each_word(const char *group, void (*print)(const char *word, const char *summary))
{
    int n;
    const hl_command *c = hl_commands(&n);
    for (int i = 0; i < n; i++) {
        hl_group own = hl_group_of(&c[i]);
        if (group && !strcmp(group, own.name))
            print(strchr(c[i].name, ' ') + 1, c[i].summary);
        else if (!group && *own.name && hl_is_first_of_group(i))
            print(own.name, "a group of commands");
        else if (!group && !*own.name)
            print(c[i].name, c[i].summary);
    }
}

static void each_group(void (*print)(const char *group))
{
    int n;
    const hl_command *c = hl_commands(&n);
    for (int i = 0; i < n; i++)
        if (*hl_group_of(&c[i]).name && hl_is_first_of_group(i))
            print(hl_group_of(&c[i]).name);
}

/* The pattern of a command in `case "PLACE WORD WORD"`: of one word, any second may follow. */
static void print_pattern(const hl_command *command)
{
    printf("    *' %s%s) ", command->name, *hl_group_of(command).name ? "'" : " '*");
}

/* ------------------------------------------------------------------ bash */

static void bash_word(const char *word, const char *summary)
{
    (void)summary;
    printf("%s ", word);
}

static void bash_group(const char *group)
{
    printf("    '2 %s '*) words='", group);
    each_word(group, bash_word);
    printf("' ;;\n");
}

static void bash_begin(void)
{
    printf(
        "# bash completion for hl, made by: hl --help=bash\n"
        "_hl()\n{\n"
        "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} words='' valued=''\n"
        "    case \"$COMP_CWORD ${COMP_WORDS[1]} ${COMP_WORDS[2]}\" in\n"
        "    '1 '*) words='");
    each_word(NULL, bash_word);
    printf("--help --version' ;;\n");
    each_group(bash_group);
}

static void bash_of_command(const hl_command *command, const hl_usage *u)
{
    print_pattern(command);
    printf("words='");
    for (const hl_flag *f = u->flags; f && f->name; f++)
        printf("--%s ", f->name);
    printf("--help' valued=' ");
    for (const hl_flag *f = u->flags; f && f->name; f++)
        if (f->value)
            printf("--%s ", f->name);
    printf("' ;;\n");
}

static void bash_end(void)
{
    printf("    esac\n"
           "    COMPREPLY=() # none: a file\n"
           "    [[ $valued == *\" $before \"* || ($words == --* && $word != -*) ]] && return\n"
           "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n"
           "}\n"
           "complete -o default -F _hl hl\n");
}

const hl_help_form hl_help_bash = {"bash", bash_of_command, bash_begin, bash_end};

/* ------------------------------------------------------------------ zsh */

/* Within single quotes, in a specification whose own signs are : and []. */
static void print_zsh(const char *text)
{
    for (; *text; text++) {
        if (*text == '\'')
            fputs("'\\'", stdout);
        else if (strchr(":[]\\", *text))
            putchar('\\');
        putchar(*text);
    }
}

static void zsh_word(const char *word, const char *summary)
{
    printf("        '%s:", word);
    print_zsh(summary);
    printf("'\n");
}

static void zsh_words(const char *group)
{
    if (group)
        printf("    '3 %s '*) words_here=(\n", group);
    else
        printf("    '2 '*) words_here=(\n");
    each_word(group, zsh_word);
    printf("        ); _describe command words_here ;;\n");
}

static void zsh_begin(void)
{
    printf("#compdef hl\n# zsh completion for hl, made by: hl --help=zsh\n"
           "_hl()\n{\n"
           "    local -a words_here\n"
           "    case \"$CURRENT $words[2] $words[3]\" in\n");
    zsh_words(NULL);
    each_group(zsh_words);
}

static void zsh_of_command(const hl_command *command, const hl_usage *u)
{
    print_pattern(command);
    printf("_arguments \\\n");
    for (const hl_flag *f = u->flags; f && f->name; f++) {
        printf("        '--%s%s[", f->name, f->value ? "=" : "");
        print_zsh(f->help);
        printf("]");
        if (f->value) {
            printf(":");
            print_zsh(f->value);
            printf(":_files");
        }
        printf("' \\\n");
    }
    printf("        '--help[tell what it does]' '*:file:_files' ;;\n");
}

static void zsh_end(void)
{
    printf("    esac\n}\n"
           "if [ \"$funcstack[1]\" = _hl ]; then _hl \"$@\"; else compdef _hl hl; fi\n");
}

const hl_help_form hl_help_zsh = {"zsh", zsh_of_command, zsh_begin, zsh_end};

/* ------------------------------------------------------------------ fish */

static const char *fish_group; /* of the words that are printed */

static void print_fish(const char *text)
{
    for (; *text; text++) {
        if (*text == '\'' || *text == '\\')
            putchar('\\');
        putchar(*text);
    }
}

static void fish_word(const char *word, const char *summary)
{
    printf("complete -c hl -f -n '__hl_after%s%s' -a %s -d '", *fish_group ? " " : "", fish_group, word);
    print_fish(summary);
    printf("'\n");
}

static void fish_words(const char *group)
{
    fish_group = group ? group : "";
    each_word(group, fish_word);
}

static void fish_begin(void)
{
    printf("# fish completion for hl, made by: hl --help=fish\n"
           "function __hl_after\n"
           "    set -l words (commandline -opc)\n"
           "    test \"$words[2..-1]\" = \"$argv\"\n"
           "end\n"
           "function __hl_in\n"
           "    set -l words (commandline -opc)\n"
           "    string match -q -- \"$argv *\" \"$words[2..-1] \"\n"
           "end\n");
    fish_words(NULL);
    each_group(fish_words);
}

static void fish_of_command(const hl_command *command, const hl_usage *u)
{
    for (const hl_flag *f = u->flags; f && f->name; f++) {
        printf("complete -c hl -n '__hl_in %s' -l %s %s-d '", command->name, f->name,
               f->value ? "-r -F " : "");
        print_fish(f->help);
        printf("'\n");
    }
}

static void fish_end(void)
{
}

const hl_help_form hl_help_fish = {"fish", fish_of_command, fish_begin, fish_end};
