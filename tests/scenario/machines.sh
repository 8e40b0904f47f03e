# machines: what the scenarios about virtual machines share: libvirt of a lab host, a machine that tells how it is, who
# hears it, and what its disk has. Sourced after lib.sh; VM_HOSTS names the hosts of machines.

is() { [ "$2" = "$3" ] || fail "$1: '$2', not '$3'"; } # WHAT GOT WANTED

images=/var/lib/libvirt/images
meter_port=5555

# A container has no say over devices and security labels; machines run as root here, and see to page faults themselves (post-copy).
libvirt_conf() { # HOST
    cat <<END
user = "root"
group = "root"
security_driver = "none"
namespaces = []
cgroup_controllers = []
stdio_handler = "file"
dynamic_ownership = 0
remember_owner = 0
clear_emulator_capabilities = 0
swtpm_user = "root"
swtpm_group = "root"
shared_filesystems = [ "/shared" ]
migration_host = "$1"
END
}

machine_tools() {
    [ -x "$top/build/dev/bin/godwit-guest" ] && [ -x "$top/build/dev/bin/godwit-meter" ] && return
    (cd "$top" && cmake --preset dev && cmake --build --preset dev --target godwit-guest godwit-meter) >/dev/null
}

# libvirt_up HOST…: libvirt answers, has a pool "images", and the machine's kernel and its only program are there.
libvirt_up() {
    local host
    machine_tools
    for host; do
        # All hosts of the lab are on one board, by which libvirt would take them for the same.
        libvirt_conf "$host" | on "$host" sh -c 'cat >>/etc/libvirt/qemu.conf
            printf "%s\n" "host_uuid_source = \"machine-id\"" "auth_tcp = \"none\"" >>/etc/libvirt/libvirtd.conf
            mkdir -p /var/log/libvirt/qemu && systemctl stop libvirtd.socket libvirtd-ro.socket libvirtd-admin.socket libvirtd
            systemctl start libvirtd.socket '"${LIBVIRT_TCP:+libvirtd-tcp.socket} libvirtd"
        lab push "$host" "$top/build/dev/bin/godwit-guest" /root
        lab push "$host" "$top/build/dev/bin/godwit-meter" /root
    done
    for host; do
        on "$host" sh -e <<'END'
mkdir -p /root/machine/mods
cp /usr/share/lab-guest/mods/* /root/machine/mods
cp /root/godwit-guest /root/machine/init
cd /root/machine
find . | cpio --quiet -o -H newc | gzip -1 >/usr/share/lab-guest/initrd
END
        until_true 30 "libvirt of $host answers" on "$host" virsh -q list >/dev/null
        on "$host" sh -c "mkdir -p $images && virsh -q pool-define-as images dir --target $images >/dev/null && virsh -q pool-start images"
    done
}

machine_uuid() { printf '11111111-2222-4333-8444-5555555555%02d' "$1"; }

# machine_xml NAME NUMBER DISK [DIRTY-MIB [MORE-DEVICES]]: a definition. NUMBER makes address, MAC and UUID.
machine_xml() {
    local prefix
    prefix=$(lab ip orch | sed 's/\.[0-9]*$//')
    cat <<END
<domain type='qemu'><name>$1</name><uuid>$(machine_uuid "$2")</uuid><title>The $1</title><memory unit='MiB'>${MEMORY:-160}</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='${MACHINE:-pc-i440fx-9.2}'>hvm</type><kernel>/usr/share/lab-guest/vmlinuz</kernel><initrd>/usr/share/lab-guest/initrd</initrd>
<cmdline>console=ttyS0 quiet godwit.address=$prefix.$((100 + $2))/24 godwit.meter=$(lab ip orch):$((meter_port + $2)) godwit.dirty=${4:-0}</cmdline></os>
<features><acpi/></features><cpu mode='custom' match='exact'><model>qemu64</model></cpu><on_poweroff>destroy</on_poweroff><on_crash>destroy</on_crash>
<devices><emulator>/usr/bin/qemu-system-x86_64</emulator>
<disk type='file' device='disk'><driver name='qemu' type='qcow2' cache='none'/><source file='$3'/><target dev='vda' bus='virtio'/></disk>
<interface type='bridge'><mac address='52:54:00:77:00:$(printf %02x "$2")'/><source bridge='br0'/><model type='virtio'/></interface>
<serial type='file'><source path='/var/log/libvirt/qemu/$1.serial'/><target port='0'/></serial><memballoon model='none'/>${5:-}</devices></domain>
END
}

# machine_define HOST NAME NUMBER SIZE [DIRTY-MIB [MORE-DEVICES]]: with a new disk of that size.
machine_define() {
    on "$1" sh -c "qemu-img create -q -f qcow2 $images/$2.qcow2 $4 && virsh -q pool-refresh images"
    machine_xml "$2" "$3" "$images/$2.qcow2" "${5:-0}" "${6:-}" | on "$1" sh -c "cat >/root/$2.xml && virsh -q define /root/$2.xml"
}

# ── who hears them: on orch ──

meter_start() { # NUMBER: of the machine
    lab push orch "$top/build/dev/bin/godwit-meter" /root
    on orch sh -c "/root/godwit-meter $((meter_port + $1)) >>/run/meter.$1 2>&1 & echo \$! >/run/meter.$1.pid"
}
meter_anew() { on orch sh -c "kill -USR2 \$(cat /run/meter.$1.pid); sleep 0.3"; } # NUMBER: it looks five times a second
# One line of JSON since then.
meter_tell() { # NUMBER
    on orch sh -c ": >/run/meter.$1; kill -USR1 \$(cat /run/meter.$1.pid); until grep -q boot /run/meter.$1; do sleep 0.02; done; cat /run/meter.$1"
}
meter_is() { [ "$(meter_tell "$1" | jq "$2")" = true ]; } # NUMBER EXPRESSION
# The machine is heard and keeps records, from now on. LIVES_S: so long its firmware may take.
machine_lives() { # NUMBER
    local said
    said=$(meter_tell "$1")
    until_true "${LIVES_S:-60}" "machine $1 is heard and keeps records" meter_is "$1" \
        ".heard > $(jq .heard <<<"$said") + 20 and (.boots > $(jq .boots <<<"$said") or .record > $(jq .record <<<"$said") + 5)"
}

# What the disk of a machine that is off has: fails when a record is missing, or the last one that it knew of.
machine_check() { # HOST DISK [AT-LEAST]
    local said
    said=$(on "$1" sh -c "qemu-img convert -O raw $2 /srv/check.raw && /root/godwit-meter check /srv/check.raw; rm -f /srv/check.raw") ||
        fail "records are missing on $1:$2: $said"
    [ "$(jq .missing <<<"$said")" = 0 ] || fail "records are missing on $1:$2: $said"
    [ "$(jq .last <<<"$said")" -ge "${3:-1}" ] || fail "the last records are missing on $1:$2: $said, not ${3:-1}"
    echo "$said"
}
machine_state() { on "$1" virsh -q domstate "$2" 2>/dev/null || echo absent; } # HOST NAME

# ── single stages of a move, without orchestrator and agents: godwit-vmstage on kvm1 (source) and kvm2 ──

stages_up() {
    [ -x "$top/build/dev/bin/godwit-vmstage" ] ||
        (cd "$top" && cmake --preset dev && cmake --build --preset dev --target godwit-vmstage) >/dev/null
    local host
    for host in kvm1 kvm2; do
        # What runs lies in the lab's folder: another build may replace the file meanwhile.
        lab push "$host" "$top/build/dev/bin/godwit-vmstage" /root
        on "$host" mkdir -p /srv/state
        eval "pin_$host=$(on "$host" /root/godwit-vmstage /srv/state pin)"
    done
}
# stage_lab: hosts without agents, and who hears machine 1.
stage_lab() {
    lab_up orch kvm1 kvm2
    libvirt_up kvm1 kvm2
    stages_up
    meter_start 1
}
# stage SIDE STAGE ACTION: with the words of $move behind it; SIDE source, destination or both. Prints the answers.
stage_source() { on kvm1 /root/godwit-vmstage /srv/state source "$@"; }
stage_destination() { on kvm2 /root/godwit-vmstage /srv/state destination "$@"; }
stage() {
    local side=$1 name=$2 action=$3 rc=0 pid port=$((7410 + RANDOM % 500))
    case $side in
    source) stage_source "$name" "$action" "${move[@]}" ;;
    destination) stage_destination "$name" "$action" "${move[@]}" ;;
    both)
        stage_destination "$name" "$action" "${move[@]}" "peer=$pin_kvm1" "listen=$port" &
        pid=$!
        [ "$action" != do ] || until_true 20 "the destination of stage $name listens" on kvm1 bash -c "exec 3<>/dev/tcp/$(lab ip kvm2)/$port" 2>/dev/null
        stage_source "$name" "$action" "${move[@]}" "peer=$pin_kvm2" "to=$(lab ip kvm2):$port" || rc=$?
        wait $pid || rc=$?
        return $rc
        ;;
    esac
}
stages() { # "SIDE STAGE ACTION"…: all must go well
    local one
    for one; do
        # shellcheck disable=SC2086
        stage $one >"/tmp/stage.$LAB_NAME" || { cat "/tmp/stage.$LAB_NAME"; fail "stage '$one' failed"; }
    done
    rm -f "/tmp/stage.$LAB_NAME"
}
leftovers() { # HOST: what moves left there, by name
    on "$1" sh -c "find /var/lib/libvirt /srv/state/vm /srv/state/catalogue -name '*godwit*' -o -path '/srv/state/vm/*' -o -path '/srv/state/catalogue/*' 2>/dev/null" | sort
}
