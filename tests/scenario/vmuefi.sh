#!/bin/bash
# vmuefi: a machine with UEFI firmware and a TPM moves by every way: off, live with its storage, warm, warm quick, to other storage of its
# host, quick, live and started anew there. Variables and the TPM's state come along, byte for byte while it is off, autostart and title too;
# nobody makes it a new TPM, and nothing of them is left behind.
# limit: 900
# slow
VM_HOSTS="kvm1 kvm2"
export LAB_SHARED=1
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/machines.sh"

fleet_up kvm1 kvm2
libvirt_up kvm1 kvm2
LIVES_S=180 # emulated, on a busy machine
uuid=$(machine_uuid 1)
nvram=/var/lib/libvirt/qemu/nvram/safe_VARS.fd
tpm=/var/lib/libvirt/swtpm/$uuid
tpm_device="<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>"
state_of() { on "$1" sh -c "sha256sum $nvram | cut -d' ' -f1; cd $tpm && find . -type f ! -name '.lock' | sort | xargs sha256sum"; }
left() { on "$1" sh -c "ls -d $nvram $tpm 2>/dev/null; ls $images" | tr '\n' ' '; }
for host in kvm1 kvm2; do
    on $host sh -c "virsh -q pool-define-as shared dir --target /shared >/dev/null && virsh -q pool-start shared"
done

say "it runs once: firmware and TPM have a state"
on kvm1 qemu-img create -q -f qcow2 "$images/safe.qcow2" 64M
MEMORY=256 MACHINE=pc-q35-9.2 machine_xml safe 1 "$images/safe.qcow2" 0 "$tpm_device" |
    sed "s#</os>#<loader readonly='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE_4M.fd</loader><nvram template='/usr/share/OVMF/OVMF_VARS_4M.fd'>$nvram</nvram></os>#" |
    on kvm1 sh -c 'cat >/root/safe.xml && virsh -q define /root/safe.xml && virsh -q autostart safe'
meter_start 1
on kvm1 virsh -q start safe
machine_lives 1
on kvm1 virsh -q destroy safe
before=$(state_of kvm1)

say "off: byte for byte"
godwit vm migrate safe --to kvm2 --name off
is "state there" "$(state_of kvm2)" "$before"
is "left at the source under its own name" "$(left kvm1)" ""
is "title and autostart" "$(on kvm2 virsh dumpxml safe | sed -n 's/.*<title>\(.*\)<.*/\1/p') $(on kvm2 virsh dominfo safe | awk '/^Autostart:/{print $2}')" "The safe enable"
on kvm2 virsh -q start safe
machine_lives 1

say "running: it goes on, with its TPM"
meter_anew 1
sum_of() { on "$1" sh -c "sha256sum <$nvram; stat -c %s $tpm/tpm2/tpm2-00.permall"; }
before=$(sum_of kvm2)
is "type" "$(godwit vm plan safe --to kvm1 -o json | jq -r '.plans[0].type')" live-vsm
godwit vm migrate safe --to kvm1 --keep 0 --name live
machine_lives 1
is "one and the same machine" "$(meter_tell 1 | jq .boots)" 0
is "states" "$(machine_state kvm1 safe) $(machine_state kvm2 safe)" "running absent"
is "variables, and as much of the TPM" "$(sum_of kvm1)" "$before"
is "left at the source" "$(left kvm2)" ""
is "firmware, TPM" "$(godwit vm show safe -o json | jq -r '"\(.firmware) \(.tpm)"')" "uefi emulator"
on kvm1 virsh -q destroy safe
on kvm1 virsh -q start safe
machine_lives 1

# moves TYPE FROM TO BOOTS [OPTION…]
moves() {
    local type=$1 from=$2 to=$3 boots=$4 before
    shift 4
    before=$(sum_of "$from")
    meter_anew 1
    godwit vm migrate safe --to "$to" --type "$type" --keep 0 --name "by-$type" "$@" || fail "$type: $(godwit vm moves "by-$type" 2>&1)"
    machine_lives 1
    is "$type: copies at once, starts" "$(meter_tell 1 | jq -r '"\(.twice) \(.boots)"')" "0 $boots"
    [ "$from" = "$to" ] || is "$type: states" "$(machine_state "$from" safe) $(machine_state "$to" safe)" "absent running"
    # Firmware that starts anew writes to its variables.
    [ "$boots" != 0 ] || is "$type: variables, and as much of the TPM" "$(sum_of "$to")" "$before"
    is "$type: as much of the TPM" "$(sum_of "$to" | sed -n 2p)" "$(sed -n 2p <<<"$before")"
    [ "$from" = "$to" ] || is "$type: left at the source" "$(left "$from")" ""
}
say "warm, warm quick; on storage that both see: quick, live, and started anew there"
moves warm kvm1 kvm2 1 --stop
moves warm-quick kvm2 kvm1 0
moves live-storage kvm1 kvm1 0 --pool shared
moves quick kvm1 kvm2 0
moves live kvm2 kvm1 0
moves san kvm1 kvm2 1 --stop --stop-timeout 2s --force-off
moves cold kvm2 kvm1 1 --stop --stop-timeout 2s --force-off --pool images
made() { on "$1" sh -c 'cat /var/log/swtpm/libvirt/qemu/safe-swtpm.log 2>/dev/null' | grep -c 'Starting vTPM manufacturing' || true; }
# The first, and for each of two live arrivals at kvm1 one that libvirt begins and the stream then fills; by no other way.
is "TPMs that were made" "$(made kvm1) $(made kvm2)" "3 0"

say "variables in the way stop it"
on kvm1 virsh -q destroy safe
on kvm2 sh -c "mkdir -p $(dirname $nvram) && echo mine >$nvram"
rc=0
said=$(godwit vm migrate safe --to kvm2 2>&1) || rc=$?
[[ $rc = 8 && $said == *"fail, firmware: something lies where its firmware's variables belong: $nvram"* ]] || fail "not stopped: $rc $said"
is "what was in the way" "$(on kvm2 cat $nvram)" mine
show "UEFI and TPM off, live, live with storage, warm, warm quick, quick, live storage, started anew: variables and the TPM's state equal, nothing left behind"
