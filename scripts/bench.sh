#!/usr/bin/env bash
# Measures the full model on this machine and writes bench/results/NAME.json: inference at batch 1 and 16,
# a training step at batch 32, and how a checkpoint and its exports compare, with the machine's ceilings,
# processor, memory and compiler beside the figures. Takes 5 minutes and 4 GB of disk.
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

# The reports of hl export, each of a checkpoint (in fp32) and what it is exported to, run in turn.
run=$PWD/build/bench-run
trap 'rm -rf "$run"' EXIT
build/hl train configs/hl-325m.yaml "$@" train.steps=2 train.batch=8 data.reach.episodes=8 run.dir="$run" >/dev/null
exported() { # PRECISION [key=value ...]
    build/hl export "$run/last.h5" --to "$run/model.safetensors" --samples 16 --episodes 0 --json \
        data.reach.episodes=40 --precision "$@"
}
one_thread=$(exported int8 threads=1)
sleeping=$(exported int8)
spinning=$(OMP_WAIT_POLICY=active exported int8)
halves=$(exported bf16)
shipped() { # PRECISION
    build/hl export checkpoints/reach-small.h5 --to "$run/model.safetensors" --json --precision "$1"
}
small_float=$(shipped fp32)
small_halves=$(shipped bf16)
small_integers=$(shipped int8)
# Without the list of layers and where this run lay.
brief() {
    sed -e '/"layers": \[/,/^ *\]/d' -e '/"\(from\|to\)":/d' <<<"$1"
}

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
  "reach-small training": $small,
  "hl-325m export, int8, one thread": $(brief "$one_thread"),
  "hl-325m export, int8": $(brief "$sleeping"),
  "hl-325m export, int8, OMP_WAIT_POLICY=active": $(brief "$spinning"),
  "hl-325m export, bf16": $(brief "$halves"),
  "checkpoints/reach-small.h5 export, fp32": $(brief "$small_float"),
  "checkpoints/reach-small.h5 export, bf16": $(brief "$small_halves"),
  "checkpoints/reach-small.h5 export, int8": $(brief "$small_integers")
}
JSON
echo "bench/results/$name.json"
