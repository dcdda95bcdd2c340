#!/usr/bin/env bash
# hl infer: what goes in row by row comes out row by row, the same each time.
. "$(dirname "$0")/lib.sh"

run 0 data export "$tiny" --output demos.hdf5
run 0 train "$tiny" model.history=2 model.head.smoothing=0.3 train.steps=30
"$tool" observations demos.hdf5 both.h5 0 1
"$tool" observations demos.hdf5 first.h5 0
"$tool" observations demos.hdf5 second.h5 1

actions() {
    run 0 infer run/last.h5 --input "$1" --output "$2" "${@:3}"
    check 'nothing on stdout' test ! -s .stdout
    "$tool" print "$2" action >"$2.txt"
}
actions both.h5 both.act
says '16 actions in both.act'
check '16 actions of 19' test "$(wc -l <both.act.txt)" -eq $((16 * 19))
check '16 compressed contexts of 12' test "$("$tool" print both.act compressed | wc -l)" -eq $((16 * 12))
check 'numbers' test "$(grep -Evc '^-?0x[01]' both.act.txt)" -eq 0
check 'not all the same' test "$(sort -u both.act.txt | wc -l)" -gt 100

sleep 1.1 # lest a time in the file hide behind its resolution
actions both.h5 again.act
check 'a second run is bit-identical' cmp both.act again.act

# Episodes do not hear of one another.
actions first.h5 first.act
actions second.h5 second.act
check 'rows of two episodes are the rows of each' cmp both.act.txt <(cat first.act.txt second.act.txt)
cp both.h5 joined.h5
"$tool" delete joined.h5 episode
actions joined.h5 joined.act
check 'without numbers it is one episode: the first half is the same' \
    cmp <(head -n $((8 * 19)) joined.act.txt) <(head -n $((8 * 19)) both.act.txt)
check 'and the second remembers the first' test "$(cmp -s joined.act.txt both.act.txt; echo $?)" -eq 1

# The action depends on every sense.
for sense in visual depth audio tactile proprioceptive; do
    cp first.h5 changed.h5
    for element in 3 17 40; do "$tool" set changed.h5 $sense $element 0.9; done
    actions changed.h5 changed.act
    check "$sense is read" test "$(cmp -s changed.act.txt first.act.txt; echo $?)" -eq 1
done

# Flat rows are images too, and the model without optimizer state acts as the whole checkpoint does.
run 0 export run/last.h5 --to model.h5 --with-decoder --samples 4 --episodes 0
check 'the model is smaller' test "$(stat -Lc %s model.h5)" -lt $(($(stat -Lc %s run/last.h5) / 2))
run 0 infer model.h5 --input both.h5 --output model.act
check 'the exported model acts the same' cmp both.act model.act
run 0 inspect model.h5
prints '^step 30,'
run 0 eval model.h5 --json
cp .stdout model.json
run 0 eval run/last.h5 --json
check 'and is worth the same' cmp <(grep -v checkpoint .stdout) <(grep -v checkpoint model.json)
check 'JSON' valid_json .stdout
grep -Eq '"success_rate": [01]\.[0-9]+' .stdout && grep -q '"episodes": 4,' .stdout
check 'success_rate and episodes' test $? -eq 0
bad 'optimizer|no .*state|missing' train "$tiny" model.history=2 model.head.smoothing=0.3 run.dir=new --resume model.h5

# Plain C and oneDNN agree (bit for bit they need not).
actions both.h5 portable.act device=cpu:portable
paste -d ' ' both.act.txt portable.act.txt >pairs
check 'cpu:portable: as many actions' test "$(wc -l <pairs)" -eq $((16 * 19))
if command -v python3 >/dev/null; then
    check 'cpu:portable: within 1e-4' python3 -c '
for line in open("pairs"):
    a, b = map(float.fromhex, line.split())
    assert abs(a - b) <= 1e-4 * (1 + abs(a)), line'
fi
finish
