#!/bin/bash
# clock: the wall clock of the source, of the destination and of the orchestrator is set back an hour, and a day
# forward, while a transfer runs. The kernel has one such clock for all: libfaketime stands between.
# limit: 180
. "$(dirname "$0")/lib.sh"

lib=$(ls /usr/lib/*/faketime/libfaketime.so.1 2>/dev/null | head -1)
[ -n "$lib" ] || skip "needs libfaketime (package faketime)"

src=$work/from
mkdir "$src"
small_files "$src/small" 20 100
big_files "$src/big" 3 24
odd_files "$src/odd"
for host in orch src dst; do
    echo "+0" >"$work/$host.clock"
    wrap[$host]="env LD_PRELOAD=$lib FAKETIME_DONT_FAKE_MONOTONIC=1 FAKETIME_NO_CACHE=1 DONT_FAKE_MONOTONIC=1
        FAKETIME_TIMESTAMP_FILE=$work/$host.clock NO_FAKE_STAT=1"
done
# libfaketime leaves a semaphore and a page of memory in /dev/shm for each process that was killed.
faketime_forget() {
    local at
    for at in /dev/shm/faketime_shm_* /dev/shm/sem.faketime_sem_*; do
        [ ! -e "$at" ] || [ -d "/proc/${at##*_}" ] || rm -f "$at"
    done
}
later faketime_forget
fleet_up

changes=("dst -3600" "orch -3600")
! long || changes+=("src -3600" "orch -90000" "orch +90000" "dst +90000" "src +90000")
for what in "${changes[@]}"; do
    read -r host by <<<"$what"
    job=$host$by
    link_rate dst 80mbit
    job_start "${job/+/p}" "$src" "$work/to"
    job=${job/+/p}
    until_true 30 "some is there" job_moved "$job" 5000000
    echo "$by" >"$work/$host.clock"
    link_rate dst off
    start=$(now_ms)
    job_end "$job" 60 done
    took=$(($(now_ms) - start))
    same "$src" "$work/to"
    no_temporaries "$work/to"
    # The next orders are dated by the clock as it is now, of which the agents did not hear yet.
    [ "$host" != orch ] || { by=$(printf '%+d' $((by * 2))) && echo "$by" >"$work/$host.clock"; }
    godwit job start "$job" >/dev/null
    job_end "$job" 30 done
    [ "$(report "$job" .totals.files)" = 0 ] || fail "files were sent again for a clock"
    if [ "$host" = orch ]; then
        started=$(date -d "$(report "$job" .started)" +%s)
        [ $((started - $(date +%s))) -lt $((by + 60)) ] && [ $((started - $(date +%s))) -gt $((by - 60)) ] || fail "the clock was not set"
    fi
    passed "the clock of $host goes $by s (done $took ms after, and a new pass)"
    rm -rf "$work/to"
    echo "+0" >"$work/$host.clock"
done
say done
