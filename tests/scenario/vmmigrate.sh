#!/bin/bash
# vmmigrate: machines move by the console: planned, kept as a file, moved as planned, refused when stale; one that runs is shut
# down for it; a host is emptied. Promise and fact stand side by side, and nothing is left on either host.
# limit: 240
# slow
VM_HOSTS="kvm1 kvm2"
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/machines.sh"

fleet_up kvm1 kvm2
libvirt_up kvm1 kvm2
sum_of() { on "$1" sha256sum "$images/$2" | cut -d' ' -f1; }
plan=/root/move.plan

say "a machine that is off: planned, kept, moved as planned"
machine_define kvm1 web 1 64M
on kvm1 virsh -q autostart web
sum=$(sum_of kvm1 web.qcow2)
promised() { godwit vm plan web --to kvm2 -o json "$@" | jq '.plans[0].seconds'; }
[ "$(promised --rate 10KiB/s)" -gt "$(($(promised) + 5))" ] || fail "a limit is not reckoned with: $(promised --rate 10KiB/s) s, $(promised) s without"
is "type" "$(godwit vm plan web --to kvm2 --save $plan -o json | jq -r '.plans[0].type')" cold
godwit vm migrate --plan $plan --name first
is "where it is" "$(machine_state kvm1 web) $(machine_state kvm2 web)" "absent shut off"
is "its disk" "$(sum_of kvm2 web.qcow2)" "$sum"
is "autostart" "$(on kvm2 virsh dominfo web | awk '/^Autostart:/{print $2}')" enable
is "state" "$(godwit vm moves first -o json | jq -r '.pairs[0].state')" moved
show "$(godwit vm moves first | sed -n 2p)"

say "a plan does not hold when the machine was changed since"
machine_define kvm1 app 2 64M
godwit vm plan app --to kvm2 --save $plan >/dev/null
on kvm1 virsh -q desc app --config changed
rc=0
said=$(godwit vm migrate --plan $plan 2>&1) || rc=$?
[[ $rc = 5 && $said == *"definition was changed"* ]] || fail "a stale plan is not refused: $rc $said"

say "one that runs is not shut down unless that is allowed"
on kvm1 virsh -q start app
rc=0
said=$(godwit vm migrate app --to kvm2 --type cold 2>&1) || rc=$?
[[ $rc = 8 && $said == *"--stop"* ]] || fail "a machine that runs was moved without leave: $rc $said"
is "it" "$(machine_state kvm1 app)" running
godwit vm migrate app --to kvm2 --type cold --stop --stop-timeout 2s --force-off --name second
is "where it is" "$(machine_state kvm1 app) $(machine_state kvm2 app)" "absent running"
[ "$(godwit vm moves second -o json | jq '.pairs[0].fact.outage_ms > 0 and .pairs[0].fact.bytes > 0')" = true ] ||
    fail "no fact beside the promise: $(godwit vm moves second -o json)"

say "an act that fails is taken back: the machine runs where it was"
on kvm1 mount -t tmpfs -o size=128k full $images
rc=0
said=$(godwit vm migrate app --to kvm1 --type cold --stop --stop-timeout 2s --force-off --name third 2>&1) || rc=$?
[[ $rc = 8 && $said == *"fail, space"* ]] || fail "a full pool is not refused: $rc $said"
rc=0
godwit vm migrate app --to kvm1 --type cold --stop --stop-timeout 2s --force-off --override space --name third || rc=$?
on kvm1 umount $images
[ $rc = 1 ] || fail "a move into a full pool ends with $rc"
is "where it is" "$(machine_state kvm1 app) $(machine_state kvm2 app)" "absent running"
is "state" "$(godwit vm moves third -o json | jq -r '.pairs[0].state')" "went back"
say "and once more, now that there is room"
godwit vm resume third
is "where it is" "$(machine_state kvm1 app) $(machine_state kvm2 app)" "running absent"
godwit vm migrate app --to kvm2 --type cold --stop --stop-timeout 2s --force-off --keep 0 --name back

say "a host is emptied: what runs goes on running"
is "plans" "$(godwit vm evacuate kvm2 --plan-only -o json | jq -r '[.plans[] | "\(.machine):\(.to):\(.type)"] | sort | join(" ")')" \
    "app:kvm1:live-vsm web:kvm1:cold"
godwit vm evacuate kvm2 --at-once 2 --name fourth
is "machines" "$(godwit vm list -o json | jq -r '[.machines[] | "\(.host):\(.name):\(.state)"] | sort | join(" ")')" "kvm1:app:running kvm1:web:off"
is "left but what is kept for a day" "$(on kvm2 sh -c "ls -A $images | grep -v ^.godwit-fenced-" || true)" ""
show "$(godwit vm moves fourth | sed -n 2,3p)"
show "machines moved off, running, and all of a host; a stale plan and a full pool refused; what failed was taken back"
