#!/bin/bash
# vmqueue: six machines move with a limit of two: never more at once, in the order in which they were named, each place in the queue
# told, the bandwidth as set; then the host is emptied again while other moves are on their way to the only place with room.
# limit: 300
# slow
VM_HOSTS="kvm1 kvm2"
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/machines.sh"

fleet_up kvm1 kvm2
libvirt_up kvm1 kvm2
say "six machines with 24 MiB of noise each"
for n in 1 2 3 4 5 6; do
    machine_define kvm1 "m$n" "$n" 64M
    on kvm1 sh -c "head -c 25165824 /dev/urandom >/srv/noise && qemu-img convert -f raw -O qcow2 /srv/noise $images/m$n.qcow2 && rm /srv/noise"
done

say "at most two at once, 16 MiB/s"
began=$(now_ms)
godwit vm migrate m3 m1 m6 m2 m5 m4 --to kvm2 --at-once 2 --rate 16MiB/s --keep 0 --name six --detach
most=0 queue=
while :; do
    doc=$(godwit vm moves six -o json)
    n=$(jq '[.pairs[] | select(.pair_state == "running")] | length' <<<"$doc")
    [ "$n" -le "$most" ] || most=$n
    [ "$n" -lt 2 ] || [ -n "$queue" ] || queue=$(jq -r '[.pairs[] | select(.pair_state == "waiting") | .machine] | join(" ")' <<<"$doc")
    [ "$n" -lt 2 ] || [ -n "${reason:-}" ] || reason=$(jq -r '[.pairs[] | select(.pair_state == "waiting") | .pair_reason][0] // empty' <<<"$doc")
    [ "$n" -lt 2 ] || [ -n "${table:-}" ] || table=$(godwit vm moves six | grep -m1 "in the queue" || true)
    case $(jq -r .state <<<"$doc") in done) break ;; failed | partly*) fail "the job failed: $doc" ;; esac
    sleep 0.2
done
took=$(($(now_ms) - began))
is "most at once" "$most" 2
is "the queue" "$queue" "m6 m2 m5 m4"
[[ $reason == *"at its limit of 2 pairs"* ]] || fail "why they wait: '$reason'"
[[ $table == *"no. 1 in the queue"* ]] || fail "its place is not told: '$table'"
order=$(godwit vm moves six -o json | jq -r '[.pairs[] | {machine, at: ([.stages[] | select(.id == "look") | .at_ms][0])}] | sort_by(.at) | [.[].machine] | join(" ")')
is "order" "$order" "m3 m1 m6 m2 m5 m4"
is "states" "$(godwit vm moves six -o json | jq -r '[.pairs[].state] | unique | join(" ")')" moved
[ $took -ge 8500 ] || fail "144 MiB in $took ms: faster than 16 MiB/s"
show "six machines, two at once, in their order, 144 MiB in $took ms at 16 MiB/s"

say "emptied: what is on its way there counts"
free=$(godwit vm hosts -o json | jq '[.hosts[] | select(.host == "kvm1") | .memory_free_bytes][0] / 1048576 | floor')
MEMORY=$((free * 6 / 10)) machine_define kvm2 big 7 64M
on kvm2 sh -c "head -c 50331648 /dev/urandom >/srv/noise && qemu-img convert -f raw -O qcow2 /srv/noise $images/big.qcow2 && rm /srv/noise"
MEMORY=$((free * 6 / 10)) machine_define kvm2 other 8 64M
godwit vm migrate big --to kvm1 --rate 4MiB/s --keep 0 --name slow --detach
rc=0
said=$(godwit vm plan other --to kvm1) || rc=$?
[[ $rc = 8 && $said == *"fail, memory: "*"of it for others that come as well"* ]] || fail "what is on its way is not counted: $rc $said"
rc=0
said=$(godwit vm evacuate kvm2 --plan-only -o json) || rc=$?
is "exit code" $rc 8
is "who stays" "$(jq -r '[.plans[] | select(.ok | not) | .machine] | unique | join(" ")' <<<"$said")" "big other"
until_true 120 "big is there" sh -c "'$top/tests/lab/lab' run orch godwit vm moves slow -o json | jq -e '.state == \"done\"' >/dev/null"
is "big" "$(machine_state kvm1 big)" "shut off"
godwit vm evacuate kvm2 --at-once 2 --keep 0 --partial --name rest || true
is "left" "$(on kvm2 virsh list --all --name | grep -v '^$' | tr '\n' ' ')" ""
show "a host is emptied by what its destination has left, with what is on its way there"
