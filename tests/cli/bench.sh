#!/usr/bin/env bash
# hl bench: sweeps, their formats, rows that cannot run, comparisons, ceilings and profiles.
. "$(dirname "$0")/lib.sh"
quick=(device=cpu --seconds 0)

# python WHAT CODE FILE...: where there is Python, the code must not raise.
python() {
    command -v python3 >/dev/null || return 0
    check "$1" python3 -c "$2" "${@:3}"
}

# rows N: the document on stdout has that many rows that ran.
rows() {
    check "$1 rows" test "$(grep -c '"median_ms"' .stdout)" -eq "$1"
}

# ---------------------------------------------------------------- a sweep, and its formats

run 0 bench "$tiny" "${quick[@]}" --batch 1,3 --threads 1,2
check '4 rows and a header' test "$(wc -l <.stdout)" -eq 5
prints '^inference +3 +fp32 +2 +5 '
check 'what is the same in all rows is left out' test "$(grep -Ec 'streams|sparsity|why not' .stdout)" -eq 0
run 0 bench "$tiny" "${quick[@]}" --batch 1,3 --threads 1,2 --format json
check 'JSON' valid_json .stdout
rows 4
cp .stdout four.json
python 'its rows' 'import json, sys
rows = json.load(open(sys.argv[1]))["results"]
assert [(r["threads"], r["batch"]) for r in rows] == [(1, 1), (1, 3), (2, 1), (2, 3)]
for r in rows:
    assert r["what"] == "inference" and r["precision"] == "fp32" and r["streams"] == 1 and r["sparsity"] == 0
    assert 0 < r["min_ms"] <= r["median_ms"] <= r["p90_ms"] <= r["p95_ms"] <= r["p99_ms"] <= r["p999_ms"] <= r["max_ms"]
    assert r["runs"] >= 5 and r["samples_per_s"] > 0 and r["planned_bytes"] > 0 and r["action_change"] is None' four.json
run 0 bench "$tiny" "${quick[@]}" --batch 1,3 --threads 1,2 --format csv
check 'a header and 4 rows' test "$(wc -l <.stdout)" -eq 5
check 'as many cells in each' test "$(awk -F, '{ print NF }' .stdout | sort -u | wc -l)" -eq 1
check 'keys as in JSON' grep -q '^what,batch,precision,threads,streams,sparsity,runs,.*,median_ms,.*,error$' .stdout
run 0 bench "$tiny" "${quick[@]}" --batch 1,3 --threads 1,2 --format markdown
check 'a header, a rule and 4 rows' test "$(wc -l <.stdout)" -eq 6
check 'a table' test "$(grep -Ec '^\|.*\|$' .stdout)" -eq 6
check 'as many cells in each' test "$(awk -F'|' '{ print NF }' .stdout | sort -u | wc -l)" -eq 1
run 0 bench "$tiny" "${quick[@]}" --train --batch 2,4 --precision fp32,bf16,fp16 --json
rows 6
run 0 bench "$tiny" "${quick[@]}" --json
rows 2

# ---------------------------------------------------------------- rows that cannot run

run 1 bench "$tiny" "${quick[@]}" --batch 1 --precision fp32,tf32,bf16
says '^hl: 1 of 3 rows did not run; the first \(inference, batch 1, tf32\): precision tf32 is computed by GPUs only'
prints '^inference +1 +tf32 .* precision tf32 is computed by GPUs only; on device .cpu. use fp32$'
prints '^inference +1 +bf16 +1 +5 '
run 1 bench "$tiny" "${quick[@]}" --batch 1 --precision tf32,bf16 --json
check 'JSON' valid_json .stdout
rows 1
prints '"error": "precision tf32 is computed by GPUs only'
run 1 bench "$tiny" "${quick[@]}" --batch 1 --precision tf32,bf16 --format csv
check 'no figures' grep -Eq '^inference,1,tf32,1,1,0,,,+,precision tf32' .stdout
bad '^hl: precision tf32 is computed by GPUs only' bench "$tiny" "${quick[@]}" --precision tf32

