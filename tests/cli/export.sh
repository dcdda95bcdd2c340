#!/usr/bin/env bash
# hl export: the same model in every format and precision, and the proof of it.
. "$(dirname "$0")/lib.sh"

run 0 data export "$tiny" --output demos.hdf5
run 0 train "$tiny" model.history=2 model.head.smoothing=0.3 train.steps=30
"$tool" observations demos.hdf5 seen.h5 0 1

actions() { # MODEL OUTPUT
    run 0 infer "$1" --input seen.h5 --output "$2"
    "$tool" print "$2" action >"$2.txt"
}

# near A B LIMIT: no number of two lists is farther off.
near() {
    paste "$1" "$2" | python3 -c 'import sys
pairs = [[float.fromhex(x) if "x" in x else float(x) for x in line.split()] for line in sys.stdin]
assert pairs and all(abs(a - b) <= float(sys.argv[1]) for a, b in pairs), max(abs(a - b) for a, b in pairs)' "$3"
}

# figure FILE KEY...: a number of a report.
figure() {
    python3 -c 'import json, sys
at = json.load(open(sys.argv[1]))
for key in sys.argv[2:]:
    at = at[int(key)] if isinstance(at, list) else at[key]
print(at)' "$@"
}

actions run/last.h5 checkpoint.act
for precision in fp32 bf16 fp16 int8; do
    declare -A limit=([fp32]=1e-5 [bf16]=0.1 [fp16]=0.01 [int8]=0.1)
    model=$precision.safetensors
    run 0 export run/last.h5 --to $model --precision $precision --samples 20 --episodes 2
    prints "^$model \($precision\) against run/last.h5"
    prints 'action +largest error .*cosine'
    prints 'success \(reach\)'
    prints 'time to open +[0-9.]+ ms +[0-9.]+ ms'
    check 'the report is JSON' valid_json $model.parity.json
    check 'nothing unproven is left' test ! -e $model.unproven
    actions $model $precision.act
    check "actions in $precision" near checkpoint.act.txt $precision.act.txt "${limit[$precision]}"
    check 'the report tells the same' near <(figure $model.parity.json action max_error) <(echo 0) \
        "${limit[$precision]}"
    run 0 eval $model --episodes 2
    prints 'of 2 unseen episodes'
    prints 'not measured: an exported model only acts'
    run 0 inspect $model
    prints "precision +$precision"
    prints 'input +history +\[1,2,'
    run 0 inspect $model --json
    check 'JSON' valid_json .stdout
done
check 'bf16 is smaller' test "$(stat -c %s bf16.safetensors)" -lt "$(stat -c %s fp32.safetensors)"
check 'the report tells the parameters of the checkpoint' \
    test "$(figure fp32.safetensors.parity.json before parameters)" = "$(run 0 inspect run/last.h5 --json && figure .stdout parameters)"
check 'there are fewer parameters' \
    test "$(figure fp32.safetensors.parity.json after parameters)" -lt "$(figure fp32.safetensors.parity.json before parameters)"
check 'what stays in floats is listed' \
    test "$(figure int8.safetensors.parity.json layers 0 weight)" != ''

# Calibrated on the training data, or on files.
run 0 export run/last.h5 --to c.safetensors --samples 0 --episodes 0
check 'nothing was compared, and nothing passed' test "$(figure c.safetensors.parity.json pass)" = None
run 0 export run/last.h5 --to c.safetensors --precision int8 --calibrate train --samples 20 --episodes 0 --json
check 'JSON on stdout' valid_json .stdout
check 'operands have scales' test "$(figure c.safetensors.parity.json layers 1 operand_scale)" != None
run 0 export run/last.h5 --to c.safetensors --precision int8 --calibrate train --range largest --samples 20 --episodes 0
actions c.safetensors c.act
check 'actions with calibrated operands' near checkpoint.act.txt c.act.txt 0.2

# Exported twice it is the same file.
run 0 export run/last.h5 --to again.safetensors --samples 4 --episodes 0
check 'bit-identical' cmp again.safetensors fp32.safetensors

