#!/bin/bash
# points: an agent dies at each point of the pipeline, from the first folder to the acknowledged result; it comes back,
# and the job ends by itself as if nothing had been. Needs programs built with GODWIT_FAULT_POINTS.
# limit: 420
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/sharelib.sh"
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
# Into an empty destination, where new folders are filled under temporary names.
fresh_points="
dst content-written 60 short
dst folder-named 3     short
dst flush-begun 1
dst synced 1
"
# The same with --delta, over older copies of the large files.
delta_points="
src piece-offered 3    short
src large-sent 1
dst piece-compared 4
dst piece-made 3       short
dst chunk-in 20
dst pieces-whole 1
"

# A later pass, after folders and files were renamed.
renamed_points="
src moves-told 1
dst moves-noted 1      short
dst moved 2            short
dst moves-synced 1
dst moves-committed 1
"

# Of files that share their blocks, from XFS to XFS.
shared_points="
src put-off 1
dst basis-found 1      short
dst piece-made 2
dst large-renamed 2
"

# The destination, while it writes large files past the page cache of ext4, or of XFS.
direct_points="
ext4 agents past-cache 4  short
xfs agents past-cache 7
ext4 pull near-write 12   short
ext4 pull past-cache 4
xfs pull past-cache 7
ext4 pull pieces-whole 1
ext4 pull content-settled 2
ext4 pull large-renamed 1
ext4 pull synced 2
ext4 pull committed 2
"

src=$work/from
mkdir "$src"
small_files "$src/small" 20 50
big_files "$src/big" 2 20
odd_files "$src/odd"
shares=yes
share_ready "$src/big" || shares=no
fleet_up
[ $shares = no ] || share_up

