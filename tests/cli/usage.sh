#!/usr/bin/env bash
# Help, versions, and command lines that make no sense.
. "$(dirname "$0")/lib.sh"

run 0 --version
prints '^hl [0-9]+\.[0-9]+\.[0-9]+$'
run 0 --help
cp .stdout help
run 0 help
check 'help and --help are one' cmp -s .stdout help
mapfile -t commands < <(sed -nE 's/^HL_(SUB)?COMMAND\(([a-z, ]*), ".*/\2/p' "$root/src/app/commands.def" | tr -d ,)
check 'seven commands or more' test "${#commands[@]}" -ge 7

# Every flag of a command's source stands in its help. A command is a file, or a folder with that file, or that of its
# second word, in it.
flags_in() {
    local source=$root/src/app/$1.c
    [ -e "$source" ] || source=$root/src/app/$1/${2:-$1}.c
    sed -n "/int hl_command_${1}${2:+_$2}(/,/^}/s/.*{\"\([a-z-]*\)\", HL_FLAG_.*/\1/p" "$source"
}

for command in "${commands[@]}"; do
    read -ra words <<<"$command"
    run 0 --help
    prints "^  $command "
    run 0 "${words[@]}" --help
    prints "^usage: hl $command "
    check "$command --help: nothing on stderr" test ! -s .stderr
    check "$command has flags" test -n "$(flags_in "${words[@]}")"
    for flag in $(flags_in "${words[@]}"); do
        prints "^  --$flag( |$)"
    done
    run 0 "${words[@]}" nonsense --help extra
    prints "^usage: hl $command "
    case $command in
    devices | ops) bad 'too many arguments' "$command" x ;;
    *) bad 'an argument is missing' "${words[@]}" ;;
    esac
    bad "unknown flag '--frobnicate'" "${words[@]}" x --frobnicate
    bad "unknown flag '-x'" "${words[@]}" -x
    bad 'there is no such form of --help; there are --help=man' "${words[@]}" --help=html
done
bad 'there is no such form of --help' --help=
run 0 data --help
prints '^  data info '
check 'of a group: its commands alone' test "$(grep -c '^  ' .stdout)" -eq "$(grep -c '^HL_SUBCOMMAND(data' "$root/src/app/commands.def")"

check 'no command: exit 2, help on stderr' run 2
check 'no command: nothing on stdout' test ! -s .stdout
bad "there is no command 'trian'; did you mean 'train'\?" trian
bad "there is no command 'zzzzzz' \(see hl --help\)" zzzzzz
bad "did you mean '--resume'\?" train "$tiny" --resum auto
bad "did you mean '--episodes'\?" eval x --episode 3
bad "there is no command 'data ifno'; did you mean 'data info'\?" data ifno
bad "there is no command 'info'" info
bad "there is no command 'datainfo'; did you mean 'data info'\?" datainfo
bad 'an argument is missing' data
bad 'too many arguments' data info a b
bad '--output is missing' data export "$tiny"
bad '--input is missing' infer x --output y
bad '--output is missing' infer x --input y
bad '--to is missing' export x
bad '--input needs a value: OBS.h5' infer x --input --output y
bad '--output needs a value' infer x --input y --output
bad '--resume needs a value' train "$tiny" --resume=
bad '--json takes no value' inspect x --json=1
for value in three 3x -3 99999999999999999999 ''; do
    bad '--episodes' eval x "--episodes=$value"
done
bad '--episodes: 0 is not in 1\.\.1000000' eval x --episodes 0
bad '--batch: 0 is not in 1\.\.65536' plan "$tiny" --batch 0
bad '--batch: 65537 is not in' plan "$tiny" --batch 65537
for value in 0 1,0 1,,2 a 1.5 65537; do
    bad '--batch: ' bench "$tiny" --batch "$value"
done
bad "override 'extra': expected KEY=VALUE" train "$tiny" extra

# --print-config prints what it reads, and nothing runs.
run 0 train "$tiny" train.steps=7 'stress.phases=[{seconds: 1}, {kind: training, iterations: 2}]' \
    'stress.phases[1].iterations=3' --print-config
cp .stdout printed.yaml
prints '^  steps: 7$'
prints '^    - name: ""$'
prints '^      iterations: 3$'
check 'nothing ran' test ! -e run
run 0 train printed.yaml --print-config
check '--print-config is a fixed point' cmp -s .stdout printed.yaml

# What there is to run on, and with.
run 0 devices
prints '^cpu  '
check 'a GPU, or why there is none' grep -Eq '^(cuda:0|no GPU: .+)' .stdout
run 0 ops
prints '^matmul  +portable '
run 0 bench "$tiny" device=cpu precision=bf16 --batch 1 --seconds 0 --json
prints '"precision": "bf16"'
run 0 plan "$tiny" device=cpu precision=fp16
prints '^16-bit copies  +[0-9.]+ '

# Results that cannot be written are not a success.
last='inspect >/dev/full'
"$hl" inspect "$tiny" >/dev/full 2>.stderr
check 'a full stdout: exit 2' test $? -eq 2
says 'stdout: No space left on device'
"$hl" plan "$tiny" --json >/dev/full 2>.stderr
check 'a full stdout, --json: exit 2' test $? -eq 2
check 'a full stdout, --json: one sentence' test "$(grep -c '^hl: ' .stderr)" -eq 1

# What programs read is JSON and nothing else.
for command in devices ops "plan $tiny" "inspect $tiny" "bench $tiny --seconds 0 --batch 1,3" "bench $tiny --train --seconds 0"; do
    # shellcheck disable=SC2086
    run 0 $command --json
    check 'JSON' valid_json .stdout
    # shellcheck disable=SC2086
    run 0 $command
    check 'text' test -s .stdout
done
finish