# --max-error decides whether there is a file at all.
run 1 export run/last.h5 --to no.safetensors --precision int8 --max-error 1e-9 --samples 4 --episodes 0
says 'no.safetensors was not written'
prints 'FAIL'
check 'it was not written' test ! -e no.safetensors -a ! -e no.safetensors.unproven
check 'nor its report' test ! -e no.safetensors.parity.json
run 1 export run/last.h5 --to no.safetensors --precision int8 --max-error 1e-9 --samples 4 --episodes 0 --json
check 'but the report is printed' test "$(figure .stdout pass)" = False
run 0 export run/last.h5 --to yes.safetensors --max-error 1e-4 --samples 4 --episodes 0
cp yes.safetensors was.safetensors
cp yes.safetensors.parity.json was.json
run 1 export run/last.h5 --to yes.safetensors --precision int8 --max-error 1e-9 --samples 4 --episodes 0
check 'what was there stays' cmp yes.safetensors was.safetensors
check 'with its own report' cmp yes.safetensors.parity.json was.json
run 1 export run/last.h5 --to no.onnx --precision int8 --max-error 1e-9 --samples 4 --episodes 0
check 'no ONNX model either' test ! -e no.onnx -a ! -e no.onnx.unproven

# Interrupted, it takes along what is not proven.
for signal in INT TERM HUP; do
    # A shell that is no terminal's has its background jobs ignore SIGINT; Python does not.
    python3 -c 'import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])' "$hl" export run/last.h5 --to gone.safetensors --samples 4 --episodes 20000 >.stdout 2>.stderr &
    exporting=$!
    for _ in $(seq 600); do
        [ -e gone.safetensors.unproven ] && break
        sleep 0.1
    done
    check 'it was being proven' test -e gone.safetensors.unproven
    kill -s $signal $exporting
    wait $exporting
    check "ends by $signal" test $? -gt 128
    check 'nothing is left' test -z "$(ls -d gone.* 2>/dev/null)"
done

# So does an ONNX model that is half written. (Its data is waited for by a reader, which is none.)
mkdir onnx
for n in $(seq 40); do
    "$hl" export run/last.h5 --to onnx/m.onnx --samples 4 --episodes 0 >.stdout 2>.stderr &
    exporting=$!
    sleep "0.0$((RANDOM % 9 + 1))"
    kill -s TERM $exporting
    wait $exporting
    left=$(find onnx -type f ! -name m.onnx ! -name m.onnx.parity.json)
    [ -z "$left" ] || break
done
check "nothing is half written: $left" test -z "$left"

# A report that cannot be written is known before the work, and an old one does not stay beside a new model.
mkdir told.safetensors.parity.json
bad 'told.safetensors.parity.json' export run/last.h5 --to told.safetensors --samples 4 --episodes 0
check 'no model without its report' test ! -e told.safetensors
rmdir told.safetensors.parity.json
run 0 export run/last.h5 --to told.safetensors --samples 4 --episodes 0
fails() { # N: as bf16, with the N-th write failing
    ! HL_FAIL_WRITE=$1 "$hl" export run/last.h5 --to told.safetensors --precision bf16 --samples 4 --episodes 0 >.stdout 2>.stderr
}
most=1
while fails $most; do most=$((2 * most)); done
least=$((most / 2)) # that fails, and most does not
while [ $((most - least)) -gt 1 ]; do
    n=$(((least + most) / 2))
    if fails $n; then least=$n; else most=$n; fi
done
for n in $(seq $((most - 12)) $((most - 1))); do # the last ones: giving names
    run 0 export run/last.h5 --to told.safetensors --samples 4 --episodes 0
    cp told.safetensors was.safetensors
    check "write $n fails" fails "$n"
    said=nothing
    [ -e told.safetensors.parity.json ] && said=$(figure told.safetensors.parity.json precision)
    cmp -s told.safetensors was.safetensors && expected='fp32' || expected='bf16|nothing'
    check "write $n fails: the report tells of the model" grep -Eqx "$expected" <<<"$said"
done

# Two that write to one name: the second is refused, and the first one proves its own file.
"$hl" export run/last.h5 --to twice.safetensors --samples 4 --episodes 20000 >.first 2>&1 &
exporting=$!
for _ in $(seq 600); do
    [ -e twice.safetensors.unproven ] && break
    sleep 0.1
