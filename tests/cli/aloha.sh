#!/usr/bin/env bash
# aloha.sh HL TOOL: the simulated world exported as ALOHA's episodes, raw and JPEG, described, and trained from.
. "$(dirname "$0")/lib.sh"

size=(data.reach.episodes=10 data.reach.steps=8)
run 0 data export "$root/configs/reach-small.yaml" "${size[@]}" --output reach.hdf5
run 0 data export "$root/configs/reach-small.yaml" "${size[@]}" --format aloha --output raw/episodes
check 'nothing on stdout' test ! -s .stdout
run 0 data export "$root/configs/reach-small.yaml" "${size[@]}" --format aloha --compress jpeg --output jpeg
check 'an episode to a file' test "$(ls raw/episodes jpeg | grep -c '^episode_[0-9].hdf5$')" -eq 20
check 'JPEG is smaller' test "$(stat -c %s jpeg/episode_3.hdf5)" -lt "$(stat -c %s raw/episodes/episode_3.hdf5)"
bad 'episode_0.hdf5: the file exists already' data export "$root/configs/reach-small.yaml" "${size[@]}" --format aloha --output jpeg
run 0 data export "$root/configs/reach-small.yaml" "${size[@]}" --format aloha --compress jpeg --overwrite --output jpeg
bad 'neither robomimic nor aloha' data export "$root/configs/reach-small.yaml" --format lerobot --output x
bad 'compress takes jpeg alone' data export "$root/configs/reach-small.yaml" --format aloha --compress png --output x
bad 'is for --format aloha' data export "$root/configs/reach-small.yaml" --compress jpeg --output x
bad 'reach.hdf5' data export "$root/configs/reach-small.yaml" --format aloha --output reach.hdf5
check 'no trace of what failed' test ! -e x

run 0 data info raw/episodes/episode_0.hdf5
for line in 'format +aloha' '"sim":1' 'action +float32 +\[19\]' 'observations/images/top +uint8 +\[32,32,3\]' \
    'observations/qpos +float32 +\[38\]' 'observations/qvel +float32 +\[19\]'; do
    prints "$line"
done
run 0 data info jpeg/episode_0.hdf5 --json
prints '"compress": 1'
prints '"observations/images/top"'

# The same demonstrations in two layouts are the same training, number by number.
common=("$root/configs/reach-file.yaml" train.steps=4 train.batch=8 train.log_every=1 train.valid_every=2 threads=1
    data.split.train= data.split.valid= data.split.valid_fraction=0.2)
aloha=('data.obs.visual.keys=[observations/images/top]' 'data.obs.depth.keys=[observations/depth]'
    'data.obs.audio.keys=[observations/audio]' 'data.obs.tactile.keys=[observations/tactile]'
    'data.obs.proprioceptive.keys=[observations/qpos, observations/qvel, observations/tip]' 'data.action.keys=[]')
losses() { grep -o '"split": "[a-z]*", "loss": [0-9.]*' "$1/metrics.jsonl"; }
run 0 train "${common[@]}" 'data.files=[reach.hdf5]' run.dir=one
run 0 train "${common[@]}" "${aloha[@]}" data.format=aloha 'data.files=["raw/episodes/episode_*.hdf5"]' run.dir=two
check 'six lines of loss' test "$(losses one | wc -l)" -eq 6
check 'the same losses' cmp <(losses one) <(losses two)
run 0 train "${common[@]}" "${aloha[@]}" data.format=auto data.cache=none 'data.files=["jpeg/*.hdf5"]' run.dir=four
near() { # the last training loss of JPEG frames is close to that of raw ones, and not the same
    awk -v a="$(losses two | grep train | tail -1 | grep -o '[0-9.]*$')" -v b="$(losses four | grep train | tail -1 | grep -o '[0-9.]*$')" \
        'BEGIN { d = a > b ? a - b : b - a; exit !(d > 0 && d < 0.05 * a) }'
}
check 'nearly the same from JPEG' near
run 0 eval four/last.h5 --json
prints '"information_retained": '

bad 'raw/episodes/episode_0.hdf5: found ALOHA.s layout .*, expected robomimic.s' \
    train "${common[@]}" 'data.files=["raw/episodes/*.hdf5"]' run.dir=five
bad "reach.hdf5: found robomimic's layout .*, expected ALOHA's" \
    train "${common[@]}" "${aloha[@]}" data.format=aloha 'data.files=[reach.hdf5]' run.dir=five
bad 'observations/images/tob: no such data set; found observations/images/top' \
    train "${common[@]}" "${aloha[@]}" data.format=aloha 'data.files=["jpeg/*.hdf5"]' \
    'data.obs.visual.keys=[observations/images/tob]' run.dir=five
bad 'visual: 2 keys, expected one' train "${common[@]}" "${aloha[@]}" data.format=aloha 'data.files=["jpeg/*.hdf5"]' \
    'data.obs.visual.keys=[observations/images/top, observations/depth]' run.dir=five
finish
