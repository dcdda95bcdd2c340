#!/usr/bin/env bash
# Training stopped and resumed is training never stopped, bit for bit.
. "$(dirname "$0")/lib.sh"

losses() {
    grep -o '"step": [0-9]*, .*"information_retained": [^,]*' "$1"
}

# ---------------------------------------------------------------- Ctrl-C, and a polite kill

options=("$tiny" train.steps=600 train.valid_every=100 checkpoint.every=100)
mkdir whole
cd whole || exit 1
run 0 train "${options[@]}"
cd ..

# interrupt SIGNAL LINES: stops a run once there are so many lines of metrics.
interrupt() {
    "$hl" train "${options[@]}" --resume auto >"$work/.stdout" 2>"$work/.stderr" &
    last="train --resume auto, $1"
    for ((i = 0; i < 1200; i++)); do
        [ "$(cat run/metrics.jsonl 2>/dev/null | wc -l)" -ge "$2" ] && break
        sleep 0.05
    done
    kill "-$1" $! 2>/dev/null
    wait $!
    check "exit 0 after $1" test $? -eq 0
    says 'stopped at step [0-9]+ of 600; checkpoint run/last.h5'
    local step
    step=$(sed -nE 's/^hl: stopped at step ([0-9]+) .*/\1/p' .stderr "$work/.stderr" 2>/dev/null | head -1)
    check 'the checkpoint is of that step' test -e "run/step-$(printf '%06d' "${step:-0}").h5"
    check 'last.h5 leads to it' test run/last.h5 -ef "run/step-$(printf '%06d' "${step:-0}").h5"
    run 0 inspect run/last.h5
    prints "^step $step,"
    check 'loss.svg is drawn' grep -q '</svg>' run/loss.svg
    check 'each step once so far' every_step_once run/metrics.jsonl "$step"
}
mkdir stopped
cd stopped || exit 1
interrupt INT 3
interrupt TERM 100
interrupt INT 250
run 0 train "${options[@]}" --resume auto
says '^hl: resuming run/step-0.*h5 at step [0-9]+'
check 'bit-identical after three stops' cmp run/last.h5 ../whole/run/last.h5
check 'the same losses' cmp <(losses run/metrics.jsonl | grep train) <(losses ../whole/run/metrics.jsonl | grep train)
check 'each step once' every_step_once run/metrics.jsonl 600
check 'metrics are JSON' json_lines run/metrics.jsonl
check 'the newest two alone are kept' test "$(find run -name 'step-*.h5' | wc -l)" -eq 2
run 0 train "${options[@]}" --resume auto
says 'done at step 600 of 600'
check 'a finished run is left as it is' cmp run/last.h5 ../whole/run/last.h5
ln -sf step-000500.h5 run/last.h5 # as if killed between the last checkpoint and its link
run 0 train "${options[@]}" --resume auto
check 'last.h5 is led to the last step' cmp run/last.h5 ../whole/run/last.h5
cd ..

# ---------------------------------------------------------------- every way to train, from a step in its middle

run 0 data export "$tiny" --output demos.hdf5
file=(data.format=robomimic "data.files=[$work/demos.hdf5]" 'data.obs.visual.keys=[obs/visual]'
    'data.obs.audio.keys=[obs/audio]' data.obs.audio.normalize=mean_std data.action.normalize=mean_std)
n=0
from_the_middle() {
    n=$((n + 1))
    mkdir "$n-whole" "$n-resumed"
    cd "$n-whole" || exit 1
    run 0 train "$tiny" checkpoint.keep=0 train.steps=25 "$@"
    cd "../$n-resumed" || exit 1
    mkdir run
    cp "../$n-whole/run/step-000010.h5" run
    run 0 train "$tiny" checkpoint.keep=0 train.steps=25 "$@" --resume run/step-000010.h5
    says 'resuming run/step-000010.h5 at step 10'
    for step in 15 20 25; do
        check "$*: step $step is bit-identical" cmp "run/step-0000$step.h5" "../$n-whole/run/step-0000$step.h5"
    done
    check "$*: the same losses" \
        cmp <(losses run/metrics.jsonl) <(losses "../$n-whole/run/metrics.jsonl" | grep -E '"step": (1[1-9]|2[0-9])')
    cd ..
}
from_the_middle
from_the_middle train.accumulate=3 model.history=2
from_the_middle train.prefetch=0 optim.schedule=linear optim.decay_vectors=false
from_the_middle train.batch=73 # a batch of more than an epoch
from_the_middle model.compressor=bottleneck optim.clip=0
from_the_middle model.compressor=attention
from_the_middle model.compressor=hierarchical
from_the_middle model.hierarchy=aspects 'model.senses=[audio, proprioceptive]'
from_the_middle device=cpu:portable
from_the_middle "${file[@]}"
from_the_middle "${file[@]}" data.cache=none train.prefetch=0 model.history=1
check 'the runs differ, so the comparisons mean something' test "$(sha256sum ./*-whole/run/step-000025.h5 | cut -c1-64 | sort -u | wc -l)" -eq "$n"

# Reading ahead or not is the same training.
check 'prefetch changes nothing' cmp <(losses 1-whole/run/metrics.jsonl) <(
    cd 1-whole && "$hl" train "$tiny" run.dir=again train.steps=25 train.prefetch=0 2>/dev/null && losses again/metrics.jsonl
)

# A checkpoint of elsewhere may begin a run of its own.
run 0 train "$tiny" run.dir=continued checkpoint.keep=0 train.steps=25 --resume 1-whole/run/step-000010.h5
says 'at step 10'
check 'it goes on from there' grep -q '"step": 11' continued/metrics.jsonl
check 'and not from the beginning' test "$(grep -c '"step": 10' continued/metrics.jsonl)" -eq 0

# --resume auto where there is nothing yet, and where a run was stopped before its first checkpoint.
run 0 train "$tiny" run.dir=fresh --resume auto
says 'no checkpoint in fresh yet, starting from the beginning'
rm fresh/*.h5
run 0 train "$tiny" run.dir=fresh --resume auto
check 'the metrics begin anew' every_step_once fresh/metrics.jsonl 20
run 0 train "$tiny" run.dir=none train.steps=0
check 'no steps: the initial model' test -e none/step-000000.h5
finish
