#!/bin/bash
# vmchain: machines whose disks stand on a shared base image move by the console, off and running: the base goes once, by its
# content, the chain is the same there; a base that is another one stops it; taken back, the base goes as long as nobody stands on it;
# one flat image when that is asked for. Then what a machine has beside its disks: snapshots of both kinds, saved memory.
# limit: 420
# slow
VM_HOSTS="kvm1 kvm2"
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/machines.sh"

fleet_up kvm1 kvm2
libvirt_up kvm1 kvm2
sum_of() { on "$1" sh -c "qemu-img convert -U -O raw $images/$2 /srv/sum.raw && sha256sum </srv/sum.raw | cut -d' ' -f1; rm -f /srv/sum.raw"; }
chain_of() { on "$1" qemu-img info -U --backing-chain --output json "$images/$2" | jq -r '[.[] | .filename | split("/") | last] | join(" ")'; }
# overlay_define NAME NUMBER: a machine on an overlay of base.qcow2
overlay_define() {
    on kvm1 sh -c "qemu-img create -q -f qcow2 -F qcow2 -b $images/base.qcow2 $images/$1.qcow2 && virsh -q pool-refresh images"
    machine_xml "$1" "$2" "$images/$1.qcow2" | on kvm1 sh -c "cat >/root/$1.xml && virsh -q define /root/$1.xml"
}
fact() { godwit vm moves "$1" -o json | jq -r ".pairs[0].$2"; }

say "three machines on one base"
on kvm1 sh -c "qemu-img create -q -f raw /srv/c.raw 64M && head -c 24000000 /dev/urandom | dd of=/srv/c.raw conv=notrunc bs=1M seek=4 status=none
    qemu-img convert -O qcow2 /srv/c.raw $images/base.qcow2 && rm /srv/c.raw && chmod 444 $images/base.qcow2"
for n in 1 2 3; do overlay_define "m$n" "$n"; done
on kvm1 sh -c "qemu-io -f qcow2 -c 'write -P 0x5a 1M 2M' $images/m1.qcow2 >/dev/null"
sum=$(sum_of kvm1 m1.qcow2)

say "another image under the base's name stops it before anything is done"
on kvm2 qemu-img create -q -f qcow2 "$images/base.qcow2" 32M
rc=0
said=$(godwit vm plan m1 --to kvm2) || rc=$?
[[ $rc = 8 && $said == *"fail, chain: vda: something else lies where $images/base.qcow2 would be"*"--flatten"* ]] || fail "not stopped: $rc $said"
on kvm2 rm "$images/base.qcow2"

say "one of the same size and another content stops it too, and all is taken back"
on kvm2 qemu-img create -q -f qcow2 "$images/base.qcow2" 64M
rc=0
godwit vm migrate m1 --to kvm2 --name other >/dev/null 2>&1 || rc=$?
is "exit code" $rc 1
is "state" "$(fact other state)" "went back"
[[ $(fact other why) == *"another image of that name is at the destination"* ]] || fail "not said: $(fact other why)"
on kvm2 rm "$images/base.qcow2"
is "left there" "$(on kvm2 ls -A "$images")" ""

say "the first brings the base, the second finds it"
godwit vm migrate m1 --to kvm2 --keep 0 --name one
is "chain there" "$(chain_of kvm2 m1.qcow2)" "m1.qcow2 base.qcow2"
is "content there" "$(sum_of kvm2 m1.qcow2)" "$sum"
is "left at the source" "$(on kvm1 ls -A "$images" | tr '\n' ' ')" "base.qcow2 m2.qcow2 m3.qcow2 "
first=$(fact one fact.bytes)
godwit vm migrate m2 --to kvm2 --name two
[ "$first" -gt 20000000 ] && [ "$(fact two fact.bytes)" -lt 2000000 ] || fail "the base went twice: $first, $(fact two fact.bytes)"
[[ $(godwit vm moves two -o json | jq -r '.pairs[0].stages[] | select(.id == "bases") | .after') == "0 of 1 "* ]] || fail "it is not said that the base was there"

say "a running one, live: the overlay alone goes"
meter_start 3
on kvm1 virsh -q start m3
machine_lives 3
is "type" "$(godwit vm plan m3 --to kvm2 -o json | jq -r '.plans[0].type')" live-vsm
godwit vm migrate m3 --to kvm2 --name three
machine_lives 3
is "states" "$(machine_state kvm1 m3) $(machine_state kvm2 m3)" "absent running"
is "chain there" "$(chain_of kvm2 m3.qcow2)" "m3.qcow2 base.qcow2"
record=$(meter_tell 3 | jq .record)
on kvm2 virsh -q destroy m3
machine_check kvm2 "$images/m3.qcow2" "$record" >/dev/null

