#!/bin/bash
# vmdevices: machines whose disks are block devices (loop devices stand in for volumes and LUNs): from a device into a pool, onto a blank device,
# from device to device, off and running (warm); what is not blank is refused; taken back it is blank again; the source's device is read-only meanwhile.
# limit: 240
# slow
VM_HOSTS="kvm1 kvm2"
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/machines.sh"

loops=()
drop_loops() {
    local one
    for one in "${loops[@]}"; do losetup -d "$one" 2>/dev/null || true; done
}
# device HOST NAME MIB [SECTOR]: /dev/disk-NAME on that host.
device() {
    local file=$work/$2.disk loop number
    truncate -s "$3M" "$file"
    loop=$(losetup -f --show ${4:+-b "$4"} "$file") || skip "no loop devices here"
    loops+=("$loop")
    blockdev --setrw "$loop" # one that was fenced here before stays so under its number
    number=$(stat -c '%Hr %Lr' "$loop")
    on "$1" sh -c "mknod /dev/disk-$2 b $number && head -c 1 /dev/disk-$2 >/dev/null" || skip "the lab's hosts may use no devices"
}
work=$(mktemp -d)
fleet_up kvm1 kvm2
trap 'rc=$?; drop_loops; rm -rf "$work"; finish $rc' EXIT
libvirt_up kvm1 kvm2
for host in kvm1 kvm2; do
    on "$host" sh -c 'mkdir -p /etc/systemd/system/godwit-agent.service.d && printf "[Service]\nDeviceAllow=block-* rwm\n" >/etc/systemd/system/godwit-agent.service.d/devices.conf && systemctl daemon-reload && systemctl restart godwit-agent'
done
until_true 20 "both agents are back" sh -c "'$top/tests/lab/lab' run orch godwit vm hosts -o json | jq -e '.hosts | length == 2' >/dev/null"
sum_of() { on "$1" sh -c "head -c 67108864 $2 | sha256sum" | cut -d' ' -f1; }
device kvm1 here 64
device kvm2 there 80
device kvm1 back 64
device kvm1 again 80
device kvm2 large 80 4096
on_device() { sed "s/type='file' device='disk'/type='block' device='disk'/; s/source file=/source dev=/; s/type='qcow2'/type='raw'/"; }

say "a machine that is off, on a device; where it is to be has to be said"
on kvm1 sh -c "head -c 5000000 /dev/urandom | dd of=/dev/disk-here bs=1M seek=7 conv=notrunc status=none"
machine_xml web 1 /dev/disk-here | on_device | on kvm1 sh -c 'cat >/root/web.xml && virsh -q define /root/web.xml'
sum=$(sum_of kvm1 /dev/disk-here)
rc=0
said=$(godwit vm migrate web --to kvm2 2>&1) || rc=$?
[[ $rc = 8 && $said == *"device at the source"* && $said == *"--device"* ]] || fail "a device without a place: $rc $said"

rc=0
said=$(godwit vm migrate web --to kvm2 --device vda=/dev/disk-large 2>&1) || rc=$?
[[ $rc = 8 && $said == *"fail, sector: vda: sectors of 512 bytes at the source, of 4096 on the device /dev/disk-large"* ]] || fail "a device of larger sectors: $rc $said"
show "$(grep -m1 "fail, sector" <<<"$said" | sed 's/^ *//')"

say "into a pool"
godwit vm migrate web --to kvm2 --pool images --name into --keep 0
is "where it is" "$(machine_state kvm1 web) $(machine_state kvm2 web)" "absent shut off"
is "its disk" "$(sum_of kvm2 $images/disk-here)" "$sum"
is "its definition" "$(on kvm2 virsh dumpxml web | grep -c "file='$images/disk-here'")" 1
is "holes are kept" "$(on kvm2 sh -c "[ \$(stat -c %b $images/disk-here) -lt 30000 ] && echo yes")" yes
is "the source's device" "$(on kvm1 blockdev --getro /dev/disk-here) $(sum_of kvm1 /dev/disk-here)" "0 $sum"

say "and onto a device, which has to be blank"
rc=0
said=$(godwit vm migrate web --to kvm1 --device vda=/dev/disk-here 2>&1) || rc=$?
[[ $rc = 8 && $said == *"not blank"* ]] || fail "a device that is not blank: $rc $said"
is "it" "$(sum_of kvm1 /dev/disk-here)" "$sum"
godwit vm migrate web --to kvm1 --device vda=/dev/disk-back --name onto --keep 0
is "where it is" "$(machine_state kvm1 web) $(machine_state kvm2 web)" "shut off absent"
is "its disk" "$(sum_of kvm1 /dev/disk-back)" "$sum"
is "its definition" "$(on kvm1 virsh dumpxml web | grep -c "dev='/dev/disk-back'")" 1
is "left" "$(on kvm2 ls -A $images)" ""

say "from device to device while it runs, warm"
meter_start 1
on kvm1 virsh -q start web
machine_lives 1
record=$(meter_tell 1 | jq .record)
godwit vm migrate web --to kvm2 --device vda=/dev/disk-there --type warm --stop --name warm
is "where it is" "$(machine_state kvm1 web) $(machine_state kvm2 web)" "absent running"
machine_lives 1
is "its definition" "$(on kvm2 virsh dumpxml web | grep -c "dev='/dev/disk-there'")" 1
on kvm2 virsh -q destroy web
said=$(on kvm2 sh -c "head -c 67108864 /dev/disk-there >/srv/check.raw && /root/godwit-meter check /srv/check.raw; rm /srv/check.raw")
is "records that are missing" "$(jq .missing <<<"$said")" 0
[ "$(jq .last <<<"$said")" -ge "$record" ] || fail "the last records are missing: $said, not $record"

say "taken back: blank again, and the machine where it was"
on kvm1 mv /usr/bin/qemu-storage-daemon /usr/bin/qemu-storage-daemon.away
rc=0
godwit vm migrate web --to kvm1 --device vda=/dev/disk-again --name back || rc=$?
on kvm1 mv /usr/bin/qemu-storage-daemon.away /usr/bin/qemu-storage-daemon
is "state" "$rc $(godwit vm moves back -o json | jq -r '.pairs[0].state')" "1 went back"
is "where it is" "$(machine_state kvm1 web) $(machine_state kvm2 web)" "absent shut off"
is "the device" "$(on kvm1 sh -c "tr -d '\\000' </dev/disk-again | wc -c") $(on kvm2 blockdev --getro /dev/disk-there)" "0 0"
show "devices into a pool, onto a device, device to device while it ran; not blank refused; taken back blank"
