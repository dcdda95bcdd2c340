#!/usr/bin/env bash
# scripts/gpu-check.sh, on the CPU and in small: every step ends, its file is JSON, and a failure is told.
#     tests/gpu_check.sh BUILD
set -uo pipefail
script=$(cd "$(dirname "$0")/.." && pwd)/scripts/gpu-check.sh
build=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

check() {
    local what=$1
    shift
    "$@" && return
    echo "FAILED: $what"
    sed 's/^/    /' "$work/said"
    failures=$((failures + 1))
}

try() {
    "$script" --build "$1" --out "$work/out" >"$work/said" 2>&1
}

outcomes() {
    grep -c "\"outcome\": \"$1\"" "$work"/out/*.json
}

valid() {
    ! command -v python3 >/dev/null || python3 -m json.tool "$1" >/dev/null
}

# Without a GPU it stops at once. Where there is one that would take long, and is the script's own run.
if ! "$build/hl" devices --json | grep -q '"device": "cuda'; then
    try "$build"
    check "exit 1 without a GPU" test $? -eq 1
    check "it says that there is none" grep -q '^gpu-check: there is no GPU: .' "$work/said"
    check "nothing is written" test ! -e "$work/out"
fi

export HL_GPU_CHECK_DEVICE=cpu
try "$build"
check "all steps pass" test $? -eq 0
check "its file is JSON" valid "$work"/out/*.json
check "it is complete" grep -q '"complete": true' "$work"/out/*.json
check "13 steps passed" test "$(outcomes passed)" -eq 13
check "rows of both precisions" test "$(grep -c '"median_ms"' "$work"/out/*.json)" -eq 6
check "a table" grep -Eq '^inference +2 bf16 +[0-9.]+' "$work/said"
rm -r "$work/out"

# An hl whose ops are wrong, and say so in words that JSON must escape.
mkdir -p "$work/broken/tests"
cp "$build/hl" "$work/broken/"
ln -s "$(type -P true)" "$work/broken/tests/parity"
printf '#!/bin/sh\nprintf "FAIL \\"add\\"\\t\\\\ \\001\\377\\n"\nexit 1\n' >"$work/broken/tests/ops_test"
chmod +x "$work/broken/tests/ops_test"
try "$work/broken"
check "exit 1 after a failure" test $? -eq 1
check "its file is JSON" valid "$work"/out/*.json
check "one step failed" test "$(outcomes failed)" -eq 1
check "it went on" test "$(outcomes passed)" -eq 12
check "what it said is there" grep -qF 'FAIL \"add\"\t\\ ' "$work"/out/*.json

echo "$failures failures"
[ "$failures" -eq 0 ]
