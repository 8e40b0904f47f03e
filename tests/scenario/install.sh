#!/bin/bash
# install: `godwit agent install` brings agents to hosts over SSH, as root and by sudo, several at once;
# a host that cannot be reached is named and costs only itself.
# limit: 180
. "$(dirname "$0")/lib.sh"

packages
lab_up orch fs1 fs2 new1
orchestrator_up
on orch ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519
for host in fs1 fs2 new1; do
    on orch cat /root/.ssh/id_ed25519.pub | on "$host" sh -c 'cat >>/root/.ssh/authorized_keys'
    until_true 20 "sshd of $host listens" on "$host" sh -c 'ss -Hltn "sport = 22" | grep -q .'
    on orch sh -c "ssh-keyscan -t ed25519 $host 2>/dev/null >>/root/.ssh/known_hosts"
done

start=$(now_ms)
godwit agent install fs1 fs2 new1 --ssh root@
show "three agents installed in $(($(now_ms) - start)) ms"
for host in fs1 fs2 new1; do
    until_true 15 "$host online" is_online "$host"
    [ "$(on "$host" systemctl is-enabled godwit-agent)" = enabled ] || fail "$host does not start its agent at boot"
done

say "a host that is not there"
rc=0
godwit agent install fs1 nowhere --ssh root@ || rc=$?
[ $rc -eq 3 ] || [ $rc -eq 1 ] || fail "exit code $rc for a host that is not there"
is_online fs1 || fail "fs1 is gone"

say "after a restart of the host the agent is back"
lab reboot fs1
until_true 30 "fs1 online" is_online fs1
say "done"
