#!/usr/bin/env bash
# Checks and measures hl on this machine's GPU. Needs its driver and CUDA's libraries; no network.
#     scripts/gpu-check.sh [--bundle FILE.tar.gz | --build FOLDER] [--out FOLDER]
#                          [--reference hl_reference.py] [--quick]
# Runs the programs of the bundle (given, or the one this script lies in), those of a build, or builds build-gpu.
# Goes on after a failure; exit 1 if a step failed. --quick: no sanitizers, small batches, about 8 minutes.
# Writes NAME-DATE.json and NAME-DATE.log to FOLDER (bench/results; of a bundle: where it is called).
# Times PyTorch beside hl where python3 has torch and the reference model (a Python module) is given.
# HL_GPU_CHECK_DEVICE=cpu tries the script itself: on the CPU, with a small model.
set -uo pipefail
export LC_ALL=C
device=${HL_GPU_CHECK_DEVICE:-cuda}
root=$(cd "$(dirname "$0")/.." && pwd)
bundle='' build='' out='' reference='' quick=''
version='' commit='' name=''
failures=0
steps=() rows=() stress=()

die() {
    echo "gpu-check: $1" >&2
    exit "${2:-1}"
}

while [ $# -gt 0 ]; do
    case $1 in
    --quick) quick=1 ;;
    --bundle | --build | --out | --reference)
        [ $# -ge 2 ] || die "$1 needs a value" 2
        printf -v "${1#--}" %s "$(realpath -m "$2")"
        shift
        ;;
    *) die "usage: gpu-check.sh [--bundle FILE.tar.gz | --build FOLDER] [--out FOLDER] [--reference FILE.py] [--quick]" 2 ;;
    esac
    shift
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

# ------------------------------------------------------------------ the programs

# unpacked FOLDER: the programs of a bundle; root becomes what lies beside them.
unpacked() {
    root=$1/share/hl
    hl=$1/bin/hl tests=$1/bin golden=$root/golden library=$1/lib/libhl_cuda.so
    commit=$(cat "$root/commit")
    out=${out:-$PWD}
}

built() {
    hl=$1/hl tests=$1/tests golden=$root/tests/golden library=$1/libhl_cuda.so
    commit=$(git -C "$root" describe --always --dirty --abbrev=12 2>/dev/null)
    out=${out:-$root/bench/results}
    [ -x "$hl" ] || die "there is no hl in $1" 2
}

# What a failed build lacks, by what CMake said.
missing_packages() {
    local log=$1 said package
    command -v cmake >/dev/null || echo cmake
    [ "$device" = cpu ] || command -v nvcc /usr/local/cuda/bin/nvcc >/dev/null || echo "nvcc (CUDA 12.4 or newer)"
    while read -r said package; do
        grep -Eq "(Could NOT|Could not|No package|REQUIRED|not found).*$said|$said.*(NOTFOUND|not found)" "$log" && echo "$package"
    done <<'LIST'
PkgConfig pkg-config
HDF5 libhdf5-dev
yaml-0.1 libyaml-dev
jansson libjansson-dev
libjpeg libjpeg-dev
cmocka libcmocka-dev
DNNL libdnnl-dev
CUDNN cuDNN 9 (libcudnn9-dev of NVIDIA)
CMAKE_C_COMPILER build-essential
LIST
}

build_here() {
    local cuda=ON
    [ "$device" = cuda ] || cuda=OFF
    echo "building build-gpu"
    if cmake -S "$root" -B "$root/build-gpu" -DHL_CUDA=$cuda -DHL_CUDA_ARCHITECTURES=native >"$work/build" 2>&1 &&
        cmake --build "$root/build-gpu" --parallel >>"$work/build" 2>&1; then
        return
    fi
    tail -30 "$work/build" >&2
    local missing
    missing=$(missing_packages "$work/build" | paste -sd, | sed 's/,/, /g')
    die "build-gpu cannot be built${missing:+; missing: $missing}. A bundle (cmake --build build --target bundle) needs no build"
}

