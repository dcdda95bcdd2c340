#!/usr/bin/env bash
# The runtime-only build, without oneDNN: it builds, its library is small, its tests pass.
#     tests/runtime.sh BUILD COMPILER [CMAKE ARGUMENT...]
# Builds in BUILD, again only what has changed.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
build=$1
compiler=$2
shift 2
cmake -S "$root" -B "$build" -G Ninja -DCMAKE_C_COMPILER="$compiler" -DHL_RUNTIME_ONLY=ON -DHL_ONEDNN=OFF \
    -DHL_NATIVE=OFF -DHL_CUDA=OFF -DHL_WERROR=ON "$@"
cmake --build "$build"
ctest --test-dir "$build" --output-on-failure --no-tests=error -V
