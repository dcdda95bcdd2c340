#!/usr/bin/env bash
# Whatever the world gets wrong: exit code 2, one sentence that names the culprit, and nothing overwritten.
. "$(dirname "$0")/lib.sh"

run 0 train "$tiny" run.dir=run
run 0 data export "$tiny" --output good.hdf5
run 0 train "$tiny" run.dir=other model.audio.hidden=5 train.steps=2
run_before=$(snapshot run)
other_before=$(snapshot other)
good_before=$(snapshot good.hdf5)

# ---------------------------------------------------------------- configurations

# with TEXT: c.yaml is the tiny configuration and TEXT below it.
with() {
    { cat "$tiny"; printf '%b\n' "$1"; } >c.yaml
    line=$(($(wc -l <"$tiny") + 1))
}
refuses() { bad "$1" train c.yaml run.dir=new; }

with 'loss: {actoin: 1}'
refuses "^hl: c.yaml:$line:8: loss.actoin: unknown key; did you mean 'loss.action'\?"
with 'optimizer: {}'
refuses "^hl: c.yaml:$line:1: optimizer: unknown key; did you mean 'optim'\?"
with 'loss: {action: fast}'
refuses "^hl: c.yaml:$line:16: loss.action: expected a number, found 'fast'"
with 'loss: {action: [1]}'
refuses "^hl: c.yaml:$line:16: loss.action: expected a number"
with 'loss: 3'
refuses "^hl: c.yaml:$line:7: loss: "
with 'loss: {action: -1}'
refuses "^hl: c.yaml:$line:16: loss.action: -1 is below 0"
with 'loss: {action: .nan}'
refuses "^hl: c.yaml:$line:16: loss.action: "
with 'loss: {action: 1e999}'
refuses "^hl: c.yaml:$line:16: loss.action: "
with 'seed: 4'
refuses "^hl: c.yaml:$line:1: .*seed"
with 'loss: {action: 1'
refuses '^hl: c.yaml:[0-9]+:[0-9]+: '
with '\ttabs: 1'
refuses '^hl: c.yaml:[0-9]+:[0-9]+: '
with 'loss: {action: "\x01"}'
refuses '^hl: c.yaml:[0-9]+:[0-9]+: '
with 'a: &a [1,1]\nb: &b [*a,*a]\nc: &c [*b,*b]\nd: &d [*c,*c]\ne: &e [*d,*d]\nf: [*e,*e]'
refuses "^hl: c.yaml:$line:4: .*(anchor|alias)"
printf '%.0s[' {1..10000} >c.yaml
refuses '^hl: c.yaml:1:[0-9]+: .*(deep|depth|nest)'
printf 'run:' >c.yaml
for ((i = 0; i < 10000; i++)); do printf '\n%*sa:' $((i % 64 + 1)) ''; done >>c.yaml
refuses '^hl: c.yaml:[0-9]+:[0-9]+: '
{ cat "$tiny"; head -c 2000000 /dev/zero | tr '\0' '#'; } >c.yaml
refuses '^hl: c.yaml: '
head -c 4096 /dev/urandom >c.yaml
refuses '^hl: c.yaml'
: >empty.yaml
run 0 train empty.yaml --print-config # all defaults: nothing is wrong with it
bad '^hl: nothing.yaml: cannot open it: No such file' train nothing.yaml
bad '^hl: run: cannot read it: Is a directory' train run

for override in optim.lrr=1 lr=1 train=3 train.steps train.steps= train.steps=2.5 train.steps=1e3x optim.lr=-1 \
    model.image=7 'model.visual.channels=[]' 'model.senses=[smell]' model.compressor=none seed=18446744073709551616 \
    threads=1025 train.batch=0 run.dir= model.refiner.heads=7 model.temporal.features=5 data.format=robomimic; do
    bad "^hl: override '${override//[/\\[}': " train "$tiny" run.dir=new "$override"
done
bad "'model.compressor=none': model.compressor: expected hybrid, bottleneck, attention or hierarchical, found 'none'" \
    train "$tiny" model.compressor=none
