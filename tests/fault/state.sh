#!/bin/bash
# state: the file system that holds an agent's own state (op log, catalogue) is full from the start, and fills up in the
# middle of a transfer.
# limit: 120
# slow: it waits for pairs that try again
. "$(dirname "$0")/lib.sh"

for host in src dst; do
    disk "$host-disk" 48 ext4 -m 0
    state[$host]=$work/$host-disk/state
done
src=$work/from
mkdir "$src"
small_files "$src/small" 20 200
big_files "$src/big" 2 24
odd_files "$src/odd"
fleet_up

fill() { dd if=/dev/zero of="$work/$1-disk/filler" bs=4k status=none 2>/dev/null || true; }
tells() { job_field "$1" '.pairs[0].reason' | grep -q "$2"; } # JOB TEXT

for host in src dst; do
    fill $host
    job_start "$host-first" "$src" "$work/to-$host-first"
    until_true 20 "the pair tells why it waits" tells "$host-first" "No space left on device"
    rm "$work/$host-disk/filler"
    job_end "$host-first" 60 done
    same "$src" "$work/to-$host-first"
    passed "state of $host full: the pair says so, and goes on by itself"
    rm -rf "$work/to-$host-first"

    job=$host-later dst=$work/to-$host-later
    link_rate dst 200mbit
    job_start "$job" "$src" "$dst"
    until_true 20 "some is there" job_moved "$job" 5000000
    fill $host
    link_rate dst off
    sleep 4 # long enough for a flush, and for the transfer to end where that is possible
    nothing_wrong "$src" "$dst"
    rm "$work/$host-disk/filler"
    until_true 60 "job $job has ended" job_ended "$job"
    is=waits
    if [ "$(job_state "$job")" = failed ]; then # its catalogue could not be written
        said "$job" "No space left on device" "free space"
        is=fails
        godwit job retry "$job" >/dev/null
    fi
    job_end "$job" 60 done
    same "$src" "$dst"
    no_temporaries "$dst"
    passed "state of $host full in the middle: it $is, and ends well once there is room"
    rm -rf "$dst"
done
say done
