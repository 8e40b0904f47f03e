#!/bin/bash
# guest: the machine by which all tests of moves judge, moved back and forth by libvirt alone: its heartbeat says how long
# it was silent, and no record that it knew to be on its disk is missing there.
# limit: 150
# slow: libvirt alone; vmlive has the same machine move by Godwit
VM_HOSTS="kvm1 kvm2"
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/machines.sh"

lab_up orch kvm1 kvm2
LIBVIRT_TCP=yes libvirt_up kvm1 kvm2
meter_start 1

say "a machine that lives"
machine_define kvm1 web 1 256M
on kvm1 virsh -q start web
machine_lives 1

say "moved with its disk to the other host and back, while it writes"
for way in "kvm1 kvm2" "kvm2 kvm1"; do
    read -r from to <<<"$way"
    meter_anew 1
    on "$from" virsh -q migrate --live --p2p --persistent --undefinesource --copy-storage-all web "qemu+tcp://$to/system" >/dev/null
    machine_lives 1
    said=$(meter_tell 1)
    [ "$(jq -r '"\(.twice) \(.boots)"' <<<"$said")" = "0 0" ] || fail "not one and the same machine: $said"
    [ "$(machine_state "$from" web) $(machine_state "$to" web)" = "absent running" ] || fail "not moved to $to"
    show "$from to $to: $said"
    on "$from" rm -f "$images/web.qcow2"
    on "$from" virsh -q pool-refresh images
done

say "what its disk has"
record=$(meter_tell 1 | jq .record)
on kvm1 virsh -q destroy web
show "$(machine_check kvm1 "$images/web.qcow2" "$record")"
