#!/usr/bin/env bash
# hl convert: there and back bit for bit, and files that cannot be right.
. "$(dirname "$0")/lib.sh"

run 0 data export "$tiny" --output demos.hdf5
"$tool" observations demos.hdf5 obs.h5 0 1
run 0 train "$tiny" model.history=2 train.steps=7
cp "$tiny" model.yaml
run 0 export run/last.h5 --to model.h5 --with-decoder --samples 4 --episodes 0

# ---------------------------------------------------------------- there and back

run 0 convert run/last.h5 model.safetensors
check 'nothing on stdout' test ! -s .stdout
says '^hl: the [0-9]+ parameters of run/last.h5 are in model.safetensors, as PyTorch names them$'
run 0 convert model.safetensors back.h5
says '^hl: the [0-9]+ parameters of model.safetensors are in back.h5$'
run 0 convert back.h5 again.safetensors
check 'a file of ours is the same when made again' cmp model.safetensors again.safetensors
run 0 convert model.h5 exported.safetensors
check 'an exported model is as good as a checkpoint' cmp model.safetensors exported.safetensors
run 0 convert again.safetensors again.h5
check 'and so is the checkpoint' cmp back.h5 again.h5
for model in run/last.h5 back.h5; do
    run 0 infer $model --input obs.h5 --output act.h5
    mv act.h5 "$(basename $model).act"
done
check 'it acts the same' cmp last.h5.act back.h5.act
run 0 inspect back.h5
prints '^step 7, epoch [0-9]+, seed 3'
tail -n +2 .stdout >back.txt
run 0 inspect run/last.h5
check 'step, sizes and configuration are the same' cmp back.txt <(tail -n +2 .stdout)
check 'no temporary is left' test -z "$(find . -name '*.tmp')"

# A configuration of one's own in place of the file's; what the file was is replaced.
run 0 convert model.safetensors back.h5 --config model.yaml model.history=5
run 0 inspect back.h5
prints '^  history: 5'
run 0 convert model.safetensors back.h5 model.head.smoothing=0.5
run 0 inspect back.h5
prints '^    smoothing: 0.5'
run 0 convert model.h5 smoothed.safetensors model.head.smoothing=0.5
check 'and so it is on the way there' grep -q 'smoothing: 0.5' smoothed.safetensors

# ---------------------------------------------------------------- command lines

bad 'model.safetensors: it is what is read' convert model.safetensors model.safetensors
ln -s model.safetensors link.safetensors
bad 'link.safetensors: it is what is read' convert model.safetensors link.safetensors
for names in 'model.pt x.h5' 'model.safetensors x.safetensors' 'model.h5 x.h5' 'model.h5 x' 'x model.h5' 'model.safetensors x.H5' '.h5 .safetensors'; do
    # shellcheck disable=SC2086
    bad 'cannot convert .* to .*: expected FROM' convert $names
done
bad "override 'extra': expected KEY=VALUE" convert model.safetensors x.h5 extra
bad "model.histery: unknown key; did you mean 'model.history'\?" convert model.safetensors x.h5 model.histery=2
bad "did you mean '--config'\?" convert model.safetensors x.h5 --confg model.yaml
bad 'none.yaml: .*No such file' convert model.safetensors x.h5 --config none.yaml
bad -- '--config model.yaml: a checkpoint has its own' convert model.h5 x.safetensors --config model.yaml
bad 'none.safetensors: cannot open it: No such file' convert none.safetensors x.h5
bad 'none.h5: cannot open it: No such file' convert none.h5 x.safetensors
mkdir folder.safetensors folder.h5
bad 'folder.safetensors: cannot read it: Is a directory' convert folder.safetensors x.h5
bad 'folder.h5: cannot read it: Is a directory' convert folder.h5 x.safetensors
bad 'folder.h5: .*directory' convert model.safetensors folder.h5
bad 'folder.safetensors: .*directory' convert model.h5 folder.safetensors
bad 'none/x.h5.tmp: .*No such file' convert model.safetensors none/x.h5
bad 'none/x.safetensors.tmp: .*No such file' convert model.h5 none/x.safetensors
cp "$tiny" bad.safetensors
bad '^hl: bad.safetensors: its header has .* bytes, expected at most 100000000; is it a safetensors file' convert bad.safetensors x.h5
cp model.h5 bad.safetensors
bad '^hl: bad.safetensors: its header has' convert bad.safetensors x.h5
cp model.safetensors bad.h5
bad '^hl: bad.h5: is no checkpoint of hl' convert bad.h5 x.safetensors

# ---------------------------------------------------------------- damaged files

