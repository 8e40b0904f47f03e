#!/bin/bash
# vmbad: what may not move, on real hosts: each bad input is stopped by validation when the move is asked for, with its remedy,
# and both hosts are byte for byte what they were: definitions, files, pools, what the agents noted.
# limit: 240
# slow
VM_HOSTS="kvm1 kvm2"
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/machines.sh"

fleet_up kvm1 kvm2
libvirt_up kvm1 kvm2
# Of the machine that must not move, for `vm migrate`: its name is "bad", its UUID number 1.
bad() { # [DEVICES [CPU [DISK]]]
    machine_xml bad 1 "${3:-$images/bad.qcow2}" 0 "${1:-}" | sed "s#<cpu .*</cpu>#${2:-&}#" | on kvm1 sh -c 'cat >/root/bad.xml && virsh -q define /root/bad.xml'
}
state_of() { # HOST
    on "$1" sh -c "virsh list --all --uuid; for m in \$(virsh list --all --name); do virsh dumpxml \$m; done; find $images /var/lib/godwit/agent/vm /root/foreign -type f -printf '%p %s %T@ %i %m\n' 2>/dev/null | sort; find $images -type f -size -70M | sort | xargs -r sha256sum" 2>/dev/null
}
clean() { on kvm1 sh -c "virsh -q undefine bad 2>/dev/null; rm -f $images/*"; on kvm2 sh -c "virsh -q undefine bad 2>/dev/null; umount $images 2>/dev/null; rm -f $images/*; true"; }
new_disk() { on kvm1 qemu-img create -q -f qcow2 "$images/bad.qcow2" 64M; }
lines=0
# stops WHAT CHECK EVIDENCE REMEDY [OPTION…]: migrate is refused by this check and nothing has changed
stops() {
    local what=$1 check=$2 evidence=$3 remedy=$4 before said rc=0
    shift 4
    before=$(state_of kvm1; state_of kvm2)
    said=$(godwit vm migrate bad --to kvm2 "$@" 2>&1) || rc=$?
    [ $rc = 8 ] || fail "$what: exit code $rc: $said"
    [[ $said == *"fail, $check: "*"$evidence"* ]] || fail "$what: not stopped by $check ($evidence): $said"
    [[ $said == *"remedy: $remedy"* ]] || fail "$what: no remedy '$remedy': $said"
    [ "$(state_of kvm1; state_of kvm2)" = "$before" ] || fail "$what: something was changed: $(diff <(echo "$before") <(state_of kvm1; state_of kvm2) | head -5)"
    show "$what: $(grep -m1 "fail, $check: " <<<"$said" | sed 's/^ *//' | cut -c1-150)"
    lines=$((lines + 1))
    clean
}

new_disk
bad "" "<cpu mode='custom' match='exact'><model>Icelake-Server</model></cpu>"
stops "a processor that nobody has" cpu-start "" "give it a processor model that the destination has"

new_disk
bad "<interface type='bridge'><source bridge='no-such-br'/></interface>"
stops "a network that is missing" networks "bridge no-such-br is not here" "make a bridge or network of that name on the destination"

new_disk
bad
on kvm2 ip link set br0 mtu 1400
stops "a bridge that carries less than the source's" mtu "br0 here carries packets of 1400 bytes, what it hangs on at the source carries 1500" "give that bridge or device"
on kvm2 ip link set br0 mtu 1500

new_disk
bad
lab cut kvm1 kvm2 1200
stops "a way between the hosts that swallows large packets" path "packets of 1500 bytes from kvm1 to $(lab ip kvm2):" "give all on the way the same MTU"
lab heal kvm1 kvm2

new_disk
bad
on kvm2 mount -t tmpfs -o size=1M full "$images"
stops "a full pool" space "its disks may grow to 64" "make room there, or name another pool with --pool"

new_disk
bad
on kvm2 sh -c "echo mine >$images/bad.qcow2"
stops "a disk that is there already" disk-absent "something else lies at $images/bad.qcow2" "take away what lies there, or name another place"

