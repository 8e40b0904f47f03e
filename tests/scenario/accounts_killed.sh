#!/bin/bash
# accounts_killed: the destination's agent dies at each point where accounts, passwords, Samba's data bases and shares are
# put there: it comes back, the job ends by itself, and everybody logs on. Needs an agent built with GODWIT_FAULT_POINTS.
# limit: 150
# slow: ten deaths, a minute
. "$(dirname "$0")/lib.sh"
agent=${GODWIT_BIN:-$top/build/dev/bin}/godwit-agent
grep -q GODWIT_FAULT_FILE "$agent" 2>/dev/null || skip "no agent with fault points (preset dev has them)"
points="accounts-planned:1 account-made:2 secrets-here:1 passwords-set:1 samba-written:1 samba-users-made:1 samba-written:2
    shares.recorded:1 shares.registry:1 shares.written:1"

SAMBA_HOSTS="fs1 new1" fleet_up fs1 new1
is() { [ "$2" = "$3" ] || fail "$1: '$2', not '$3'"; }
armed=/var/lib/godwit/fault
line_of() { on "$1" grep "^$2:" /etc/shadow | cut -d: -f1-8; }

lab push new1 "$agent" /usr/sbin
on new1 sh -ec "mkdir -p /etc/systemd/system/godwit-agent.service.d
printf '[Service]\nEnvironment=GODWIT_FAULT_FILE=$armed\nRestartSec=100ms\n' >/etc/systemd/system/godwit-agent.service.d/fault.conf
systemctl daemon-reload; systemctl restart godwit-agent"
for h in fs1 new1; do
    on $h sh -c 'printf "[global]\n workgroup = WORKGROUP\n server role = standalone server\n registry shares = yes\n" >/etc/samba/smb.conf; systemctl start smbd'
done
on fs1 sh -c 'mkdir -p /srv/data; chmod 1777 /srv/data; groupadd -g 2999 all'
godwit job create files --name move --accounts rename --shares pair --pair fs1:/srv/data=new1:/srv/new >/dev/null

# What there is more for each death: a group, two users, a share that one of them may use.
more() { # N
    on fs1 bash -se <<END
groupadd -g $((2100 + $1)) g$1
for u in a$1:$((3000 + 2 * $1)) b$1:$((3001 + 2 * $1)); do
    useradd -M -N -u \${u#*:} -g g$1 \${u%:*}
    printf 'pw\npw\n' | smbpasswd -s -a \${u%:*} >/dev/null
done
printf 'a$1:pw\nb$1:pw\n' | chpasswd
gpasswd -a b$1 all >/dev/null
net groupmap add ntgroup=G$1 unixgroup=g$1 type=domain >/dev/null
mkdir -p /srv/data/d$1; chgrp g$1 /srv/data/d$1; chmod 2770 /srv/data/d$1
if [ $(($1 % 2)) = 0 ]; then net conf addshare s$1 /srv/data/d$1 writeable=y >/dev/null
else printf '[s$1]\npath = /srv/data/d$1\nread only = no\n' >>/etc/samba/smb.conf; fi
sharesec s$1 --setsddl="D:(D;;0x001f01ff;;;\$(net sam show b$1 | sed 's/.*SID //'))(A;;0x001f01ff;;;WD)" >/dev/null
END
}

n=0
for point in $points; do
    n=$((n + 1))
    more $n
    until_true 15 "new1 is online" is_online new1
    echo "${point%:*} ${point#*:}" | on new1 sh -c "cat >$armed"
    godwit job start move --wait >/dev/null || { godwit job report move; fail "it did not get over a death at $point"; }
    on new1 sh -c "! test -e $armed" || fail "new1 never came to $point"
    for u in a$n b$n; do
        is "$point: password of $u" "$(line_of new1 $u)" "$(line_of fs1 $u)"
        on new1 smbclient -gL localhost -U $u%pw >/dev/null 2>&1 || fail "$point: $u cannot log on"
    done
    is "$point: groups of b$n" "$(on new1 id -Gn b$n)" "g$n all"
    is "$point: Samba's group" "$(on new1 net groupmap list | sed -n "s/^G$n .*-> //p")" g$n
    on new1 smbclient "//localhost/s$n" -U a$n%pw -c 'put /etc/hostname x' >/dev/null 2>&1 || fail "$point: a$n cannot write to its share"
    if on new1 smbclient "//localhost/s$n" -U b$n%pw -c ls >/dev/null 2>&1; then fail "$point: b$n opens a share that denies it"; fi
    show "killed at $point: resumed, everybody logs on"
done
is "users" "$(on new1 pdbedit -L | grep -c '^[ab][0-9]')" $((2 * n))
is "rids that were given twice" "$(on new1 pdbedit -Lv 2>/dev/null | grep 'User SID' | sort | uniq -d)" ""
say done