for command in train plan bench; do
    bad "device 'gpu' is not one of: auto, cpu, cpu:portable, cuda, cuda:N" $command "$tiny" device=gpu run.dir=new
    bad "precision tf32 is computed by GPUs only; on device 'cpu' use fp32" $command "$tiny" device=cpu \
        precision=tf32 run.dir=new
done
bad "device 'cuda:x' is not one of" eval run/last.h5 device=cuda:x
if ! "$hl" devices | grep -q '^cuda'; then
    bad "device 'cuda(:0)?'.*: " train "$tiny" run.dir=new device=cuda
    bad "device 'cuda(:9)?'.*: " eval run/last.h5 device=cuda:9
fi
bad 'no memory for an arena of [0-9.]+ MiB .*use a smaller batch' \
    bench "$tiny" model.image=4096 train.accumulate=16 --train --batch 65536 # beyond 2^47 bytes: on no machine
check 'a refused run leaves no directory' test ! -e new

# ---------------------------------------------------------------- runs that are there already

bad '^hl: run: there is a run here already' train "$tiny" run.dir=run
bad '^hl: run: there is a run here already, and other/last.h5 is not of it' train "$tiny" run.dir=run --resume other/last.h5
bad 'was trained with seed 3, the configuration says 4' train "$tiny" run.dir=run seed=4 --resume run/last.h5
bad 'was trained with train.batch 4, the configuration says 5' train "$tiny" run.dir=run train.batch=5 --resume run/last.h5
bad 'audio_encoder.0.weight: found shape \[4,1024\], expected \[5,1024\]' \
    train "$tiny" run.dir=run model.audio.hidden=5 --resume run/last.h5
bad "step-000002.h5: .*found shape \[5,1024\], expected \[4,1024\]" train "$tiny" run.dir=other --resume auto
bad '^hl: run/nothing.h5: cannot open it' train "$tiny" run.dir=run --resume run/nothing.h5
mkdir mine
echo 'precious: 1' >mine/config.yaml
mine_before=$(snapshot mine)
bad '^hl: mine: there is a run here already' train "$tiny" run.dir=mine
untouched 'a configuration in run.dir' mine "$mine_before"
bad 'file of that name is in the way' train "$tiny" run.dir=c.yaml/run

# A second process in one directory, by accident.
"$hl" train "$tiny" run.dir=busy train.steps=1000000 2>busy.log &
busy=$!
for ((i = 0; i < 600; i++)); do
    [ -s busy/metrics.jsonl ] && break
    sleep 0.1
done
run 2 train "$tiny" run.dir=busy train.steps=1000000 --resume auto
says '^hl: busy: another hl train is at work here'
kill -INT $busy
wait $busy
check 'the first goes on, and ends as it should' test $? -eq 0
check 'its metrics are whole' json_lines busy/metrics.jsonl

# ---------------------------------------------------------------- checkpoints

checkpoint=run/step-000020.h5
size=$(stat -c %s $checkpoint)
# refused REGEX: by every command that reads a checkpoint.
refused() {
    bad "$1" inspect bad.h5
    bad "$1" eval bad.h5
    bad "$1" infer bad.h5 --input good.hdf5 --output act.h5
    bad "$1" export bad.h5 --to model.h5
    bad "$1" train "$tiny" run.dir=new --resume bad.h5
}
for length in 0 1 47 100 4096 $((size / 2)) $((size - 1)); do
    head -c "$length" $checkpoint >bad.h5
    refused '^hl: bad.h5: .*(truncated|cut short)'
done
{ cat $checkpoint; echo; } >bad.h5
refused '^hl: bad.h5: .*(truncated or extended)'
# A bit anywhere: the head, the structure, tensors, the tail.
positions=(0 8 12 20 30 44 100 -1 -2 -1000)
for ((i = 1; i < 16; i++)); do positions+=($((size * i / 16 + i))); done
damaged_tensors=0
for position in "${positions[@]}"; do
    cp $checkpoint bad.h5
    flip bad.h5 "$position"
    bad '^hl: bad.h5: ' inspect bad.h5
    grep -q 'hl: bad.h5: /[a-z]*/[a-z_.0-9A-Z]*: .*damaged (CRC32C' .stderr && damaged_tensors=$((damaged_tensors + 1))
    bad '^hl: bad.h5: ' train "$tiny" run.dir=new --resume bad.h5
