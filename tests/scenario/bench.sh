#!/bin/bash
# bench: the bench works: a row of each kind and each peer on tiny trees, and the profiler of the data path.
# limit: 600
set -euo pipefail
top=$(readlink -f "$(dirname "${BASH_SOURCE[0]}")/../..")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAIL: $*" >&2; exit 1; }

"$top/tests/bench/transfer" --quick --json "$work/rows.json"
for peer in rsync ssh tar rclone; do
    jq -e --arg peer $peer '[.[] | select(.peer == $peer and .ratio > 0 and .cpu_ratio > 0 and .wire > 0 and .noise >= 0)
        | .tree] | contains(["mixed-ext4", "onepercent"])' "$work/rows.json" >/dev/null ||
        fail "rows of $peer are missing or empty"
done
jq -e '[.[] | select(.memory and .pass_memory and .files == 10000)] | length == 2' "$work/rows.json" >/dev/null ||
    fail "the agents' memory was not measured, or was too much"
jq -e '[.[] | select(.scaling == "pairs") | .pairs] == [1, 2, 3, 4]' "$work/rows.json" >/dev/null ||
    fail "rows of 1 to 4 pairs are missing"

# What the profiler says of both sides must be nearly all of it, and by phases that are there for certain.
profiled() { # FILE PHASE…
    local file=$1 phase
    shift
    for phase; do
        jq -e --arg phase "$phase" 'any(.phases[]; .phase == $phase and .cost > 0)' "$file" >/dev/null || fail "no $phase in the profile"
    done
    jq -e '(([.phases[] | select(.phase == "other") | .cost] | add // 0) / ([.phases[].cost] | add)) < 0.1' "$file" >/dev/null ||
        fail "a tenth of the profile is of no phase: see tests/bench/phases"
}
profile() { "$top/tests/bench/profile" --build "$top/build/dev" "$@"; }
profile --instructions --scale 100 --json "$work/count.json" small
profiled "$work/count.json" TLS digest walk records rename
if perf record -q -e cpu-clock -o "$work/perf" true 2>/dev/null; then
    profile --runs 1 --scale 20 --json "$work/time.json" small
    profiled "$work/time.json" TLS read write open+close
else
    echo "this machine lets nobody profile: counted instructions only"
fi
