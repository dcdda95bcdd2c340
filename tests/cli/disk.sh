#!/usr/bin/env bash
# disk.sh HL TOOL [all]: disks that are full and directories that may not be written. Every command ends with
# exit code 2 and a sentence, what was there stays, and a run goes on once there is room, bit for bit.
# all: every single write fails once; else the first twelve and every forty-first after.
. "$(dirname "$0")/lib.sh"
every=41
[ "${3:-}" = all ] && every=1

# ---------------------------------------------------------------- the n-th write fails

options=("$tiny" train.valid_every=0 checkpoint.every=5 train.log_every=5)
mkdir whole begun
cd whole || exit 1
run 0 train "${options[@]}" train.tensorboard=false
cd ../begun || exit 1
"$hl" train "${options[@]}" train.tensorboard=false checkpoint.keep=0 2>/dev/null
rm run/step-000015.h5 run/step-000020.h5
ln -sf step-000010.h5 run/last.h5
sed -i '3,$d' run/metrics.jsonl # steps 5 and 10: as a run killed at step 10 leaves it
cp -r run ../begun.run
cd ..

# sweep WHAT AFTER ARGUMENT...: fails the n-th write for n = 1, 2, ... until there are no more; after each,
# calls AFTER.
sweep() {
    local what=$1 after=$2 n=0 code says
    shift 2
    while [ $n -lt 3000 ]; do
        n=$((n + (n < 12 ? 1 : every)))
        HL_FAIL_WRITE=$n timeout -k 10 120 "$hl" "$@" >"$work/.stdout" 2>"$work/.stderr"
        code=$?
        last="$* (write $n fails)"
        says=$(grep -c '^hl: .*No space left on device' "$work/.stderr")
        [ $code -eq 0 ] && [ "$says" -eq 0 ] && break
        # A checkpoint that could not be opened is passed over, which is told; the training is the same.
        [ $code -eq 0 ] && grep -q '^hl: passed over 1 damaged checkpoint' "$work/.stderr" && code=2
        check "exit 2 and not $code" test $code -eq 2
        check 'one sentence' test "$says" -eq 1
        $after
    done
    check "$what: the sweep came to its end" test $code -eq 0
    check "$what: some writes failed" test $n -gt 5
    echo "$what: $n writes"
}

goes_on() {
    [ ! -e run/last.h5 ] || run 0 inspect run/last.h5
    run 0 train "${options[@]}" train.tensorboard=false --resume auto
    check 'bit-identical to the run that had room' cmp run/last.h5 ../whole/run/last.h5
    rm -rf run
    cp -r ../begun.run run
}
cd begun || exit 1
sweep 'a resumed run' goes_on train "${options[@]}" train.tensorboard=false --resume auto
cd ..

mkdir first
cd first || exit 1
starts_anew() {
    [ ! -e run/last.h5 ] || run 0 inspect run/last.h5
    run 0 train "$tiny" train.steps=2 train.valid_every=0 --resume auto
    rm -rf run
}
sweep 'a new run' starts_anew train "$tiny" train.steps=2 train.valid_every=0
cd ..

# What replaces a file leaves the old one or, where only the directory's sync failed, the new one.
run 0 data export "$tiny" --output new.hdf5
"$tool" observations new.hdf5 obs.h5 0
"$hl" infer whole/run/last.h5 --input obs.h5 --output new.act 2>/dev/null
"$hl" export whole/run/last.h5 --to new.h5 2>/dev/null
content() { # of demonstrations without the times that HDF5 writes into them
    case $new in
    *.hdf5) "$hl" data info "$1" | tail -n +3 && "$tool" print "$1" data/demo_9/obs/audio ;;
    *) cat "$1" ;;
    esac
}
out=out.h5
old_or_new() {
    if ! cmp -s $out old; then
        says 'is written, but might not survive a loss of power|is complete'
        check 'the new one is whole' cmp <(content $out) <(content "$new")
    fi
    echo old >$out
    check 'no temporary is left' test -z "$(find . -maxdepth 1 -name '*.tmp')"
}
echo old >old
cp old out.h5
new=new.act
sweep 'hl infer' old_or_new infer whole/run/last.h5 --input obs.h5 --output out.h5
cp old out.h5
new=new.h5
sweep 'hl export' old_or_new export whole/run/last.h5 --to out.h5
cp old out.h5
new=new.safetensors
"$hl" convert new.h5 new.safetensors 2>/dev/null
"$hl" convert new.safetensors back.h5 2>/dev/null
out=out.safetensors
cp old $out
sweep 'hl convert to PyTorch' old_or_new convert new.h5 $out
out=out.h5
new=back.h5
sweep 'hl convert from PyTorch' old_or_new convert new.safetensors out.h5
cp old out.h5
new=new.hdf5
sweep 'hl data export' old_or_new data export "$tiny" --overwrite --output out.h5

