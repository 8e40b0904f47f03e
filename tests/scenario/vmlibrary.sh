#!/bin/bash
# vmlibrary: machines that are off are copied into a library folder by the console: images, definition, snapshots; the machine stays and
# starts; one that runs, one that stands on another image and a name that is taken are refused and nothing is left; what fails is taken back.
# limit: 150
# slow
VM_HOSTS="kvm1 kvm2"
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/machines.sh"

library=/srv/library
refused() { # WORDS COMMAND…: by pre-flight
    local words=$1 rc=0 said
    shift
    said=$("$@" 2>&1) || rc=$?
    [[ $rc = 8 && $said == *"$words"* && $said == *"remedy:"* ]] || fail "$*: $rc $said"
}
fleet_up kvm1 kvm2
libvirt_up kvm1 kvm2
on kvm2 mkdir -p $library

say "a template with a snapshot and a second disk"
on kvm1 sh -c "qemu-img create -q -f raw $images/data.raw 32M && head -c 3000000 /dev/urandom | dd of=$images/data.raw conv=notrunc bs=1M seek=9 status=none"
machine_define kvm1 web 1 64M 0 "<disk type='file' device='disk'><driver name='qemu' type='raw' cache='none'/><source file='$images/data.raw'/><target dev='vdb' bus='virtio'/></disk>"
on kvm1 sh -c "virsh -q detach-disk web vdb --config && virsh -q snapshot-create-as web before && virsh -q attach-disk web $images/data.raw vdb --config --subdriver raw"
on kvm1 virsh -q autostart web
sum=$(on kvm1 sh -c "cat $images/web.qcow2 $images/data.raw | sha256sum")
godwit vm copy web --to kvm2 --library $library/ --plan-only
is "what planning left" "$(on kvm2 ls -A $library)" ""
godwit vm copy web --to kvm2 --library $library/ --name copy1
is "state" "$(godwit vm moves copy1 -o json | jq -r '.pairs[0].state')" copied
is "the library" "$(on kvm2 sh -c "cd $library && find . -mindepth 1 | sort | tr '\n' ' '")" "./web ./web/data.raw ./web/snapshots ./web/snapshots/001-current.xml ./web/web.qcow2 ./web/web.xml "
is "its images" "$(on kvm2 sh -c "cat $library/web/web.qcow2 $library/web/data.raw | sha256sum")" "$sum"
is "holes are kept" "$(on kvm2 sh -c "[ \$(stat -c %b $library/web/data.raw) -lt 20000 ] && echo yes")" yes
is "its definition" "$(on kvm2 sh -c "stat -c %a $library/web/web.xml; grep -c $library/web/ $library/web/web.xml" | tr '\n' ' ')" "600 2 "
is "the machine" "$(machine_state kvm1 web) $(machine_state kvm2 web) $(on kvm1 virsh dominfo web | awk '/^Autostart:/{print $2}')" "shut off absent enable"
is "left" "$(on kvm1 sh -c "ls -A $images | grep godwit")$(on kvm1 sh -c 'ls /var/lib/godwit/agent/vm 2>/dev/null')$(on kvm2 sh -c 'ls /var/lib/godwit/agent/vm 2>/dev/null')" ""
say "a machine is made from the copy"
on kvm2 sh -c "virsh -q define $library/web/web.xml && virsh -q start web && virsh -q destroy web && virsh -q undefine web --snapshots-metadata"

say "what may not be copied"
refused "lies" godwit vm copy web --to kvm2 --library $library
rc=0
said=$(godwit vm copy web --to kvm1 --library $library 2>&1) || rc=$?
[[ $rc = 8 && $said == *"another host"* ]] || fail "a copy to its own host: $rc $said"
on kvm1 virsh -q start web
on kvm2 mkdir -p /srv/other
refused "only a machine that is off" godwit vm copy web --to kvm2 --library /srv/other
refused "there is no folder" godwit vm copy web --to kvm2 --library /srv/nowhere
on kvm1 virsh -q destroy web
on kvm1 sh -c "qemu-img create -q -f qcow2 -b $images/web.qcow2 -F qcow2 $images/top.qcow2"
machine_xml top 2 $images/top.qcow2 | on kvm1 sh -c 'cat >/root/top.xml && virsh -q define /root/top.xml'
refused "on nothing else" godwit vm copy top --to kvm2 --library /srv/other
godwit vm copy top --to kvm2 --library /srv/other --flatten --name copy2
is "it is one image" "$(on kvm2 sh -c "qemu-img info /srv/other/top/top.qcow2 | grep -c backing" || true)" 0

say "what fails is taken back"
on kvm2 sh -c "mkdir -p /srv/small && mount -t tmpfs -o size=1m small /srv/small"
rc=0
godwit vm copy web --to kvm2 --library /srv/small --override space --name copy3 || rc=$?
is "a full library" "$rc $(godwit vm moves copy3 -o json | jq -r '.pairs[0].state') $(on kvm2 ls -A /srv/small)" "1 went back "
on kvm2 umount /srv/small
is "the machine" "$(machine_state kvm1 web)" "shut off"
is "its images" "$(on kvm1 sh -c "cat $images/web.qcow2 $images/data.raw | sha256sum")" "$sum"
show "a template copied whole, refused where it runs, stands on another, or its name is taken; taken back without a trace"
