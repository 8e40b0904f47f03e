#!/bin/bash
# adapt: what a transfer makes of its link: fewer bytes on the wire where content compresses, next to no cost where it
# does not, more lanes where one is not enough, and no more than asked for.
# limit: 180
. "$(dirname "$0")/lib.sh"

python3 - "$work/text" "$work/noise" "$(long && echo 6 || echo 3)" <<'END'
import os, random, sys
r = random.Random(3)
words = [bytes(r.choices(b"abcdefghijklmnopqrstuvwxyz", k=r.randrange(2, 10))) for _ in range(2000)]
os.makedirs(sys.argv[1] + "/small"), os.makedirs(sys.argv[2])
for i in range(500):
    open(f"{sys.argv[1]}/small/{i}", "wb").write(b" ".join(r.choices(words, k=1500)))
text = b" ".join(r.choices(words, k=1 << 20))
for i in range(int(sys.argv[3])):
    open(f"{sys.argv[1]}/big{i}", "wb").write(text)
    open(f"{sys.argv[2]}/big{i}", "wb").write(os.urandom(32 << 20))
END
fleet_up

ticks() { awk '/^cpu /{print $5 + $6, $2 + $3 + $4 + $5 + $6 + $7 + $8 + $9}' /proc/stat; } # idle, all

# Only a machine with time to spare is one whose link can be the limit: what else runs here decides that too.
idle_since() { # IDLE ALL: percent of the machine that had nothing to do since
    local idle all
    read -r idle all < <(ticks)
    echo $(((idle - $1) * 100 / (all - $2 + 1)))
}

run() { # JOB TREE [OPTION…]: sets sent (bytes that left the host), took (ms), raw (bytes of the tree), idle (percent)
    local job=$1 tree=$2 before start began
    shift 2
    began=$(ticks)
    before=$(ip -n "$ns-src" -j -s link show eth0 | jq '.[0].stats64.tx.bytes')
    start=$(now_ms)
    job_start "$job" "$work/$tree" "$work/to-$job" "$@"
    job_end "$job" 90 done
    took=$(($(now_ms) - start))
    # shellcheck disable=SC2086
    idle=$(idle_since $began)
    sent=$(($(ip -n "$ns-src" -j -s link show eth0 | jq '.[0].stats64.tx.bytes') - before))
    raw=$(du -sb "$work/$tree" | cut -f1)
    same "$work/$tree" "$work/to-$job"
    rm -rf "$work/to-$job"
}

run text-on text --compress on
[ $sent -lt $((raw * 7 / 10)) ] || fail "compress on: $sent of $raw bytes went out"
[ "$(report text-on .totals.wire_bytes)" -lt $((raw * 7 / 10)) ] || fail "the report tells $(report text-on .totals.wire_bytes) wire bytes"
passed "compress on: $sent bytes on the wire for $raw"
run text-off text --compress off
[ $sent -ge $raw ] || fail "compress off: $sent of $raw bytes"
passed "compress off: $sent bytes on the wire for $raw"
link_rate dst 100mbit
run text-auto text
if [ "$idle" -lt 40 ]; then
    show "not judged: only $idle% of the machine was idle, so the link was not the limit ($sent bytes for $raw)"
else
    [ $sent -lt $((raw * 9 / 10)) ] || fail "compress auto on a link of 100 Mbit/s: $sent of $raw bytes went out"
    passed "compress auto finds out that a link of 100 Mbit/s is the limit: $sent bytes for $raw"
fi
link_rate dst off

say "what does not compress"
cpu_of() { awk '{print $14 + $15}' "/proc/$(pid_of src)/stat"; }
declare -A cpu=([auto]=0 [off]=0)
# One round tells little on a machine that others use too: more of them until it is clear, or five.
dear() { [ ${cpu[auto]} -gt $((cpu[off] * 115 / 100 + 3)) ]; }
rounds=0
while [ $rounds -lt 5 ] && { long || [ $rounds = 0 ] || dear; }; do
    rounds=$((rounds + 1))
    for how in off auto; do
        before=$(cpu_of)
        run "noise-$how-$rounds" noise --compress $how
        cpu[$how]=$((cpu[$how] + $(cpu_of) - before))
        [ $sent -lt $((raw * 104 / 100)) ] || fail "$how: $sent bytes for $raw"
    done
done
show "processor ticks of the source for $((rounds * raw)) bytes of noise: off ${cpu[off]}, auto ${cpu[auto]}"
! dear || fail "auto costs ${cpu[auto]} ticks, off ${cpu[off]}"
passed "compress auto on noise: no more bytes, processor time ${cpu[auto]} against ${cpu[off]} ticks"

say "lanes"
most_lanes() { # JOB: while it runs
    local n most=0
    until job_ended "$1"; do
        n=$(job_field "$1" '[.pairs[].counters.lanes // 0] | max')
        [ "${n:-0}" -le $most ] || most=$n
        sleep 0.1
    done
    echo $most
}
link_rate dst 200mbit
began=$(ticks)
job_start grows "$work/noise" "$work/to-grows"
many=$(most_lanes grows)
job_end grows 90 done
# shellcheck disable=SC2086
idle=$(idle_since $began)
rm -rf "$work/to-grows"
job_start fixed "$work/noise" "$work/to-fixed" --lanes 3
three=$(most_lanes fixed)
job_end fixed 90 done
rm -rf "$work/to-fixed"
link_rate dst off
began=$(ticks)
job_start fast "$work/noise" "$work/to-fast"
few=$(most_lanes fast)
job_end fast 90 done
# shellcheck disable=SC2086
quiet=$(idle_since $began)
[ "$quiet" -ge "$idle" ] || idle=$quiet
[ "$three" = 3 ] || fail "--lanes 3 gave $three"
[ "$many" -gt "$few" ] || [ "$idle" -lt 40 ] || fail "a slow link got $many lanes, a fast one $few"
[ "$many" -le 8 ] || fail "$many lanes"
passed "lanes: $many where the link is the limit ($idle% idle), $few where it is not, 3 when told so"
say done