done
check 'tensors are named' test $damaged_tensors -ge 3
cp $checkpoint bad.h5
"$tool" version bad.h5 2
refused '^hl: bad.h5: .*has format 2, this hl reads up to 1; use a newer hl'
cp "$tiny" bad.h5
refused '^hl: bad.h5: is no checkpoint of hl'
head -c 100000 /dev/urandom >bad.h5
refused '^hl: bad.h5: is no checkpoint of hl'
cp good.hdf5 bad.h5
refused '^hl: bad.h5: is an HDF5 file but no checkpoint of hl'
rm bad.h5
mkdir bad.h5
refused '^hl: bad.h5: cannot read it: Is a directory'
rmdir bad.h5
refused '^hl: bad.h5: cannot open it: No such file'
bad '^hl: .a.b=c.: ' inspect $checkpoint a.b=c
bad 'found shape \[12,|found shape \[4,' eval $checkpoint model.compressed=15
bad "override 'no.such=1'" eval $checkpoint no.such=1
bad 'it is the checkpoint' export $checkpoint --to run/last.h5
bad 'ends in .safetensors, .onnx or .h5' export $checkpoint --to model.pt
check 'nothing was made of damaged files' test ! -e new -a ! -e model.h5 -a ! -e act.h5

# A damaged checkpoint in a run: auto passes over it, and says so; when none is left it is an error.
mkdir hurt
cp -r run hurt/run
cd hurt || exit 1
flip run/step-000020.h5 $((size / 2))
run 0 train "$tiny" --resume auto
says 'passed over 1 damaged checkpoint.*step-000020.h5'
check 'the last step is made again, bit for bit' cmp run/step-000020.h5 ../run/step-000020.h5
flip run/step-000020.h5 $((size / 2))
flip run/step-000015.h5 $((size / 2))
hurt_before=$(snapshot run)
bad 'none of its 2 checkpoints is valid' train "$tiny" --resume auto
untouched 'a run of which nothing is left' run "$hurt_before"
cd ..

# ---------------------------------------------------------------- demonstrations

from=("$tiny" data.format=robomimic 'data.files=[bad.hdf5]' run.dir=new train.steps=2
    'data.obs.visual.keys=[obs/visual]' 'data.obs.depth.keys=[obs/depth]' 'data.obs.audio.keys=[obs/audio]'
    'data.obs.tactile.keys=[obs/tactile]' 'data.obs.proprioceptive.keys=[obs/proprioceptive]')
cp good.hdf5 bad.hdf5
run 0 train "${from[@]}" run.dir=sound
bad "^hl: bad.hdf5: .*data/demo_0/obs/smell" train "${from[@]}" 'data.obs.audio.keys=[obs/smell]'
bad '^hl: data.obs: no sense of model.senses has keys' \
    train "$tiny" data.format=robomimic 'data.files=[bad.hdf5]' run.dir=new
"$tool" delete bad.hdf5 data/demo_3/obs/audio
bad '^hl: bad.hdf5: .*data/demo_3/obs/audio' train "${from[@]}"
cp good.hdf5 bad.hdf5
"$tool" zeros bad.hdf5 data/demo_3/obs/audio 8 1000
bad '^hl: bad.hdf5: .*data/demo_3/obs/audio.*1000.*1024|^hl: bad.hdf5: .*data/demo_3/obs/audio.*1024.*1000' train "${from[@]}"
cp good.hdf5 bad.hdf5
"$tool" zeros bad.hdf5 data/demo_3/actions 8 7
bad '^hl: bad.hdf5: .*data/demo_3/actions.*7.*19|^hl: bad.hdf5: .*data/demo_3/actions.*19.*7' train "${from[@]}"
cp good.hdf5 bad.hdf5
"$tool" zeros bad.hdf5 data/demo_3/obs/visual 7 8 8 3
bad '^hl: bad.hdf5: .*data/demo_3/obs/visual.*7.*8' train "${from[@]}"
cp good.hdf5 bad.hdf5
"$tool" set bad.hdf5 data/demo_3/obs/audio 1030 nan
bad '^hl: bad.hdf5: .*data/demo_3/obs/audio.*(nan|NaN|finite)' train "${from[@]}"
head -c 3000 good.hdf5 >bad.hdf5
bad '^hl: bad.hdf5: ' train "${from[@]}"
bad '^hl: bad.hdf5: ' data info bad.hdf5
cp "$tiny" bad.hdf5
bad '^hl: bad.hdf5: .*not an HDF5 file' train "${from[@]}"
bad '^hl: bad.hdf5: .*not an HDF5 file' data info bad.hdf5
bad "^hl: nothing\*.hdf5: no such file" train "${from[@]}" 'data.files=[nothing*.hdf5]'
bad '^hl: nothing.hdf5: No such file' data info nothing.hdf5
bad '^hl: run: not a regular file' data info run
check 'a refused data set leaves no run' test ! -e new
bad '^hl: good.hdf5: the file exists already' data export "$tiny" --output good.hdf5
bad '^hl: nowhere/x.hdf5' data export "$tiny" --output nowhere/x.hdf5
bad 'data.format is not reach' data export "${from[@]}" --output x.hdf5

