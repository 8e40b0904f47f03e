#!/bin/bash
# vm: machines that move meet what goes wrong: SIGKILL of either agent, of the orchestrator, of either libvirt and of either QEMU, a
# QEMU that hangs, a host without power, a network that is cut, each at named points of each way of moving. Within the time there is a
# verdict; one copy runs and no other, it is heard and no record is missing, and nothing is left on either host.
#   GODWIT_CASES=REGEX   picks of the table: "TYPE POINT WHAT HOST"; tests/run --all (GODWIT_ALL=yes) takes all of it, else
#   one of each way of moving and of each kind of blow is taken
# limit: 2400
# slow
VM_HOSTS="kvm1 kvm2"
export LAB_SHARED=1
. "$(dirname "$0")/../scenario/lib.sh"
. "$(dirname "$0")/../scenario/machines.sh"
passed() { echo "CASE: $*"; }
verdict_s=35 # and what a repetition of an act takes
short='^live-vsm row:migrate (hang|agent kvm2)|^live row:migrate power|^quick vm.start.marked orch|^warm-quick row:seed cut|^warm vm.define|^cold vm.place|^live-storage vm.shift.ready agent'
pick=${GODWIT_CASES:-$([ "${GODWIT_ALL:-no}" = yes ] && echo . || echo "$short")}

is() { [ "$2" = "$3" ] || fail "$1: '$2', not '$3'"; }
[ -x "$top/build/dev/bin/godwit-agent" ] || skip "the programs are not built in $top/build/dev"
fleet_up kvm1 kvm2
libvirt_up kvm1 kvm2
for host in kvm1 kvm2; do
    # With points at which a crash can be had.
    lab push $host "$top/build/dev/bin/godwit-agent" /root
    on $host sh -e <<'END'
systemctl stop godwit-agent
install -m 755 /root/godwit-agent "$(command -v godwit-agent)"
mkdir -p /etc/systemd/system/godwit-agent.service.d /srv/other
printf '[Service]\nEnvironment=GODWIT_FAULT_FILE=/var/lib/godwit/agent/fault\nRestartSec=200ms\nStartLimitIntervalSec=0\n' >/etc/systemd/system/godwit-agent.service.d/fault.conf
systemctl daemon-reload
systemctl start godwit-agent
virsh -q pool-autostart images >/dev/null
virsh -q pool-define-as shared dir --target /shared >/dev/null && virsh -q pool-start shared && virsh -q pool-autostart shared >/dev/null
virsh -q pool-define-as other dir --target /srv/other >/dev/null && virsh -q pool-start other && virsh -q pool-autostart other >/dev/null
END
done
for host in kvm1 kvm2; do
    until_true 30 "$host online" is_online $host
done
meter_start 1
# What neither holes nor compression make small.
on kvm1 sh -c 'openssl enc -aes-128-ctr -nosalt -pass pass:1 -in /dev/zero 2>/dev/null | dd of=/srv/filled bs=1M seek=64 count=100 iflag=fullblock status=none
    truncate -s 256M /srv/filled && qemu-img convert -f raw -O qcow2 /srv/filled /srv/filled.qcow2 && rm /srv/filled'

left() { # HOST
    on "$1" sh -c "find /var/lib/libvirt /shared /srv/other /var/lib/godwit/agent/vm /run/godwit-vm -name '*godwit-*' -o -path '*/agent/vm/*.note' -o -name '*.memory' -o -type s 2>/dev/null" |
        grep -vx -e '/var/lib/libvirt/qemu/.*' -e /run/godwit-vm | sort || true
}
nothing_left() {
    godwit vm plan web --to kvm1 >/dev/null 2>&1 || true
    godwit vm plan web --to kvm2 >/dev/null 2>&1 || true
    [ -z "$(left kvm1)$(left kvm2)" ]
}
copies() { # how many run
    local host n=0
    for host in kvm1 kvm2; do
        [ "$(machine_state $host web)" != running ] || n=$((n + 1))
    done
    echo $n
}
where() {
    local host
    for host in kvm1 kvm2; do
        [ "$(machine_state $host web)" != running ] || echo $host
    done
}
state() { godwit vm moves "$1" -o json 2>/dev/null | jq -r '.pairs[0].state'; }
judged() { case $(state "$1") in moved | stayed | "went back" | refused | "half done" | "needs a person") ;; *) return 1 ;; esac; }
ended() { case $(state "$1") in moved | "went back" | refused) ;; *) return 1 ;; esac; }
online_both() { is_online kvm1 && is_online kvm2; }
libvirt_answers() { on "$1" virsh -q list >/dev/null 2>&1; }

