#!/usr/bin/env bash
# hl report: a saved result becomes a page, and what is no result is refused.
. "$(dirname "$0")/lib.sh"
data=$root/tests/data

# A page is XML too, by a parser that is not ours where there is one.
well_formed() {
    if command -v xmllint >/dev/null; then
        xmllint --noout --nonet "$1"
    elif command -v python3 >/dev/null; then
        python3 -c 'import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.argv[1])' "$1"
    fi
}

for name in stress stress-interrupted; do
    run 0 report "$data/$name.json" --to "$name.html"
    check 'results go to the file' test ! -s .stdout
    check 'stderr says where' grep -q "the report of .*$name.json is in $name.html" .stderr
    check 'well-formed' well_formed "$name.html"
    check 'nothing from elsewhere' test "$(grep -cE '<(script|link|img|iframe)|url\(|@import' "$name.html")" -eq 0
done
check 'two results, two pages' test "$(cksum <stress.html)" != "$(cksum <stress-interrupted.html)"
cp stress.html before.html
run 0 report "$data/stress.json" --to stress.html
check 'the same again' cmp -s stress.html before.html

# What is no result. The page that is there stays.
mkdir folder
echo '{"kind": "stress", ' >torn.json
echo 'latency 12 ms' >words.json
: >empty.json
echo '[]' >list.json
sed 's/"kind": "stress"/"kind": "bench"/' "$data/stress.json" >bench.json
sed 's/"p99":/"p98":/' "$data/stress.json" >missing.json
sed 's/"batch":16/"batch":"16"/' "$data/stress.json" >text.json
head -c 20000 "$data/stress.json" >cut.json
printf '{"kind": "stress", "kind": "stress"}' >twice.json
head -c 100 /dev/zero >zeros.json
before=$(snapshot stress.html)
bad 'nowhere.json' report nowhere.json --to stress.html
bad 'folder' report folder --to stress.html
bad '^hl: torn.json:2:0: ' report torn.json --to stress.html
bad '^hl: words.json:1:' report words.json --to stress.html
bad '^hl: empty.json:' report empty.json --to stress.html
bad '^hl: list.json: the result: found a list, expected an object' report list.json --to stress.html
bad '^hl: bench.json: kind: found "bench", expected "stress"' report bench.json --to stress.html
bad '^hl: missing.json: phases\[0\]\.inference\.latency_ms\.p99: missing, expected a number or null' report missing.json --to stress.html
bad '^hl: text.json: phases\[0\]\.inference\.batch: found "16", expected a whole number' report text.json --to stress.html
bad '^hl: cut.json:' report cut.json --to stress.html
bad '^hl: twice.json:.*duplicate' report twice.json --to stress.html
bad 'zeros.json' report zeros.json --to stress.html
untouched 'a result that is refused' stress.html "$before"

# Where it cannot go.
bad '--to is missing' report "$data/stress.json"
bad '--to needs a value' report "$data/stress.json" --to
bad 'folder' report "$data/stress.json" --to folder
bad 'no/such' report "$data/stress.json" --to no/such/page.html
cp "$data/stress.json" result.json
bad 'it is the result, which would be lost' report result.json --to result.json
check 'the result is what it was' cmp -s result.json "$data/stress.json"
for n in 2 3 4 5; do
    HL_FAIL_WRITE=$n run 2 report "$data/stress.json" --to stress.html
    says "stress\.html.*No space left on device"
    check 'no half page' test "$(tail -n 1 stress.html)" = '</html>'
    check 'nothing left behind' test ! -e stress.html.tmp
done
finish
