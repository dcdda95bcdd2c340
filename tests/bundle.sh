#!/usr/bin/env bash
# The bundle runs where there is nothing but libc: no libraries, no CUDA, no driver.
#     tests/bundle.sh BUILD
# Exit 77 where a root of its own cannot be made.
set -uo pipefail
build=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

check() {
    local what=$1
    shift
    "$@" && return
    echo "FAILED: $what"
    sed 's/^/    /' "$work/said" 2>/dev/null
    failures=$((failures + 1))
}

# in_root COMMAND...: in the new root, with nothing of this environment. Of /proc, which takes rights to mount,
# there is only what tells the loader where the program lies.
in_root() {
    ln -sfn "$1" "$root/proc/self/exe"
    timeout -k 10 300 env -i "$chroot" "$root" "$@" >"$work/said" 2>&1
}

chroot=$(command -v chroot || command -v /usr/sbin/chroot) || { echo "there is no chroot"; exit 77; }
"$chroot" / true 2>/dev/null || { echo "chroot is not permitted"; exit 77; }

cmake --build "$build" --target bundle || exit 1
archive=$(find "$build" -maxdepth 1 -name 'hl-*-linux-*.tar.gz' | head -1)
check "there is an archive" test -n "$archive"
size=$(stat -c %s "$archive")
check "$size bytes are under 60 MB" test "$size" -lt 60000000

# libc as the loader finds it for a program that needs nothing else, at the paths it has here.
root=$work/root
mkdir -p "$root/proc/self"
loader=$(ldd "$build/bundle-build/hl" | sed -n 's/^[[:space:]]*\(\/[^ ]*ld-linux[^ ]*\).*/\1/p')
libc=$(dirname "$(ldd "$build/bundle-build/hl" | sed -n 's/.*libc\.so\.6 => \([^ ]*\).*/\1/p')")
mkdir -p "$root$(dirname "$loader")" "$root$libc"
cp -L "$loader" "$root$loader"
for name in c m mvec pthread dl rt resolv; do
    for file in "$libc/lib$name".so.[0-9]; do
        [ ! -e "$file" ] || cp -L "$file" "$root$libc/"
    done
done
tar xzf "$archive" -C "$root"
mv "$root"/hl-* "$root/moved" # it may lie anywhere
check "no library of CUDA's inside" test -z "$(find "$root/moved/lib" -name 'libcu*' ! -name 'libcurl*' -o -name 'libnv*')"

check "it starts" in_root /moved/bin/hl --version
check "it tells its version" grep -Eq '^hl [0-9]+\.[0-9]+\.[0-9]+$' "$work/said"
check "hl devices" in_root /moved/bin/hl devices
check "it says why there is no GPU" grep -Eq '^no GPU: .*(cannot be loaded: lib[a-zA-Z]+\.so|no libhl_cuda\.so)' "$work/said"
check "hl eval" in_root /moved/bin/hl eval /moved/share/hl/checkpoints/reach-small.h5 --episodes 4
check "it reaches" grep -Eq 'closed loop \(reach\) +[0-9.]+% of 4 unseen' "$work/said"
for program in ops_test parity gpu_test; do # each tells its usage, or that there is no GPU
    in_root "/moved/bin/$program" --device cuda add
    check "$program starts" test $? -ne 127
    check "$program finds its libraries" test -z "$(grep -F 'error while loading' "$work/said")"
done

echo "$archive, $((size / 1000000)) MB; $failures failures"
[ "$failures" -eq 0 ]
