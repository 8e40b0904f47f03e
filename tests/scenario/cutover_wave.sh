#!/bin/bash
# cutover_wave: five servers in one wave, two at once; the third is none for its users when it has moved: it is taken
# back and the wave halts; the first two stay, the last two are as they were.
# limit: 400
# slow
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/cutlib.sh"

sources="s1 s2 s3 s4 s5" destinations="n1 n2 n3 n4 n5"
packages
SAMBA_HOSTS="$sources $destinations cl" lab_up orch $sources $destinations cl
orchestrator_up
agents_up $sources $destinations cl

say "five workgroup servers and their successors"
pairs=() keeps=()
for i in 1 2 3 4 5; do
    users_on s$i alice:3001
    on s$i sh -c "mkdir -p /srv/data/sales; chmod 777 /srv/data/sales; echo server $i >/srv/data/sales/letter"
    share sales /srv/data/sales | standalone s$i
    standalone n$i </dev/null
    pairs+=(--pair "s$i:/srv/data=n$i:/srv/data")
    keeps+=(--source-address "s$i=$(admin_of s$i $i)/24")
done
printf 'username = alice\npassword = pw-alice\n' | on cl sh -c 'umask 077; cat >/etc/godwit/probe.cred'
godwit job create files --name wave --accounts rename --shares pair "${pairs[@]}" >/dev/null
godwit job start wave --wait >/dev/null || { godwit job report wave; fail "the transfer failed"; }
# No check of the plan sees it: nobody but root comes to the share's folder there.
on n3 chmod 700 /srv
for i in 1 2 3 4 5; do before[i]=$(identity_of s$i; identity_of n$i); done

say "the wave"
! godwit cutover run wave --at-once 2 --budget 0 --probe-host cl --probe-user alice "${keeps[@]}" >/run/wave.$$ 2>&1 ||
    fail "the wave did not halt"
rm -f /run/wave.$$
until_true 90 "the wave has ended" job_ended wave
state_of() { godwit cutover report wave -o json | jq -r ".pairs[$(($1 - 1))].cutover"; }
for i in 1 2; do
    [ "$(state_of $i)" = "cut over" ] || { godwit cutover report wave; fail "server $i is '$(state_of $i)'"; }
    must_use cl s$i sales alice
    served_from cl s$i sales alice n$i || fail "s$i leads to another than n$i"
done
[ "$(state_of 3)" = "rolled back" ] || { godwit cutover report wave; fail "server 3 is '$(state_of 3)'"; }
for i in 3 4 5; do
    case $i$(state_of $i) in *"cut over" | *running | *"going back") fail "server $i is '$(state_of $i)'" ;; esac
    diff <(echo "${before[i]}") <(identity_of s$i; identity_of n$i) || fail "server $i is not as it was"
    must_use cl s$i sales alice
    served_from cl s$i sales alice s$i || fail "s$i leads to another than itself"
done
show "wave of five, two at once: $(for i in 1 2 3 4 5; do printf '%s: %s; ' $i "$(state_of $i)"; done)"

say "the third is put right: the rest goes on, and is committed when it has served for a while"
on n3 chmod 755 /srv
godwit cutover run wave --at-once 2 --budget 0 --soak 10s --probe-host cl --probe-user alice "${keeps[@]}" >/dev/null ||
    { godwit cutover report wave; fail "the rest of the wave failed"; }
for i in 1 2 3 4 5; do
    must_use cl s$i sales alice
    served_from cl s$i sales alice n$i || fail "s$i leads to another than n$i"
done
committed() { for i in 3 4 5; do [ "$(state_of $i)" = committed ] || return 1; done; }
until_true 60 "the rest is committed by itself" committed
for i in 3 4 5; do must_use cl s$i sales alice; done
say "done"
