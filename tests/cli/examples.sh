#!/usr/bin/env bash
# examples.sh HL TOOL AUTOENCODER: the example is short, runs and learns. Its data have 8 dimensions and its
# code too, but bent: the best linear code leaves a loss of about 0.1, a trained one next to nothing.
. "$(dirname "$0")/lib.sh"
autoencoder=${3:?where hl_autoencoder is}

check 'under 50 lines' test "$(wc -l <"$root/examples/autoencoder.c")" -lt 50
check 'it includes hl.h and the standard library' test -z \
    "$(grep '^#include' "$root/examples/autoencoder.c" | grep -Ev '^#include <(hl|stdio|stdlib|string|math)\.h>$')"
"$autoencoder" >.stdout 2>.stderr
check 'exit 0' test $? -eq 0
check 'nothing on stderr' test ! -s .stderr
first=$(sed -nE 's/^step +0 +loss ([0-9.]+)$/\1/p' .stdout)
final=$(sed -nE 's/^step 1999 +loss ([0-9.]+)$/\1/p' .stdout)
cat .stdout
bound=0.02
check "the loss falls below $bound, from above 0.2" \
    awk -v a="$first" -v b="$final" -v bound=$bound 'BEGIN { exit !(a > 0.2 && b < bound && b > 0) }'
cp .stdout once
"$autoencoder" >.stdout
check 'the same again' cmp -s once .stdout
finish
