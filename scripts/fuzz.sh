#!/usr/bin/env bash
# Looks for inputs that break a reader, with libFuzzer under ASan and UBSan (clang).
#     scripts/fuzz.sh [SECONDS [TARGET ...]]      default: 600 seconds each of all in tests/fuzz
# What is found lies in build-fuzz/found; put it, made small by `fuzz_TARGET -minimize_crash=1 FILE`, into
# tests/fuzz/corpus/TARGET together with the repair.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/install-packages.sh test
seconds=${1:-600}
shift || true
targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
    for source in tests/fuzz/*.c; do targets+=("$(basename "$source" .c)"); done
fi

cmake --preset fuzz >/dev/null
cmake --build build-fuzz --target fuzzers
mkdir -p build-fuzz/found
for target in "${targets[@]}"; do
    echo "== $target, $seconds s"
    mkdir -p "build-fuzz/corpus/$target" # grows from run to run
    build-fuzz/tests/fuzz/"fuzz_$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=4096 -print_final_stats=1 \
        -artifact_prefix="build-fuzz/found/$target-" "build-fuzz/corpus/$target" "tests/fuzz/corpus/$target"
done