# CUDA's libraries where the loader does not find them: another folder of CUDA's, or a package of Python's.
find_cuda_libraries() {
    local soname folder
    ldd "$library" 2>/dev/null | sed -n 's/^[[:space:]]*\([^ ]*\) => not found.*/\1/p' >"$work/missing"
    while read -r soname; do
        for folder in /usr/local/cuda*/lib64 /usr/local/cuda*/targets/*/lib /opt/cuda/lib64 \
            $(python3 -c 'import sys; print(*(p + "/nvidia/*/lib" for p in sys.path if p))' 2>/dev/null); do
            [ -e "$folder/$soname" ] || continue
            case :${LD_LIBRARY_PATH:-}: in *:"$folder":*) break ;; esac
            export LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$folder
            break
        done
    done <"$work/missing"
}

# ------------------------------------------------------------------ JSON

text() {
    printf '"%s"' "$(printf '%s' "$1" | tr -cd '\t\n -~' | sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/\t/\\t/g' |
        awk '{ printf "%s%s", sep, $0; sep = "\\n" }')"
}

# The elements of a list, one a line.
list() {
    local IFS=$'\n'
    echo "$*" | sed -e '/^$/d' -e '$!s/$/,/' -e 's/^/    /'
}

# What nvidia-smi tells of the GPU now.
gpu_state() {
    local keys=clocks.sm,clocks.mem,clocks.max.sm,power.draw,power.limit,temperature.gpu,utilization.gpu values
    values=$(nvidia-smi -i 0 --query-gpu=$keys --format=csv,noheader 2>/dev/null) || values=''
    [ -n "$values" ] || { echo null; return; }
    paste -d'|' <(tr , '\n' <<<"$keys") <(sed 's/, /\n/g' <<<"$values") |
        while IFS='|' read -r key value; do printf ', "%s": %s' "$key" "$(text "$value")"; done | sed 's/^, \(.*\)$/{\1}/'
}

# The library that libhl_cuda.so is given, and the version its header beside it tells.
library_version() {
    local path header number
    path=$(ldd "$library" 2>/dev/null | sed -n "s/.*$1\.so[^ ]* => \(\/[^ ]*\).*/\1/p" | head -1)
    [ -n "$path" ] || { echo unknown; return; }
    for header in "$(dirname "$path")"/../include/"$2" "$(dirname "$path")"/../targets/*/include/"$2"; do
        number=$(sed -n 's/^#define [A-Z]*_\(VER_\)\{0,1\}\(MAJOR\|MINOR\|PATCH\|PATCHLEVEL\) \{1,\}\([0-9]*\).*/\3/p' \
            "$header" 2>/dev/null | paste -sd.)
        [ -z "$number" ] || break
    done
    echo "$(realpath "$path")${number:+ ($number)}"
}

# Rewritten after every step: a run that is cut short has told what it knows.
write_report() {
    {
        echo '{'
        echo "  \"date\": $(text "$date"),"
        echo "  \"complete\": $1,"
        echo "  \"command\": $(text "$command"),"
        echo "  \"version\": $(text "$version"),"
        echo "  \"commit\": $(text "$commit"),"
        echo "  \"config\": $(text "configs/$config"),"
        echo "  \"machine\": {"
        echo "    \"devices\": $devices,"
        echo "    \"processor\": $(text "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1)"),"
        echo "    \"cores\": $(nproc),"
        echo "    \"driver\": $(text "$driver"),"
        echo "    \"cuda\": $(text "$cuda"),"
        echo "    \"cublaslt\": $(text "$cublaslt"),"
        echo "    \"cudnn\": $(text "$cudnn"),"
        echo "    \"before\": $before,"
        echo "    \"after\": $(gpu_state)"
        echo '  },'
        echo '  "steps": ['
        list ${steps[@]+"${steps[@]}"}
        echo '  ],'
        echo '  "hl": ['
        list ${rows[@]+"${rows[@]}"}
        echo '  ],'
        echo '  "stress": ['
        list ${stress[@]+"${stress[@]}"}
        echo '  ],'
        echo '  "pytorch": ['
        list "$(grep -s '^{.*}$' "$work/pytorch")"
        echo '  ]'
        echo '}'
    } >"$work/report"
    cp "$work/report" "$report.json"
}

