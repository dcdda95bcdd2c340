#!/usr/bin/env bash
# Installs what is missing, builds every variant with warnings as errors, and runs its tests.
#     scripts/test.sh [VARIANT ...]     default: gcc clang portable asan
#     scripts/test.sh gcc               the quickest
# gcc runs everything; the others leave out what does not depend on the compiler (label: once).
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/install-packages.sh test

variants=("$@")
[ ${#variants[@]} -gt 0 ] || variants=(gcc clang portable asan)

# Two builds that share a core wait for each other at every parallel loop; sleeping beats spinning.
export OMP_WAIT_POLICY=passive
export CTEST_OUTPUT_ON_FAILURE=1
for variant in "${variants[@]}"; do
    echo "== $variant"
    cmake --preset "$variant" >/dev/null
    cmake --build --preset "$variant"
    leave_out='nightly'
    [ "$variant" = gcc ] || leave_out='nightly|once'
    (cd "build-$variant" && ctest --parallel "$(nproc)" --no-tests=error --label-exclude "$leave_out" --timeout 900)
done
