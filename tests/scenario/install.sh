#!/bin/bash
# install: `godwit agent install` brings agents to hosts over SSH, several at once, as root and by sudo; a
# host that cannot be reached is named and costs only itself; again is harmless; no token shows anywhere.
# limit: 240
. "$(dirname "$0")/lib.sh"

expect() { # CODE CMD…: its words are in $out
    local want=$1 rc=0
    shift
    out=$("$@" 2>&1) || rc=$?
    echo "$out"
    [ $rc = "$want" ] || fail "$* gave $rc, not $want"
}
said() { grep -qF -- "$1" <<<"$out" || fail "it did not say: $1"; }
pid_of() { on "$1" systemctl show -P MainPID godwit-agent; }
fingerprints() { godwit agent show "$1" -o json | jq -c '[.key_list[].fingerprint]'; }

# Looks at the arguments and the environment of every process of a host, over and over.
watch_for_tokens() { # HOST
    on "$1" bash -c 'until [ -e /run/watched ]; do grep -aoh "godwit1[.][A-Za-z0-9_-]*" /proc/[0-9]*/cmdline /proc/[0-9]*/environ; done' \
        2>/dev/null >"/tmp/$LAB_NAME.seen.$1" &
}
seen_in() { cat "/tmp/$LAB_NAME.seen.$1"; }

let_in() { # HOST USER: the operator's key, and the host's key known to the operator
    local home=/root
    [ "$2" = root ] || home=/home/$2
    on orch cat /root/.ssh/id_ed25519.pub | on "$1" sh -c "umask 077; mkdir -p $home/.ssh; cat >>$home/.ssh/authorized_keys
        chown -R $2: $home/.ssh"
    until_true 20 "sshd of $1 listens" on "$1" sh -c 'ss -Hltn "sport = 22" | grep -q .'
    on orch sh -c "ssh-keyscan -t ed25519 $1 2>/dev/null >>/root/.ssh/known_hosts"
}

packages
lab_up orch fs1 fs2 new1 new2
orchestrator_up
on orch ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519
for host in fs1 fs2 new1; do
    let_in $host root
done
on new2 useradd -m -s /bin/bash admin
on new2 sh -c 'echo "admin ALL=(ALL) NOPASSWD: ALL" >/etc/sudoers.d/admin'
let_in new2 admin

say "the watch for tokens sees one"
for host in orch fs1 new2; do
    watch_for_tokens $host
done
on orch bash -c 'exec -a godwit1.decoy sleep 2' &
until_true 10 "the decoy is seen" grep -q decoy "/tmp/$LAB_NAME.seen.orch"

say "three hosts as root, one by sudo"
start=$(now_ms)
expect 0 godwit agent install fs1 fs2 new1 --ssh root@
show "three agents installed, enrolled and online in $(($(now_ms) - start)) ms"
expect 0 godwit agent install new2 --ssh admin@ -o json
for host in fs1 fs2 new1 new2; do
    is_online $host || fail "$host is not online"
    [ "$(on $host systemctl is-enabled godwit-agent)" = enabled ] || fail "$host does not start its agent at boot"
    [ -z "$(on $host sh -c 'ls /tmp/godwit-* 2>/dev/null')" ] || fail "$host keeps the copied package"
done

say "no token was an argument, in an environment, or in a log"
for host in orch fs1 new2; do
    on $host touch /run/watched
done
wait
for host in orch fs1 new2; do
    [ "$(seen_in $host | grep -vc decoy)" = 0 ] || fail "a token shows on $host: $(seen_in $host | grep -v decoy | cut -c1-12 | sort | uniq -c)"
    on $host journalctl -q --no-pager -a | grep -q 'godwit1\.[A-Za-z0-9_-]\{20\}' && fail "a token is in the journal of $host"
    on $host grep -rqE 'godwit1\.[A-Za-z0-9_-]{20}' /etc/godwit /var/lib/godwit /var/log /tmp /root && fail "a token is in a file of $host"
done
rm -f "/tmp/$LAB_NAME".seen.*

say "again is harmless"
before=$(pid_of fs1) keys=$(fingerprints fs1)
expect 0 godwit agent install fs1 fs2 --ssh root@
said "was enrolled, online"
[ "$(pid_of fs1)" = "$before" ] || fail "the agent was restarted for nothing"
[ "$(fingerprints fs1)" = "$keys" ] || fail "the key changed"

say "hosts that are not there, not known, not called so"
expect 3 godwit agent install nowhere fs1 --ssh root@
said "nowhere  failed"
said "Could not resolve hostname"
expect 1 godwit agent install fs9=new2 --ssh nobody@
said "Permission denied"
lab cut orch fs2
expect 3 godwit agent install fs2 new1 --ssh root@ --ssh-option ConnectTimeout=2
said "fs2   failed"
lab heal orch fs2
expect 1 godwit agent install nowhere --ssh root@
expect 2 godwit agent install fs1 fs1 --ssh root@
expect 2 godwit agent install fs1 --ssh root@ --package /nonexistent.deb
said "--package"
is_online fs1 || fail "fs1 is gone"

say "one that was revoked comes back only when told to; another's key is not taken by mistake"
godwit agent revoke new1 </dev/null
expect 1 godwit agent install new1 --ssh root@
said "--again"
expect 1 godwit agent install wrong=fs2 --ssh root@
until_true 30 "fs2 is online: it lost no key to a slip of the pen" is_online fs2 # it was cut off above
expect 0 godwit agent install new1 --ssh root@ --again
said "enrolled, online"

say "where an operator approves"
on orch sh -c 'echo "approve = yes" >>/etc/godwit/godwitd.conf'
on orch systemctl restart godwitd
godwit agent revoke fs2 new2 </dev/null
expect 0 godwit agent install fs2 --ssh root@ --again --approve
expect 0 on orch sh -c 'godwit agent install new2 --ssh admin@ --again 2>/tmp/err & pid=$!
    until grep -q "waits for approval: godwit agent approve new2" /tmp/err; do sleep 0.1; done
    godwit agent approve new2 && wait $pid'
said "enrolled, online"

say "after a restart of the host the agent is back"
lab reboot fs1
until_true 30 "fs1 online" is_online fs1
say "done"