# ------------------------------------------------------------------ steps

# tell STEP OUTCOME SECONDS REASON
tell() {
    local lines=8 words
    [ "$2" = failed ] && lines=40
    words=$(tail -n "$lines" "$work/log" 2>/dev/null)
    printf '%-7s %6s s  %s\n' "$2" "$3" "$4"
    steps+=("{\"step\": $(text "$1"), \"outcome\": \"$2\", \"seconds\": $3, \"reason\": $(text "$4"), \"log\": $(text "$words")}")
    { echo "== $1: $2 after $3 s${4:+ ($4)}"; cat "$work/log" 2>/dev/null; echo; } >>"$report.log"
    rm -f "$work/log"
    if [ "$2" = failed ]; then
        failures=$((failures + 1))
        sed 's/^/    | /' <<<"$words" | tail -8
    fi
    write_report false
}

begin() {
    printf '%s  %-34s ' "$(date +%T)" "$1"
}

skip() {
    begin "$1"
    tell "$1" skipped 0 "$2"
}

# step NAME LIMIT COMMAND...: its output is its log; with $output set, stdout goes there instead.
step() {
    local what=$1 limit=$2 began=${EPOCHREALTIME/./} code tenths reason=''
    shift 2
    begin "$what"
    if [ -n "${output:-}" ]; then
        timeout -k 10 "$limit" "$@" >"$output" 2>"$work/log"
    else
        timeout -k 10 "$limit" "$@" >"$work/log" 2>&1
    fi
    code=$?
    tenths=$(((${EPOCHREALTIME/./} - began) / 100000))
    case $code in
    0) set -- passed ;;
    77) set -- skipped && reason=$(tail -1 "$work/log") ;;
    124 | 137) set -- "${on_timeout:-failed}" && reason="not done after $limit s" ;;
    *) set -- failed && reason="exit code $code" ;;
    esac
    tell "$what" "$1" "$((tenths / 10)).$((tenths % 10))" "$reason"
    [ "$1" = passed ]
}

check_parity() {
    local precision=$1
    shift
    step "parity $precision" 900 "$tests/parity" --device "$device" --precision "$precision" "${@/#/$golden/}"
}

check_sanitizers() {
    local sanitizer candidate tool
    for candidate in compute-sanitizer /usr/local/cuda/bin/compute-sanitizer \
        /usr/local/cuda/compute-sanitizer/compute-sanitizer /opt/nvidia/nsight-compute/*/*/*/compute-sanitizer; do
        sanitizer=$(command -v "$candidate") && break
    done
    for tool in memcheck racecheck; do
        set -- "$tests/gpu_test"
        [ $tool = memcheck ] || set -- "$tests/ops_test" --device "$device" "${race_ops[@]}"
        if [ -n "$quick" ]; then
            skip "$tool" "--quick"
        elif [ -z "$sanitizer" ]; then
            skip "$tool" "there is no compute-sanitizer"
        else
            on_timeout=skipped step "$tool" 300 "$sanitizer" --tool "$tool" --error-exitcode 1 "$@"
        fi
    done
}

check_training() {
    local run=$work/reach-$1
    if step "train reach-small $1" 300 "$hl" train "$root/configs/reach-small.yaml" device="$device" precision="$1" \
        train.steps="$train_steps" run.dir="$run" "${train_keys[@]}"; then
        step "eval reach-small $1" 300 "$hl" eval "$run/last.h5" device="$device" --episodes "$episodes"
    else
        skip "eval reach-small $1" "it did not train"
    fi
}

