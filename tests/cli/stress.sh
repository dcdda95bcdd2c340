#!/usr/bin/env bash
# hl stress: phases, presets, limits, what cannot run, and Ctrl-C.
. "$(dirname "$0")/lib.sh"
export OMP_WAIT_POLICY=passive

# holds WHAT CODE FILE: where there is Python, the code must not raise; r is the result.
holds() {
    command -v python3 >/dev/null || return 0
    check "$1" python3 -c "import json, sys
r = json.load(open(sys.argv[1])); p = r['phases']
$2" "$3"
}

short=()
for i in 0 1 2 3; do short+=("stress.phases[$i].seconds=0.5"); done

# ---------------------------------------------------------------- a preset

run 0 stress "$tiny" device=cpu optim.schedule=constant --preset quick "${short[@]}" --json --report quick.html
cp .stdout quick.json
check 'JSON' valid_json quick.json
check 'a page' grep -q '</html>' quick.html
says '^hl: phase 2 of 4: training, 0.5 s'
says '^hl: report quick.html'
holds 'four phases' "
assert [x['kind'] for x in p] == ['inference', 'training', 'mixed', 'control']
assert r['kind'] == 'stress' and r['verdict'] == 'no limits' and not r['interrupted'] and r['failed'] == []
assert r['model_parameters'] > 1000 and r['machine']['cores'] >= 1 and r['config'].endswith('tiny.yaml')
assert p[0]['training'] is None and p[1]['inference'] is None
assert all(0.4 < x['seconds'] < 60 for x in p)" quick.json
holds 'latencies are in order, and the parts make the whole' "
for x in p:
    i = x['inference']
    if i is None: continue
    l = i['latency_ms']
    assert 0 < l['min'] <= l['p50'] <= l['p90'] <= l['p95'] <= l['p99'] <= l['p99.9'] <= l['max'], l
    parts = {s['name']: s['mean'] for s in i['split_ms']}
    assert list(parts) == ['queue', 'input copy', 'H-module', 'compressor', 'L-module', 'output copy']
    assert min(parts['H-module'], parts['compressor'], parts['L-module']) > 0
    assert 0.5 * l['mean'] < sum(parts.values()) <= 1.01 * l['mean'], (parts, l)
    assert sum(b[2] for b in i['histogram']) == i['runs'] == sum(t[3] for t in i['timeline'])
    assert i['samples'] == i['runs'] * i['batch']" quick.json
holds 'training is told part by part' "
for x in p:
    t = x['training']
    if t is None: continue
    parts = {s['name']: s['mean'] for s in t['split_ms']}
    assert min(parts[k] for k in ('forward', 'backward', 'clip', 'optimizer')) > 0
    assert abs(sum(parts.values()) / t['step_ms']['mean'] - 1) < 0.02
    assert t['iterations'] > 0 and t['skipped'] == 0 and t['grad_norm'] > 0 and t['loss_start'] > 0
assert p[1]['training']['loss_end'] != p[1]['training']['loss_start']" quick.json
holds 'a step for every two runs' "
i, t = p[2]['inference'], p[2]['training']
assert 2 * t['iterations'] <= i['runs'], (i['runs'], t['iterations'])" quick.json
holds 'the loop keeps its rate' "
i = p[3]['inference']
assert i['rate_hz'] == 10 and i['deadline_ms'] == 100 and 4 <= i['runs'] + i['missed'] and i['runs'] <= 7
assert 0 <= i['miss_rate'] <= 1
assert p[0]['inference']['rate_hz'] is None and p[0]['inference']['missed'] is None" quick.json
holds 'memory is as planned' "
for x in p:
    m = x['memory']; c = {k['name']: k for k in m['categories']}
    assert abs(m['difference_percent']) < 2, (x['name'], m['difference_percent'])
    assert m['versions'] == (2 if x['inference'] and x['training'] else 1)
    assert m['allocations'] == 0, (x['name'], m['allocations'])
    assert m['peak_at']['section'] and m['planned_peak'] > 0 and 0 <= m['fragmentation'] < 1
    assert abs(c['arena']['planned'] - c['arena']['peak']) < 100, c['arena']
    assert m['rss'] > m['measured_peak'] * 0.5
assert p[1]['memory']['peak_at']['session'] == 'training'" quick.json
run 0 report quick.json --to again.html
words() { sed 's/[-0-9.e]*//g' "$1"; } # numbers are saved with 12 digits
check 'the same page from the saved result' cmp <(words quick.html) <(words again.html)

