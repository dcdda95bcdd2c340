#!/usr/bin/env bash
# hl plan: what a batch needs, and --budget: which batch fits, and that one sample more does not.
. "$(dirname "$0")/lib.sh"

# value PRECISION USE KEY: of the JSON of --budget in answer.json; empty if there is none.
value() {
    awk -v precision="\"$1\":" -v use="\"$2\":" -v key="\"$3\":" '
        $1 ~ /^"(fp32|tf32|bf16|fp16)":$/ { in_precision = $1 == precision; in_use = 0 }
        $1 ~ /^"(inference|training|training_recomputing)":$/ { in_use = in_precision && $1 == use }
        in_use && $1 == key { gsub(",", "", $2); print $2; exit }' answer.json
}

# total USE BATCH PRECISION: what hl plan says such a batch needs.
total() {
    run 0 plan "$tiny" device=cpu precision="$3" --batch "$2" --json
    awk -v use="\"$1\":" '$1 ~ /^"(inference|training)":$/ { here = $1 == use }
        here && $1 == "\"total\":" { gsub(",", "", $2); print $2; exit }' .stdout
}

run 0 plan "$tiny" --batch 1 --calls
prints '^ +0 H-module +forward +[a-z0-9_]+ '
prints '^ +[0-9]+ optimizer +update +adamw '
run 0 plan "$tiny" --batch 7 --json
check 'JSON' valid_json .stdout
budget=$(total training 100 fp32)

run 0 plan "$tiny" device=cpu --budget "$budget"
prints '^budget [0-9.]+ MiB +fp32 +bf16 +fp16$'
prints '^  training +100 '
prints '^  initial +[0-9.]+ +[0-9.]+ +[0-9.]+$'
prints '^  peak +[0-9.]+ +[0-9.]+ +[0-9.]+$'
run 0 plan "$tiny" device=cpu --budget "$budget" --json
check 'JSON' valid_json .stdout
cp .stdout answer.json
check 'the budget' grep -q "\"budget\": $budget," answer.json
check 'no tf32 on a CPU' test -z "$(value tf32 training batch)"
for precision in fp32 bf16 fp16; do
    for use in inference training; do
        batch=$(value $precision $use batch)
        check "$precision $use: a batch" test "$batch" -gt 1
        check "$precision $use: as planned" test "$(total $use "$batch" $precision)" -eq "$(value $precision $use total)"
        check "$precision $use: fits" test "$(value $precision $use total)" -le "$budget"
        check "$precision $use: one more does not" test "$(total $use $((batch + 1)) $precision)" -gt "$budget"
    done
    check "$precision: computing again fits no less" \
        test "$(value $precision training_recomputing batch)" -ge "$(value $precision training batch)"
    check "$precision: computing again fits" test "$(value $precision training_recomputing total)" -le "$budget"
done
check 'computing again fits more' \
    test "$(value fp32 training_recomputing batch)" -gt "$(value fp32 training batch)"

# Sizes as people write them; where nothing but inference fits; where everything does.
run 0 plan "$tiny" device=cpu --budget 1GB
prints '^budget 953\.7 MiB'
run 0 plan "$tiny" device=cpu --budget=0.00013GiB
prints '^  training +- +- +-$'
prints '^  inference +- +1 +1$' # 16-bit copies alone are less
run 0 plan "$tiny" device=cpu --budget=0.00013GiB --json
prints '"training": null'
run 0 plan "$tiny" device=cpu --budget 100TiB
prints '^  inference +>=65536 '

bad "the parameters alone are 0\.1 MiB, more than the budget of 0\.0 MiB" plan "$tiny" --budget 10kB
for size in 0 0MiB -1 8 8GiBs GiB 1e99 0.1 '8 GiB' nan; do
    case $size in
    8) bad 'the parameters alone' plan "$tiny" --budget "$size" ;;
    *) bad "--budget: '$size' is not a size such as 8GiB" plan "$tiny" "--budget=$size" ;;
    esac
done
bad '--budget needs a value: SIZE' plan "$tiny" --budget
bad '--budget looks for the batch: leave out --batch' plan "$tiny" --budget 8GiB --batch 3
bad '--budget looks for the batch: leave out --calls' plan "$tiny" --calls --budget 8GiB
bad 'model\.imag' plan "$tiny" model.imag=1 --budget 8GiB
run 0 plan --help
prints '--budget SIZE '

