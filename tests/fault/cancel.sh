#!/bin/bash
# cancel: stop and pause take effect at once: in many small files, in a large file, from an agent and over SMB, on a slow link, on a dead
# link, while a wide folder is walked, and while extras are deleted. What was done stays; the job goes on.
# limit: 180
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/sharelib.sh"

src=$work/from
mkdir "$src"
small_files "$src/small" 60 200
big_files "$src/big" 2 150
shares=yes
share_ready "$src/big" || shares=no
fleet_up
[ $shares = no ] || share_up

at_rest() { case $(job_state "$1") in paused | stopped | "$2") ;; *) return 1 ;; esac; }
# cancelled JOB VERB STATE WHAT: well before what the job would still take; on an idle machine it is below a second.
cancelled() {
    local start took
    start=$(now_ms)
    godwit job "$2" "$1" >/dev/null
    [ -z "${held:-}" ] || go_on "$held"
    until_true 30 "job $1 rests" at_rest "$1" "$3"
    took=$(($(now_ms) - start))
    [ "$(job_state "$1")" = "$3" ] || fail "$1 is '$(job_state "$1")', not '$3'"
    [ $took -le 3000 ] || fail "$4: $2 took $took ms"
    passed "$4: $2 within $took ms"
}
going() { [ "$(job_field "$1" '.pairs[0].counters.sent_bytes // 0')" -gt 0 ]; } # counting files has bytes too

link_rate dst 200mbit
for verb in stop:stopped pause:paused; do
    v=${verb%:*}
    job_start "small-$v" "$src/small" "$work/to-small-$v"
    until_true 20 "it goes" going "small-$v"
    cancelled "small-$v" "$v" "${verb#*:}" "small files"
    job_start "large-$v" "$src/big" "$work/to-large-$v"
    until_true 20 "it goes" going "large-$v"
    cancelled "large-$v" "$v" "${verb#*:}" "a large file"
    [ $shares = yes ] || continue
    share_start "pulled-$v" "" "$work/to-pulled-$v"
    until_true 20 "it goes" going "pulled-$v"
    cancelled "pulled-$v" "$v" "${verb#*:}" "a large file over SMB"
done
nothing_wrong "$src/small" "$work/to-small-stop"
link_rate dst 512kbit
job_start creep "$src/big" "$work/to-creep"
until_true 30 "it goes" going creep
cancelled creep stop stopped "a link of 64 KiB/s"
link_rate dst 200mbit
job_start dead "$src/big" "$work/to-dead"
until_true 20 "it goes" going dead
link_cut src dst
sleep 1 # full buffers: nothing moves any more
cancelled dead stop stopped "a dead link"
link_heal
link_rate dst off

say "they go on"
godwit job resume small-pause >/dev/null
godwit job resume large-pause >/dev/null
godwit job start dead >/dev/null
for job in small-pause large-pause dead; do
    job_end $job 60 done
done
same "$src/small" "$work/to-small-pause"
same "$src/big" "$work/to-large-pause"
same "$src/big" "$work/to-dead"
if [ $shares = yes ]; then
    godwit job resume pulled-pause >/dev/null
    job_end pulled-pause 60 done
    share_same "$src/big" "$work/to-pulled-pause"
    no_temporaries "$work/to-pulled-pause"
fi
passed "paused and stopped jobs end well (large: sent again $(report large-pause .totals.again_bytes))"

wide=30000
! long || wide=300000
say "a folder of $wide entries, walked and deleted"
mkdir -p "$work/wide" "$work/empty"
python3 -c 'import os, sys
for i in range(int(sys.argv[2])): os.close(os.open(f"{sys.argv[1]}/{i}", os.O_CREAT | os.O_WRONLY))' "$work/wide" $wide
halt src file-read 300 # else a fast machine would be through before the command arrives
job_start count "$work/wide" "$work/to-wide"
until_true 30 "it reads" halted src
held=src
cancelled count stop stopped "a folder of $wide entries"
[ "$(find "$work/to-wide" -type f | wc -l)" -lt $wide ] || fail "all was sent before it stopped"
halt dst deleting 1
job_start wipe "$work/empty" "$work/wide" --delete
until_true 60 "it is about to delete" halted dst
held=dst
cancelled wipe stop stopped "deleting $wide entries"
[ "$(find "$work/wide" -type f | wc -l)" -gt 0 ] || fail "all was deleted before it stopped"
say done
