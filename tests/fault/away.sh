#!/bin/bash
# away: the orchestrator is gone while a transfer runs to its end; the agents keep the results, over their own deaths
# too, and hand them over when it is back; nothing is sent again.
# limit: 120
. "$(dirname "$0")/lib.sh"

src=$work/from
mkdir "$src"
small_files "$src/small" 20 100
big_files "$src/big" 3 30
fleet_up
away=3 ways=deaths
! long || away=60 ways="plain deaths"

rsync_finds_nothing() { [ -d "$2" ] && [ -z "$(rsync -aHAXn --delete --itemize-changes "$1/" "$2/" 2>&1)" ]; }

for how in $ways; do
    link_rate dst 200mbit
    job_start "$how" "$src" "$work/to-$how"
    until_true 30 "some is there" job_moved "$how" 5000000
    down orch
    link_rate dst off
    until_true 40 "all is there, without the orchestrator" rsync_finds_nothing "$src" "$work/to-$how"
    sleep $away # long: the clock decides, not a condition
    if [ $how = deaths ]; then
        crash src && crash dst
        sleep 1
    fi
    up orch
    job_end "$how" 40 done
    same "$src" "$work/to-$how"
    [ "$(report "$how" .totals.again_bytes)" = 0 ] || fail "$(report "$how" .totals.again_bytes) bytes were sent again"
    [ "$(godwit job journal "$how" -o json | jq -r '[.. | objects | select(.event? == "launch")] | length')" = 3 ] ||
        fail "a stage was run again"
    passed "away for $away s after the end, agents: $how; each stage ran once, the result was delivered late"
done
say done
