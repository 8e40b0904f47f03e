#!/bin/bash
# hundred: 100 pairs in one job over 10 hosts stay below the limits, and the console answers meanwhile.
# limit: 600
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/trees.sh"
LIMIT=8 PER_HOST=3

hosts=$(seq -f 'h%g' 10 | xargs)
packages
# shellcheck disable=SC2086
lab_up orch $hosts
orchestrator_up "max-pairs-per-host = $PER_HOST"
# shellcheck disable=SC2086
agents_up $hosts
say "making the trees and the job file"
for i in $(seq 10); do
    for j in $(seq 10); do
        small_files "h$i" "/srv/from$j" 10 30 && big_files "h$i" "/srv/from$j" 1 4
    done &
    [ $((i % 2)) = 1 ] || wait
done
wait
{
    printf 'name: hundred\nworkload: files\nlimits:\n  pairs: %s\npairs:\n' $LIMIT
    for i in $(seq 10); do
        for j in $(seq 10); do
            echo "  - h$i:/srv/from$j=h$((i % 10 + 1)):/srv/to-h$i-$j"
        done
    done
} | on orch sh -c 'cat >/root/hundred.yaml'
godwit job create -f /root/hundred.yaml

# One look at the job as a person types it: how long it took, how many pairs run, on the busiest host.
slowest=0 most=0 most_host=0
look() {
    local start took doc running busiest
    start=$(now_ms)
    doc=$(godwit job show hundred -o json)
    took=$(($(now_ms) - start))
    [ $took -le $slowest ] || slowest=$took
    start=$(now_ms)
    godwit status >/dev/null
    took=$(($(now_ms) - start))
    [ $took -le $slowest ] || slowest=$took
    running=$(jq '[.pairs[] | select(.state == "running")] | length' <<<"$doc")
    busiest=$(jq '[.pairs[] | select(.state == "running") | .source.host, .destination.host] | group_by(.) |
        map(length) | max // 0' <<<"$doc")
    [ "$running" -le $most ] || most=$running
    [ "$busiest" -le $most_host ] || most_host=$busiest
    case $(jq -r .state <<<"$doc") in done | partial | failed | stopped) ;; *) return 1 ;; esac
}
start=$(now_ms)
godwit job start hundred
until_true 300 "the job has ended" look
show "100 pairs in $(($(now_ms) - start)) ms; at once: $most (limit $LIMIT), on one host: $most_host (limit $PER_HOST); slowest answer $slowest ms"
job_wait hundred 1 done
[ "$most" -le $LIMIT ] || fail "$most pairs at once, the limit is $LIMIT"
[ "$most" -gt 1 ] || fail "pairs did not run side by side"
[ "$most_host" -le $PER_HOST ] || fail "$most_host pairs on one host, the limit is $PER_HOST"
[ "$slowest" -lt 200 ] || fail "the console took $slowest ms"

say "comparing 100 trees"
for i in $(seq 10); do
    for j in $(seq 10); do
        diff=$(rsync -aHAXnc --delete --itemize-changes "$(lab dir "h$i")/srv/from$j/" \
            "$(lab dir "h$((i % 10 + 1))")/srv/to-h$i-$j/")
        [ -z "$diff" ] || fail "pair h$i/$j differs: $(head -3 <<<"$diff")"
    done
done
say "done"
