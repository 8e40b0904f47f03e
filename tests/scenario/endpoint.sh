#!/bin/bash
# endpoint: a Samba that plays a Windows server, with no agent, is taken by a packaged agent as its unit lets it: its shares
# are listed, all of them move by one pair, and five users see at the new host what they saw at the old.
# limit: 90
. "$(dirname "$0")/lib.sh"

packages
SAMBA_HOSTS="win new1" lab_up orch win new1
orchestrator_up
agents_up new1

say "the server: two shares, five users, entries that are inherited, explicit and denied, a stream, an audit ACL"
users="alice bob carl dora ed"
for host in win new1; do
    on "$host" bash -se <<X
printf '[global]\n workgroup = LAB\n server role = standalone server\n map to guest = never\n vfs objects = acl_xattr streams_xattr\n store dos attributes = yes\n map archive = no\n acl_xattr:ignore system acls = yes\n' >/etc/samba/smb.conf
printf '[data]\n path = /srv/data\n read only = no\n comment = What all work on\n admin users = mover\n[home]\n path = /srv/home\n read only = no\n admin users = mover\n' >>/etc/samba/smb.conf
groupadd -g 2001 staff2
id=3001
for u in $users mover; do
    useradd -M -N -u \$((id++)) -g 2001 \$u
    printf 'pw-%s\npw-%s\n' \$u \$u | smbpasswd -s -a \$u >/dev/null
done
mkdir -p /srv/data /srv/home; chmod 777 /srv/data /srv/home
X
done
sid=$(on win net getlocalsid | sed 's/.*: //')
on new1 net setlocalsid "$sid" # whose accounts are its own by then
on win net sam rights grant mover SeSecurityPrivilege >/dev/null
on win systemctl start smbd
client() { # HOST USER SHARE COMMANDS
    on new1 smbclient "//$1/$3" -U "$2%pw-$2" -c "$4" 2>&1
}
acl() { on new1 smbcacls "//win/data" "$1" -U mover%pw-mover "${@:2}" >/dev/null; }
client win alice data 'mkdir team; mkdir team\deep; put /etc/hostname plain; put /etc/hostname plain:note; put /etc/hostname secret; setmode plain +h' >/dev/null
acl team -S 'REVISION:1,OWNER:WIN\alice,GROUP:WIN\alice,ACL:WIN\alice:ALLOWED/OI|CI/FULL,ACL:WIN\bob:ALLOWED/OI|CI/READ'
acl team/deep -S 'REVISION:1,OWNER:WIN\alice,GROUP:WIN\alice,ACL:WIN\carl:DENIED/OI|CI/READ,ACL:Everyone:ALLOWED/OI|CI/CHANGE'
acl secret -S 'REVISION:1,OWNER:WIN\dora,GROUP:WIN\dora,ACL:WIN\dora:ALLOWED/0x0/FULL'
client win alice data 'put /etc/hostname team\deep\file' >/dev/null # inherits
client win ed home 'mkdir ed; put /etc/passwd ed\mine' >/dev/null
seen() { # HOST: what each user gets of each path, and what a client is told of it
    local u p
    for u in $users; do
        for p in 'data plain' 'data secret' 'data team\deep\file' 'home ed\mine'; do
            echo "$u ${p#* } $(client "$1" "$u" "${p% *}" "get ${p#* } /dev/null; allinfo \"${p#* }\"" |
                grep -oE 'NT_STATUS[A-Z_]*|^getting file [^ ]* of size [0-9]*|^(create_time|write_time|attributes|stream):.*' | tr '\n' ' ')"
        done
        client "$1" "$u" data 'cd team; ls' | grep -E 'NT_STATUS|deep' | sed "s/^/$u team /" || true
    done
}
seen win >/tmp/$LAB_NAME.win
grep -q 'carl team.deep.file NT_STATUS_ACCESS_DENIED' /tmp/$LAB_NAME.win && grep -q 'alice plain .*size.*stream: \[:note' /tmp/$LAB_NAME.win ||
    { cat /tmp/$LAB_NAME.win; fail "the server is not what it was meant to be"; }

say "its shares, asked by an agent that may not become another user"
printf 'WIN\\mover\npw-mover\n' | godwit credential add reader >/dev/null
godwit endpoint add nas --address win --credentials reader >/dev/null
godwit endpoint shares nas --proxy new1 -o json >/tmp/$LAB_NAME.json || { cat /tmp/$LAB_NAME.json; fail "the shares are not listed"; }
[ "$(jq -r '[.shares[] | select(.special | not) | "\(.share) \(.kind) \(.comment)"] | sort | join(", ")' /tmp/$LAB_NAME.json)" = \
    "data folder What all work on, home folder " ] || { cat /tmp/$LAB_NAME.json; fail "other shares than the server has"; }
on new1 journalctl -q --no-pager | grep -q 'pw-mover' && fail "the password is in the journal"

say "all of them by one pair"
godwit job create files --name move --pair 'nas:*=new1:/srv' >/dev/null
godwit job start move --wait >/dev/null || { godwit job report move; fail "the move failed"; }
on new1 systemctl start smbd
seen new1 >/tmp/$LAB_NAME.new
diff /tmp/$LAB_NAME.win /tmp/$LAB_NAME.new || fail "a client sees another server"
show "$(wc -l </tmp/$LAB_NAME.win) answers of five users are equal before and after"
rm -f /tmp/$LAB_NAME.{win,new,json}
say "done"
