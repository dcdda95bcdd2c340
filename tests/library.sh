#!/usr/bin/env bash
# libhl.so has what hl.h declares and nothing else; that of a runtime-only build is small, and needs little.
#     tests/library.sh LIBRARY [runtime]
# NM, STRIP, READELF: those of another architecture.
set -uo pipefail
library=$1 runtime=${2:-}
header=$(dirname "$0")/../src/hl.h
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

fail() {
    echo "FAILED: $1"
    failures=$((failures + 1))
}

# The functions that a header declares. A runtime-only library need not have those for training.
functions() {
    sed -nE 's/^HL_API [^(]*\b(hl_[a-z0-9_]+)\(.*/\1/p' | sort
}
functions <"$header" >"$work/declared"
cp "$work/declared" "$work/needed"
if [ "$runtime" ]; then
    sed -E '\#/\* -+ layers \*/#,\#/\* -+ sessions \*/#d' "$header" | functions >"$work/needed"
fi
"${NM:-nm}" -D --defined-only "$library" | awk '{print $3}' | sort >"$work/exported"
[ "$(wc -l <"$work/needed")" -gt 50 ] || fail "hl.h was not understood"
missing=$(comm -23 "$work/needed" "$work/exported")
strange=$(comm -13 "$work/declared" "$work/exported")
[ -z "$missing" ] || fail "not exported: $missing"
[ -z "$strange" ] || fail "exported, but not in hl.h: $strange"

"${STRIP:-strip}" -o "$work/stripped" "$library" || fail "it cannot be stripped"
size=$(stat -c %s "$work/stripped")
needs=$("${READELF:-readelf}" -d "$library" | sed -nE 's/.*\(NEEDED\).*\[(.*)\]/\1/p' | tr '\n' ' ')
echo "$(wc -l <"$work/exported") symbols; $size bytes stripped; needs $needs"
[[ $needs = *libc.so* ]] || fail "what it needs was not understood"
[[ ! $needs =~ hdf5|yaml ]] || fail "it needs a library that only hl is to need"
[ -z "$runtime" ] || [ "$size" -lt 1000000 ] || fail "stripped it is not under 1 MB"
[ "$failures" -eq 0 ]