size=$(stat -c %s model.safetensors)
header=$((8 + $(od -An -tu8 -N8 model.safetensors)))
for length in 0 1 7 8 9 100 $((header - 1)) $header $((header + 1)) $((header + 64)) $((size / 2)) $((size - 4)) $((size - 1)); do
    head -c "$length" model.safetensors >bad.safetensors
    bad '^hl: bad.safetensors: .*is it truncated\?' convert bad.safetensors x.h5
done
{ cat model.safetensors; echo; } >bad.safetensors
bad '^hl: bad.safetensors: .*was it extended\?' convert bad.safetensors x.h5

# edited SED: the model with its header edited, to the same length.
edited() {
    sed "$1" model.safetensors >bad.safetensors
    check "an edit of the same length: $1" test "$(stat -c %s bad.safetensors)" -eq "$size" -a "$(cmp bad.safetensors model.safetensors | wc -l)" -eq 1
}
w=l_module.action_net.0.weight
edited "s/$w/l_module.action_net.0.wieght/"
bad "^hl: bad.safetensors: tensor 'l_module.action_net.0.wieght': found \[16,12\], but the model has no such parameter; did you mean '$w'\?" convert bad.safetensors x.h5
edited "s/\"$w\":{\"dtype\":\"F32\",\"shape\":\[16,12\]/\"$w\":{\"dtype\":\"F32\",\"shape\":[12,16]/"
bad "^hl: bad.safetensors: tensor '$w': found shape \[12,16\], expected \[16,12\]" convert bad.safetensors x.h5
edited "s/\"$w\":{\"dtype\":\"F32\"/\"$w\":{\"dtype\":\"I32\"/"
bad "^hl: bad.safetensors: tensor '$w': found I32, expected F32, F16 or BF16" convert bad.safetensors x.h5
edited "s/\"$w\":{\"dtype\":\"F32\"/\"$w\":{\"dtype\":\"Q32\"/"
bad "^hl: bad.safetensors: tensor '$w': found dtype 'Q32'" convert bad.safetensors x.h5
edited 's/action_net.0.bias/action_net.1.bias/'
bad '^hl: bad.safetensors: header:1:.*duplicate' convert bad.safetensors x.h5
edited 's/"step":"7"/"step":"x"/'
bad "^hl: bad.safetensors: metadata 'step': found 'x', expected a whole number" convert bad.safetensors x.h5
edited 's/"config":/"gonfig":/'
bad '^hl: bad.safetensors: does not say which model it is of; name its configuration: --config' convert bad.safetensors x.h5
run 0 convert bad.safetensors x.h5 --config model.yaml
edited 's/\\n  history: 2/\\n  histary: 2/'
bad "^hl: bad.safetensors: its configuration:.*did you mean 'model.history'" convert bad.safetensors x.h5
edited 's/"gonfig":/"program"/;s/"hl_version":/"program"   :/;s/"program"   :/"program":   /'
bad '^hl: bad.safetensors: is an exported model, whose weights are folded' convert bad.safetensors x.h5
edited 's/"normalization":/"normalizatiom":/'
run 0 convert bad.safetensors x.h5
says 'bad.safetensors has no statistics of observations and actions'
edited 's/\\"action.offset\\"/\\"aktion.offset\\"/'
bad '^hl: bad.safetensors: normalization action.offset has 0 and 19 values' convert bad.safetensors x.h5
edited 's/\\"action.offset\\":\[/\\"action.offset\\":{/'
bad '^hl: bad.safetensors: normalization:1:' convert bad.safetensors x.h5
n='[-0-9.]'
edited "s/\\\\\"action.offset\\\\\":\[$n$n$n$n$n/\\\\\"action.offset\\\\\":[\\\\\"\\\\\",/"
bad "^hl: bad.safetensors: normalization 'action.offset': element 0 is no number that a float holds" convert bad.safetensors x.h5
edited ':a;s/\(\\"action.scale\\":\[[-0.]*\)[1-9]/\10/;ta'
bad '^hl: bad.safetensors: normalization of action: element 0 has offset .* and scale 0; both must be finite' convert bad.safetensors x.h5
rm -f x.h5

bad "^hl: model.safetensors: tensor '.*': found shape|is missing" convert model.safetensors x.h5 model.compressed=15
bad "^hl: model.safetensors: tensor 'compressor.attention.[a-z_.]*': found .* no such parameter" convert model.safetensors x.h5 model.compressor=bottleneck
bad "^hl: model.safetensors: tensor 'h_module.context_refiner.layers.1.[a-z_0-9.]*' is missing, expected shape" convert model.safetensors x.h5 model.refiner.layers=2

