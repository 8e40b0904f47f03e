#!/bin/bash
# lab: what the other scenarios stand on: hosts reach each other and nothing else, cables can be pulled,
# hosts restart with their disks, two labs do not meet, an interrupted start leaves nothing.
# limit: 120
. "$(dirname "$0")/lib.sh"

reach() { on "$1" socat -T1 -u "TCP:$2:22,connect-timeout=1" STDOUT 2>/dev/null </dev/null | grep -q SSH; }
traces() { ls -d "${LAB_DIR:-/var/tmp/godwit-lab}/$1" /run/netns/gwlab-"$1" 2>/dev/null; grep "lab-$1-" /proc/mounts; pgrep -f "godwit-lab/$1/"; }

lab_up a b c
until_true 20 "a reaches b" reach a b
on a sh -c 'getent hosts b c && ! ip route get 192.0.2.1 2>/dev/null | grep -q "dev eth"' >/dev/null
[ "$(on a cat /etc/machine-id)" != "$(on b cat /etc/machine-id)" ] || fail "two hosts have one machine id"
[ "$(on a hostname)" = a ] || fail "a is called something else"

say "a cut link is silent, the others go on"
lab cut a b
reach a b && fail "a reaches b over a cut link"
reach b a && fail "b reaches a over a cut link"
until_true 10 "a reaches c" reach a c
lab heal b a
until_true 10 "a reaches b after healing" reach a b

say "a restart keeps the disk, and is one"
on a sh -c 'echo kept >/etc/kept; echo data >/srv/kept; echo gone >/run/gone'
lab reboot a
[ "$(on a cat /etc/kept /srv/kept | xargs)" = "kept data" ] || fail "the disk is lost"
on a test -e /run/gone && fail "a did not restart"
lab reboot a --hard
[ "$(on a cat /etc/kept)" = kept ] || fail "the disk is lost in a power cut"
until_true 20 "b reaches a after the restarts" reach b a

say "processes die when told to"
until_true 10 "sshd runs" on b pgrep -x sshd >/dev/null
lab kill b sshd
rc=0
lab run b sh -c 'exit 7' || rc=$?
[ $rc -eq 7 ] || fail "run does not pass the exit code on: $rc"

say "counters count"
read -r _ sent0 _ _ < <(lab counters a)
on a sh -c 'head -c 10M /dev/zero | socat -u - TCP:b:22' 2>/dev/null || true
read -r _ sent1 _ _ < <(lab counters a)
[ "$sent1" -gt "$sent0" ] || fail "no bytes counted"

say "another lab with the same host names"
LAB_NAME=$LAB_NAME-x lab up --hosts "a b"
on a touch /etc/mine
LAB_NAME=$LAB_NAME-x lab run a test -e /etc/mine && fail "the labs share a disk"
LAB_NAME=$LAB_NAME-x lab down
[ "$(on b hostname)" = b ] || fail "the end of another lab hurt this one"
[ -z "$(traces "$LAB_NAME-x")" ] || fail "left: $(traces "$LAB_NAME-x")"

# As soon as CMD… holds for a start of another lab, that start is told to end. A quick machine may have it up by then.
interrupt_when() { # CMD…
    local rc=0 starting
    LAB_NAME=$LAB_NAME-i setsid "$top/tests/lab/lab" up --hosts "a b" 2>/dev/null &
    starting=$!
    until_true 30 "a start gets as far as '$*'" "$@"
    kill -TERM -- "-$starting" 2>/dev/null || true
    wait "$starting" || rc=$?
    [ $rc -ne 0 ] || { echo "up before it was told to end at '$*'"; LAB_NAME=$LAB_NAME-i lab down; }
    [ -z "$(traces "$LAB_NAME-i")" ] || fail "left after '$*': $(traces "$LAB_NAME-i")"
}
say "an interrupted start leaves nothing"
trap 'rc=$?; LAB_NAME=$LAB_NAME-i lab down; finish $rc' EXIT
starts=${LAB_DIR:-/var/tmp/godwit-lab}/$LAB_NAME-i
interrupt_when test -d "$starts"
interrupt_when test -e "/run/netns/gwlab-$LAB_NAME-i"
interrupt_when test -d "$starts/hosts/b/root"
interrupt_when grep -qs . "$starts/hosts/a/console"
say "done"
