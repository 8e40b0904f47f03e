#!/bin/bash
# vmdead: the destination of a move has no power any more, and never will. Where the machine might run there nothing is started at the
# source until a person says --destination-is-off; then it is, on one host alone. While that host answers the word is refused; when the
# orchestrator alone does not hear it, the source does, and the word is not taken. Once it is up again what lies there goes.
# limit: 480
# slow
VM_HOSTS="kvm1 kvm2"
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/machines.sh"

fleet_up kvm1 kvm2
libvirt_up kvm1 kvm2
for host in kvm1 kvm2; do
    on $host virsh -q pool-autostart images >/dev/null
done
meter_start 1
machine_define kvm1 web 1 256M
on kvm1 virsh -q start web
machine_lives 1

state() { godwit vm moves "$1" -o json 2>/dev/null | jq -r '.pairs[0].state'; }
is_state() { [ "$(state "$1")" = "$2" ]; } # JOB STATE
waits() { [[ $(godwit vm moves "$1" -o json | jq -r '.pairs[0].pair_reason') == *"$2"* ]]; }
begun() { godwit vm moves "$1" -o json 2>/dev/null | jq -e --arg id "$2" '.pairs[0].stages[] | select(.id == $id) | .state != "open"' >/dev/null; }
is_lost() { ! is_online kvm2; }
runs_there() { [ "$(machine_state kvm2 web)" = running ]; }
left() { # HOST
    on "$1" sh -c "find /var/lib/libvirt /var/lib/godwit/agent/vm /run/godwit-vm -name '*godwit-*' -o -path '*/agent/vm/*.note' -o -name '*.memory' -o -type s 2>/dev/null" |
        grep -vx -e '/var/lib/libvirt/qemu/.*' -e /run/godwit-vm | sort || true
}
ended() { case $(state "$1") in moved | "went back" | refused) ;; *) return 1 ;; esac; }
back_on_kvm1() { # WHAT
    is "$1: the machine at the source" "$(machine_state kvm1 web)" running
    machine_lives 1
    # One that goes on from its saved memory says again what it had said at the other host.
    [ "$1" = warm-quick ] || is "$1: two copies at once" "$(meter_tell 1 | jq .twice)" 0
}
# It is moving to kvm2, and stands where it is told to; nobody answers at that port, so that it waits there.
begins() { # JOB ROW OPTION…
    local job=$1 row=$2
    shift 2
    meter_anew 1
    godwit vm migrate web --to kvm2 --name "$job" --detach "$@" >/dev/null
    until_true 60 "$job: $row has begun" begun "$job" "$row"
}
answers=(--answers "tcp $(lab ip orch | sed 's/\.[0-9]*$/.101/'):9")
rises() { # JOB: the host has power again, and what the move made there goes
    lab start kvm2
    until_true 60 "kvm2 is online" is_online kvm2
    until_true 30 "libvirt of kvm2 answers" on kvm2 virsh -q list >/dev/null
    is "$1: the machine on the host that rose" "$(machine_state kvm2 web | grep -x running || true)" ""
    godwit vm rollback "$1" >/dev/null
    until_true 60 "$1: taken back to its end: $(state "$1")" ended "$1"
    is "$1: at its end" "$(state "$1")" "went back"
    is "$1: states" "$(machine_state kvm1 web) $(machine_state kvm2 web)" "running absent"
    is "$1: left at the source" "$(left kvm1)" ""
    is "$1: left at the destination" "$(left kvm2) $(on kvm2 ls -A $images)" " "
}

for type in warm warm-quick; do
    say "$type: it runs at the destination, and that answers: the word is refused"
    words=("${answers[@]}")
    [ $type != warm ] || words+=(--stop)
    begins $type answers --type $type "${words[@]}"
    until_true 20 "it runs there" runs_there
    rc=0
    said=$(godwit vm rollback $type --destination-is-off 2>&1) || rc=$?
    [[ $rc -ne 0 && $said == *"kvm2 answers: it is not off"* ]] || fail "the word for a host that answers: $rc $said"
    is "$type: nothing was done on it" "$(state $type) $(machine_state kvm1 web | grep -x running || true) $(machine_state kvm2 web)" "moving  running"

    say "$type: without power nothing is started while nobody knows"
    lab stop kvm2
    until_true 30 "kvm2 is lost" is_lost
    godwit vm rollback $type >/dev/null
    until_true 30 "$type: it waits for a person" waits $type "the machine may run there"
    is "$type: the machine at the source" "$(machine_state kvm1 web | grep -x running || true)" ""
    began=$(now_ms)
    godwit vm rollback $type --destination-is-off
    until_true 60 "$type: it went back: $(godwit vm moves $type)" is_state $type "went back"
    took=$(($(now_ms) - began))
    back_on_kvm1 $type
    godwit vm moves $type | grep -q 'left over: what the move made on host kvm2' || fail "$type: nothing says what is left over"
    on kvm1 virsh -q dumpxml web >/dev/null
    say "$type: that host rises"
    rises $type
    show "$type: the destination is off for good: the machine at the source $took ms after the word"
done

say "live with its storage: in the middle of it"
begins live migrate --type live-vsm --rate 20MiB/s
lab stop kvm2
until_true 35 "live: a verdict" is_state live stayed
godwit vm rollback live --destination-is-off
until_true 60 "live: it went back: $(state live)" is_state live "went back"
back_on_kvm1 live
is "live: one and the same machine" "$(meter_tell 1 | jq .boots)" 0
is "live: left at the source" "$(left kvm1)" ""
rises live

say "the orchestrator alone does not hear it: the word is not taken"
begins lie answers --type warm --stop "${answers[@]}"
until_true 20 "it runs there" runs_there
lab cut orch kvm2
until_true 30 "kvm2 is lost" is_lost
godwit vm rollback lie --destination-is-off >/dev/null
until_true 40 "the source says that it is on: $(godwit vm moves lie)" waits lie "the source reaches it"
is "a lie: states" "$(machine_state kvm1 web | grep -x running || true) $(machine_state kvm2 web)" " running"
lab heal orch kvm2
until_true 60 "it went back: $(state lie)" is_state lie "went back"
back_on_kvm1 lie
is "a lie: states at the end" "$(machine_state kvm1 web) $(machine_state kvm2 web)" "running absent"
is "a lie: left" "$(left kvm1)$(left kvm2)$(on kvm2 ls -A $images)" ""
on kvm1 virsh -q destroy web
machine_check kvm1 "$images/web.qcow2" >/dev/null
show "a host that somebody reaches is not off: nothing was started, and it went back when it was heard again"
