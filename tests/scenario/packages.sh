#!/bin/bash
# packages: install, configure, enrol, upgrade, remove, purge; what the units may do.
# limit: 180
. "$(dirname "$0")/lib.sh"

files_of() { # HOST: all paths, but for what dpkg, logs and caches keep of any package
    on "$1" find / -xdev \( -path /proc -o -path /sys -o -path /tmp -o -path /root -o -path /run/systemd \
        -o -path /var/log -o -path /var/cache -o -path /var/lib/dpkg -o -path /var/lib/systemd \
        -o -path /run/log -o -path /var/backups -o -path '/etc/*-' \) -prune -o -print | sort
}

exposure() { on "$1" systemd-analyze security --no-pager "$2" | sed -n 's/.*level for .*: \([0-9.]*\) .*/\1/p'; }
at_most() { awk "BEGIN {exit !($1 <= $2)}"; }

say "lintian"
packages
lintian --tag-display-limit 0 "$GODWIT_DEBS"/*.deb 2>/dev/null | tee /dev/stderr | grep -q '^E:' &&
    fail "lintian has errors"

say "install"
lab_up orch fs1
files_of orch >"/tmp/$LAB_NAME.before"
install_on orch godwit-orchestrator godwit-console godwit-agent
install_on fs1 godwit-agent
for unit in godwitd godwit-agent; do
    [ "$(on orch systemctl is-enabled $unit)" = disabled ] || fail "$unit must not start before it is told to"
done

say "every option in the configuration files is known, and shown with its default"
on orch sh -c 'sed "s/^#\([a-z-]* =\)/\1/" /etc/godwit/godwitd.conf >/tmp/all.conf && godwitd --check -c /tmp/all.conf'
on orch sh -c 'sed "s/^#\([a-z-]* =\)/\1/" /etc/godwit/agent.conf >/tmp/all.conf &&
    godwit-agent status -c /tmp/all.conf >/dev/null 2>&1; [ $? -ne 2 ]' || fail "agent.conf is refused"
[ "$(on orch sh -c 'grep -hv "^#" /etc/godwit/*.conf | grep -c .' || true)" = 0 ] || fail "an option is set"
for unit in godwitd godwit-agent; do
    on orch man -w $unit >/dev/null || fail "no manual page of $unit"
done
on orch man -w godwit >/dev/null || fail "no manual page of godwit"
on orch bash -c '. /usr/share/bash-completion/bash_completion; _completion_loader godwit; complete -p godwit' >/dev/null ||
    fail "no completion"

say "units"
on orch systemctl enable -q --now godwitd godwit-agent
on fs1 systemctl enable -q --now godwit-agent
agent=$(exposure fs1 godwit-agent) daemon=$(exposure orch godwitd)
show "systemd-analyze security: godwitd $daemon, godwit-agent $agent"
at_most "$daemon" 4.0 || fail "godwitd is exposed: $daemon"
at_most "$agent" 4.0 || fail "godwit-agent is exposed: $agent"
[ "$(on orch stat -c '%U %a' /var/lib/godwit/godwit.db)" = "godwit 600" ] || fail "the database is not private"
[ "$(on orch stat -c '%U %a' /var/lib/godwit/agent)" = "root 700" ] || fail "the agent's folder is not private"
enrol fs1
until_true 10 "fs1 online" is_online fs1

say "upgrade keeps state"
realm=$(godwit status -o json | jq -r .realm)
on orch sh -c 'echo "max-pairs = 7" >>/etc/godwit/godwitd.conf'
mkdir -p "/tmp/$LAB_NAME.up"
for deb in "$GODWIT_DEBS"/*.deb; do
    rm -rf "/tmp/$LAB_NAME.tree"
    dpkg-deb -R "$deb" "/tmp/$LAB_NAME.tree"
    sed -i 's/^Version: .*/&.1/' "/tmp/$LAB_NAME.tree/DEBIAN/control"
    dpkg-deb -b "/tmp/$LAB_NAME.tree" "/tmp/$LAB_NAME.up" >/dev/null
done
on orch sh -c 'rm /root/*.deb' && on fs1 sh -c 'rm /root/*.deb'
before=$(on orch systemctl show -P MainPID godwitd)
(GODWIT_DEBS=/tmp/$LAB_NAME.up && install_on orch godwit-orchestrator godwit-console godwit-agent &&
    install_on fs1 godwit-agent)
rm -rf "/tmp/$LAB_NAME.up" "/tmp/$LAB_NAME.tree"
[ "$(on orch systemctl show -P MainPID godwitd)" != "$before" ] || fail "the upgrade did not restart godwitd"
until_true 10 "fs1 online after the upgrade" is_online fs1
[ "$(godwit status -o json | jq -r .realm)" = "$realm" ] || fail "the upgrade lost the registry"
on orch grep -q '^max-pairs = 7' /etc/godwit/godwitd.conf || fail "the upgrade lost a setting"

say "remove keeps state, purge leaves nothing"
on orch dpkg -r godwit-orchestrator godwit-agent >/dev/null 2>&1
on orch test -f /var/lib/godwit/godwit.db || fail "remove took the state"
on orch test -f /etc/godwit/godwitd.conf || fail "remove took the configuration"
on orch dpkg -P godwit-orchestrator godwit-agent godwit-console >/dev/null 2>&1
files_of orch >"/tmp/$LAB_NAME.after"
left=$(comm -13 "/tmp/$LAB_NAME.before" "/tmp/$LAB_NAME.after")
rm -f "/tmp/$LAB_NAME".{before,after}
[ -z "$left" ] || fail "purge left: $left"
on orch getent passwd godwit && fail "purge left the user"
say "done"
