#!/usr/bin/env bash
# Looks for inputs that break a reader, with libFuzzer under ASan and UBSan (clang).
#     scripts/fuzz.sh [SECONDS] [TARGET ...]      default: 600 seconds each of all in tests/fuzz
# What is found lies in build-fuzz/found; put it, made small by `fuzz_TARGET -minimize_crash=1 FILE` and under a name
# that says what it is, into tests/fuzz/corpus/TARGET together with the repair. Faults inside libhdf5 are not ours to
# repair: they are told, and kept in build-fuzz/found-in-libhdf5. Ends with 1 if there are others.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/install-packages.sh test
seconds=600
if [[ ${1:-} =~ ^[0-9]+$ ]]; then
    seconds=$1
    shift
fi
targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
    for source in tests/fuzz/*.c; do targets+=("$(basename "$source" .c)"); done
fi

export ASAN_OPTIONS=allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1 OMP_NUM_THREADS=1
TMPDIR=$(mktemp -d --tmpdir=/dev/shm) # inputs as files
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT
cmake --preset fuzz >/dev/null
cmake --build build-fuzz --target fuzzers
cd build-fuzz
mkdir -p found found-in-libhdf5

# What an input does: replay TARGET FILE SECONDS.
replay() {
    local most=1000000
    if [[ $2 == *oom-* ]]; then most=1024; fi # so that who asks for so much is told
    "tests/fuzz/fuzz_$1" -timeout="$3" -rss_limit_mb=2048 -malloc_limit_mb="$most" "$2" 2>&1
}

# Where it ends, the innermost place first, without those of sanitizers and the C library.
places() {
    replay "$@" | sed -n 's/^ *#[0-9]* 0x[0-9a-f]* //p' |
        grep -v -E 'libc\.so|asan|lsan|sanitizer|fuzzer::|^in (free|[a-z]+alloc|__interceptor_[a-z]+|__(mem|str)[a-z0-9_]+) ' || true
}

# Whether that is in libhdf5. One that takes too long must be found twice in the same call of it: else it is us who
# call it again and again.
in_libhdf5() {
    local first second
    first=$(places "$1" "$2" 10)
    [[ ${first%%$'\n'*} == *libhdf5* ]] || return 1
    case $2 in *timeout-*)
        second=$(places "$1" "$2" 7)
        [ "$(grep -v libhdf5 <<<"$first")" = "$(grep -v libhdf5 <<<"$second")" ]
        ;;
    esac
}

ours=0
for target in "${targets[@]}"; do
    echo "== $target, $seconds s"
    inputs=("corpus/$target") # grows from run to run
    mkdir -p "${inputs[0]}"
    for folder in "tests/fuzz/seeds/$target" "../tests/fuzz/corpus/$target"; do
        if [ -d "$folder" ]; then inputs+=("$folder"); fi
    done
    # In a process of its own, so that a fault does not end the search. Memory that is asked for and not touched
    # (-malloc_limit_mb) is not what -rss_limit_mb is about.
    "tests/fuzz/fuzz_$target" -fork=1 -ignore_crashes=1 -ignore_timeouts=1 -ignore_ooms=1 -max_total_time="$seconds" \
        -timeout=10 -rss_limit_mb=2048 -malloc_limit_mb=1000000 -artifact_prefix="found/$target-" \
        "${inputs[@]}" 2>&1 |
        awk '/^#|ERROR|SUMMARY/ && ++n % 10 == 1 || /DONE|crash/' || true
    for file in found/"$target"-*; do
        [ -e "$file" ] || continue
        if replay "$target" "$file" 10 >/dev/null; then
            rm "$file" # of an earlier run, and repaired since
        elif in_libhdf5 "$target" "$file"; then
            mv "$file" found-in-libhdf5/
            echo "in libhdf5: build-fuzz/found-in-libhdf5/$(basename "$file")"
        else
            echo "found: build-fuzz/$file"
            ours=1
        fi
    done
done
exit $ours
