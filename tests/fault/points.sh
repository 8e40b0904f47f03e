#!/bin/bash
# points: an agent dies at each point of the pipeline, from the first folder to the acknowledged result; it comes back,
# and the job ends by itself as if nothing had been. Needs programs built with GODWIT_FAULT_POINTS.
# limit: 420
. "$(dirname "$0")/lib.sh"
grep -q GODWIT_FAULT_FILE "$bin/godwit-agent" || skip "these programs have no fault points (preset dev has)"

# SIDE POINT WHICH-TIME, in the order of a file's journey. short: also in the short form.
points="
src order-logged 2
src folder-open 3
src file-read 40       short
src chunk-read 30
src record-out 10
src large-sent 1       short
src walk-over 1
src drained 1
src finished 1         short
src step-ended 2
src result-stored 2
src acknowledged 2
dst order-logged 2
dst record-in 12
dst compared 1
dst digest-checked 50
dst temp-made 60
dst content-written 60 short
dst metadata-set 60
dst renamed 60         short
dst chunk-in 40
dst piece-in 2
dst pieces-whole 1
dst content-settled 1
dst large-renamed 1    short
dst flush-begun 1
dst synced 1           short
dst committed 1        short
dst linking 1
dst deleting 1
dst folders 1          short
dst all-durable 1
dst bye 1
dst step-ended 2
dst result-stored 2    short
dst acknowledged 2
"

src=$work/from
mkdir "$src"
small_files "$src/small" 20 50
big_files "$src/big" 2 20
odd_files "$src/odd"
fleet_up
n=0 again=0
while read -r side point times form; do
    [ -n "$side" ] || continue
    [ "$form" = short ] || long || continue
    n=$((n + 1))
    dst=$work/to$n
    mkdir -p "$dst/extra" && echo x >"$dst/extra/file" # not fresh: it is listed and compared
    arm "$side" "$point" "$times"
    job_start "p$n" "$src" "$dst" --delete
    job_end "p$n" 60 done
    ! armed "$side" || fail "$side never came to $point for the $times. time"
    same "$src" "$dst"
    no_temporaries "$dst"
    again=$(report "p$n" .totals.again_bytes)
    passed "$side dies at $point (sent again: $again bytes)"
    rm -rf "$dst"
    until_true 15 "both are online" is_online src
    until_true 15 "both are online" is_online dst
done <<<"$points"
say done
