#!/usr/bin/env bash
# Installs what is missing, builds hl, trains the small model on the simulated world, and shows how well
# it acts. About 10 minutes on 2 cores.
#     scripts/quickstart.sh [key=value ...]
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/install-packages.sh build

cmake -S . -B build -G Ninja >/dev/null
cmake --build build --target hl

run=$(build/hl train configs/reach-small.yaml "$@" --print-config | sed -n 's/^ *dir: *//p' | head -1)
echo "== training (progress on stderr; everything goes to $run)"
build/hl train configs/reach-small.yaml "$@" --resume auto
echo "== evaluating on episodes that no training saw"
build/hl eval "$run/last.h5"
echo "The loss curve is in $run/loss.svg; the model is $run/last.h5."
