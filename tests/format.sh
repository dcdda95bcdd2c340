#!/usr/bin/env bash
# Holds the layout of the C sources to .clang-format. Exit 77 where the clang-format that decides is absent:
# other versions lay out the same settings differently.
set -uo pipefail
cd "$(dirname "$0")/.."
version=14

for name in "clang-format-$version" clang-format; do
    if "$name" --version 2>/dev/null | grep -q "version $version\."; then
        clang_format=$name
        break
    fi
done
if [ -z "${clang_format:-}" ]; then
    echo "there is no clang-format $version here"
    exit 77
fi

mapfile -t files < <(find src kernels layers optim data tests examples bench -name '*.[ch]' | sort)
if [ "${#files[@]}" -lt 100 ]; then
    echo "only ${#files[@]} files: that is not the whole tree"
    exit 1
fi
if ! "$clang_format" --dry-run -Werror "${files[@]}"; then
    echo "run: $clang_format -i FILE"
    exit 1
fi
echo "${#files[@]} files"