done
cp twice.safetensors.unproven was.unproven
bad '^hl: twice.safetensors.export: another process is writing it' export run/last.h5 --to twice.safetensors --precision bf16 --samples 4
check 'what the first one proves is as it was' cmp twice.safetensors.unproven was.unproven
kill $exporting
wait $exporting
check 'nothing is left' test -z "$(ls -d twice.* 2>/dev/null)"

# ONNX
for precision in fp32 fp16 int8; do
    run 0 export run/last.h5 --to m.onnx --precision $precision --samples 4 --episodes 0
    says 'for TensorRT'
    check 'trtexec' grep -q '^ *trtexec --onnx=m.onnx' .stderr
    check 'there is a model' test -s m.onnx
    check 'and nothing besides' test ! -e m.onnx.unproven
    check 'the report tells its size' test "$(figure m.onnx.parity.json after file_bytes)" = "$(stat -c %s m.onnx)"
done

# A checkpoint without what only training needs.
run 0 export run/last.h5 --to slim.h5 --samples 4 --episodes 0
run 0 export run/last.h5 --to whole.h5 --with-decoder --samples 4 --episodes 0
check 'the decoder goes' test "$(stat -c %s slim.h5)" -lt "$(stat -c %s whole.h5)"
for model in slim whole; do
    run 0 inspect $model.h5 --json
    check 'parameters' test "$(figure .stdout parameters)" = "$(figure $model.h5.parity.json after parameters)"
done
actions slim.h5 slim.act
check 'and nothing that acts' cmp slim.act.txt checkpoint.act.txt
run 0 eval slim.h5 --episodes 1
prints 'not measured: it was exported without its decoder'
bad 'nothing to measure' eval slim.h5 data.format=robomimic data.files='[demos.hdf5]'

# What makes no sense.
bad '\-\-to is missing' export run/last.h5
bad 'ends in .safetensors, .onnx or .h5' export run/last.h5 --to model.pt
bad 'ends in .safetensors, .onnx or .h5' export run/last.h5 --to .onnx
bad 'it is fp32, bf16, fp16 or int8' export run/last.h5 --to m.onnx --precision int4
bad 'checkpoints \(.h5\) are in fp32' export run/last.h5 --to m.h5 --precision bf16
bad 'for --precision int8' export run/last.h5 --to m.onnx --calibrate train
bad 'give --calibrate too' export run/last.h5 --to m.onnx --precision int8 --range largest
bad 'it is largest or percentile' export run/last.h5 --to m.onnx --precision int8 --calibrate train --range all
bad '\-\-max-error 0: it is a number above 0' export run/last.h5 --to m.onnx --max-error 0
bad '\-\-max-error x: it is a number above 0' export run/last.h5 --to m.onnx --max-error x
bad 'needs samples' export run/last.h5 --to m.onnx --max-error 1 --samples 0
bad 'needs samples' export run/last.h5 --to m.onnx --precision int8 --samples 0
bad 'it is the checkpoint' export whole.h5 --to whole.h5
bad '^hl: nowhere' export run/last.h5 --to nowhere/m.safetensors --samples 4 --episodes 0
bad '^hl: nowhere' export run/last.h5 --to nowhere/m.safetensors data.reach.episodes=1 # before the data is looked at
bad 'no samples that validate' export run/last.h5 --to m.safetensors data.reach.episodes=1
check 'nothing is left' test ! -e m.safetensors.unproven -a ! -e m.safetensors.unproven.tmp
bad 'which reads no files' export run/last.h5 --to m.safetensors --precision int8 --calibrate nosuch.hdf5 --samples 4 --episodes 0
mkdir folder.safetensors
bad 'folder.safetensors' export run/last.h5 --to folder.safetensors --samples 4 --episodes 0
check 'nothing unproven is left' test ! -e folder.safetensors.unproven

bad 'not UTF-8' export run/last.h5 --to $'\xff.safetensors' --samples 4 --episodes 0

# What an exported model is cannot be overridden: who acts makes room by its configuration.
bad "fp32.safetensors: its graph has 192 elements in 'visual', its configuration says 768" \
    eval fp32.safetensors model.image=16
bad "elements in 'history'" eval fp32.safetensors model.history=3
bad "elements in 'depth'" infer fp32.safetensors model.senses='[visual]' --input seen.h5 --output x.act
bad "elements in 'compressed'" infer fp32.safetensors model.compressed=7 --input seen.h5 --output x.act

