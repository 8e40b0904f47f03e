#!/bin/bash
# cutover_boot: hosts that restart where it hurts: a destination that is switched off in the middle of the swap and on
# again when the source serves; both right after a rollback, after 100 % and after the commit; a source that loses power
# when its successor takes over; an orchestrator that nobody hears any more; a destination that was given up at 100 % and comes up all the same. The right one serves, and never two answer for the server's address.
# limit: 800
# slow
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/cutlib.sh"

packages
SAMBA_HOSTS="fs1 new1 cl" lab_up orch fs1 new1 cl
orchestrator_up
agents_up fs1 new1
users_on fs1 alice:3001
on fs1 sh -c 'mkdir -p /srv/data/sales; chmod 777 /srv/data/sales'
share sales /srv/data/sales | standalone fs1
standalone new1 </dev/null
godwit job create files --name move --accounts rename --shares pair --pair fs1:/srv/data=new1:/srv/data >/dev/null
godwit job start move --wait >/dev/null || { godwit job report move; fail "the transfer failed"; }
before=$(identity_of fs1; identity_of new1)
watch_address cl "$(lab ip fs1)"

run() { godwit cutover run move --source-address "$(admin_of fs1)/24" --silence 15s "$@"; }
state() { cut_job move '.pairs[0].cutover'; }
is() { [ "$(state)" = "$1" ]; }
over() { is "cut over" || is "rolled back"; }
uses_quietly() { uses cl fs1 sales alice >/dev/null; }
serves() { # HOST WHEN
    # A host that does not come back is waited for until its stage is over its limit.
    until_true 150 "alice uses fs1 ($2)" uses_quietly
    served_from cl fs1 sales alice "$1" || fail "$2: fs1 is another than $1"
    never_two cl "$2"
}
same() { # WHEN
    local n
    for n in $(seq 100); do ! is_same || return 0; done
    diff <(echo "$before") <(identity_of fs1; identity_of new1) || fail "not as before: $1"
}
is_same() { [ "$before" = "$(identity_of fs1; identity_of new1)" ]; }

say "the destination is switched off in the middle of the swap; the source serves again; the destination is switched on"
run --wait=no >/dev/null
until_true 60 "the destination takes over" noted new1 start.note
lab stop new1
serves fs1 "the destination is off"
lab start new1
until_true 60 "all is taken back" is "rolled back"
serves fs1 "the destination is on again"
on new1 systemctl show -p Result --value godwit-boot | grep -qx success || fail "the boot unit failed"
on new1 journalctl -q -b -u godwit-boot | grep -q 'is itself again' || fail "the boot unit did nothing"
same "after a start in the middle"

say "the source loses power when its successor takes over"
run --wait=no >/dev/null
until_true 60 "the source has stopped Samba" noted fs1 stop.note
until_true 20 "the bundle goes" noted new1 bundle
lab stop fs1
lab start fs1
until_true 120 "all is taken back, or goes on to the end" over
if is "cut over"; then
    serves new1 "the source lost power"
    godwit cutover rollback move >/dev/null || fail "the rollback failed"
fi
serves fs1 "the source lost power, and all was taken back"
same "after the source's power cut"

say "nobody hears the orchestrator any more in the middle of the swap: each host goes back by its own timer"
run --wait=no >/dev/null
until_true 60 "the source has stopped Samba" noted fs1 stop.note
lab cut orch new1
lab cut orch fs1
until_true 60 "the destination has gone back" on new1 sh -c '[ "$(hostname)" = new1 ] && ls /var/lib/godwit/agent/cutover/*/sprung >/dev/null 2>&1'
serves fs1 "nobody heard the orchestrator"
lab heal orch new1
lab heal orch fs1
until_true 90 "all is taken back" is "rolled back"
serves fs1 "the orchestrator is heard again"
same "after both timers"

say "there, and back, and both restart at once"
run >/dev/null || { godwit cutover report move; fail "the cutover failed"; }
godwit cutover rollback move >/dev/null || { godwit cutover report move; fail "the rollback failed"; }
restart_both() {
    local first
    lab reboot fs1 --hard & first=$!
    lab reboot new1 --hard
    wait $first
}
restart_both
serves fs1 "both restarted after the rollback"
same "after the restart"

say "the destination is switched off at 100 %, the source takes its place again; then the destination is switched on"
run >/dev/null || { godwit cutover report move; fail "the cutover failed"; }
lab stop new1
godwit cutover rollback move --destination-is-off --wait=no >/dev/null || fail "the rollback does not begin"
serves fs1 "the destination is off for good"
lab start new1
on new1 journalctl -q -b -u godwit-boot | grep -q 'the source has its addresses again' || fail "the destination did not ask who serves"
until_true 60 "all is taken back" is "rolled back"
serves fs1 "the destination is on again after all"
same "after a start of a destination that was given up"

say "there, and both restart at 100 %, and after the commit"
run >/dev/null || { godwit cutover report move; fail "the cutover failed"; }
restart_both
serves new1 "both restarted at 100 %"
until_true 30 "fs1 online" is_online fs1
until_true 30 "new1 online" is_online new1
godwit cutover commit move >/dev/null || { godwit cutover report move; fail "the commit failed"; }
restart_both
serves new1 "both restarted after the commit"
on fs1 sh -c '! systemctl is-active -q smbd' || fail "smbd runs on the source"
! on fs1 systemctl start smbd 2>/dev/null || fail "smbd can be started on the source"
lab stop new1
lab reboot fs1 --hard
until_true 20 "nobody answers for the server's address" on cl sh -c '[ "$(tail -1 /run/who | wc -w)" = 1 ]'
on cl timeout 5 bash -c '! : </dev/tcp/$0/445' "$(admin_of fs1)" 2>/dev/null || fail "the source serves when it is switched on alone after the commit"
never_two cl "to the end"
say "done"