new_disk
bad "<hostdev mode='subsystem' type='pci'><source><address domain='0x0000' bus='0x01' slot='0x00' function='0x0'/></source></hostdev>"
stops "a device that is passed through" devices "passed through from its host: pci 0000:01:00.0" "detach the device (virsh detach-device)"

on kvm1 sh -c "qemu-img create -q -f qcow2 $images/base.qcow2 64M && qemu-img create -q -f qcow2 -F qcow2 -b $images/base.qcow2 $images/bad.qcow2 && rm $images/base.qcow2"
bad
stops "a chain that is broken" chain "$images/base.qcow2: No such file or directory" "repair the chain (qemu-img rebase), merge it (virsh blockpull), or move the disk as one image (--flatten)"

on kvm1 qemu-img create -q -u -f qcow2 -F raw -b /etc/shadow "$images/bad.qcow2" 64M
bad
stops "an image that names a foreign file below it" image-header "names /etc/shadow, which lies in no storage pool" "look into it with qemu-img info -U"

on kvm1 sh -c "mkdir -p /root/foreign && qemu-img create -q -f qcow2 -o data_file=/root/foreign/data.raw $images/bad.qcow2 64M"
bad
stops "an image that names a foreign file for its data" image-header "names another file for its data: /root/foreign/data.raw" "look into it with qemu-img info -U"

on kvm1 qemu-img create -q -u -f qcow2 -F raw -b 'json:{"driver":"nbd","host":"192.0.2.1"}' "$images/bad.qcow2" 64M
bad
stops "an image that names a server" chain "no path of this host" "repair the chain"

on kvm1 sh -c "qemu-img create -q -u -f qcow2 -F raw -b /dev/vda $images/bad.qcow2 64M"
bad
stops "an image that names a device" chain "/dev/vda" "repair the chain"

on kvm1 sh -c "qemu-img create -q -f qcow2 $images/bad.qcow2 64M && truncate -s 50 $images/bad.qcow2"
bad
stops "an image that is cut short" chain "cut short" "repair the chain"

new_disk
bad
on kvm2 sh -c "qemu-img create -q -f qcow2 /srv/x.qcow2 1M"
machine_xml bad 9 /srv/x.qcow2 | on kvm2 sh -c 'cat >/root/x.xml && virsh -q define /root/x.xml'
stops "another machine of its name" absent "another machine of its name is here" "rename or remove the other machine there" --host kvm1

new_disk
bad
stops "libvirt's own TLS where nobody listens" trust "kvm1 gets no connection to kvm2 at $(lab ip kvm2):16514: Connection refused" "open that port of the destination for the source" --own-tcp

new_disk
bad
lab cut kvm1 kvm2
stops "two hosts that do not reach each other" trust "kvm1 gets no connection to kvm2 at $(lab ip kvm2):" "open that port of the destination for the source"
lab heal kvm1 kvm2

new_disk
bad
on kvm2 sh -c 'systemctl stop "libvirtd*.socket" libvirtd'
before=$(state_of kvm1)
rc=0
said=$(godwit vm migrate bad --to kvm2 2>&1) || rc=$?
[[ $rc = 8 && $said == *"fail, hypervisors: kvm2: libvirt does not answer"*"remedy: start libvirt on it (systemctl start libvirtd)"* ]] || fail "libvirt down at the destination: $rc $said"
on kvm2 systemctl start libvirtd
on kvm1 sh -c 'systemctl stop "libvirtd*.socket" libvirtd'
rc=0
said=$(godwit vm migrate bad --host kvm1 --to kvm2 2>&1) || rc=$?
[[ $rc = 8 && $said == *"fail, hypervisors: kvm1: libvirt does not answer"* ]] || fail "libvirt down at the source: $rc $said"
on kvm1 systemctl start libvirtd
until_true 20 "libvirt answers again" on kvm1 virsh -q list >/dev/null
[ "$(state_of kvm1)" = "$before" ] || fail "libvirt down: something was changed"
show "libvirt that is down, at either host: named with its remedy"
show "$((lines + 2)) bad inputs stopped by validation with their remedies, nothing changed"