# Memory that runs out, in whatever row: it is told, and no other row is lost.
run 0 bench "$tiny" "${quick[@]}" --batch 1,3 --sparsity 0,0.5 --json
lost=0
for n in $(seq 20 97 4000); do
    last="bench: HL_FAIL_ALLOC=$n"
    HL_FAIL_ALLOC=$n timeout 60 "$hl" bench "$tiny" "${quick[@]}" --batch 1,3 --sparsity 0,0.5 --json >.stdout 2>.stderr
    case $? in
    0) rows 4 ;;
    1)
        lost=$((lost + 1))
        rows 3
        says '^hl: 1 of 4 rows did not run; .*memory|^hl: 1 of 4 rows did not run; .*allocated'
        ;;
    2) check 'one sentence' test "$(grep -c '^hl: ' .stderr)" -eq 1 ;;
    *) fail 'it died' ;;
    esac
done
check 'some rows were lost that way' test "$lost" -ge 3

# ---------------------------------------------------------------- sparsity

run 0 bench "$tiny" "${quick[@]}" --batch 2 --sparsity 0,0.5,1
prints 'kernels are dense'
check 'no change at 0, some at 0.5 and 1' test "$(grep -Ec '^inference .* (0 .* -|0\.5 .* [01]\.[0-9]*[1-9][0-9]*|1 .* [01]\.[0-9]+)$' .stdout)" -eq 3
run 0 bench "$tiny" "${quick[@]}" --batch 2 --sparsity 0.001 --json
python 'little is a little' 'import json, sys
assert 0 <= json.load(open(sys.argv[1]))["results"][0]["action_change"] < 0.1' .stdout

# ---------------------------------------------------------------- comparisons

run 0 bench "$tiny" "${quick[@]}" --batch 1,3 --threads 1,2 --compare four.json --json
check 'JSON' valid_json .stdout
check 'every row is there' test "$(grep -Ec '"verdict": "(faster|slower|same)"' .stdout)" -eq 4
check 'none is alone' test "$(grep -c 'only' .stdout)" -eq 1 # "only_there": []
cp .stdout compared.json
python 'ratios of medians' 'import json, sys
there = json.load(open(sys.argv[1]))["results"]
for a, b in zip(json.load(open(sys.argv[2]))["results"], there):
    assert a["other_median_ms"] == b["median_ms"] and abs(a["ratio"] / (a["median_ms"] / b["median_ms"]) - 1) < 1e-9
    assert a["verdict"] == ("faster" if a["ratio"] < 0.95 else "slower" if a["ratio"] > 1.05 else "same")' four.json compared.json
run 0 bench "$tiny" "${quick[@]}" --batch 1 --threads 1 --compare compared.json
check 'what it was compared with does not count' test "$(grep -c 'only there' .stdout)" -eq 3
sed 's/"median_ms": .*,/"median_ms": 1e9,/' four.json >slow.json
sed 's/"median_ms": .*,/"median_ms": 1e-9,/; s/"processor": .*,/"processor": "Z80",/; s/"device": "cpu",$/"device": "cuda:0",/' four.json >fast.json
run 0 bench "$tiny" "${quick[@]}" --batch 1,3 --threads 1,2 --compare slow.json
check 'all are faster' test "$(grep -c ' faster$' .stdout)" -eq 4
check 'nothing differs' test "$(grep -c '^another' .stdout)" -eq 0
run 0 bench "$tiny" model.action=7 "${quick[@]}" --batch 3,5 --compare fast.json
prints '^inference +3 .* slower$'
prints '^inference +5 .* only here$'
check 'three are there alone' test "$(grep -c ' only there$' .stdout)" -eq 3
prints '^another processor: .* here, "Z80" there$'
prints '^another device: "cpu" here, "cuda:0" there$'
prints '^another config: .*model.action=7'
run 0 bench "$tiny" "${quick[@]}" --batch 3,5 --compare fast.json --format csv
check 'CSV has 5 rows' test "$(wc -l <.stdout)" -eq 6
check 'as many cells in each' test "$(awk -F, '{ print NF }' .stdout | sort -u | wc -l)" -eq 1

