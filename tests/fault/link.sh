#!/bin/bash
# link: cut for a minute (in the short form 5 s, and only between the agents) between the agents, and between each of them and the orchestrator; one
# packet in a hundred lost; 64 KiB/s.
# limit: 420
. "$(dirname "$0")/lib.sh"

src=$work/from
mkdir "$src"
small_files "$src/small" 20 100
big_files "$src/big" 3 24
odd_files "$src/odd"
total=$(du -sb "$src" | cut -f1)
quiet=5
! long || quiet=60
more[orch]="--heartbeat 2s" # over 64 KiB/s a heartbeat may be late behind data
fleet_up

pairs=("src dst")
! long || pairs+=("src orch" "dst orch")
for pair in "${pairs[@]}"; do
    job=cut-${pair/ /-}
    link_rate dst 160mbit
    job_start "$job" "$src" "$work/to-$job"
    until_true 30 "some is there" job_moved "$job" 10000000
    # shellcheck disable=SC2086
    link_cut $pair
    sleep $quiet # the clock decides here, not a condition
    link_heal
    start=$(now_ms)
    job_end "$job" 90 done
    link_rate dst off
    same "$src" "$work/to-$job"
    no_temporaries "$work/to-$job"
    passed "link ${pair/ /-} cut for $quiet s (done $(($(now_ms) - start)) ms after, sent again: $(report "$job" .totals.again_bytes) of $total bytes)"
    rm -rf "$work/to-$job"
done

say "one packet in a hundred is lost"
link_drop 100
start=$(now_ms)
job_start lossy "$src" "$work/lossy"
job_end lossy 120 done
link_heal
same "$src" "$work/lossy"
no_temporaries "$work/lossy"
passed "1% of packets lost ($(($(now_ms) - start)) ms, sent again: $(report lossy .totals.again_bytes))"

say "64 KiB/s"
mkdir "$work/few"
small_files "$work/few/small" 2 15
head -c $((512 * $(long && echo 8 || echo 1)))K /dev/urandom >"$work/few/big"
echo one >"$work/few/one" && ln "$work/few/one" "$work/few/two" && ln -s one "$work/few/link"
few=$(du -sb "$work/few" | cut -f1) # the bucket holds another 64 KiB
link_rate dst 512kbit
start=$(now_ms)
job_start slow "$work/few" "$work/slow" --compress off
until_true 30 "the console shows that it moves" job_moved slow 100000
job_end slow 180 done
link_rate dst off
took=$(($(now_ms) - start))
same "$work/few" "$work/slow"
again=$(report slow .totals.again_bytes)
[ "$again" = 0 ] || fail "$again bytes were sent again on a slow link"
passed "64 KiB/s: $few bytes in $took ms ($((few * 1000 / took / 1024)) KiB/s), nothing sent again"
say done
