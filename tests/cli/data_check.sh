#!/usr/bin/env bash
# data_check.sh HL TOOL: hl data check on files and configurations, whole and spoiled.
. "$(dirname "$0")/lib.sh"

size=(data.reach.episodes=4 data.reach.steps=5)
run 0 data export "$root/configs/reach-small.yaml" "${size[@]}" --output good.hdf5
run 0 data export "$root/configs/reach-small.yaml" "${size[@]}" --format aloha --compress jpeg --output episodes
run 0 data check good.hdf5
prints '^1 files, 4 demonstrations, 20 steps: 0 errors, 0 warnings$'
check 'nothing on stderr' test ! -s .stderr
run 0 data check 'episodes/*.hdf5'
prints '^4 files, 4 demonstrations, 20 steps: 0 errors, 0 warnings$'
config=("$root/configs/reach-file.yaml" 'data.files=[bad.hdf5]')
cp good.hdf5 bad.hdf5
run 0 data check "${config[@]}"

# Three faults in one file, one of them in a key that the configuration does not read.
"$tool" delete bad.hdf5 data/demo_1/obs/tactile
"$tool" delete bad.hdf5 data/demo_2/actions
"$tool" delete bad.hdf5 data/demo_3/rewards
run 2 data check bad.hdf5
prints '^error +bad.hdf5: /data/demo_2/actions: no such data set; found '
prints '^warning +bad.hdf5: /data/demo_1/obs/tactile: no such data set, expected it as 3 of 4 '
prints '^warning +bad.hdf5: /data/demo_3/rewards: no such data set'
prints ': 1 errors, 2 warnings$'
says 'has faults'
run 2 data check "${config[@]}"
prints '^error +bad.hdf5: /data/demo_1/obs/tactile: no such data set; found '
prints '^error +bad.hdf5: /data/demo_2/actions: no such data set; found '
prints ': 2 errors, 0 warnings$'
run 2 data check "${config[@]}" data.obs.tactile.missing=zero
prints ': 1 errors, 0 warnings$'
run 2 data check "${config[@]}" --json
check 'JSON' valid_json .stdout
prints '"path": "/data/demo_1/obs/tactile"'

# Files that cannot be opened do not hide the others.
head -c 4000 good.hdf5 >cut.hdf5
echo text >text.hdf5
run 2 data check good.hdf5 cut.hdf5 text.hdf5 gone.hdf5 episodes/episode_0.hdf5
for line in 'cut.hdf5: .*truncated' 'text.hdf5: not an HDF5 file' 'gone.hdf5: no such file' \
    "episode_0.hdf5: found ALOHA's layout .* expected robomimic's"; do
    prints "^error +.*$line"
done
prints '^4 files, 4 demonstrations, 20 steps: 4 errors'
cp episodes/episode_1.hdf5 episodes/episode_8.hdf5
run 2 data check 'episodes/*.hdf5'
prints 'episode_8.hdf5: /: found a copy of episodes/episode_1.hdf5'

# What is no check at all.
bad 'data.format is reach: there are no files to check' data check "$root/configs/reach-small.yaml"
bad 'an argument is missing' data check
bad 'no-such-key' data check "$root/configs/reach-file.yaml" no-such-key=1
run 0 data check --help
prints 'Exit code 2'
finish
