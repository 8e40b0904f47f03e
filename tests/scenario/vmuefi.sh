#!/bin/bash
# vmuefi: a machine with UEFI firmware and a TPM moves off and running, there and back: variables and the TPM's state come along, byte
# for byte while it is off, autostart and title too; nothing of them is left behind.
# limit: 300
# slow
VM_HOSTS="kvm1 kvm2"
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/machines.sh"

fleet_up kvm1 kvm2
libvirt_up kvm1 kvm2
uuid=$(machine_uuid 1)
nvram=/var/lib/libvirt/qemu/nvram/safe_VARS.fd
tpm=/var/lib/libvirt/swtpm/$uuid
tpm_device="<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>"
state_of() { on "$1" sh -c "sha256sum $nvram | cut -d' ' -f1; cd $tpm && find . -type f ! -name '.lock' | sort | xargs sha256sum"; }
left() { on "$1" sh -c "ls -d $nvram $tpm 2>/dev/null; ls $images" | tr '\n' ' '; }

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

say "variables in the way stop it"
on kvm1 virsh -q destroy safe
on kvm2 sh -c "mkdir -p $(dirname $nvram) && echo mine >$nvram"
rc=0
said=$(godwit vm migrate safe --to kvm2 2>&1) || rc=$?
[[ $rc = 8 && $said == *"fail, firmware: something lies where its firmware's variables belong: $nvram"* ]] || fail "not stopped: $rc $said"
is "what was in the way" "$(on kvm2 cat $nvram)" mine
show "UEFI and TPM off and live: variables and the TPM's state equal, nothing left behind"