older() { # FOLDER: large files as they were: every eighth block differs
    mkdir -p "$1" && cp -a "$src/big" "$1/"
    python3 - "$1"/big/* <<'END'
import os, sys
for name in sys.argv[1:]:
    with open(name, "r+b") as f:
        for at in range(0, os.path.getsize(name), 32768):
            f.seek(at)
            f.write(b"older" * 200)
    os.utime(name, (1, 1))
END
}

n=0
dies_at() { # SIDE POINT TIMES [OPTION…]
    local side=$1 point=$2 times=$3 job=p$((++n)) dst=$work/to$n how=${4:-}
    [ "$how" = fresh ] || { mkdir -p "$dst/extra" && echo x >"$dst/extra/file"; } # it is listed and compared
    [ "$how" != --delta ] || older "$dst"
    arm "$side" "$point" "$times"
    if [ "$how" = --delta ]; then set -- --delta; else set --; fi
    job_start "$job" "$src" "$dst" --delete "$@"
    job_end "$job" 150 done # a source that comes back to a destination that is over is given up after a minute
    ! armed "$side" || fail "$side never came to $point for the $times. time"
    same "$src" "$dst"
    no_temporaries "$dst"
    passed "$side dies at $point${how:+, $how} (sent again: $(report "$job" .totals.again_bytes) bytes)"
    rm -rf "$dst"
    until_true 30 "both are online" is_online src
    until_true 30 "both are online" is_online dst
}
dies_renaming() { # SIDE POINT TIMES
    local side=$1 point=$2 times=$3 job=p$((++n)) dst=$work/to$n from=$work/from$n
    cp -a "$src" "$from"
    job_start "$job" "$from" "$dst" --delete
    job_end "$job" 60 done
    mv "$from/small" "$from/little"
    mv "$from/big" "$from/large"
    arm "$side" "$point" "$times"
    godwit job start "$job" >/dev/null
    job_end "$job" 60 done
    ! armed "$side" || fail "$side never came to $point for the $times. time"
    same "$from" "$dst"
    no_temporaries "$dst"
    passed "$side dies at $point while it renames"
    rm -rf "$dst" "$from"
    until_true 15 "both are online" is_online src
    until_true 15 "both are online" is_online dst
}
shared_in() { # FOLDER: bytes that several files hold, each time; what came whole before a death stays so
    find "$1" -type f -exec filefrag -v {} + | awk '$1 ~ /^[0-9]+:$/ && /shared/ {n += $6} END {printf "%d\n", n * 4096}'
}
dies_sharing() { # SIDE POINT TIMES
    local side=$1 point=$2 times=$3 job=p$((++n)) from=$work/sharing/tree dst=$work/shared/to$n shared
    [ -d "$from" ] || {
        disk sharing 400 xfs
        disk shared 400 xfs
        big_files "$from/big" 2 20
        cp -r --reflink=always "$from/big" "$from/copies"
        echo more >>"$from/copies/big1"
        sync -f "$from"
    }
    arm "$side" "$point" "$times"
    job_start "$job" "$from" "$dst" --delete
    job_end "$job" 60 done
    ! armed "$side" || fail "$side never came to $point for the $times. time"
    same "$from" "$dst"
    no_temporaries "$dst"
    sync -f "$dst"
    shared=$(shared_in "$dst")
    passed "$side dies at $point while files share blocks (shared now: $shared, sent again: $(report "$job" .totals.again_bytes) bytes)"
    rm -rf "$dst"
    until_true 15 "both are online" is_online src
    until_true 15 "both are online" is_online dst
}
dies_writing() { # TYPE agents|pull POINT TIMES
    local type=$1 how=$2 point=$3 times=$4 pages job=p$((++n)) dst=$work/direct-$1/to$n
    [ -d "$work/direct-$type" ] || disk "direct-$type" 400 "$type"
    arm dst "$point" "$times"
    if [ "$how" = pull ]; then share_start "$job" "" "$dst"; else job_start "$job" "$src/big" "$dst"; fi
    job_end "$job" 60 done
    ! armed dst || fail "dst never came to $point for the $times. time"
    sync -f "$dst"
    pages=$(fincore --noheadings --output pages "$dst"/* | awk '{n += $1} END {print n + 0}')
    [ "$pages" -le 16 ] || fail "$pages pages of large files went through the page cache"
    share_same "$src/big" "$dst"
    no_temporaries "$dst"
    passed "dst dies at $point, $how, onto $type past the page cache (sent again: $(report "$job" .totals.again_bytes) bytes)"
    rm -rf "$dst"
    until_true 15 "dst is online" is_online dst
}
each_of() { # POINTS [OPTION]
    local side point times form
    while read -r side point times form; do
        [ -n "$side" ] || continue
        [ "$form" = short ] || long || continue
        dies_at "$side" "$point" "$times" ${2:+"$2"}
    done <<<"$1"
}
each_of "$points"
each_of "$fresh_points" fresh
each_of "$delta_points" --delta
while read -r side point times form; do
    [ -n "$side" ] || continue
    [ "$form" = short ] || long || continue
    dies_renaming "$side" "$point" "$times"
done <<<"$renamed_points"
while read -r side point times form; do
    [ -n "$side" ] || continue
    [ "$form" = short ] || long || continue
    dies_sharing "$side" "$point" "$times"
done <<<"$shared_points"
while read -r type how point times form; do
    [ -n "$type" ] || continue
    [ "$form" = short ] || long || continue
    [ "$how" = agents ] || [ $shares = yes ] || continue
    dies_writing "$type" "$how" "$point" "$times"
done <<<"$direct_points"

# No point of a file's journey is without a case here; other workloads have tests of their own.
for point in $(grep -hoE 'FAULT_POINT\("[^"]*' "$top"/agent/*.c "$top"/agent/{transfer,pull}/*.c | cut -d'"' -f2 | sort -u); do
    grep -qE "^(src|dst|[a-z0-9]+ (agents|pull)) $point " <<<"$points$fresh_points$delta_points$renamed_points$shared_points$direct_points" && continue
    show "there is no case for the point $point"
    ! long || fail "there is no case for the point $point"
done
say done
