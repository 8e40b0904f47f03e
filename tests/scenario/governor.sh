#!/bin/bash
# governor: limits of hosts and jobs hold on the wire, change while pairs run, are shared, and a calendar pauses.
# With --all also a very low rate, and a window that begins while the orchestrator is stopped.
# limit: 420
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/trees.sh"

MIB=1048576
all=${GODWIT_ALL:-no}

sent() { lab counters "$1" | cut -d' ' -f2; }
received() { lab counters "$1" | cut -d' ' -f4; }

# rate_of SECONDS CMD…: bytes a second by which a counter grows.
rate_of() {
    local seconds=$1 from to start end
    shift
    from=$("$@")
    start=$(now_ms)
    sleep "$seconds" # the clock decides here, not a condition
    to=$("$@")
    end=$(now_ms)
    echo $(((to - from) * 1000 / (end - start)))
}

# within PERCENT GOT WANTED
within() { [ $(($2 * 100)) -ge $(($3 * (100 - $1))) ] && [ $(($2 * 100)) -le $(($3 * (100 + $1))) ]; }

# holds WHAT MIB/S CMD…: over 10 s, within 5%, as the counter sees it.
holds() {
    local what=$1 want=$2 got
    shift 2
    got=$(rate_of 10 "$@")
    show "$what: $((got / 1024)) KiB/s of $((want * 1024)) ($((got * 1000 / (want * MIB) - 1000))‰ off)"
    within 5 "$got" $((want * MIB)) || fail "$what: $got bytes/s, not within 5% of $want MiB/s"
}

reason() { godwit job show "$1" -o json | jq -r '.pairs[0].reason'; }
says() { [[ $(reason "$1") == *$2* ]]; }
# at_rest HOST: next to nothing leaves it.
at_rest() { [ "$(rate_of 1 sent "$1")" -lt 20000 ]; }
moves() { [ "$(rate_of 1 sent "$1")" -gt $MIB ]; }

fleet_up fs1 fs2 new1
big_files fs1 /srv/data 75 20
big_files fs2 /srv/data 45 20

say "a limit of a host, changed while the pair runs"
godwit limit set --host fs1 --rate 8MiB/s
godwit job create files --name one --compress off --pair fs1:/srv/data=new1:/srv/one >/dev/null
godwit job start one >/dev/null
until_true 20 "fs1 sends" moves fs1
holds "fs1 at 8 MiB/s" 8 sent fs1
until_true 10 "job show names the limit" says one "held by host fs1 8 MiB/s"
show "job show: $(reason one)"
godwit limit set --host fs1 --rate 20MiB/s
sleep 1.5
holds "fs1 changed to 20 MiB/s" 20 sent fs1
low_rate() {
    local got
    godwit limit set --host fs1 --rate 512KiB/s
    sleep 1.5
    got=$(rate_of 10 sent fs1)
    show "fs1 changed to 512 KiB/s: $((got / 1024)) KiB/s"
    within 8 "$got" 524288 || fail "fs1: $got bytes/s at 512 KiB/s" # heartbeats and acknowledgements count here
}
[ "$all" = no ] || low_rate

say "two pairs share a limit of their destination"
godwit limit set --host new1 --rate 16MiB/s
godwit limit remove --host fs1
godwit job create files --name two --compress off --pair fs2:/srv/data=new1:/srv/two >/dev/null
godwit job start two >/dev/null
until_true 20 "fs2 sends" moves fs2
sleep 1.5
fs1_0=$(sent fs1)
fs2_0=$(sent fs2)
holds "new1 at 16 MiB/s from two sources" 16 received new1
fs1_share=$((($(sent fs1) - fs1_0) * 100 / ($(sent fs1) - fs1_0 + $(sent fs2) - fs2_0)))
show "shares: fs1 $fs1_share%, fs2 $((100 - fs1_share))%"
[ $fs1_share -ge 45 ] && [ $fs1_share -le 55 ] || fail "the shares are not even: $fs1_share%"

say "a calendar pauses and goes on, the lanes stay open"
lanes() { on fs1 ss -Htn state established 'dport = :7410' | wc -l; }
open=$(lanes)
printf 'zone UTC\ndaily 00:00-24:00 none\n' | on orch sh -c 'cat >/root/closed.txt'
godwit limit set --job one --calendar /root/closed.txt
until_true 10 "fs1 is at rest" at_rest fs1
got=$(rate_of 5 sent fs1)
show "paused: fs1 sends $got bytes/s; $(reason one)"
[ "$got" -lt 20000 ] || fail "fs1 sends $got bytes/s in a pause"
says one "paused by the limit of job one" || fail "job show says: $(reason one)"
[ "$(lanes)" = "$open" ] || fail "lanes were closed in the pause"
got=$(rate_of 5 sent fs2)
within 8 "$got" $((16 * MIB)) || fail "fs2 has $got bytes/s of the 16 MiB/s that fs1 leaves it"
show "what fs1 leaves, fs2 gets: $((got / 1024)) KiB/s"
godwit limit remove --job one
until_true 10 "fs1 goes on" moves fs1

window_ahead() {
    local start
    say "a window that was sent ahead begins without the orchestrator"
    start=$(date -u -d "@$((($(date +%s) + 75) / 60 * 60))" +%H:%M)
    printf 'zone UTC\ndaily %s-%s none\n' "$start" "$(date -u -d "$start 20 minutes" +%H:%M)" |
        on orch sh -c 'cat >/root/soon.txt'
    godwit limit set --host fs1 --rate 3MiB/s --calendar /root/soon.txt
    sleep 1.5
    on orch systemctl stop godwitd
    moves fs1 || fail "fs1 does not keep the last rate without the orchestrator"
    until_true 80 "fs1 pauses at $start by itself" at_rest fs1
    [ "$(on fs1 godwit-agent status -o json | jq '.session.running | length')" -gt 0 ] || fail "the transfer was over before its window"
    show "the window at $start began with the orchestrator stopped"
    on orch systemctl start godwitd
    until_true 20 "the orchestrator answers" godwit status >/dev/null 2>&1
    says one "paused by the limit of host fs1" || until_true 10 "job show names the window" says one "paused by the limit of host fs1"
    show "and the orchestrator knows it again: $(reason one)"
    godwit limit list
    godwit limit remove --host fs1
}
[ "$all" = no ] || window_ahead

godwit limit set --host new1 --rate unlimited
job_wait one 60 done
job_wait two 60 done
same_tree fs1 /srv/data new1 /srv/one
same_tree fs2 /srv/data new1 /srv/two
say "done"
