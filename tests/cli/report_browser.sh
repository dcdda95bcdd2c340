#!/usr/bin/env bash
# The page of a result in headless Chromium: no errors, nothing cut off, every label readable, on screens of three
# widths, light and dark. Screenshots go to the folder $HL_SCREENSHOTS, if it is set. Exit 77 without Chromium.
. "$(dirname "$0")/lib.sh"

for name in chromium chromium-browser google-chrome; do
    if "$name" --version >/dev/null 2>&1; then
        browser=$name
        break
    fi
done
if [ -z "${browser:-}" ]; then
    echo "there is no chromium here"
    exit 77
fi

# browse NAME WIDTH HEIGHT SCHEME ARGUMENT...: NAME.html on a screen of that size, for which it stands in a frame, as
# windows have a least width; SCHEME 0 is dark, 1 light.
browse() {
    local name=$1 width=$2 height=$3 scheme=$4
    shift 4
    cat >frame.html <<END
<!DOCTYPE html><html><body style="margin:0">
<iframe src="$name.html" style="display:block;border:0;width:${width}px;height:${height}px"></iframe></body></html>
END
    timeout -k 10 120 "$browser" --headless --no-sandbox --disable-gpu --hide-scrollbars --disable-extensions \
        --user-data-dir="$work/profile" --blink-settings=preferredColorScheme="$scheme" --allow-file-access-from-files \
        --window-size="$((width < 500 ? 500 : width)),$height" --enable-logging=stderr "$@" "file://$work/frame.html" \
        2>.browser
}

# look NAME WIDTH SCHEME WORD: what the script in a copy of the page found.
look() {
    local name=$1 width=$2 scheme=$3 word=$4
    last="report: $name at $width pixels, $word"
    browse "$name.looked" "$width" 900 "$scheme" --dump-dom >.dom
    sed -n '/<pre id="looked">/,/<\/pre>/p' .dom >.stdout
    grep CONSOLE .browser >.stderr
    check 'the page was looked at' grep -q "looked at $width pixels, [0-9]* drawings, $word: " .stdout
    check 'no faults' grep -q ': 0 faults' .stdout
    check 'nothing on the console' test ! -s .stderr
    if [ -n "${HL_SCREENSHOTS:-}" ]; then
        browse "$name" "$width" "$((width < 600 ? 14000 : 9000))" "$scheme" \
            --screenshot="$HL_SCREENSHOTS/$name-$width-$word.png" >/dev/null
    fi
}

# breaks WHAT SED: the script finds it in a page that is broken so.
breaks() {
    last="report: $1"
    sed "$2" stress.looked.html >broken.looked.html
    browse broken.looked 800 900 1 --dump-dom >.dom
    check 'found in a broken page' grep -q "$1" .dom
}

# Names as long as someone may choose, numbers of every size, and many cores beside the two results.
data=$root/tests/data
long=$(printf 'a-name-without-an-end-%.0s' 1 2 3 4 5 6 7 8 9 10)
cp "$data/stress.json" "$data/stress-interrupted.json" .
sed "s|configs/hl-325m.yaml|$long|; s|\"name\":\"mixed\"|\"name\":\"$long\"|; s|AMD EPYC|$long|
     s|h_module.layers.0.linear1.weight|$long|g; s|\"name\":\"activations\"|\"name\":\"$long\"|g" stress.json >long.json
sed -E 's/"p50":[0-9.]+/"p50":1e-300/g; s/"p99":[0-9.]+/"p99":1e300/g; s/"loss":\[\[[0-9]+,[0-9.]+\]/"loss":[[0,-1e12],[1000000000,1e12]/g
        s/"peak":[0-9]+/"peak":9223372036854775807/g; s/\[\[([0-9.]+),([0-9.]+),[0-9]+\]/[[0,1e-9,1],[\1,\2,123456789]/g' \
    stress.json >sizes.json
for name in stress stress-interrupted long sizes; do
    run 0 report "$name.json" --to "$name.html"
    sed "/<\/body>/d; /<\/html>/d" "$name.html" >"$name.looked.html"
    { echo '<script>' && cat "$here/report_browser.js" && echo '</script></body></html>'; } >>"$name.looked.html"
    for width in 360 800 1400; do
        look "$name" "$width" 1 light
        look "$name" "$width" 0 dark
    done
done

# The script sees what it is there to see.
breaks 'a label cut off' 's/viewBox="0 0 400 /viewBox="60 0 340 /'
breaks 'a label on another' 's/svg text{font:11px/svg text{font:26px/'
breaks 'low contrast' 's/--soft:#[0-9a-f]*/--soft:#ccc/'
breaks 'the page is [0-9]* wide on a screen of 800' 's/max-width:1440px/width:1440px/'
finish
