#!/usr/bin/env bash
# Manual pages and completions: well-formed for those who read them, and with every command and flag.
. "$(dirname "$0")/lib.sh"

mapfile -t commands < <(sed -nE 's/^HL_(SUB)?COMMAND\(([a-z, ]*), ".*/\2/p' "$root/src/app/commands.def" | tr -d ,)
check 'commands were found' test "${#commands[@]}" -ge 7

# ------------------------------------------------------------------ manual pages
proofread() {
    ! command -v mandoc >/dev/null || mandoc -T lint -W error "$1"
    ! command -v groff >/dev/null || [ -z "$(groff -man -T utf8 -ww "$1" 2>&1 >/dev/null)" ]
}

run 0 --help=man
cp .stdout hl.1
check 'hl(1)' proofread hl.1
for command in "${commands[@]}"; do
    check "hl(1) lists hl $command" grep -qFx ".B hl $command" hl.1
    read -ra words <<<"$command"
    run 0 "${words[@]}" --help=man
    cp .stdout page
    check "hl-${command/ /-}(1)" proofread page
    check "$command: its name" grep -qE "^hl-${command/ /-} - [a-z]" <(sed 's/\\-/-/g' page)
    run 0 "${words[@]}" --help
    grep -oE '^  --[a-z-]+' .stdout | tr -d ' ' | sort >flags
    sed -nE 's/^\.BI "(\\-\\-[^" ]*).*/\1/p' page | sed 's/\\-/-/g' | sort >in_page
    check "$command: its flags" cmp -s flags in_page
done

# ------------------------------------------------------------------ completions
for shell in bash zsh fish; do
    run 0 "--help=$shell"
    cp .stdout "hl.$shell"
    ! command -v $shell >/dev/null || check "$shell can read it" $shell -n "hl.$shell"
done
for command in "${commands[@]}"; do
    read -ra words <<<"$command"
    run 0 "${words[@]}" --help
    for flag in $(grep -oE '^  --[a-z-]+' .stdout); do
        check "bash: hl $command $flag" grep -qE "^    \*' $command'.*words='([^']* )?$flag " <(sed "s/ '\*)/'/" hl.bash)
        check "zsh: $flag" grep -qE -- "^        '$flag(=|\[)" hl.zsh
        check "fish: hl $command $flag" grep -qE "'__hl_in $command' -l ${flag#--} " hl.fish
    done
done
cat >try.bash <<'BASH'
. ./hl.bash
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_hl
echo "${COMPREPLY[*]}"
BASH

# offers SHELL WORDS EXPECTED: what would be offered at the end of that command line.
offers() {
    local offered
    case $1 in
    bash) # shellcheck disable=SC2046
        offered=$(eval "bash try.bash $(sed -E 's/ $/ ""/' <<<"$2")") ;;
    fish) offered=$(cd / && fish -N -c "source $work/hl.fish; complete -C '$2'" | cut -f1 | grep -v / | tr '\n' ' ') ;;
    esac
    checks=$((checks + 1))
    [ "$(tr ' ' '\n' <<<"$offered" | sort | xargs)" = "$(tr ' ' '\n' <<<"$3" | sort | xargs)" ] ||
        fail "$1 offers '$offered' after '$2'"
}
for shell in bash fish; do
    command -v $shell >/dev/null || continue
    offers $shell 'hl trai' train
    offers $shell 'hl data ' "$(sed -nE 's/^HL_SUBCOMMAND\(data, ([a-z]*),.*/\1/p' "$root/src/app/commands.def" | xargs)"
    offers $shell 'hl data export --o' '--output --overwrite'
    offers $shell 'hl data info --j' --json
    offers $shell 'hl export --o' ''
    offers $shell 'hl train --resu' --resume
done
offers bash 'hl train ' ''           # a file
offers bash 'hl train --resume --t' '' # its value
finish
