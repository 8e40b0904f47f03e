#!/bin/bash
# vmcold: a machine that is off moves stage by stage: its images through the transfer engine, its definition, snapshots and
# autostart from agent to agent; taken back it leaves nothing; gone through it lives at the destination and no record is missing.
# limit: 150
VM_HOSTS="kvm1 kvm2"
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/machines.sh"

stage_lab

say "a machine with records, a second disk, a snapshot, and autostart; off now"
on kvm1 sh -c "qemu-img create -q -f raw $images/web-data.raw 32M && head -c 3000000 /dev/urandom | dd of=$images/web-data.raw conv=notrunc bs=1M seek=9 status=none"
machine_define kvm1 web 1 256M 0 "<disk type='file' device='disk'><driver name='qemu' type='raw' cache='none'/><source file='$images/web-data.raw'/><target dev='vdb' bus='virtio'/></disk>"
on kvm1 virsh -q start web
machine_lives 1
record=$(meter_tell 1 | jq .record)
on kvm1 virsh -q destroy web
on kvm1 virsh -q autostart web
sum=$(on kvm1 sha256sum "$images/web-data.raw" | cut -d' ' -f1)

move=(type=1 "uuid=$(machine_uuid 1)" name=web
    "disk=vda:2:$images/web.qcow2:$images/web.qcow2:qcow2:268435456"
    "disk=vdb:2:$images/web-data.raw:$images/web-data.raw:raw:33554432")
there=("destination reserve do" "both copy do" "both state do" "source fence do" "destination define do" "destination start do")

say "there, and all of it taken back"
stages "${there[@]}"
is "state at the destination" "$(machine_state kvm2 web)" running
on kvm1 virsh -q start web 2>/dev/null && fail "the source's machine started although its images are fenced"
stages "destination start undo" "destination define undo" "source fence undo" "both copy undo" "destination reserve undo" \
    "source forget do" "destination forget do"
is "destination after the way back" "$(machine_state kvm2 web)" absent
is "left at the destination" "$(leftovers kvm2)$(on kvm2 ls "$images")" ""
is "left at the source" "$(leftovers kvm1)" ""
is "the source's disk" "$(on kvm1 sha256sum "$images/web-data.raw" | cut -d' ' -f1)" "$sum"

say "something in the way is not replaced"
on kvm2 sh -c "echo mine >$images/web.qcow2"
said=$(stage destination reserve do) && fail "an existing image was no obstacle"
[[ $said == *"something is there already"* ]] || fail "not named: $said"
stages "destination reserve undo"
is "the file in the way" "$(on kvm2 cat "$images/web.qcow2")" mine
on kvm2 rm "$images/web.qcow2"

say "there for good; each stage twice, as after a crash"
for one in "${there[@]}" "destination answers do" "source drop do" "destination adopt do"; do
    stages "$one"
    [[ $one == *adopt* ]] || stages "$one"
done
stages "source forget do" "destination forget do"
machine_lives 1
is "states" "$(machine_state kvm1 web) $(machine_state kvm2 web)" "absent running"
is "autostart" "$(on kvm2 virsh dominfo web | awk '/^Autostart:/{print $2}')" enable
is "left at the source" "$(leftovers kvm1)$(on kvm1 ls "$images")" ""
is "left at the destination" "$(leftovers kvm2)" ""
is "the second disk" "$(on kvm2 sha256sum "$images/web-data.raw" | cut -d' ' -f1)" "$sum"
is "holes of the second disk are kept" "$(on kvm2 sh -c "[ \$(stat -c %b $images/web-data.raw) -lt 20000 ] && echo yes")" yes
on kvm2 virsh -q destroy web
machine_check kvm2 "$images/web.qcow2" >/dev/null
show "moved off: disks equal, definition and autostart there, nothing left on either host; taken back: nothing left"
