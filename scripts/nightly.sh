#!/usr/bin/env bash
# The slow suites: full-size parity of all fixtures, 50 kills, the trained model, under the thread
# sanitizer too. Takes an hour on 2 cores.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/install-packages.sh night
export CTEST_OUTPUT_ON_FAILURE=1
cmake --preset gcc >/dev/null
cmake --build --preset gcc
(cd build-gcc && ctest --no-tests=error -L nightly --timeout 7200) # the emulated GPU in other orders, too
cmake --preset asan -DHL_EMULATE_CUDA=ON >/dev/null
cmake --build --preset asan
(cd build-asan && ctest --no-tests=error -L cuda -LE nightly --timeout 3600)
cmake --preset tsan >/dev/null
cmake --build --preset tsan --target test_loader test_memory test_account test_monitor \
    test_versions test_claims test_race test_phase test_opening test_mapped test_shared_packing test_model test_policy
export OMP_NUM_THREADS=1 # the sanitizer does not know OpenMP's barriers
(cd build-tsan && ctest --no-tests=error --timeout 3600 \
    -R 'unit.(loader|memory|account|monitor|versions|claims|race|phase|opening|mapped|shared_packing|model|policy)$')
scripts/fuzz.sh 60
