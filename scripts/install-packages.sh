#!/usr/bin/env bash
# Installs what building and testing need and what is not there yet (Debian 12, Ubuntu 22.04 or newer).
#     scripts/install-packages.sh [build|test|night|cross]
# cross: to build for 64-bit ARM (cmake/aarch64.cmake) and try it here. Debian: Ubuntu has arm64 on other servers.
set -euo pipefail
packages=(build-essential cmake ninja-build pkg-config libdnnl-dev libhdf5-dev libyaml-dev libjansson-dev libjpeg-dev)
case ${1:-build} in
test | night) packages+=(ccache clang clang-format libomp-dev libcmocka-dev python3 git) ;;&
night) packages+=(chromium libclang-rt-dev mandoc groff zsh fish) ;;
cross) packages+=(gcc-aarch64-linux-gnu g++-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user libjansson-dev:arm64) ;;
esac

missing=()
for package in "${packages[@]}"; do
    if ! dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed'; then
        missing+=("$package")
    fi
done
[ ${#missing[@]} -eq 0 ] && exit 0

if ! command -v apt-get >/dev/null; then
    echo "install-packages: this is not Debian or Ubuntu; install by hand: ${missing[*]}" >&2
    exit 1
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    as_root=(sudo)
fi
echo "install-packages: installing ${missing[*]}" >&2
[ "${1:-}" != cross ] || "${as_root[@]}" dpkg --add-architecture arm64
"${as_root[@]}" apt-get update -qq
DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
