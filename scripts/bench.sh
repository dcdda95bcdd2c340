#!/usr/bin/env bash
# Measures the full model on this machine and writes bench/results/NAME.json: inference at batch 1 and 16,
# a training step at batch 32, with the machine's ceilings, processor, memory and compiler beside the figures.
#     scripts/bench.sh NAME [key=value ...]
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -ge 1 ] || { echo "usage: scripts/bench.sh NAME [key=value ...]" >&2; exit 2; }
name=$1
shift
cmake -S . -B build -G Ninja >/dev/null
cmake --build build --target hl
ceilings=$(build/hl bench --ceilings "$@" --json)
inference=$(build/hl bench configs/hl-325m.yaml "$@" --batch 1,16 --seconds 10 --json)
training=$(build/hl bench configs/hl-325m.yaml "$@" --train --batch 32 --seconds 15 --json)
small=$(build/hl bench configs/reach-small.yaml "$@" --train --seconds 10 --json)
mkdir -p bench/results
cat >"bench/results/$name.json" <<JSON
{
  "date": "$(date -u +%F)",
  "processor": "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1)",
  "flags": "$(grep -o -w -E 'avx2|avx512f|avx512_vnni|amx_tile' /proc/cpuinfo | sort -u | tr '\n' ' ')",
  "cores": $(nproc),
  "load_before": "$(cut -d' ' -f1-3 /proc/loadavg)",
  "compiler": "$(sed -n 's/^CMAKE_C_COMPILER:[^=]*=//p' build/CMakeCache.txt | head -1 | xargs -I{} sh -c '{} --version | head -1')",
  "command": "scripts/bench.sh $name $*",
  "ceilings": $ceilings,
  "hl-325m inference": $inference,
  "hl-325m training": $training,
  "reach-small training": $small
}
JSON
echo "bench/results/$name.json"
