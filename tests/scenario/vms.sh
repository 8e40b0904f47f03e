#!/bin/bash
# vms: the virtual machines of two real libvirt hosts as the console tells them; a host without libvirt, one that
# is gone, and a libvirt that hangs are named and cost nobody else's answer.
# limit: 150
VM_HOSTS="kvm1 kvm2"
. "$(dirname "$0")/lib.sh"

fleet_up kvm1 kvm2 plain
is() { [ "$2" = "$3" ] || fail "$1: '$2', not '$3'"; }
machine() { # NAME UUID DISK: a definition
    cat <<END
<domain type='qemu'><name>$1</name><uuid>$2</uuid><title>The $1</title><memory unit='MiB'>64</memory><vcpu>1</vcpu>
<os><type arch='x86_64'>hvm</type></os><devices><emulator>/usr/bin/qemu-system-x86_64</emulator>
<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='$3'/><target dev='vda' bus='virtio'/></disk>
</devices></domain>
END
}

say "two machines: one runs from an overlay on a base image, one is off"
for host in kvm1 kvm2; do
    # A container has no say over devices and security labels; machines run as root here.
    on "$host" sh -c 'printf "%s\n" "user = \"root\"" "group = \"root\"" "security_driver = \"none\"" \
        "namespaces = []" "cgroup_controllers = []" "stdio_handler = \"file\"" >>/etc/libvirt/qemu.conf
        systemctl start libvirtd'
done
on kvm1 sh -e <<'END'
qemu-img create -q -f qcow2 /srv/base.qcow2 64M
qemu-img create -q -f qcow2 -F qcow2 -b /srv/base.qcow2 /srv/web.qcow2
virsh -q pool-define-as images dir --target /srv >/dev/null
virsh -q pool-start images
END
machine web 11111111-2222-4333-8444-555555555501 /srv/web.qcow2 | on kvm1 sh -c 'cat >/root/web.xml && virsh -q define /root/web.xml && virsh -q start web && virsh -q autostart web'
on kvm2 qemu-img create -q -f qcow2 /srv/db.qcow2 128M
machine db 11111111-2222-4333-8444-555555555502 /srv/db.qcow2 | on kvm2 sh -c 'cat >/root/db.xml && virsh -q define /root/db.xml && virsh -q snapshot-create-as db before'

rc=0
godwit vm list -o json >/tmp/vms.$$ 2>/tmp/vms.err.$$ || rc=$?
list=$(cat /tmp/vms.$$) err=$(cat /tmp/vms.err.$$)
rm -f /tmp/vms.$$ /tmp/vms.err.$$
is "exit code with a host that has no libvirt" $rc 3
[[ $err == *"plain: "*"libvirt does not answer"* ]] || fail "the host without libvirt is not named: $err"
is "machines" "$(jq -r '[.machines[] | "\(.host):\(.name):\(.state)"] | join(" ")' <<<"$list")" "kvm1:web:running kvm2:db:off"
is "size" "$(jq -r '.machines[0].disks[0].virtual_bytes' <<<"$list")" 67108864
is "chain" "$(jq -r '.machines[0].disks[0].chain | join(" ")' <<<"$list")" /srv/base.qcow2
is "snapshots" "$(jq -r '.machines[1].snapshots' <<<"$list")" 1
show "$(godwit vm list 2>/dev/null | sed -n 2p)"

say "one machine, by name and by UUID; one that nobody has"
is "title" "$(godwit vm show web -o json | jq -r .title)" "The web"
is "by UUID" "$(godwit vm show 11111111-2222-4333-8444-555555555502 --host kvm2 -o json | jq -r .name)" db
rc=0
godwit vm show nobody --host kvm1 >/dev/null 2>&1 || rc=$?
is "exit code of an unknown machine" $rc 6
is "hosts" "$(godwit vm hosts --host kvm1 -o json | jq -r '.hosts[0] | "\(.machines) \(.running) \(.pools[0].name)"')" "1 1 images"

say "a libvirt that hangs, and a host that is gone"
on kvm2 pkill -STOP -x libvirtd
lab cut orch kvm1
until_true 60 "kvm1 is lost" sh -c "'$top/tests/lab/lab' run orch godwit agent show kvm1 -o json | jq -e '.presence == \"lost\"' >/dev/null"
err=$(godwit vm list 2>&1 >/dev/null) && fail "a fleet that does not answer counts as an empty one"
[[ $err == *"kvm1: host kvm1 is lost"* && $err == *"kvm2: no answer"* ]] || fail "not named: $err"
on kvm2 pkill -CONT -x libvirtd
lab heal orch kvm1
until_true 60 "both answer again" sh -c "'$top/tests/lab/lab' run orch godwit vm list -o json 2>/dev/null | jq -e '.machines | length == 2' >/dev/null"
show "machines are listed from their hosts; silent hosts are named"
