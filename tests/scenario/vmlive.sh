#!/bin/bash
# vmlive: a running machine moves with its storage, all streams over lanes: no port but the agents' is open, it is one and the
# same machine, nothing that it wrote is missing; a move that is given up, and one whose link is lost, leave it running here.
# limit: 150
VM_HOSTS="kvm1 kvm2"
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/machines.sh"

stage_lab
machine_define kvm1 web 1 256M
on kvm1 virsh -q start web
machine_lives 1

move=(type=6 runs=1 "uuid=$(machine_uuid 1)" name=web
    "disk=vda:2:$images/web.qcow2:$images/web.qcow2:qcow2:268435456")
here() {
    machine_lives 1
    is "states" "$(machine_state kvm1 web) $(machine_state kvm2 web)" "running absent"
    stages "both migrate undo" "both state undo" "destination reserve undo" "source forget do" "destination forget do"
    is "left at the destination" "$(leftovers kvm2)$(on kvm2 ls "$images")" ""
    is "left at the source" "$(leftovers kvm1)" ""
    is "sockets left" "$(on kvm1 find /run/godwit-vm -type s)$(on kvm2 find /run/godwit-vm -type s)" ""
}

say "a promise that cannot be kept: given up in time, the machine runs on"
stages "destination reserve do" "both state do"
said=$(move+=(rate=1048576 duration=3) && stage both migrate do) && fail "a move of minutes kept a promise of 3 s"
[[ $said == *"given up in time"* ]] || fail "not said: $said"
here

say "live, with its storage"
meter_anew 1
stages "destination reserve do" "both state do" "both migrate do"
machine_lives 1
said=$(meter_tell 1)
is "one and the same machine" "$(jq -r '"\(.twice) \(.boots)"' <<<"$said")" "0 0"
is "states" "$(machine_state kvm1 web) $(machine_state kvm2 web)" "absent running"
is "open ports" "$(on kvm1 ss -Hltn | grep -vc ':22 ')$(on kvm2 ss -Hltn | grep -vc ':22 ')" 00
stages "source fence do" "destination answers do" "source drop do" "destination adopt do" "source forget do" "destination forget do"
is "left at the source" "$(leftovers kvm1)$(on kvm1 ls "$images")" ""
is "left at the destination" "$(leftovers kvm2)" ""
record=$(meter_tell 1 | jq .record)
on kvm2 virsh -q destroy web
machine_check kvm2 "$images/web.qcow2" "$record" >/dev/null
show "live with storage over lanes: $said"
