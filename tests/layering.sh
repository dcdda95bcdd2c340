#!/usr/bin/env bash
# Holds who may include whom (docs/architecture.md): every #include "..." of the tree against the table.
set -uo pipefail
cd "$(dirname "$0")/.."

# room -> rooms it may include, besides itself. hl.h and ops/params.h (plain structs) are free to all
# that name them; run/backend.h is the contract below compile.
declare -A may=(
    [src/base]="hl.h"
    [src/graph]="hl.h src/base"
    [src/ops]="hl.h src/base src/graph"
    [src/compile]="hl.h src/base src/graph src/ops src/run/backend.h"
    [src/run]="hl.h src/base src/graph src/ops src/compile"
    [src/io]="hl.h src/base src/run/params.h src/run/trace.h src/run/memory_map.h"
    [src/deploy]="hl.h src/base src/graph src/ops src/compile src/run src/io/safetensors.h"
    [src/export]="hl.h src/base src/graph src/ops src/compile src/run src/deploy src/io layers"
    [kernels]="hl.h src/base src/run/backend.h src/ops/params.h"
    [layers]="hl.h"
    [optim]="hl.h"
    [data]="hl.h src/base src/io/hdf5.h"
    [src/app]="hl.h src/base src/graph src/ops src/compile src/run src/io src/deploy src/export layers optim data kernels/cpu/ceilings.h"
    [src/cli]="hl.h src/base src/app"
)

room_of() {
    case "$1" in
    src/hl.h) echo hl.h ;;
    src/*/*) echo "$1" | cut -d/ -f1-2 ;;
    *) echo "${1%%/*}" ;;
    esac
}

failures=0
files=0
while read -r file; do
    files=$((files + 1))
    room=$(room_of "$file")
    while read -r include; do
        if [ -e "src/$include" ]; then
            target="src/$include"
        elif [ -e "$include" ]; then
            target="$include"
        else
            echo "$file: includes \"$include\", which is neither under src/ nor under the root"
            failures=$((failures + 1))
            continue
        fi
        target_room=$(room_of "$target")
        [ "$target_room" = "$room" ] && continue
        case " ${may[$room]:-} " in
        *" $target_room "* | *" $target "*) ;;
        *)
            echo "$file: $room may not include $target"
            failures=$((failures + 1))
            ;;
        esac
    done < <(sed -n 's/^ *# *include "\([^"]*\)".*/\1/p' "$file")
done < <(find src kernels layers optim data -name '*.[ch]' -o -name '*.cu' -o -name '*.cuh' | grep -v '^src/hl.h$' | sort)

echo "$files files, $failures violations"
[ "$failures" -eq 0 ] && [ "$files" -gt 20 ]
