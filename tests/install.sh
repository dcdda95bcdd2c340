#!/usr/bin/env bash
# What is installed can be found and used: by CMake and pkg-config, from C, C++ and Python, after it was moved.
#     tests/install.sh BUILD MODEL.safetensors HOST_ACT
set -uo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/tests/deploy/lib.sh"
build=$1 model=$2 host_act=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

# check WHAT COMMAND...
check() {
    local what=$1
    shift
    "$@" >"$work/saying" 2>&1 && mv "$work/saying" "$work/said" && return
    echo "FAILED: $what"
    sed 's/^/    /' "$work/saying"
    failures=$((failures + 1))
}

acts() {
    grep -E '^[0-9]+ actions; latency p50 [0-9.]+ ms, p99 [0-9.]+ ms, max [0-9.]+ ms; missed [0-9]+$' "$work/said"
}

check "cmake --install" cmake --install "$build" --prefix "$work/first"
mv "$work/first" "$work/hl" # it may lie anywhere
lib=$(dirname "$(find "$work/hl" -name 'libhl.so')")
export LD_LIBRARY_PATH=$lib PKG_CONFIG_PATH=$lib/pkgconfig OMP_WAIT_POLICY=passive
check "nothing says where it was" test -z "$(grep -rlF -e "$work/first" -e "$build" "$lib/cmake" "$lib/pkgconfig")"
for file in include/hl.h bin/hl share/man/man1/hl.1 share/man/man1/hl-train.1 share/hl/configs/hl-325m.yaml \
    share/bash-completion/completions/hl share/zsh/site-functions/_hl share/fish/vendor_completions.d/hl.fish; do
    check "$file" test -s "$work/hl/$file"
done
check "hl runs" "$work/hl/bin/hl" --version
version=$(cut -d' ' -f2 "$work/said")
check "libhl.so.$version" test -f "$lib/libhl.so.$version"
check "its soname" grep -q "libhl\.so\.${version%%.*}\]" <(readelf -d "$lib/libhl.so")
check "the version of pkg-config" test "$(pkg-config --modversion hl)" = "$version"

# A project of its own, with the library shared and static.
for static in OFF ON; do
    check "find_package(hl)" cmake -S "$root/examples/deploy" -B "$work/c$static" -DCMAKE_PREFIX_PATH="$work/hl" -DSTATIC=$static
    check "it builds" cmake --build "$work/c$static"
    check "it runs" "$work/c$static/deploy" "$model" 1
    check "it tells its latency" acts
done
check "a file that is not there: exit 1" test "$("$work/cON/deploy" nowhere >/dev/null 2>&1; echo $?)" -eq 1
head -c 4 /dev/zero >"$work/short"
check "observations that end: exit 1" test "$("$work/cON/deploy" "$model" 1 "$work/short" >/dev/null 2>&1; echo $?)" -eq 1
cat >"$work/newer.cmake" <<'CMAKE'
find_package(hl 1.0 QUIET)
if(hl_FOUND)
  message(FATAL_ERROR "hl 0 is not hl 1")
endif()
CMAKE
mkdir "$work/newer"
printf 'cmake_minimum_required(VERSION 3.22)\nproject(x NONE)\ninclude(%s)\n' "$work/newer.cmake" >"$work/newer/CMakeLists.txt"
check "of another major version: not found" cmake -S "$work/newer" -B "$work/newer/b" -DCMAKE_PREFIX_PATH="$work/hl"

# By pkg-config; -lm is the example's own.
# shellcheck disable=SC2046
check "cc \$(pkg-config)" cc "$root/examples/deploy/main.c" -o "$work/deploy" $(pkg-config --cflags --libs hl) -lm
check "it runs" "$work/deploy" "$model" 1
check "it tells its latency" acts
# shellcheck disable=SC2046
check "cc \$(pkg-config), tests/deploy/act.c" cc "$root/tests/deploy/act.c" -o "$work/act" $(pkg-config --cflags --libs hl)
"$work/act" "$model" >"$work/a"
"$host_act" "$model" >"$work/b"
check "it acts as the tests' program does" same_actions "$work/a" "$work/b"

# Other languages: the same first action.
if command -v c++ >/dev/null; then
    check "C++: find_package(hl)" cmake -S "$root/examples/deploy_cpp" -B "$work/cpp" -DCMAKE_PREFIX_PATH="$work/hl"
    check "C++: it builds" cmake --build "$work/cpp"
    check "C++: it acts" "$work/cpp/deploy_cpp" "$model"
    cp "$work/said" "$work/cpp.actions"
    check "C++: numbers" grep -qE '^-?[0-9.e-]+$' "$work/cpp.actions"
fi
if command -v python3 >/dev/null; then
    # shellcheck disable=SC2016
    check "Python: it acts" python3 "$root/examples/python/act.py" "$model"
    cp "$work/said" "$work/py.actions"
    [ ! -e "$work/cpp.actions" ] || check "Python: as C++" awk 'NR == FNR { a[FNR] = $1; n = FNR; next }
        { d = a[FNR] - $1; if (d * d > 1e-10) bad = 1; m = FNR } END { exit bad || m != n || !m }' \
        "$work/cpp.actions" "$work/py.actions"
    check "Python: a file that is not there" test "$(python3 "$root/examples/python/act.py" nowhere >/dev/null 2>&1; echo $?)" -eq 1
fi
for file in deploy/main.c:80 deploy_cpp/main.cpp:40 python/act.py:40; do
    check "$file lines at most" test "$(wc -l <"$root/examples/${file%:*}")" -lt "${file#*:}"
done
echo "$failures failures"
[ "$failures" -eq 0 ]