say "to another folder: the chain is set anew; flattened: one image"
on kvm1 sh -c "mkdir -p /srv/pool2 && virsh -q pool-define-as two dir --target /srv/pool2 >/dev/null && virsh -q pool-start two"
godwit vm migrate m1 --to kvm1 --pool two --keep 0 --name four
is "chain there" "$(on kvm1 qemu-img info --backing-chain --output json /srv/pool2/m1.qcow2 | jq -r '[.[].filename] | join(" ")')" "/srv/pool2/m1.qcow2 /srv/pool2/base.qcow2"
godwit vm migrate m2 --to kvm1 --flatten --keep 0 --name five
is "one image" "$(chain_of kvm1 m2.qcow2)" m2.qcow2
is "its content" "$(sum_of kvm1 m2.qcow2)" "$(sum_of kvm1 base.qcow2)"

say "taken back: the base that was brought goes with the rest"
on kvm2 sh -c "virsh -q undefine m3 && rm -f $images/* $images/.godwit-*"
overlay_define m4 4
on kvm1 virsh -q start m4
rc=0
godwit vm migrate m4 --to kvm2 --type cold --stop --stop-timeout 2s --name back >/dev/null 2>&1 || rc=$?
is "exit code" $rc 1
is "state" "$(fact back state)" "went back"
[[ $(fact back why) == *"did not shut down"* ]] || fail "not said: $(fact back why)"
is "states" "$(machine_state kvm1 m4) $(machine_state kvm2 m4)" "running absent"
is "left there" "$(on kvm2 ls -A "$images")" ""
on kvm1 virsh -q destroy m4

say "snapshots: internal ones and those in files of their own"
machine_define kvm1 snap 5 64M
on kvm1 sh -c 'virsh -q snapshot-create-as snap first && virsh -q snapshot-create-as snap second'
godwit vm migrate snap --to kvm2 --name six
is "snapshots" "$(on kvm2 virsh -q snapshot-list snap --topological --name | tr '\n' ' ')" "first second "
on kvm2 virsh -q snapshot-revert snap first
machine_define kvm1 ext 6 64M
on kvm1 virsh -q snapshot-create-as ext outside --disk-only
is "overlay" "$(chain_of kvm1 ext.outside)" "ext.outside ext.qcow2"
godwit vm migrate ext --to kvm2 --name seven
is "chain there" "$(chain_of kvm2 ext.outside)" "ext.outside ext.qcow2"
is "snapshot there" "$(on kvm2 virsh -q snapshot-list ext --name | tr -d '\n ')" outside

say "saved memory goes along: the machine goes on where it was"
machine_define kvm1 sleeper 7 64M
meter_start 7
on kvm1 virsh -q start sleeper
machine_lives 7
on kvm1 virsh -q managedsave sleeper
meter_anew 7
godwit vm migrate sleeper --to kvm2 --keep 0 --name eight
is "states" "$(machine_state kvm1 sleeper) $(machine_state kvm2 sleeper)" "absent shut off"
is "left at the source" "$(on kvm1 ls -A /var/lib/libvirt/qemu/save)" ""
on kvm2 virsh -q start sleeper
machine_lives 7
is "one and the same machine" "$(meter_tell 7 | jq .boots)" 0
say "a disk that is named by pool and volume"
on kvm1 sh -c "qemu-img create -q -f qcow2 $images/vol.qcow2 64M && virsh -q pool-refresh images"
machine_xml vol 8 "$images/vol.qcow2" | sed "s#<disk type='file'#<disk type='volume'#; s#<source file='$images/vol.qcow2'/>#<source pool='images' volume='vol.qcow2'/>#" |
    on kvm1 sh -c 'cat >/root/vol.xml && virsh -q define /root/vol.xml'
godwit vm migrate vol --to kvm2 --keep 0 --name nine
is "its disk" "$(on kvm2 virsh -q domblklist vol --inactive | awk '{print $2}')" "$images/vol.qcow2"

show "a shared base goes once, chains are the same there, one flat image, snapshots of both kinds, saved memory, a volume"
