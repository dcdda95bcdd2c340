#!/usr/bin/env bash
# kill.sh HL TOOL N: a run that saves every few steps is killed (kill -9) at N random moments. After each,
# last.h5 is sound and --resume auto goes on; the end is bit-identical to a run never disturbed.
# KILL_SEED repeats a sequence of moments.
. "$(dirname "$0")/lib.sh"
kills=${3:?how many kills}
RANDOM=${KILL_SEED:-$$}
echo "KILL_SEED=${KILL_SEED:-$$}"

options=("$tiny" train.steps=150 train.valid_every=50 checkpoint.every=3 train.tensorboard=false)
mkdir whole
cd whole || exit 1
start=$(date +%s%N)
run 0 train "${options[@]}"
span=$((($(date +%s%N) - start) / 1000000)) # ms that a whole run takes: moments are spread over a third of it
grep -o '"step": [0-9]*, .*"information_retained": [^,]*' run/metrics.jsonl >losses
cd ..

finished=0
killed=0
attempts=0
begin() {
    mkdir "round-$finished"
    cd "round-$finished" || exit 1
}
end() {
    check 'bit-identical at the end' cmp run/last.h5 "$work/whole/run/last.h5"
    check 'each step once' every_step_once run/metrics.jsonl 150
    check 'metrics are JSON' json_lines run/metrics.jsonl
    check 'the metrics are those of a run never disturbed' \
        cmp <(grep -o '"step": [0-9]*, .*"information_retained": [^,]*' run/metrics.jsonl) "$work/whole/losses"
    check 'no temporary is left' test -z "$(find run -name '*.tmp')"
    finished=$((finished + 1))
    cd "$work" || exit 1
}

begin
while [ "$killed" -lt "$kills" ] && [ "$attempts" -lt $((4 * kills + 20)) ]; do
    attempts=$((attempts + 1))
    last="train --resume auto, attempt $attempts"
    "$hl" train "${options[@]}" --resume auto >"$work/.stdout" 2>"$work/.stderr" &
    moment=$((RANDOM * (span / 3) / 32768))
    sleep "$((moment / 1000)).$(printf '%03d' $((moment % 1000)))"
    kill -9 $! 2>/dev/null
    wait $! 2>/dev/null
    code=$?
    if [ $code -eq 0 ]; then
        end
        begin
        continue
    fi
    check "killed, not failed ($code)" test $code -eq 137
    [ $code -eq 137 ] || break
    killed=$((killed + 1))
    [ ! -e run/last.h5 ] || run 0 inspect run/last.h5
done
check 'as many kills as asked for' test "$killed" -eq "$kills"
run 0 train "${options[@]}" --resume auto
end
echo "$killed kills, $finished runs brought to their end"
finish