head -c 300 four.json >cut.json
echo '[]' >array.json
echo '{"steps": 7}' >other.json
echo '{"results": []}' >empty.json
echo '{"results": [3]}' >three.json
: >nothing.json
head -c 4096 /dev/urandom >noise.json
sed '0,/"threads": .*,/s///' four.json >older.json
sed 's/"median_ms": .*,/"median_ms": -1,/' four.json >negative.json
sed 's/"median_ms": .*,/"median_ms": "fast",/' four.json >word.json
for file in nowhere cut array other empty three nothing noise older negative word; do
    bad "^hl: $file\.json[: ]" bench "$tiny" "${quick[@]}" --compare $file.json
done
bad "^hl: other\.json: there are no 'results'; compare with what 'hl bench ... --json' has printed" bench "$tiny" --compare other.json
bad '^hl: older\.json: result 1 has no threads' bench "$tiny" --compare older.json
bad '^hl: negative\.json: result 1 has no median_ms above 0' bench "$tiny" --compare negative.json
bad '^hl: \.: ' bench "$tiny" --compare .
bad '^hl: .*tiny.yaml:1:1: ' bench "$tiny" --compare "$tiny"

# ---------------------------------------------------------------- an exported model

run 0 train "$tiny" device=cpu train.steps=2 run.dir=run
run 0 export run/last.h5 --to m.safetensors --precision int8 --samples 4 --episodes 0
run 0 bench m.safetensors "${quick[@]}" --batch 1,3 --threads 1,2
check '4 rows and a header' test "$(wc -l <.stdout)" -eq 5
prints '^inference +3 +int8 +2 +5 '
run 0 bench m.safetensors "${quick[@]}" --json --profile
check 'JSON' valid_json .stdout
python 'what it says of the model' 'import json, os, sys
d = json.load(open(sys.argv[1]))
assert d["precision"] == "int8" and d["config"].startswith("m.safetensors ")
assert [(r["batch"], r["precision"]) for r in d["results"]] == [(1, "int8"), (16, "int8")]
assert all(r["planned_bytes"] > os.path.getsize("m.safetensors") / 2 for r in d["results"]) # mapped weights, too
assert all("quantized_matmul" in {o["op"] for o in r["profile"]["ops"]} for r in d["results"])' .stdout
for flag in --train '--precision fp32' '--sparsity 0.5'; do
    # shellcheck disable=SC2086
    bad "^hl: ${flag%% *} is of a configuration: an exported model only acts, as it is" bench m.safetensors $flag
done
bad '^hl: m.safetensors: its graph has .* stays as it was exported' bench m.safetensors model.action=7
bad '^hl: run/last.h5: is a binary file \(a checkpoint\?\), expected a configuration in YAML' bench run/last.h5

# ---------------------------------------------------------------- command lines that make no sense

for value in 0 -1 1.5 a , 1, ,1 1,,2 99999999999999999999 1e2 "$(seq -s, 33)"; do
    for flag in batch threads streams; do
        bad "^hl: --$flag: '.*' is not a list of 1 to 32 numbers from 1 to [0-9]+, as in 1,2,4$" bench "$tiny" "--$flag=$value"
    done
done
bad "^hl: --threads: '1025' is not" bench "$tiny" --threads 1025
bad "^hl: --streams: '65' is not" bench "$tiny" --streams 65
bad "^hl: --batch: '4' stands twice in '1,4,4'" bench "$tiny" --batch 1,4,4
bad "^hl: --precision: 'bf16' stands twice" bench "$tiny" --precision bf16,fp32,bf16
for value in fp64 FP32 , fp32, 0 "$(printf '%0999d' 7)"; do
    bad "^hl: --precision: '.*' is not a list of 1 to 32 names of fp32, tf32, bf16, fp16" bench "$tiny" --precision "$value"
done
for value in 1.1 -0.1 nan inf x 0..5 50%; do
    bad "^hl: --sparsity: '.*' is not a list of 1 to 32 fractions from 0 to 1" bench "$tiny" "--sparsity=$value"