# A new machine: its disk at its own host, or where both see it.
machine_new() { # TYPE
    local disk=$images/web.qcow2 host
    case $1 in live | quick) disk=/shared/web.qcow2 ;; esac
    for host in kvm1 kvm2; do
        on $host sh -c "virsh -q destroy web; virsh -q undefine web; rm -f $images/web.* /srv/other/web.* /shared/web.*; virsh -q pool-refresh images" >/dev/null 2>&1 || true
    done
    on kvm1 sh -c "cp /srv/filled.qcow2 $disk; for p in images shared; do virsh -q pool-refresh \$p; done"
    machine_xml web 1 "$disk" | on kvm1 sh -c "cat >/root/web.xml && virsh -q define /root/web.xml && virsh -q start web"
    machine_lives 1
}

strike() { # WHAT HOST
    case $1 in
    agent) on "$2" pkill -KILL -x godwit-agent || true ;;
    orchestrator) on orch pkill -KILL -x godwitd ;;
    libvirt) on "$2" pkill -KILL -x libvirtd ;;
    qemu) on "$2" pkill -KILL -f qemu-system || true ;;
    hang) on "$2" pkill -STOP -f qemu-system ;;
    power) lab stop "$2" ;;
    cut) lab cut kvm1 kvm2 ;;
    esac
}
mend() { # WHAT HOST
    case $1 in
    power) lab start "$2" ;;
    cut) lab heal kvm1 kvm2 ;;
    libvirt) on "$2" systemctl start libvirtd ;;
    hang) on "$2" pkill -CONT -f qemu-system ;;
    esac
    on kvm1 pkill -CONT -x godwit-agent || true
    on kvm2 pkill -CONT -x godwit-agent || true
    on orch systemctl start godwitd
    until_true 30 "the orchestrator answers" godwit agent list >/dev/null
    until_true 60 "both agents are online" online_both
    until_true 30 "libvirt of kvm1 answers" libvirt_answers kvm1
    until_true 30 "libvirt of kvm2 answers" libvirt_answers kvm2
}
halted() { # HOST: its agent stands at the point
    on "$1" sh -c '! [ -e /var/lib/godwit/agent/fault ] && pid=$(pgrep -ox godwit-agent) && grep -q "^State:.*T" /proc/$pid/status'
}
begun() { godwit vm moves "$1" -o json 2>/dev/null | jq -e --arg id "$2" '.pairs[0].stages[] | select(.id == $id) | .state != "open"' >/dev/null; }

n=0 bad=0
# one TYPE POINT AT WHAT HOST: the agent of AT stands at POINT (or "row:NAME": that act has begun), then WHAT happens to HOST.
one() {
    local type=$1 point=$2 at=$3 what=$4 host=$5 job began to=kvm2 opts=() said name="$1 at $2, $4 $5"
    job=case$n
    machine_new "$type"
    case $type in
    live-storage) to=kvm1 opts=(--pool other) ;;
    warm | cold) opts=(--stop --stop-timeout 1s --force-off) ;;
    esac
    [[ $point != row:* ]] || opts+=(--rate 20MiB/s) # so that it is struck in the middle
    meter_anew 1
    [[ $point == row:* ]] || on "$at" sh -c "echo '$point 1 halt' >/var/lib/godwit/agent/fault"
    godwit vm migrate web --to $to --type "$type" --keep 1s --name $job --detach "${opts[@]}" >/dev/null
    if [[ $point == row:* ]]; then
        until_true 60 "$type: act ${point#row:} has begun" begun $job "${point#row:}"
    else
        until_true 60 "$type: the agent of $at stands at $point" halted "$at"
    fi
    strike "$what" "$host"
    began=$(now_ms)
    [[ $what = cut || $what = hang ]] || mend "$what" "$host"
    on "$at" pkill -CONT -x godwit-agent || true
    until_true 90 "$name: a verdict" judged $job
    local took=$(($(now_ms) - began))
    say "$name: $(state $job) after $took ms; $(godwit vm moves $job -o json | jq -r '.pairs[0].why // ""')"
    if [[ $what = cut || $what = hang ]]; then
        mend "$what" "$host"
        [ "$(state $job)" != "needs a person" ] || godwit vm rollback $job >/dev/null || true
    fi
    until_true 60 "$name: it ends: $(state $job)" ended $job
    said=$(state $job)
    is "$name ($said): copies that run" "$(copies)" 1
    machine_lives 1
    until_true 40 "$name ($said): nothing is left: $(left kvm1) $(left kvm2)" nothing_left
    local record disk
    record=$(meter_tell 1 | jq .record)
    to=$(where)
    disk=$(on "$to" virsh -q domblklist web | awk '{print $2}')
    on "$to" virsh -q destroy web
    machine_check "$to" "$disk" "$record" >/dev/null
    passed "$name: $said after $took ms"
    [ $took -le $((verdict_s * 1000)) ] || fail "$name: the verdict took $took ms"
}

