#!/bin/bash
# churn: a tree changes at random while passes that take the change feed's list run over it, and agents are killed: at the end a pass
# of the list leaves no difference; then again with hard links. The seed is shown; SEED=N repeats one. GODWIT_ALL=yes: longer.
# limit: 300
export LAB_SRV=tmpfs # a file system of its own that can be watched: hosts stand on layers
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/trees.sh"

seed=${SEED:-$RANDOM}
rounds=4 operations=3000
[ "${GODWIT_ALL:-no}" != yes ] || rounds=30 operations=6000
show "seed $seed, $rounds rounds of $operations operations"

fleet_up fs1 new1
[ -n "${CHURN:=$(find "$top/build/dev" -name godwit-churn -type f 2>/dev/null)}" ] || {
    (cd "$top" && cmake --preset dev && cmake --build --preset dev --target godwit-churn) >/dev/null
    CHURN=$(find "$top/build/dev" -name godwit-churn -type f)
}
lab push fs1 "$CHURN" /root
churn() { on fs1 /root/godwit-churn "$@" attic=/srv/attic; }

start() { godwit job start "$1" --phase transfer >/dev/null 2>&1; }
ended() { until_true 90 "job $1 has ended" job_ended "$1"; }

# A pass over what holds still: it must end well. What the one before could not read (it changed) is in it.
last_pass() { # JOB
    start "$1"
    job_wait "$1" 60 done
    same_tree fs1 "/srv/$1" new1 "/srv/$1"
}

passes_of() { # JOB WORDS: how many passes say so in the agent's journal
    local id
    id=$(godwit job show "$1" -o json | jq -r .id)
    on fs1 journalctl -q --no-pager -u godwit-agent | grep "pass of $id" | grep -c "$2" || true
}

storm() { # JOB LINKS
    local job=$1 i victim pid
    on fs1 mkdir -p "/srv/$job" /srv/attic
    churn "/srv/$job" "$seed" 3000 "links=$2"
    godwit job create files --name "$job" --delete --pair "fs1:/srv/$job=new1:/srv/$job" >/dev/null 2>&1
    godwit job start "$job" >/dev/null 2>&1
    job_wait "$job" 60 done
    for i in $(seq $rounds); do
        seed=$((seed + 1))
        churn "/srv/$job" "$seed" $operations "links=$2" every=200 &
        pid=$!
        start "$job"
        if [ $((i % 4)) = 3 ]; then
            victim=fs1
            [ $((i % 8)) = 3 ] || victim=new1
            say "$job: killing the agent on $victim"
            lab kill $victim godwit-agent
        fi
        ended "$job"
        wait $pid
    done
    last_pass "$job"
    churn "/srv/$job" $((seed + 1000)) 500 "links=$2"
    last_pass "$job"
    show "$job: $(passes_of "$job" 'changed folders') passes by list, $(passes_of "$job" 'full scan') full scans"
    [ "$(passes_of "$job" 'changed folders')" -gt 2 ] || fail "$job: hardly a pass took the list"
    on fs1 journalctl -q --no-pager -u godwit-agent | grep -o 'full scan: .*' | sort | uniq -c
    on fs1 rm -rf "/srv/$job" # both sides are in this machine's memory
    on new1 rm -rf "/srv/$job"
}

say "without hard links"
storm plain 0
say "with hard links"
storm linked 30
say "done"
