#!/bin/bash
# faults: in the middle of a transfer each process is killed in turn, and each link is cut for 10 s: same end.
# limit: 900
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/trees.sh"

fleet_up fs1 new1
say "making the tree"
real_tree fs1 /srv/data share/doc bin
big_files fs1 /srv/data/big 3 100
total=$(on fs1 du -sb /srv/data | cut -f1)
lab rate new1 400 # slow enough that the middle is well before the end: bytes count once they are durable

pull_for_10_s() { # A B: the clock decides here, not a condition
    lab cut "$1" "$2"
    sleep 10
    lab heal "$1" "$2"
}

# run_case NAME CMD…: a job whose transfer meets CMD when a quarter is done.
run_case() {
    local name=$1 start end sent0 sent1
    shift
    say "case $name"
    godwit job create files --name "$name" --pair "fs1:/srv/data=new1:/srv/$name" >/dev/null 2>&1
    read -r _ sent0 _ < <(lab counters fs1)
    start=$(now_ms)
    godwit job start "$name" >/dev/null 2>&1
    job_under_way "$name" $((total / 4))
    "$@"
    until_true 20 "the orchestrator answers" godwit status >/dev/null 2>&1
    job_wait "$name" 150 done
    end=$(now_ms)
    read -r _ sent1 _ < <(lab counters fs1)
    show "$name: done in $((end - start)) ms, sent again: $(job_number "$name" '.totals.again_bytes // 0') of $total bytes (fs1 sent $((sent1 - sent0)) in all)"
    same_tree fs1 /srv/data new1 "/srv/$name"
    [ -z "$(on new1 find "/srv/$name" -name '.godwit-*')" ] || fail "$name left temporary files"
    on new1 rm -rf "/srv/$name"
}

# ONLY=kill-source: one case.
case_of() { [ -n "${ONLY:-}" ] && [ "$ONLY" != "$1" ] || run_case "$@"; }

case_of nothing true
case_of kill-source lab kill fs1 godwit-agent
case_of kill-destination lab kill new1 godwit-agent
case_of kill-orchestrator lab kill orch godwitd
case_of cut-data pull_for_10_s fs1 new1
case_of cut-source pull_for_10_s fs1 orch
case_of cut-destination pull_for_10_s new1 orch
say "done"
