#!/bin/bash
# passwords: Samba's users and groups move with SIDs and passwords, unix users with theirs: they log on at the new host as
# at the old, NT ACLs and share descriptors name them though the machine has another SID; nobody else ever sees a digest.
# limit: 90
. "$(dirname "$0")/lib.sh"

SAMBA_HOSTS="fs1 new1" fleet_up fs1 new1
is() { [ "$2" = "$3" ] || fail "$1: '$2', not '$3'"; }

say "a source with Samba users and groups; a destination where a rid, a name and an id are taken"
on fs1 bash -se <<'X'
groupadd -g 2001 sales; groupadd -g 2002 crew
for u in alice:3001 bob:3002 carl:3003; do
    useradd -M -N -u ${u#*:} -g 2001 ${u%:*}
    echo "${u%:*}:unix-${u%:*}" | chpasswd
done
useradd -M -N -u 3004 -g 2001 nopass
chage -d 20000 -M 9999 alice
printf '[global]\n workgroup = WORKGROUP\n server role = standalone server\n map to guest = never\n[data]\n path = /srv/data\n read only = no\n vfs objects = acl_xattr\n' >/etc/samba/smb.conf
mkdir -p /srv/data/in; chgrp sales /srv/data /srv/data/in; chmod 2775 /srv/data /srv/data/in
for u in alice bob carl; do printf "smb-$u\nsmb-$u\n" | smbpasswd -s -a $u >/dev/null; done
pdbedit -r -u alice -f "Alice of Sales" >/dev/null
net groupmap add ntgroup=Sales unixgroup=sales type=domain >/dev/null
net groupmap add ntgroup=Crew unixgroup=crew type=local >/dev/null
crew=$(net groupmap list | sed -n 's/^Crew (\(.*\)).*/\1/p')
net groupmap addmem $crew "$(net sam show carl | sed 's/.*SID //')" >/dev/null
systemctl start smbd
smbclient //localhost/data -U alice%smb-alice -c 'put /etc/hostname in/file' >/dev/null 2>&1
for ace in 'FS1\bob:DENIED/0x0/FULL' 'FS1\Sales:ALLOWED/0x0/READ' 'FS1\Crew:ALLOWED/0x0/CHANGE'; do
    smbcacls //localhost/data in/file -U alice%smb-alice -a "ACL:$ace" >/dev/null
done
sharesec data --setsddl="D:(A;;0x001f01ff;;;WD)(D;;0x001f01ff;;;$(net sam show bob | sed 's/.*SID //'))" >/dev/null
X
on new1 bash -se <<'X'
useradd -M -U -u 5000 dora; useradd -M -U -u 5001 carl
for u in dora carl; do echo "$u:unix-new-$u" | chpasswd; printf "smb-new-$u\nsmb-new-$u\n" | smbpasswd -s -a $u >/dev/null; done
systemctl start smbd
X
shadow_of() { on "$1" sed -n "s/^$2:\([^:]*\):.*/\1/p" /etc/shadow; }
sid_of() { on "$1" net sam show "$2" | sed 's/.*SID //'; }
digests() { on fs1 pdbedit -Lw | cut -d: -f4; } # as hex
logs_on() { on "$1" smbclient //localhost/data -U "$2%$3" -c "${4:-ls}" >/dev/null 2>&1; }

say "who looks at arguments meanwhile"
on new1 sh -c 'systemd-run -q --unit=watch sh -c "while :; do cat /proc/[0-9]*/cmdline; done 2>/dev/null | tr \"\\0\" \"\\n\" >/tmp/seen"'
on fs1 sh -c 'systemd-run -q --unit=watch sh -c "while :; do cat /proc/[0-9]*/cmdline; done 2>/dev/null | tr \"\\0\" \"\\n\" >/tmp/seen"'

say "the move, carl's name being taken"
godwit job create files --name move --accounts rename --shares pair --pair fs1:/srv/data=new1:/srv/new >/dev/null
godwit job start move --wait >/dev/null || { godwit job report move; fail "the move failed"; }
report=$(godwit job report move)
on fs1 systemctl stop watch
on new1 systemctl stop watch
[[ $report == *"passwords: 3 set"* && $report == *"users 3 created"* && $report == *"groups 2 created"* &&
    $report == *"the machine's SID is another: S-1-5-21-"* ]] || { echo "$report"; fail "the report tells something else"; }
is "alice's digest" "$(shadow_of new1 alice)" "$(shadow_of fs1 alice)"
is "carl's digest" "$(shadow_of new1 carl-fs1)" "$(shadow_of fs1 carl)"
[ "$(shadow_of new1 carl)" != "$(shadow_of fs1 carl)" ] || fail "the password of somebody else was replaced"
is "age of alice's password" "$(on new1 grep ^alice: /etc/shadow | cut -d: -f3,5)" 20000:9999
is "who had no password" "$(shadow_of new1 nopass)" '!'
is "full name" "$(on new1 pdbedit -Lv alice | sed -n 's/^Full Name: *//p')" "Alice of Sales"
for u in alice:smb-alice carl-fs1:smb-carl dora:smb-new-dora carl:smb-new-carl; do
    logs_on new1 "${u%:*}" "${u#*:}" || fail "${u%:*} cannot log on at the destination"
done
logs_on new1 carl smb-carl && fail "carl of the new host has the password of the old one's"
logs_on new1 alice wrong && fail "any password will do"
# bob has a share descriptor against him, by a SID that is another one here
is "bob on both hosts" "$(logs_on fs1 bob smb-bob; echo $?)" "$(logs_on new1 bob smb-bob; echo $?)"
on new1 smbclient -L localhost -U bob%smb-bob >/dev/null 2>&1 || fail "bob cannot log on at all"
acl() { on "$1" smbcacls "//localhost/data" in/file -U alice%smb-alice | sed "s/FS1/HOST/; s/NEW1/HOST/" | sort; }
diff <(acl fs1) <(acl new1) || fail "the NT ACL is another one"
acl new1 | grep -q 'HOST.bob:DENIED' || fail "the NT ACL does not name bob"
is "alice is in Sales" "$(on new1 net groupmap list | sed -n 's/^Sales .*-> //p')" sales
is "members of Crew" "$(on new1 net groupmap listmem "$(on new1 net groupmap list | sed -n 's/^Crew (\(.*\)).*/\1/p')")" "$(sid_of new1 carl-fs1)"
free=$(on new1 sh -c 'useradd -M -U later; printf "x\nx\n" | smbpasswd -s -a later >/dev/null; net sam show later' | sed 's/.*SID //')
[ "$(on new1 pdbedit -Lv 2>/dev/null | grep -c "User SID: *$free\$")" = 1 ] || fail "Samba gave a rid twice"

say "nobody but the two hosts' own data bases has a digest"
for hash in $(digests); do
    raw=$(sed 's/../\\x&/g' <<<"$hash")
    for h in orch fs1 new1; do
        on "$h" sh -c "! grep -rlaiE '$hash' /var/lib/godwit /var/log /tmp /run/godwit* 2>/dev/null" || fail "a digest of Samba's on $h"
        on "$h" sh -c "! LC_ALL=C grep -rlaP '$raw' /var/lib/godwit /var/log /tmp /run/godwit* 2>/dev/null" || fail "a digest of Samba's in bytes on $h"
    done
done
for u in alice bob carl; do
    for h in orch fs1 new1; do
        on "$h" sh -c "! grep -rlaF '$(shadow_of fs1 $u)' /var/lib/godwit /var/log /tmp /run/godwit* 2>/dev/null" || fail "a digest of $u on $h"
    done
done
[ "$(on new1 sh -c 'grep -c "^chpasswd\|^godwit-agent\|godwit-agent" /tmp/seen')" -gt 0 ] || fail "nobody looked at arguments"
show "$(grep -o 'passwords: 3 set' <<<"$report"), SIDs mapped, no digest outside of the two hosts' own data bases"

say "once more: nothing to do; a password that changes at the source changes here, one that changed here stays"
before=$(on new1 sh -c 'cat /etc/shadow; pdbedit -Lw' | sha256sum)
godwit job start move --wait >/dev/null
is "accounts" "$(on new1 sh -c 'cat /etc/shadow; pdbedit -Lw' | sha256sum)" "$before"
is "entries changed" "$(job_number move '.totals.changed_meta // 0')" 0
on new1 sh -c 'echo bob:mine-now | chpasswd'
mine=$(shadow_of new1 bob)
on fs1 sh -c 'chage -d 19000 bob; echo alice:another | chpasswd; sleep 1; printf "fresh\nfresh\n" | smbpasswd -s alice'
godwit job start move --wait >/dev/null
logs_on new1 alice fresh || fail "alice's new password did not come"
is "alice's digest" "$(shadow_of new1 alice)" "$(shadow_of fs1 alice)"
is "bob's own digest" "$(shadow_of new1 bob)" "$mine"

say "locked on request"
on fs1 sh -c 'useradd -M -N -u 3010 -g 2001 late; echo late:x | chpasswd'
godwit job create files --name locked --accounts rename --passwords lock --pair fs1:/srv/data=new1:/srv/locked >/dev/null
godwit job start locked --wait >/dev/null
is "late" "$(shadow_of new1 late)" '!'
[[ $(godwit job report locked) == *"passwords are not carried"* ]] || fail "the report does not tell that late is locked"
say done