# Weights that are none, by name: the last element of the last tensor.
for value in '\x00\x00\xc0\x7f NaN' '\x00\x00\x80\xff infinite'; do
    cp model.safetensors bad.safetensors
    # shellcheck disable=SC2059
    printf "${value% *}" | dd of=bad.safetensors bs=1 seek=$((size - 4)) conv=notrunc status=none
    bad "^hl: bad.safetensors: tensor '[a-z_.0-9]+': element [0-9]+ is ${value#* }, expected finite numbers" convert bad.safetensors x.h5
done
check 'nothing was made of damaged files' test ! -e x.h5 -a ! -e x.h5.tmp -a ! -e x.safetensors

# ---------------------------------------------------------------- several files

# index FILE [NAME]: an index that says every tensor is in FILE; NAME as the last of them.
index() {
    head -c "$header" model.safetensors | grep -ao '"[a-z_.0-9A-Z]*":{"dtype"' | sed 's/:{"dtype"//' >names
    [ -z "${2:-}" ] || echo "\"$2\"" >>names
    { echo '{"metadata": {"total_size": 1}, "weight_map": {'; sed "s|\$|: \"$1\",|; \$s/,\$//" names; echo '}}'; } \
        >sharded/model.safetensors.index.json
}
mkdir sharded
cp model.safetensors sharded/model-00001-of-00001.safetensors
index model-00001-of-00001.safetensors
run 0 convert sharded/model.safetensors.index.json sharded.h5
check 'an index and its file are the model' cmp sharded.h5 again.h5
cd sharded || exit 1
run 0 convert model.safetensors.index.json sharded.h5
check 'and so they are in their folder' cmp sharded.h5 ../again.h5
cd ..
index model-00001-of-00001.safetensors nobody
bad "^hl: sharded/model-00001-of-00001.safetensors: tensor 'nobody' is missing, in which sharded/model.* says it is" convert sharded/model.safetensors.index.json x.h5
index ../model.safetensors
bad "^hl: sharded/model.*index.json: weight_map: tensor '.*': expected the name of a file beside the index, found ../model.safetensors" convert sharded/model.safetensors.index.json x.h5
index other.safetensors
bad '^hl: sharded/other.safetensors: cannot open it: No such file' convert sharded/model.safetensors.index.json x.h5
index model-00001-of-00001.safetensors
sed -i '/action_net.0.weight/d' sharded/model.safetensors.index.json
bad "^hl: sharded/model-0.*: tensor 'l_module.action_net.0.weight' is there, but .* does not name it" convert sharded/model.safetensors.index.json x.h5
cp sharded/model-00001-of-00001.safetensors sharded/b.safetensors
index model-00001-of-00001.safetensors
sed -i '/action_net.0.weight/s/model-00001-of-00001/b/' sharded/model.safetensors.index.json
bad "^hl: sharded/.*: tensor '.*' is there, but .* says it is in " convert sharded/model.safetensors.index.json x.h5
for text in '' '{' '[]' '{}' '{"weight_map": []}' '{"weight_map": {"a": 3}}' '{"weight_map": {"a": ""}}' '{"weight_map": {"a": ".."}}' '{"weight_map": {"a": "b", "a": "b"}}'; do
    echo "$text" >sharded/model.safetensors.index.json
    bad '^hl: sharded/model.safetensors.index.json: ?' convert sharded/model.safetensors.index.json x.h5
done
echo '{"weight_map": {}}' >sharded/model.safetensors.index.json
bad 'does not say which model it is of' convert sharded/model.safetensors.index.json x.h5
bad "^hl: sharded/model.safetensors.index.json: tensor '.*' is missing" convert sharded/model.safetensors.index.json x.h5 --config model.yaml
check 'nothing was made of them' test ! -e x.h5

# ---------------------------------------------------------------- memory that runs out

for from_to in 'model.h5 x.safetensors' 'model.safetensors x.h5'; do
    n=0
    code=2
    while [ $code -ne 0 ] && [ $n -lt 4000 ]; do
        n=$((n + (n < 20 ? 1 : 37)))
        rm -f x.h5 x.safetensors
        # shellcheck disable=SC2086
        HL_FAIL_ALLOC=$n timeout -k 10 120 "$hl" convert $from_to >.stdout 2>.stderr
        code=$?
        last="convert $from_to (allocation $n fails)"
        [ $code -eq 0 ] && ! grep -q 'no memory' .stderr && break
        check "exit 2 and not $code" test $code -eq 2
        check 'one sentence' test "$(grep -c '^hl: .*memory' .stderr)" -eq 1
        check 'no half a file' test -z "$(find . -name 'x.*')"
    done
    check "$from_to: the sweep came to its end" test $code -eq 0
    check "$from_to: some allocations failed" test $n -gt 20
done
finish
