#!/usr/bin/env bash
# The runtime-only build for 64-bit ARM, in qemu: its tests pass, and the small model acts as here.
#     tests/aarch64.sh BUILD MODEL.safetensors HOST_ACT
# HOST_ACT: tests/deploy/act.c, for this machine. Exit 77 where compiler, libraries or qemu are absent.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/tests/deploy/lib.sh"
build=$1/aarch64 model=$2 host_act=$3

for program in aarch64-linux-gnu-gcc qemu-aarch64; do
    command -v $program >/dev/null || { echo "there is no $program (scripts/install-packages.sh cross)"; exit 77; }
done
if [ ! -e /usr/lib/aarch64-linux-gnu/pkgconfig/jansson.pc ]; then
    echo "there is no jansson for arm64 (scripts/install-packages.sh cross)"
    exit 77
fi

# One thread: two of libgomp's wait for each other without end in qemu's user mode.
export OMP_NUM_THREADS=1
"$root/tests/runtime.sh" "$build" aarch64-linux-gnu-gcc -DCMAKE_TOOLCHAIN_FILE="$root/cmake/aarch64.cmake"
"$host_act" "$model" >"$build/here"
qemu-aarch64 -L /usr/aarch64-linux-gnu "$build/tests/runtime/act" "$model" >"$build/there"
same_actions "$build/here" "$build/there"

# The example, against what was installed.
rm -rf "$build/installed" "$build/example"
cmake --install "$build" --prefix "$build/installed" >/dev/null
cmake -S "$root/examples/deploy" -B "$build/example" -G Ninja -DCMAKE_TOOLCHAIN_FILE="$root/cmake/aarch64.cmake" \
    -Dhl_DIR="$build/installed/lib/cmake/hl" -DSTATIC=ON >/dev/null
cmake --build "$build/example" >/dev/null
qemu-aarch64 -L /usr/aarch64-linux-gnu "$build/example/deploy" "$model" 1
