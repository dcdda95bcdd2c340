#!/usr/bin/env bash
# The model that ships still reaches: 90% of 200 unseen episodes, and says so as JSON.
. "$(dirname "$0")/lib.sh"

run 0 eval "$root/checkpoints/reach-small.h5" --json
rate=$(sed -n 's/.*"success_rate": *\([0-9.]*\).*/\1/p' .stdout)
episodes=$(sed -n 's/.*"episodes": *\([0-9]*\).*/\1/p' .stdout)
check "200 episodes, not '$episodes'" test "$episodes" = 200
check "a success rate of 0.9 or more, not '$rate'" awk -v rate="$rate" 'BEGIN { exit !(rate + 0 >= 0.9) }'
check 'the file is under 8 MB' test "$(stat -c %s "$root/checkpoints/reach-small.h5")" -lt 8000000
finish