# What a case that failed left must not fail the next one.
tidy() { # WHAT HOST
    local host
    lab heal kvm1 kvm2
    for host in kvm1 kvm2; do
        on $host true 2>/dev/null || lab start $host
        on $host sh -c 'rm -f /var/lib/godwit/agent/fault; pkill -CONT -f qemu-system; true'
    done
    mend "$@"
    ended case$n || godwit vm rollback case$n >/dev/null || true
    (until_true 60 "case$n ends: $(state case$n)" ended case$n) || true # a person's: its name is free
    for host in kvm1 kvm2; do
        on $host sh -c "virsh -q destroy web; find /var/lib/libvirt /shared /srv/other /run/godwit-vm -name '*.godwit-*' -o -name '*.memory' | xargs -r rm -r; rm -rf /var/lib/godwit/agent/vm/* /run/godwit-vm/*" >/dev/null 2>&1 || true
    done
}

# TYPE POINT AT WHAT HOST
table='
live-vsm   vm.reserve.noted kvm2 agent        kvm2
live-vsm   vm.reserve.noted kvm2 power        kvm2
live-vsm   row:migrate      kvm1 agent        kvm1
live-vsm   row:migrate      kvm1 agent        kvm2
live-vsm   row:migrate      kvm1 orchestrator orch
live-vsm   row:migrate      kvm1 libvirt      kvm1
live-vsm   row:migrate      kvm1 libvirt      kvm2
live-vsm   row:migrate      kvm1 qemu         kvm1
live-vsm   row:migrate      kvm1 qemu         kvm2
live-vsm   row:migrate      kvm1 hang         kvm1
live-vsm   row:migrate      kvm1 cut          -
live-vsm   row:migrate      kvm1 power        kvm1
live-vsm   row:migrate      kvm1 power        kvm2
live-vsm   vm.fence.noted   kvm1 agent        kvm1
live-vsm   vm.drop.noted    kvm1 agent        kvm1
live-vsm   vm.drop.noted    kvm1 power        kvm1
live       row:migrate      kvm1 agent        kvm2
live       row:migrate      kvm1 libvirt      kvm1
live       row:migrate      kvm1 power        kvm1
quick      vm.save.noted    kvm1 agent        kvm1
quick      vm.save.noted    kvm1 libvirt      kvm1
quick      vm.save.noted    kvm1 power        kvm1
quick      vm.define.noted  kvm2 agent        kvm2
quick      vm.start.marked  kvm2 agent        kvm2
quick      vm.start.marked  kvm2 orchestrator orch
quick      vm.start.marked  kvm2 power        kvm2
quick      vm.drop.noted    kvm1 agent        kvm1
warm-quick vm.seed.noted    kvm1 agent        kvm1
warm-quick row:seed         kvm1 agent        kvm2
warm-quick row:seed         kvm1 libvirt      kvm1
warm-quick row:seed         kvm1 power        kvm1
warm-quick row:seed         kvm1 cut          -
warm-quick vm.pause.noted   kvm1 agent        kvm1
warm-quick vm.pause.noted   kvm1 agent        kvm2
warm-quick vm.save.noted    kvm1 agent        kvm1
warm-quick vm.save.noted    kvm1 cut          -
warm-quick vm.save.noted    kvm1 power        kvm1
warm-quick vm.fence.noted   kvm1 agent        kvm1
warm-quick vm.place.noted   kvm2 agent        kvm2
warm-quick vm.start.marked  kvm2 power        kvm2
warm       vm.pause.noted   kvm1 orchestrator orch
warm       vm.pause.noted   kvm1 power        kvm1
warm       vm.define.noted  kvm2 libvirt      kvm2
warm       vm.start.noted   kvm2 agent        kvm2
cold       vm.stop.noted    kvm1 agent        kvm1
cold       row:copy         kvm1 cut          -
cold       row:copy         kvm1 power        kvm1
cold       vm.place.noted   kvm2 power        kvm2
cold       vm.start.noted   kvm2 libvirt      kvm2
live-storage vm.shift.ready kvm1 agent        kvm1
live-storage vm.shift.ready kvm1 libvirt      kvm1
live-storage vm.shift.ready kvm1 orchestrator orch
live-storage vm.shift.ready kvm1 power        kvm1
'
while read -r type point at what host; do
    [ -n "$type" ] || continue
    [[ "$type $point $what $host" =~ $pick ]] || continue
    n=$((n + 1))
    (one "$type" "$point" "$at" "$what" "$host") </dev/null &
    wait $! && continue
    bad=$((bad + 1))
    godwit vm moves case$n </dev/null || true
    journals </dev/null
    tidy "$what" "$host" </dev/null
done <<<"$table"
show "cases: $n, of which $bad failed"
[ $bad = 0 ] || fail "$bad of $n cases failed"