# measure inference|training PRECISION BATCHES
measure() {
    local train=()
    [ "$1" = training ] && train=(--train)
    output=$work/bench step "bench $1 $2" 600 "$hl" bench "$root/configs/$config" device="$device" precision="$2" \
        ${train[@]+"${train[@]}"} --batch "$3" --seconds "$seconds" --json || return
    # One row a line.
    tr -d '\n' <"$work/bench" | grep -o '{ *"what":[^}]*}' | tr -s ' ' | sed 's/^{ */{/' >"$work/rows"
    mapfile -t -O "${#rows[@]}" rows <"$work/rows"
}

# The stress test as one line of JSON, and as a page.
check_stress() {
    output=$work/stress step "stress $1" 900 "$hl" stress "$root/configs/$config" device="$device" precision="$1" \
        --preset "$preset" --json --report "$report-stress-$1.html"
    [ ! -s "$work/stress" ] || stress+=("$(tr -d '\n' <"$work/stress" | tr -s ' ')")
    rm -f "$work/stress"
}

measure_pytorch() {
    local python=${PYTHON:-python3} options=(--device "$device" --seconds-total "$pytorch_seconds")
    [ -z "$quick" ] || options+=(--quick)
    if [ -z "$reference" ]; then
        skip "bench PyTorch" "there is no reference (--reference hl_reference.py)"
    elif ! "$python" -c "import torch; assert '$device' == 'cpu' or torch.cuda.is_available()" 2>"$work/log"; then
        skip "bench PyTorch" "$python has no torch that sees a GPU"
    else
        output=$work/pytorch step "bench PyTorch" $((pytorch_seconds + 300)) "$python" "$root/bench/pytorch.py" "$reference" \
            "${options[@]}" --batches "$batches" --train-batches "$train_batches"
    fi
}

# hl beside the best of PyTorch's ways.
table() {
    local field='s/.*"what": *"\([a-z]*\)".*"batch": *\([0-9]*\).*"median_ms": *\([0-9.e+-]*\).*/\1 \2 \3/p'
    while read -r row; do
        echo "$(sed -n 's/.*"precision": *"\([a-z0-9]*\)".*/\1/p' <<<"$row") $(sed -n "$field" <<<"$row") $(
            sed -n 's/.*"mode": *"\([^"]*\)".*/\1/p' <<<"$row" | tr ' ' '-')"
    done < <(list ${rows[@]+"${rows[@]}"} | grep what; grep -s '"median_ms"' "$work/pytorch") |
        awk 'BEGIN { n = 0 }
             NF == 4 { ours[n] = $1 " " $2 " " $3; ms[n++] = $4 }
             NF == 5 { key = $1 " " $2 " " $3; if (!(key in best) || $4 + 0 < best[key]) { best[key] = $4; mode[key] = $5 } }
             END {
                 printf "\n%-10s %6s %-9s %10s %12s %8s  %s\n", "", "batch", "precision", "hl ms", "PyTorch ms", "ratio", "its best"
                 for (i = 0; i < n; i++) {
                     split(ours[i], k, " ")
                     printf "%-10s %6d %-9s %10.3f", k[2], k[3], k[1], ms[i]
                     if (ours[i] in best) printf " %12.3f %8.2f  %s", best[ours[i]], best[ours[i]] / ms[i], mode[ours[i]]
                     printf "\n"
                 }
             }'
}

# ------------------------------------------------------------------ the run

command="gpu-check.sh${bundle:+ --bundle $(basename "$bundle")}${quick:+ --quick}"
if [ -n "$bundle" ]; then
    tar xzf "$bundle" -C "$work" || die "cannot unpack $bundle" 2
    unpacked "$(echo "$work"/hl-*)"
elif [ -n "$build" ]; then
    built "$build"
