# What the tests of the program share; each begins with:  . "$(dirname "$0")/lib.sh"
# Arguments: the program hl, the helper hdf5_tool. Runs in a directory of its own, which goes in the end.
set -uo pipefail

hl=$(realpath "$1")
tool=$(realpath "$2")
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
tiny=$here/tiny.yaml
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
export OMP_NUM_THREADS=1 LC_ALL=C
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}allocator_may_return_null=1
unset HL_FAIL_WRITE HL_FAIL_ALLOC HL_DISABLE_PASSES

as=() # in front of hl: another user
checks=0
failures=0

# fail WHAT: counts a failure and shows what the program said last, on stderr: stdout may be redirected.
fail() {
    failures=$((failures + 1))
    report "$1" >&2
}

report() {
    echo "FAILED: $1"
    echo "    hl ${last:-}"
    sed 's/^/    stdout: /' "$work/.stdout" 2>/dev/null | head -20
    sed 's/^/    stderr: /' "$work/.stderr" 2>/dev/null | head -40
}

# check WHAT COMMAND...: the command must succeed.
check() {
    local what=$1
    shift
    checks=$((checks + 1))
    "$@" || fail "$what"
}

# run CODE ARGUMENT...: hl must end with that code within 2 minutes.
run() {
    local want=$1
    shift
    last=$*
    checks=$((checks + 1))
    timeout -k 10 120 "${as[@]}" "$hl" "$@" >"$work/.stdout" 2>"$work/.stderr"
    local code=$?
    [ "$code" -eq "$want" ] && return 0
    fail "exit code $code, expected $want"
    return 1
}

# One sentence: a line "hl: ..." that matches the (extended) regular expression.
says() {
    checks=$((checks + 1))
    grep '^hl: ' "$work/.stderr" | grep -Eq -- "$1" || fail "stderr does not say: $1"
}

prints() {
    checks=$((checks + 1))
    grep -Eq -- "$1" "$work/.stdout" || fail "stdout does not say: $1"
}

# bad REGEX ARGUMENT...: refused with exit code 2, nothing on stdout and one sentence, alone or with the usage.
bad() {
    local sentence=$1
    shift
    run 2 "$@" || return 1
    says "$sentence"
    check 'nothing on stdout' test ! -s "$work/.stdout"
    check 'one sentence' test "$(grep -c '^hl: ' "$work/.stderr")" -eq 1
    check 'no other lines' test "$(grep -Evc '^(hl: |usage: |       hl |$|hl [a-z ]*--help )' "$work/.stderr")" -eq 0
}

# snapshot PATH: names, links and contents below it, as text.
snapshot() {
    find "$1" -type l -printf '%p -> %l\n' -o -type f -exec sha256sum {} + -o -printf '%p\n' | sort
}

# untouched WHAT PATH TEXT: the snapshot is still that.
untouched() {
    checks=$((checks + 1))
    [ "$(snapshot "$2")" = "$3" ] || fail "$1: $2 has changed"
}

# flip FILE OFFSET: turns one bit over (negative offsets count from the end).
flip() {
    local offset=$2 byte
    [ "$offset" -ge 0 ] || offset=$((offset + $(stat -c %s "$1")))
    byte=$(od -An -tu1 -j"$offset" -N1 "$1")
    # shellcheck disable=SC2059
    printf "$(printf '\\x%02x' $((byte ^ 16)))" | dd of="$1" bs=1 seek="$offset" conv=notrunc status=none
}

# valid_json FILE, json_lines FILE: by Python where there is one; hl needs none.
valid_json() {
    command -v python3 >/dev/null || return 0
    python3 -m json.tool "$1" >/dev/null
}

json_lines() {
    command -v python3 >/dev/null || return 0
    python3 -c 'import json, sys
for line in open(sys.argv[1]):
    assert line.endswith("\n") and json.loads(line)["step"] >= 1' "$1"
}

# every_step_once FILE LAST: training steps 1..LAST, each on one line, in order.
every_step_once() {
    grep '"split": "train"' "$1" | sed -E 's/.*"step": ([0-9]+),.*/\1/' | cmp -s - <(seq 1 "$2")
}

finish() {
    echo "$checks checks, $failures failures"
    [ "$failures" -eq 0 ] && [ "$checks" -gt 0 ]
    exit
}