done
bad "^hl: --sparsity: '0.50' stands twice" bench "$tiny" --sparsity 0.5,0.50
list=$(seq -s, 32)
bad '^hl: the lists make 32768 rows, at most 1024 are measured' bench "$tiny" --batch "$list" --threads "$list" \
    --sparsity "$(seq -s, 0 0.03125 0.99)"
for value in 1 1,2; do
    bad "^hl: --streams: sessions run side by side on GPUs only \(device=cuda\); on 'cpu'" bench "$tiny" device=cpu --streams $value
done
bad '^hl: --streams is of inference: leave --train out' bench "$tiny" --train --streams 2
bad '^hl: --sparsity is of inference' bench "$tiny" --train --sparsity 0.5
bad "^hl: --format: 'xml' is none of text, json, csv, markdown" bench "$tiny" --format xml
bad '^hl: --json and --format csv contradict each other' bench "$tiny" --json --format csv
bad '^hl: --profile makes several tables, CSV holds one' bench "$tiny" --profile --format csv
for flag in '--batch 1' --train --profile '--precision fp32' '--streams 1' '--sparsity 0' '--compare four.json'; do
    # shellcheck disable=SC2086
    bad '^hl: --ceilings is of the machine, not of a model' bench --ceilings $flag
done
bad "^hl: override 'devise=cpu': " bench --ceilings devise=cpu
bad "device 'gpu' is not one of" bench --ceilings device=gpu

# ---------------------------------------------------------------- ceilings and profiles

run 0 bench --ceilings device=cpu --threads 1 --seconds 0
check 'a header and a row' test "$(wc -l <.stdout)" -eq 2
prints '^cpu +1 +(4|8|16) +[0-9.]+ +[0-9.]+ '
run 0 bench --ceilings device=cpu --threads 1 --seconds 0 --format csv
check 'as many cells in each' test "$(awk -F, '{ print NF }' .stdout | sort -u | wc -l)" -eq 1
run 0 bench "$tiny" "${quick[@]}" --batch 2 --profile
prints '^op +kernel +calls +ms +% of time +GFLOP/s +GB/s +% of ceiling +bound by$'
prints '^matmul +[a-z]+ +[0-9]+ +[0-9.]+ .* (compute|memory|cache)$'
prints '^ +[0-9]+ +conv2d .* \[2,3,8,8\]'
run 0 bench "$tiny" "${quick[@]}" --train --batch 2 --threads 1,2 --profile --json
check 'JSON' valid_json .stdout
python 'sums of a profile' 'import json, math, sys
d = json.load(open(sys.argv[1]))
assert [c["threads"] for c in d["ceilings"]] == [1, 2]
for c in d["ceilings"]:
    assert c["device"] == "cpu" and c["matmul_tf32_gflop_per_s"] is None
    assert all(c[k] > 0 for k in c if k.endswith("_per_s") and "tf32" not in k)
for r in d["results"]:
    p = r["profile"]
    near = lambda key, a, b: math.isclose(sum(x[key] for x in a), sum(x[key] for x in b), rel_tol=1e-6)
    assert all(near(key, p["ops"], p["calls"]) for key in ("ms", "gflop", "gbyte"))
    assert sum(o["calls"] for o in p["ops"]) == len(p["calls"]) == len({c["call"] for c in p["calls"]})
    assert math.isclose(sum(o["share_percent"] for o in p["ops"]), 100, rel_tol=1e-6)
    assert [o["ms"] for o in p["ops"]] == sorted((o["ms"] for o in p["ops"]), reverse=True)
    assert all(o["bound"] in ("compute", "memory", "cache") and o["ceiling_percent"] >= 0 for o in p["ops"])
    assert {"matmul", "adamw", "conv2d"} <= {o["op"] for o in p["ops"]}' .stdout
run 0 bench "$tiny" "${quick[@]}" --batch 2 --profile --format markdown
check 'four tables' test "$(grep -c '^|-' .stdout)" -eq 4
finish