# ---------------------------------------------------------------- observations

"$tool" observations good.hdf5 obs.h5 0 9
run 0 infer run/last.h5 --input obs.h5 --output act.h5
act_before=$(snapshot act.h5)
refuses_observation() { bad "$1" infer run/last.h5 --input bad-obs.h5 --output act.h5; }
for value in nan inf -inf; do
    cp obs.h5 bad-obs.h5
    "$tool" set bad-obs.h5 audio $((1024 * 5 + 7)) $value
    refuses_observation "^hl: bad-obs.h5: 'audio': element 7 of row 5 is (NaN|infinite)"
done
cp obs.h5 bad-obs.h5
"$tool" delete bad-obs.h5 tactile
refuses_observation "^hl: bad-obs.h5: there is no data set 'tactile'"
cp obs.h5 bad-obs.h5
"$tool" zeros bad-obs.h5 visual 16 8 8 3
refuses_observation "^hl: bad-obs.h5: 'visual': found \[16,8,8,3\], expected \[N,3,8,8\]"
"$tool" zeros bad-obs.h5 visual 15 3 8 8
refuses_observation "^hl: bad-obs.h5: 'depth' has 16 rows, the senses before it have 15"
"$tool" zeros bad-obs.h5 visual 16 192
"$tool" zeros bad-obs.h5 audio 1024
refuses_observation "^hl: bad-obs.h5: 'audio': found \[1024\], expected \[N,1024\]"
cp obs.h5 bad-obs.h5
"$tool" zeros bad-obs.h5 episode 3
refuses_observation "^hl: bad-obs.h5: 'episode' must have one number per row \(16\)"
for sense in visual depth audio tactile proprioceptive; do "$tool" delete bad-obs.h5 $sense; done
"$tool" zeros bad-obs.h5 visual 0 3 8 8
"$tool" zeros bad-obs.h5 depth 0 1 8 8
"$tool" zeros bad-obs.h5 audio 0 1024
"$tool" zeros bad-obs.h5 tactile 0 128
"$tool" zeros bad-obs.h5 proprioceptive 0 64
refuses_observation '^hl: bad-obs.h5: there are no rows'
cp "$tiny" bad-obs.h5
refuses_observation '^hl: bad-obs.h5: cannot be opened as HDF5'
rm bad-obs.h5
refuses_observation '^hl: bad-obs.h5: cannot open it: No such file'
mkdir bad-obs.h5
refuses_observation '^hl: bad-obs.h5: cannot read it: Is a directory'
bad '^hl: nowhere/act.h5' infer run/last.h5 --input obs.h5 --output nowhere/act.h5
bad '^hl: run: ' infer run/last.h5 --input obs.h5 --output run
bad 'it is the input, which would be lost' infer run/last.h5 --input obs.h5 --output obs.h5
bad 'it is the model, which would be lost' infer run/last.h5 --input obs.h5 --output run/step-000020.h5
untouched 'actions of before' act.h5 "$act_before"
check 'no temporary is left' test -z "$(find . -name '*.tmp')"

untouched 'the run' run "$run_before"
untouched 'the other run' other "$other_before"
untouched 'the demonstrations' good.hdf5 "$good_before"
finish
