#!/bin/bash
# vmmove: running machines move from the console: live with their storage to the other host, the outage heard from a third one;
# at the end nothing of the move is left on either host, and the machine starts with its host as before.
# limit: 200
VM_HOSTS="kvm1 kvm2"
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/machines.sh"

fleet_up kvm1 kvm2
libvirt_up kvm1 kvm2
meter_start 1
machine_define kvm1 web 1 256M
on kvm1 virsh -q start web
on kvm1 virsh -q autostart web
machine_lives 1

say "the plan"
godwit vm plan web --to kvm2
meter_anew 1
say "the move"
rc=0
said=$(godwit vm migrate web --to kvm2 --keep 1s 2>&1) || rc=$?
echo "$said"
[ $rc -eq 0 ] || fail "exit code $rc"
machine_lives 1
said=$(meter_tell 1)
is "one and the same machine" "$(jq -r '"\(.twice) \(.boots)"' <<<"$said")" "0 0"
is "states" "$(machine_state kvm1 web) $(machine_state kvm2 web)" "absent running"
is "autostart" "$(on kvm2 virsh dominfo web | awk '/^Autostart:/{print $2}')" enable
left() { on "$1" sh -c "find /var/lib/libvirt /var/lib/godwit/agent/vm /run/godwit-vm -name '*godwit-*' -o -path '*/agent/vm/*.note' -o -name '*.memory' -o -type s 2>/dev/null" | grep -vx -e '/var/lib/libvirt/qemu/.*' -e /run/godwit-vm | sort; }
is "left at the destination" "$(left kvm2)" ""
# What the source kept for a second goes when its agent is asked for something about machines.
nothing_left() { godwit vm plan web --to kvm1 >/dev/null 2>&1 || true; [ -z "$(left kvm1)$(on kvm1 ls -A "$images")" ]; }
until_true 30 "nothing is left at the source" nothing_left
record=$(meter_tell 1 | jq .record)
on kvm2 virsh -q destroy web
machine_check kvm2 "$images/web.qcow2" "$record" >/dev/null
show "live with storage by the console: $said"