elif [ -x "$root/../../bin/hl" ] && [ -f "$root/commit" ]; then
    unpacked "$(cd "$root/../.." && pwd)"
else
    build_here
    built "$root/build-gpu"
fi

fixtures=(hybrid bottleneck attention hierarchical hybrid-aspects hybrid-history)
fixtures=("${fixtures[@]/%/.h5}")
low_fixtures=("${fixtures[@]}")
precisions=(fp32 tf32 bf16)
race_ops=(reduce softmax softmax_backward layer_norm layer_norm_backward attention attention_backward lstm avg_pool global_norm)
ops=()
config=hl-325m.yaml batches=1,16,32,64,128 train_batches=16,32,64 seconds=3 pytorch_seconds=1800
train_steps=600 episodes=200 train_keys=() preset=published
if [ -n "$quick" ]; then
    batches=1,16,32,64 train_batches=16,32 seconds=1 pytorch_seconds=180 train_steps=300 preset=quick
    low_fixtures=(hybrid.h5)
fi
if [ "$device" = cpu ]; then
    fixtures=(hierarchical.h5) low_fixtures=() precisions=(fp32 bf16) ops=(add reduce softmax)
    config=reach-small.yaml batches=1,2 train_batches=2 seconds=1 pytorch_seconds=60 train_steps=20 episodes=4 preset=quick
    train_keys=(data.reach.episodes=20)
fi

find_cuda_libraries
version=$("$hl" --version) || die "$hl does not run"
devices=$("$hl" devices --json) || die "$hl devices fails"
if ! grep -q "\"device\": \"$device" <<<"$devices"; then
    die "there is no GPU: $(sed -n 's/.*"no_gpu_because": "\(.*\)".*/\1/p' <<<"$devices")"
fi
date=$(date -u +%FT%TZ)
driver=$(nvidia-smi -i 0 --query-gpu=driver_version --format=csv,noheader 2>/dev/null || echo unknown)
cuda=$(nvidia-smi 2>/dev/null | sed -n 's/.*CUDA Version: *\([0-9.]*\).*/\1/p')
cublaslt=$(library_version libcublasLt cublas_api.h)
cudnn=$(library_version libcudnn cudnn_version.h)
before=$(gpu_state)
name=$(tr -d '\n' <<<"$devices" | grep -o "\"device\": \"${device}[^}]*" | sed -n 's/.*"name": "\([^"]*\)".*/\1/p' | head -1)
name=$(tr '[:upper:]' '[:lower:]' <<<"$name" | tr -cs 'a-z0-9\n' - | sed 's/-*$//')
mkdir -p "$out" || die "cannot make $out" 2
report=$out/$name-${date%T*}
: >"$report.log" || die "cannot write to $out" 2
export HL_CUDA_CACHE=${HL_CUDA_CACHE:-$work/algorithms}
echo "$version ($commit) on $name; $report.json"

step devices 60 "$hl" devices
step ops 600 "$tests/ops_test" --device "$device" ${ops[@]+"${ops[@]}"}
if [ "$device" = cpu ]; then
    skip sessions "they are of a GPU"
else
    HL_TEST_DEVICE=$device step sessions 600 "$tests/gpu_test"
fi
check_parity fp32 "${fixtures[@]}"
for precision in "${precisions[@]:1}"; do
    [ ${#low_fixtures[@]} -eq 0 ] || check_parity "$precision" "${low_fixtures[@]}"
done
check_training fp32
check_training bf16
for precision in "${precisions[@]}"; do
    measure inference "$precision" "$batches"
    measure training "$precision" "$train_batches"
done
check_stress fp32
check_stress bf16
measure_pytorch
[ "$device" = cpu ] || check_sanitizers
write_report true
table
[ "$device" = cuda ] || echo "(hl with configs/$config; PyTorch always with the full model)"
echo
echo "${#steps[@]} steps, $failures failed; $report.json, $report.log"
[ "$failures" -eq 0 ]