# An answer that cannot be written is none; nor is one for which there was no memory.
"$hl" plan "$tiny" --budget 1GiB >/dev/full 2>.stderr
check 'a full stdout: exit 2' test $? -eq 2
for n in 1 100 3000 10000 100000; do
    HL_FAIL_ALLOC=$n run 2 plan "$tiny" device=cpu --budget 1MiB
    check "allocation $n: no answer" test ! -s .stdout
    says 'memory'
done
# ---------------------------------------------------------------- a budget of the configuration

bad 'at least [0-9.]+ MiB are needed \(parameters .*more than the budget of 0.1 MiB' train "$tiny" device=cpu memory.budget=64KiB
check 'no run was begun' test ! -e run
bad 'memory.recompute: expected H-module' plan "$tiny" 'memory.recompute=[h-module]'
run 0 train "$tiny" device=cpu train.steps=12 run.dir=plain
run 0 train "$tiny" device=cpu train.steps=12 run.dir=again 'memory.recompute=[H-module, compressor, decoder]'
metrics() { grep -o '"step": [0-9]*, .*"information_retained": [^,]*' "$1/metrics.jsonl"; }
check 'computing again changes no number' cmp <(metrics plain) <(metrics again)
check 'there are numbers' test "$(metrics plain | wc -l)" -gt 2

# ---------------------------------------------------------------- an exported model

# of_kind BATCH KEY: what hl plan says that the exported model needs.
of_kind() {
    run 0 plan model.safetensors device=cpu --batch "$1" --json
    awk -v key="\"$2\":" '$1 == key { gsub(",", "", $2); print $2; exit }' .stdout
}

run 0 train "$tiny" device=cpu train.steps=2
run 0 export run/last.h5 --to model.safetensors --precision bf16 --samples 4 --episodes 0
run 0 plan model.safetensors device=cpu
prints '^MiB +inference 1 *$'
prints '^mapped +[0-9.]+$'
prints '^16-bit copies +0\.0$'
run 0 plan model.safetensors device=cpu --calls
prints '^ +0 [A-Za-z-]+ +forward '
check 'no training' test "$(grep -c training .stdout)" -eq 0
check 'weights are mapped' test "$(of_kind 1 mapped)" -gt 0
check 'as many at any batch' test "$(of_kind 1 mapped)" -eq "$(of_kind 17 mapped)"
check 'JSON' valid_json .stdout
budget=$(of_kind 100 total)
run 0 plan model.safetensors device=cpu --budget "$budget"
prints '^budget [0-9.]+ MiB +bf16$'
prints '^  inference +100$'
prints '^  mapped, beside it +[0-9.]+$'
run 0 plan model.safetensors device=cpu --budget "$budget" --json
check 'JSON' valid_json .stdout
cp .stdout answer.json
batch=$(value bf16 inference batch)
check 'a batch' test "$batch" -ge 100
check 'fits' test "$(value bf16 inference total)" -le "$budget"
check 'as planned' test "$(of_kind "$batch" total)" -eq "$(value bf16 inference total)"
check 'one more does not' test "$(of_kind $((batch + 1)) total)" -gt "$budget"
run 0 plan model.safetensors device=cpu --budget 1B
prints '^  inference +-$'
run 0 plan model.safetensors device=cpu --budget 1B --json
prints '"inference": null'
prints '"mapped": [1-9]'
run 0 export run/last.h5 --to int8.safetensors --precision int8 --samples 4 --episodes 0
run 0 plan int8.safetensors device=cpu --budget 1GiB
prints '^budget 1024\.0 MiB +int8$'

# It does not train.
bad 'memory-viz is about a training step, and model.safetensors is an exported model, which only acts' \
    plan model.safetensors --memory-viz memory.json
bad 'train.batch=3 is about a training step' plan model.safetensors train.batch=3
check 'nothing was written' test ! -e memory.json
cp "$tiny" yaml.safetensors
bad 'yaml.safetensors' plan yaml.safetensors
bad 'nosuch.safetensors' plan nosuch.safetensors
bad 'model.imag' plan model.safetensors model.imag=1
for n in 1 100 1000; do
    HL_FAIL_ALLOC=$n run 2 plan model.safetensors device=cpu
    check "allocation $n: no answer" test ! -s .stdout
    says 'memory'
done
finish
