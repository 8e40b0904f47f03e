#!/bin/bash
# full: the destination's file system fills up: before the first byte, in the middle of small files, in the middle of
# a large one, which comes from an agent or over SMB.
# limit: 90
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/sharelib.sh"

disk to 96 ext4 -m 0
src=$work/from
mkdir "$src"
small_files "$src/small" 10 200
big_files "$src/big" 2 12
odd_files "$src/odd"
shares=yes
share_ready "$src/big" || shares=no
fleet_up
[ $shares = no ] || share_up

fill() { dd if=/dev/zero of="$work/to/filler" bs=1M count="$1" status=none 2>/dev/null || true; }

say "too small from the start: refused before a byte is sent"
fill 80
mkdir "$work/to/none"
job_start none "$src" "$work/to/none"
job_end none 30 failed
said none "No space left" "the source holds"
[ -z "$(ls "$work/to/none")" ] || fail "something was sent"
passed "refused before the first byte"

# The destination holds something already, so nobody can say beforehand what fits.
fills_up() { # JOB MIB-FREE WHAT [over-smb]
    local dst=$work/to/$1 from=$src
    [ -z "${4:-}" ] || from=$src/big
    say "$1: $3"
    rm -rf "$work/to"/*
    mkdir -p "$dst/kept" && echo mine >"$dst/kept/file"
    fill 90
    truncate -s "$((90 - $2))M" "$work/to/filler"
    if [ "$from" = "$src" ]; then job_start "$1" "$src" "$dst"; else share_start "$1" "" "$dst"; fi
    job_end "$1" 40 failed
    said "$1" "No space left on device" "free space"
    nothing_wrong "$from" "$dst"
    no_temporaries "$dst"
    rm "$work/to/filler"
    godwit job retry "$1" >/dev/null
    job_end "$1" 40 done
    if [ "$from" = "$src" ]; then same "$src" "$dst" --exclude=/kept; else share_same "$from" "$dst" --exclude=kept; fi
    [ "$(cat "$dst/kept/file")" = mine ] || fail "what was there is gone"
    passed "$3"
}
nothing_wrong() {
    local diff
    diff=$(cd "$2" && find . -path ./kept -prune -o -type f -print0 |
        while IFS= read -r -d '' f; do cmp -s "$f" "$1/$f" || printf '%s\n' "$f"; done)
    [ -z "$diff" ] || { head -30 <<<"$diff"; fail "files under $2 are not what $1 holds"; }
}
fills_up small 8 "full in the middle of small files"
fills_up large 25 "full in the middle of a large file"
[ $shares = no ] || fills_up pulled 18 "full in the middle of a large file over SMB" over-smb
say done