# What acting with it will need.
run 0 plan int8.safetensors --json
check 'weights are in the mapped file' test "$(figure .stdout inference bytes mapped)" -gt 0
run 0 plan int8.safetensors --batch 3 --calls
prints 'inference, batch 3'
run 0 plan int8.safetensors --budget 16MiB
prints 'budget 16.0 MiB +int8$'
run 0 plan int8.safetensors --budget 16MiB --json
check 'it fits' test "$(figure .stdout precisions int8 inference total)" -le 16777216
bad 'parameters alone' plan int8.safetensors --budget 1KiB
bad 'only acts' plan int8.safetensors --memory-viz x.json
printf 'memory: {budget: 64GiB}\n' >memory.yaml # its ninth byte is that of a .safetensors file
run 0 plan memory.yaml train.batch=1

# damaged FROM TO PYTHON: a copy, whose header h (JSON) and data d were changed.
damaged() {
    python3 - "$@" <<'PYTHON'
import json, struct, sys
b = open(sys.argv[1], "rb").read()
n = struct.unpack("<Q", b[:8])[0]
h, d, pad = json.loads(b[8:8 + n]), bytearray(b[8 + n:]), 0
about = h["__metadata__"]
matrix = next(k for k, v in h.items() if len(v.get("shape", [])) == 2 and v["dtype"] == "F32")
exec(sys.argv[3])
j = json.dumps(h).encode()
j += b" " * (-(8 + len(j)) % 64 + pad)
open(sys.argv[2], "wb").write(struct.pack("<Q", len(j)) + j + d)
PYTHON
}
damaged fp32.safetensors bad.safetensors 'at = h[matrix]["data_offsets"][0]; d[at:at + 4] = struct.pack("<f", float("nan"))'
for command in eval inspect plan; do
    bad "^hl: bad.safetensors: tensor '[^']+' has an element, 0 of [0-9]+, that is NaN" $command bad.safetensors
done
bad "^hl: bad.safetensors: tensor '" infer bad.safetensors --input seen.h5 --output x.act
check 'no actions' test ! -e x.act
damaged fp32.safetensors bad.safetensors 'about["step"] = "-1"'
bad "bad.safetensors: metadata 'step': found '-1'" eval bad.safetensors
damaged fp32.safetensors bad.safetensors 'about["format_version"] = "2"'
bad 'bad.safetensors: its format_version is 2, hl .* reads up to 1' eval bad.safetensors
damaged fp32.safetensors bad.safetensors 'about["config"] = about["config"].replace("image: 8", "image: 16")'
bad "bad.safetensors: its graph has 192 elements in 'visual'" eval bad.safetensors
damaged fp32.safetensors bad.safetensors 'import re; about["program"] = re.sub(r"\"(\d*)B\"", lambda m: m[1] or "1", about["program"])'
for command in eval plan bench; do
    bad "^hl: bad.safetensors: 'visual' is \[1,.*\] for a batch of 1 and \[1,.*\] for a batch of 2" $command bad.safetensors
done
damaged fp32.safetensors bad.safetensors 'p = json.loads(about["program"]); p["outputs"]["tactile"] = p["outputs"]["action"]; about["program"] = json.dumps(p)'
bad "^hl: bad.safetensors: graph: output 'tactile' has the name of an input" eval bad.safetensors
damaged fp32.safetensors odd.safetensors 'pad = 1' # no tensor where its type wants it
run 0 inspect odd.safetensors
actions odd.safetensors odd.act
check 'it acts all the same' cmp odd.act.txt fp32.act.txt
damaged fp32.safetensors odd.safetensors 'about["exported_from"] = "\x1b[31mred"'
run 0 inspect odd.safetensors
check 'no control characters' test -z "$(LC_ALL=C tr -d '[:print:]\n' <.stdout)"

# Exported models that are none.
head -c 100 fp32.safetensors >short.safetensors
bad '^hl: short.safetensors' eval short.safetensors
bad '^hl: short.safetensors' infer short.safetensors --input seen.h5 --output x.act
bad '^hl: short.safetensors' inspect short.safetensors
run 0 convert run/last.h5 torch.safetensors
bad '^hl: torch.safetensors' eval torch.safetensors
finish
