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

is "machine types" "$(godwit vm hosts --host kvm1 -o json | jq -c '.hosts[0].machine_types | [index("pc-i440fx-9.2"), index("q35"), index("virt")] | map(. != null)')" "[true,true,false]"
[[ $(godwit vm hosts --host kvm1) == *"Machine types: "*"pc-i440fx-9.2, "* ]] || fail "no machine types: $(godwit vm hosts --host kvm1)"

say "plans: what speaks against a move is found before anything is touched"
# bad NAME DEVICES [DISK [CPU]]: a machine that is off and must not move
bad() {
    cat <<END
<domain type='qemu'><name>$1</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>${4:-}
<os><type arch='x86_64'>hvm</type></os><devices><emulator>/usr/bin/qemu-system-x86_64</emulator>
<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/srv/${3:-$1}.qcow2'/><target dev='vda' bus='virtio'/></disk>
$2</devices></domain>
END
}
pci="<hostdev mode='subsystem' type='pci'><source><address domain='0x0000' bus='0x01' slot='0x00' function='0x0'/></source></hostdev>"
{
    bad good ""
    bad network "<interface type='bridge'><source bridge='no-such-br'/></interface>"
    bad passed "$pci"
    bad taken ""
    bad cpu "" "" "<cpu mode='custom' match='exact'><model>Icelake-Server</model></cpu>"
    bad huge ""
    bad broken ""
    bad hostile ""
    bad datafile ""
} | on kvm1 sh -e -c 'csplit -s -z -f /root/bad. - "/<domain/" "{*}"; cd /srv
    for m in good network passed taken cpu gone; do qemu-img create -q -f qcow2 $m.qcow2 64M; done
    qemu-img create -q -f qcow2 huge.qcow2 64T
    qemu-img create -q -f qcow2 -F qcow2 -b /srv/gone.qcow2 broken.qcow2; rm gone.qcow2
    qemu-img create -q -u -f qcow2 -F raw -b /etc/shadow hostile.qcow2 64M
    qemu-img create -q -f qcow2 -o data_file=/root/data.raw datafile.qcow2 64M
    for f in /root/bad.*; do virsh -q define $f >/dev/null; done'
on kvm2 touch /srv/taken.qcow2
before=$(on kvm2 sh -c 'virsh list --all; ls -l --time-style=full-iso /srv'; on kvm1 sh -c 'virsh list --all; ls -l --time-style=full-iso /srv')
rc=0
plan=$(godwit vm plan good network passed taken cpu huge broken hostile datafile --to kvm2 -o json) || rc=$?
is "exit code of a plan that is stopped" $rc 8
is "what stops each" "$(jq -r '[.plans[] | select(.stopped_by) | "\(.machine):\(.stopped_by)"] | join(" ")' <<<"$plan")" \
    "network:networks passed:devices taken:disk-absent cpu:cpu-start huge:space broken:chain hostile:image-header datafile:image-header"
is "checks without a remedy" "$(jq '[.plans[].checks[] | select((.result == "fail" or .result == "unknown") and .remedy == "")] | length' <<<"$plan")" 0
is "checks of the good one that fail" "$(jq -c '[.plans[] | select(.machine == "good") | .checks[] | select(.result == "fail" or .result == "unknown") | .id]' <<<"$plan")" "[]"
is "what is there afterwards" "$(on kvm2 sh -c 'virsh list --all; ls -l --time-style=full-iso /srv'; on kvm1 sh -c 'virsh list --all; ls -l --time-style=full-iso /srv')" "$before"
show "$(godwit vm plan hostile --to kvm2 | grep -A1 image-header)"
on kvm2 sh -c 'systemctl stop "libvirtd*.socket" libvirtd'
rc=0
plan=$(godwit vm plan good --to kvm2) || rc=$?
[[ $rc = 8 && $plan == *"fail, hypervisors: kvm2: libvirt does not answer"*"remedy: start libvirt"* ]] || fail "a destination without libvirt is not named: $rc $plan"
rc=0
godwit vm plan nobody --to kvm2 2>/dev/null || rc=$?
[[ $rc = 1 || $rc = 6 ]] || fail "a machine that nobody has is planned: $rc"
on kvm2 systemctl start libvirtd
on kvm1 sh -c 'for m in good network passed taken cpu huge broken hostile datafile; do virsh -q undefine $m; done'

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