# ---------------------------------------------------------------- tables and limits

cat >phases.yaml <<YAML
stress:
  limits: {skipped_steps: 0}
  phases:
    - {name: first, kind: inference, iterations: 7, batch: 3, streams: 2, limits: {p99_ms: 60000}}
    - {kind: training, iterations: 3, train_batch: 5}
    - {name: loop, kind: control, iterations: 4, rate_hz: 20, train_batch: 2, limits: {deadline_miss_rate: 1}}
YAML
cat "$tiny" phases.yaml >own.yaml
run 0 stress own.yaml device=cpu
prints '^first +[0-9.]+ '
prints '^training, training, mean ms: input copy .*, forward .*, optimizer '
prints '^ *arena '
prints '^pass  first: p99_ms [0-9.]+ \(limit 60000\)'
prints '^pass  whole run: skipped_steps 0 \(limit 0\)'
prints '^verdict: pass'
run 1 stress own.yaml device=cpu 'stress.phases[0].limits.p99_ms=0.000001' 'stress.phases[2].iterations=1'
prints '^FAIL  first: p99_ms [0-9.]+ \(limit 1e-06\)'
prints '^verdict: fail'
run 1 stress own.yaml device=cpu 'stress.phases[1].limits.p99_ms=5'
prints '^FAIL  training: p99_ms was not measured'

# A rate that cannot be held is told.
run 0 stress own.yaml device=cpu 'stress.phases[2].rate_hz=100000' 'stress.phases[2].iterations=3'
prints '^loop: the rate of 100000 Hz could not be held'

# bf16 beside fp32, fp16 with its loss scale, recomputing.
run 0 stress own.yaml device=cpu precision=bf16
run 0 stress own.yaml device=cpu 'stress.phases[2].precision=fp16' 'memory.recompute=[H-module]'

# ---------------------------------------------------------------- what cannot run

run 2 stress own.yaml device=cpu 'stress.phases[1].precision=tf32' --json
says "^hl: phase 'training': training: precision tf32 is computed by GPUs only"
holds 'the others ran' "
assert [x['name'] for x in p] == ['first', 'loop'] and r['failed'][0]['name'] == 'training'
assert 'tf32' in r['failed'][0]['error'] and r['verdict'] == 'fail'" .stdout
cp .stdout failed.json
run 0 report failed.json --to failed.html
check 'the page tells of it' grep -q "Could not run.*phase .*training.*tf32" failed.html
run 2 stress own.yaml device=cpu memory.budget=64KiB --json
says "^hl: phase 'training': training: .*(64|0\.1)"
holds 'inference ran' "assert [x['name'] for x in p] == ['first'] and len(r['failed']) == 2" .stdout
bad 'stress.phases is empty.*--preset published' stress "$tiny"
bad "there is no preset 'publish'.*published" stress "$tiny" --preset publish
bad 'stress.phases\[0\].batch: 0' stress own.yaml 'stress.phases[0].batch=0'
bad 'nowhere' stress nowhere.yaml --preset quick
bad "stress.phases\[9\]" stress own.yaml 'stress.phases[9].seconds=1'
bad 'nowhere/out.html' stress own.yaml --report nowhere/out.html
bad 'missing|needs a value' stress own.yaml --report
run 2 stress "$tiny" --presett quick

# A full disk for the report: the result is told all the same.
if [ -c /dev/full ]; then
    last='a report on a full disk'
    HL_FAIL_WRITE=5 timeout 120 "$hl" stress own.yaml device=cpu --json --report full.html >.stdout 2>.stderr
    check 'exit code 2' test $? -eq 2
    says 'full.html'
    check 'the result is there' valid_json .stdout
    check 'no partial page' test ! -e full.html
fi

# ---------------------------------------------------------------- Ctrl-C

last='Ctrl-C'
timeout -k 10 120 "$hl" stress "$tiny" device=cpu --preset quick 'stress.phases[0].seconds=100' --json --report cut.html \
    >.stdout 2>.stderr &
for ((i = 0; i < 200; i++)); do
    grep -q 'phase 1 of 4' .stderr && break
    sleep 0.05
done
sleep 1
pkill -INT -P $! 2>/dev/null
wait $!
check 'exit code 1' test $? -eq 1
check 'the note' grep -q 'ending this phase' .stderr
holds 'what was measured is told' "assert r['interrupted'] and len(p) == 1 and p[0]['inference']['runs'] > 0" .stdout
check 'the page too' grep -q '</html>' cut.html
finish
