#!/usr/bin/env bash
# --trace of hl train and hl bench, and --memory-viz of hl plan: what a browser reads.
. "$(dirname "$0")/lib.sh"
command -v python3 >/dev/null || exit 77 # hl needs none
trace() { check "$*" python3 "$here/trace.py" "$@"; }

# Training: from the second step on, until there is no more room; validation has a thread of its own.
run 0 train "$tiny" train.steps=20 --trace out.json --trace-steps 5
says 'out\.json: 9 steps of 2 sessions recorded, the 14 after them not \(--trace-steps 5\)$'
trace chrome out.json training=5 validation=4
check 'no temporary' test ! -e out.json.tmp
cp run/last.h5 traced.h5
rm -r run
run 0 train "$tiny" train.steps=20
check 'tracing changes no number' cmp -s traced.h5 run/last.h5
rm -r run
run 0 train "$tiny" train.steps=4 train.valid_every=0 --trace=out.json
says 'out\.json: 3 steps of 1 session recorded$'
trace chrome out.json training=3
rm -r run
run 0 train "$tiny" train.steps=1 train.valid_every=0 --trace out.json
says 'out\.json: 0 steps of 1 session recorded$'
check 'JSON' valid_json out.json
rm -r run

# Benchmarks: a thread for each row, after what is timed.
run 0 bench "$tiny" --batch 1,3 --seconds 1 --trace bench.json --trace-steps 7
trace chrome bench.json 'inference, batch 1, fp32, threads 1=7' 'inference, batch 3, fp32, threads 1=7'
prints '^inference +3 '
run 0 bench "$tiny" --train --batch 2 --precision bf16 --seconds 1 --trace bench.json --trace-steps 6 --json
trace chrome bench.json 'training, batch 2, bf16, threads 1=6'
check 'JSON' valid_json .stdout

# What cannot be written is told before anything runs; what is read is not overwritten.
before=$(sha256sum <"$tiny")
mkdir folder
bad 'nowhere/out\.json' train "$tiny" --trace nowhere/out.json
bad 'folder' train "$tiny" --trace folder
bad 'nowhere/out\.json' bench "$tiny" --trace nowhere/out.json
bad 'nowhere/out\.json' plan "$tiny" --memory-viz nowhere/out.json
check 'no run' test ! -e run
cp "$tiny" mine.yaml
bad '--trace: \./mine\.yaml is what is read' train mine.yaml --trace ./mine.yaml
bad '--trace: mine\.yaml is what is read' bench mine.yaml --trace mine.yaml
bad '--memory-viz: mine\.yaml is what is read' plan mine.yaml --memory-viz mine.yaml
check 'the configuration is there' cmp -s mine.yaml "$tiny"
check 'the test is there' test "$(sha256sum <"$tiny")" = "$before"
bad '--trace needs a value' train "$tiny" --trace
bad '--trace-steps is of --trace FILE\.json' train "$tiny" --trace-steps 3
bad '--trace-steps: 1000001 is not in 1\.\.1000000' train "$tiny" --trace out.json --trace-steps 1000001
bad '--trace-steps' train "$tiny" --trace out.json --trace-steps -1
bad '--ceilings is of the machine' bench --ceilings --trace out.json
run 0 train --help
prints '--trace FILE\.json '
run 0 bench --help
prints '--trace-steps N '

# A disk that is full: what was measured is printed all the same, and what stood at the path is there.
run 0 bench "$tiny" --batch 1 --seconds 0 --trace new.json --trace-steps 2
for n in $(seq 3 20); do # the first calls look at the configuration and read it
    echo old >out.json
    HL_FAIL_WRITE=$n "$hl" bench "$tiny" --batch 1 --seconds 0 --trace out.json --trace-steps 2 >.stdout 2>.stderr
    code=$?
    [ $code -eq 0 ] && break
    check "write $n fails: exit 2" test $code -eq 2
    says 'out\.json'
    check "write $n fails: no temporary" test ! -e out.json.tmp
    grep -q '^inference' .stdout && printed=$n
    grep -q 'is written, but' .stderr || check "write $n fails: the old file stays" grep -qx old out.json
done
check 'writes fail before and after the results, and at last none' test $code -eq 0 -a "${printed:-0}" -gt 5
trace chrome out.json 'inference, batch 1, fp32, threads 1=2'
run 1 bench "$tiny" --batch 1 --precision tf32,fp32 --seconds 0 --trace out.json --trace-steps 2
trace chrome out.json 'inference, batch 1, fp32, threads 1=2' # the other row did not run

# The memory of a plan.
run 0 plan "$tiny" --batch 3 --memory-viz memory.json
prints '^training, batch 3: '
trace memory memory.json
run 0 plan "$tiny" --batch 3 --memory-viz memory.json --json
bound=$(awk '/"training"/ { here = 1 } here && $1 == "\"lower_bound\":" { gsub(",", "", $2); print $2; exit }' .stdout)
check 'the fullest moment is the lower bound' test "$(python3 "$here/trace.py" memory memory.json)" -eq "$bound"
for options in precision=bf16 precision=fp16 model.compressor=bottleneck train.accumulate=3; do
    run 0 plan "$tiny" $options --memory-viz memory.json
    trace memory memory.json
done
bad '--budget looks for the batch: leave out --memory-viz' plan "$tiny" --budget 1GiB --memory-viz memory.json
run 0 plan --help
prints '--memory-viz FILE\.json '
HL_FAIL_WRITE=3 run 2 plan "$tiny" --memory-viz memory.json
says 'memory\.json'
check 'nothing is printed' test ! -s .stdout
trace memory memory.json # the one before
finish