# ---------------------------------------------------------------- a disk that is full

# A model that is larger than what will be left.
run 0 train "$tiny" train.steps=0 run.dir=wide model.audio.hidden=512
run 0 convert wide/last.h5 wide.safetensors
run 0 convert wide.safetensors wide.h5
mkdir small
if mount -t tmpfs -o size=1500k hl-test small 2>/dev/null; then
    trap 'umount "$work/small"; rm -rf "$work"' EXIT
    cd small || exit 1
    mkdir full
    # Room for two checkpoints, not for the third that is there while the first still is.
    run 2 train "${options[@]}" train.tensorboard=false
    says '^hl: run/step-.*No space left on device; free some space'
    check 'no half a checkpoint' test -z "$(find . -name '*.tmp')"
    run 0 inspect run/last.h5
    prints '^step 10,'
    before=$(snapshot run)
    bad 'No space left on device' data export "$tiny" data.reach.episodes=100 --output demos.hdf5
    check 'no half a file of demonstrations' test ! -e demos.hdf5 -a ! -e demos.hdf5.tmp
    bad 'full/m.safetensors.tmp: cannot .*No space left on device' convert ../wide.h5 full/m.safetensors
    bad 'full/m.h5.tmp: cannot .*No space left on device' convert ../wide.safetensors full/m.h5
    check 'no half a model' test -z "$(find full -type f)"
    untouched 'a full disk' run "$before"
    mount -o remount,size=3m "$work/small"
    run 0 train "${options[@]}" train.tensorboard=false --resume auto
    check 'with room it goes on, bit for bit' cmp run/last.h5 ../whole/run/last.h5
    cd ..
else
    echo 'skipped: a full tmpfs (it takes the right to mount)'
fi

# ---------------------------------------------------------------- a directory that may not be written

mkdir locked
cp -r begun.run locked/run
cp whole/run/last.h5 locked/model.h5
cp obs.h5 new.hdf5 "$tiny" locked
chmod -R a-w,a+rX locked
if [ "$(id -u)" -eq 0 ]; then
    chmod 755 "$work"
    as=(setpriv --reuid=65534 --regid=65534 --clear-groups)
fi
if "${as[@]}" "$hl" --version >/dev/null 2>&1 && ! "${as[@]}" touch locked/x 2>/dev/null; then
    before=$(snapshot locked)
    cd locked || exit 1
    bad '^hl: new: cannot make the directory: Permission denied' train tiny.yaml run.dir=new
    run 2 train "${options[@]}" train.tensorboard=false --resume auto
    says '^hl: run/.*Permission denied'
    bad '^hl: act.h5.*Permission denied' infer model.h5 --input obs.h5 --output act.h5
    bad '^hl: x.hdf5.*Permission denied' data export tiny.yaml --output x.hdf5
    bad '^hl: x.h5.*Permission denied' export model.h5 --to x.h5
    run 0 eval model.h5 # reading is enough to read
    run 0 data info new.hdf5
    cd ..
    untouched 'a read-only directory' locked "$before"
else
    echo 'skipped: read-only directories (root may write them, and no other user can run hl here)'
fi
chmod -R u+w locked
as=()
finish
