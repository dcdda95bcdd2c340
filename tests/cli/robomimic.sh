#!/usr/bin/env bash
# robomimic.sh HL TOOL [full]: the simulated world exported, described, and trained from as from any file of
# demonstrations. full: as long as configs/reach-file.yaml says, to the success rate that training in the world
# itself reaches.
. "$(dirname "$0")/lib.sh"
full=${3:-}

# The two configurations are one model and one training; they differ in where the data come from.
run 0 train "$root/configs/reach-file.yaml" --print-config
cp .stdout file.yaml
run 0 train "$root/configs/reach-small.yaml" --print-config
for part in seed model loss optim train checkpoint eval; do
    check "reach-file.yaml and reach-small.yaml have the same $part" \
        cmp <(sed -n "/^$part:/,/^[a-z]/p" file.yaml | sed '$d') <(sed -n "/^$part:/,/^[a-z]/p" .stdout | sed '$d')
done

size=(data.reach.episodes=20 data.reach.steps=10)
[ "$full" = full ] && size=()
run 0 data export "$root/configs/reach-small.yaml" "${size[@]}" --output reach.hdf5
check 'nothing on stdout' test ! -s .stdout

run 0 data info reach.hdf5
for line in 'format +robomimic' 'actions +float32 +\[19\]' 'obs/visual +uint8 +\[32,32,3\]' 'obs/depth +float32 +\[32,32,1\]' \
    'obs/audio +float32 +\[1024\]' 'obs/tactile +float32 +\[128\]' 'obs/proprioceptive +float32 +\[64\]'; do
    prints "$line"
done
[ "$full" = full ] || prints 'masks +\{"train":18,"valid":2\}'
[ "$full" = full ] || prints '^demonstrations +20$'
run 0 data info reach.hdf5 --json
check 'JSON' valid_json .stdout
for key in '"visual": *\["obs/visual"\]|"obs/visual"' '"demonstrations": (20|1000)' '"warnings": \[\]'; do
    prints "$key"
done
if [ "$full" != full ]; then
    # The file is the world: exported twice it is the same data, and more noise is other data.
    run 0 data export "$root/configs/reach-small.yaml" "${size[@]}" --output again.hdf5
    for key in actions obs/audio obs/visual; do
        check "$key: the same twice" cmp <("$tool" print reach.hdf5 data/demo_7/$key) <("$tool" print again.hdf5 data/demo_7/$key)
    done
    run 0 data export "$root/configs/reach-small.yaml" "${size[@]}" data.reach.noise=0 --overwrite --output again.hdf5
    check 'other noise, other actions' test \
        "$("$tool" print reach.hdf5 data/demo_7/actions | sum)" != "$("$tool" print again.hdf5 data/demo_7/actions | sum)"
fi

options=("$root/configs/reach-file.yaml" 'data.files=[reach.hdf5]' run.dir=run)
[ "$full" = full ] || options+=(train.steps=12 train.batch=16 train.log_every=1 train.valid_every=6 threads=1 eval.episodes=3)
if [ "$full" = full ]; then
    export OMP_NUM_THREADS=2
    "$hl" train "${options[@]}" --resume auto >.stdout 2>.stderr # longer than run allows
    check 'trained' test $? -eq 0
    "$hl" eval run/last.h5 --reach --closed-loop-only --json >eval.json
    cat eval.json
    rate=$(sed -nE 's/.*"success_rate": ([0-9.]+).*/\1/p' eval.json)
    check 'success in closed loop of 90% or more' awk -v r="${rate:-0}" 'BEGIN { exit !(r >= 0.9) }'
    finish
fi
run 0 train "${options[@]}"
check 'each step once' every_step_once run/metrics.jsonl 12
loss() { sed -nE "s/.*\"step\": $1, .*\"split\": \"train\", \"loss\": ([0-9.]+),.*/\1/p" run/metrics.jsonl; }
check 'it learns' awk -v a="$(loss 1)" -v b="$(loss 12)" 'BEGIN { exit !(a > 0 && b > 0 && b < a) }'

run 0 eval run/last.h5 --reach --closed-loop-only --json
check 'JSON' valid_json .stdout
prints '"success_rate": '
prints '"episodes": 3'
check 'no samples' test "$(grep -c '"samples"' .stdout)" -eq 0
run 0 eval run/last.h5 --json
prints '"information_retained": '
check 'no closed loop unless asked for' test "$(grep -c success_rate .stdout)" -eq 0
run 0 eval run/last.h5
prints 'information retained'
mv reach.hdf5 away.hdf5
bad '^hl: reach.hdf5: no such file' eval run/last.h5
run 0 eval run/last.h5 --reach --closed-loop-only # needs no file
run 0 eval run/last.h5 'data.files=[away.hdf5]'
run 0 inspect run/last.h5
prints 'data:'

# Patterns, several files, missing senses, no masks.
cp away.hdf5 b.hdf5
for name in away b; do "$tool" delete $name.hdf5 mask; done
run 0 train "${options[@]}" run.dir=many 'data.files=[a*.hdf5, b.hdf5]' 'model.senses=[visual, proprioceptive]'
run 0 train "${options[@]}" run.dir=dark 'data.files=[b.hdf5]' 'data.obs.visual.keys=[]'
says '^hl: visual: data.obs.visual.keys is empty, the model gets zeros for it'
check 'it is told of no other sense' test "$(grep -c 'is empty, the model gets zeros' .stderr)" -eq 1
"$tool" delete b.hdf5 data/demo_3/obs/tactile
run 0 train "${options[@]}" run.dir=zero 'data.files=[b.hdf5]' data.obs.tactile.missing=zero
finish
