#!/bin/bash
# vmtypes: a running machine by each way of moving, chosen by the console: its heartbeat and its records are heard from a third
# host. Storage that both hosts see (proven by a mark): live, quick, off and started there. Storage of each host's own: warm, warm
# quick. Storage alone, on one host: running and off. No record is missing, nothing is left.
# limit: 420
# slow
VM_HOSTS="kvm1 kvm2"
export LAB_SHARED=1
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/machines.sh"

fleet_up kvm1 kvm2
libvirt_up kvm1 kvm2
for host in kvm1 kvm2; do
    on $host sh -c "virsh -q pool-define-as shared dir --target /shared >/dev/null && virsh -q pool-start shared"
    on $host sh -c "mkdir -p /srv/other && virsh -q pool-define-as other dir --target /srv/other >/dev/null && virsh -q pool-start other"
done
meter_start 1
meter_start 2

# left HOST: what moves left there, by name.
left() {
    on "$1" sh -c "find /var/lib/libvirt /shared /srv/other /var/lib/godwit/agent/vm /run/godwit-vm -name '*godwit-*' -o -path '*/agent/vm/*.note' -o -name '*.memory' -o -type s 2>/dev/null" |
        grep -vx -e '/var/lib/libvirt/qemu/.*' -e /run/godwit-vm | sort || true
}
nothing_left() { # HOST: what is kept for a second goes when its agent is asked about machines
    godwit vm plan "$2" --to "$3" >/dev/null 2>&1 || true
    [ -z "$(left "$1")" ]
}

# moves TYPE MACHINE NUMBER FROM TO BOOTS [OPTION…]: by the console, as that type, seen from outside.
moves() {
    local type=$1 machine=$2 number=$3 from=$4 to=$5 boots=$6 said rc=0
    shift 6
    meter_anew "$number"
    said=$(godwit vm migrate "$machine" --to "$to" --type "$type" --keep 1s --name "$type" "$@" 2>&1) || rc=$?
    [ $rc -eq 0 ] || fail "$type: exit code $rc: $said$(godwit vm moves "$type" 2>&1)"
    machine_lives "$number"
    said=$(meter_tell "$number")
    is "$type: twice, boots" "$(jq -r '"\(.twice) \(.boots)"' <<<"$said")" "0 $boots"
    [ "$from" = "$to" ] || is "$type: states" "$(machine_state "$from" "$machine") $(machine_state "$to" "$machine")" "absent running"
    until_true 30 "$type: nothing is left at $from: $(left "$from")" nothing_left "$from" "$machine" "$from"
    is "$type: left at $to" "$(left "$to")" ""
    show "$type: silent for $(jq .gap_ms <<<"$said") ms, $(jq .lost <<<"$said") heartbeats lost, $(godwit vm moves "$type" -o json | jq -c '.pairs[0] | [.promise.outage_ms, .fact.outage_ms, .fact.bytes]') (promised ms, ms, bytes)"
}

say "storage that both see"
on kvm1 qemu-img create -q -f qcow2 /shared/web.qcow2 256M
machine_xml web 1 /shared/web.qcow2 | on kvm1 sh -c "virsh -q pool-refresh shared && cat >/root/web.xml && virsh -q define /root/web.xml && virsh -q start web"
machine_lives 1
moves live web 1 kvm1 kvm2 0
moves quick web 1 kvm2 kvm1 0
moves san web 1 kvm1 kvm2 1 --stop --stop-timeout 2s --force-off
record=$(meter_tell 1 | jq .record)
on kvm2 virsh -q destroy web
machine_check kvm2 /shared/web.qcow2 "$record" >/dev/null
on kvm2 virsh -q undefine web

say "storage of their own"
machine_define kvm1 app 2 256M
on kvm1 virsh -q start app
machine_lives 2
moves warm-quick app 2 kvm1 kvm2 0
moves warm app 2 kvm2 kvm1 1 --stop
moves live-vsm app 2 kvm1 kvm2 0

say "storage alone"
moves live-storage app 2 kvm2 kvm2 0 --pool other
is "its disk, running" "$(on kvm2 virsh -q domblklist app | awk '{print $2}')" /srv/other/app.qcow2
record=$(meter_tell 2 | jq .record)
on kvm2 virsh -q destroy app
is "its disk, of its next start" "$(on kvm2 virsh -q domblklist app --inactive | awk '{print $2}')" /srv/other/app.qcow2
machine_check kvm2 /srv/other/app.qcow2 "$record" >/dev/null
sum=$(on kvm2 sha256sum /srv/other/app.qcow2 | cut -d' ' -f1)
godwit vm migrate app --to kvm2 --type quick-storage --keep 1s --name off --pool images
is "its disk, off" "$(on kvm2 virsh -q domblklist app | awk '{print $2}')" $images/app.qcow2
is "its content" "$(on kvm2 sha256sum $images/app.qcow2 | cut -d' ' -f1)" "$sum"
