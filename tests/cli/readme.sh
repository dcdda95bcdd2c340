#!/usr/bin/env bash
# README.md does not lie: the hl commands of its ```sh blocks run, in their order, in a directory that has the
# configurations and, under build/, the program. A block with the line "# minutes" is left out; training is cut
# to two steps.
. "$(dirname "$0")/lib.sh"
readme=$root/README.md
if [ ! -e "$readme" ]; then
    echo 'there is no README.md'
    exit 77
fi

mkdir build checkpoints
ln -s "$hl" build/hl
cp -r "$root/configs" .
cp "$root"/checkpoints/*.h5 checkpoints 2>/dev/null
# Blocks, continued lines joined, comments and the prompt off; "@" begins a block.
awk '/^```/ { inside = $0 == "```sh"; if (inside) print "@"; next } inside { print }' "$readme" |
    sed -e ':a' -e '/\\$/N; s/\\\n */ /; ta' -e 's/^ *\$ //' -e 's/ *$//' >blocks

commands=0
skip=0
begin_block() { skip=0; }
while read -r line; do
    case "$line" in
    @) begin_block ;;
    '# minutes'*) skip=1 ;;
    build/hl\ *)
        [ $skip -eq 1 ] && continue
        line=${line%%  #*}
        case "$line" in
        'build/hl train '*) line+=' train.steps=2 train.valid_every=0' ;;
        'build/hl eval '*) line+=' --episodes 2' ;;
        'build/hl bench '*) line+=' --seconds 0' ;;
        esac
        commands=$((commands + 1))
        last=$line
        checks=$((checks + 1))
        eval "timeout 300 $line" >.stdout 2>.stderr </dev/null || fail "exit code $?"
        ;;
    esac
done <blocks
echo "$commands commands"
check 'README.md shows some' test "$commands" -ge 3
finish
