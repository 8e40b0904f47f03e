#!/bin/bash
# smb_kerberos: the share of a domain member is taken and written to with a keytab, with a ticket cache, as UPN and as
# DOMAIN\user, by each of which its shares are listed; then the domain allows no NTLM any more, and Kerberos goes on.
# slow
# limit: 240
. "$(dirname "$0")/lib.sh"

packages
DOMAIN_DC=dc1 DOMAIN_MEMBERS="fs1 new1" lab_up orch fs1 new1
orchestrator_up
agents_up new1
lab user svc alice
password=Lab-Passw0rd

say "a share of the member fs1, with a file of a domain user; nobody's agent is there"
on fs1 bash -se <<'X'
mkdir -p /srv/data /srv/back; chmod 777 /srv/data /srv/back
cat >>/etc/samba/smb.conf <<C
[data]
   path = /srv/data
   read only = no
   admin users = LAB\svc
   vfs objects = acl_xattr streams_xattr
[back]
   path = /srv/back
   read only = no
   admin users = LAB\svc
   vfs objects = acl_xattr streams_xattr
C
systemctl enable -q --now smbd
X
on new1 sh -c 'mkdir -p /srv/data; chmod 777 /srv/data; printf "[data]\n   path = /srv/data\n   read only = no\n   vfs objects = acl_xattr streams_xattr\n" >>/etc/samba/smb.conf; systemctl enable -q --now smbd'
on fs1 net sam rights grant 'LAB\svc' SeSecurityPrivilege SeRestorePrivilege >/dev/null || fail "no rights for svc"
smb() { lab as new1 "$2" smbclient "//$1/data" --use-kerberos=required --use-krb5-ccache="/run/lab-ticket-$2" -c "$3" 2>&1; }
acl() { lab as new1 alice smbcacls "//$1/data" "$2" --use-kerberos=required --use-krb5-ccache=/run/lab-ticket-alice "${@:3}"; }
smb fs1 alice 'mkdir team; put /etc/hostname team\own; put /etc/hostname team\own:note' >/dev/null
acl fs1 team -S 'ACL:LAB\alice:ALLOWED/OI|CI/FULL,ACL:LAB\svc:ALLOWED/OI|CI/READ' >/dev/null || fail "smbcacls"
smb fs1 alice 'put /etc/hostname team\inherits' >/dev/null

say "credentials: a keytab, a ticket cache, a password with UPN and with DOMAIN\\user"
on dc1 samba-tool domain exportkeytab /root/svc.keytab --principal=svc@LAB.TEST >/dev/null 2>&1 || fail "no keytab"
on dc1 cat /root/svc.keytab | on orch sh -c 'umask 077; cat >/root/svc.keytab'
lab as new1 svc true
on new1 cat /run/lab-ticket-svc | on orch sh -c 'umask 077; cat >/root/svc.ccache'
godwit credential add keytab --user svc@LAB.TEST --keytab /root/svc.keytab >/dev/null
godwit credential add ccache --ccache /root/svc.ccache >/dev/null
printf 'svc@LAB.TEST\n%s\n' "$password" | godwit credential add upn >/dev/null
printf 'LAB\\svc\n%s\n' "$password" | godwit credential add domain >/dev/null
printf 'svc@LAB.TEST\nwrong-one\n' | godwit credential add wrong >/dev/null
for how in keytab ccache upn domain wrong; do
    godwit endpoint add "nas-$how" --address fs1.lab.test --credentials "$how" >/dev/null
done
pull() { # HOW STATE
    godwit job create files --name "pull-$1" --pair "nas-$1:data=new1:/srv/data/$1" >/dev/null
    godwit job start "pull-$1" >/dev/null
    job_wait "pull-$1" 60 "$2"
}
shares() { godwit endpoint shares "nas-$1" --proxy new1 -o json | jq -r '[.shares[] | select(.special | not) | .share] | sort | join(",")'; }
same() { # HOW: content, stream, owner and what a client is told of the descriptors
    local f
    [ "$(on new1 stat -c %U "/srv/data/$1/team/own")" = "$(on fs1 stat -c %U /srv/data/team/own)" ] || fail "$1: the owner is another"
    [ "$(on new1 cat "/srv/data/$1/team/own")" = "$(on fs1 cat /srv/data/team/own)" ] || fail "$1: another content"
    on new1 getfattr -n 'user.DosStream.note:$DATA' "/srv/data/$1/team/own" >/dev/null 2>&1 || fail "$1: the stream is not there"
    for f in team team/own team/inherits; do
        diff <(acl fs1 "$f" | tr A-Z a-z) <(acl new1 "$1/$f" | tr A-Z a-z) || fail "$1: a client sees another ACL of $f"
    done
}
for how in keytab ccache upn domain; do
    [ "$(shares "$how")" = back,data ] || fail "$how: the shares are not listed: $(shares "$how")"
    pull "$how" done
    same "$how"
done
show "shares listed and taken with a keytab, a ticket cache, a UPN and DOMAIN\\user"

say "written by Kerberos"
godwit job create files --name push --pair new1:/srv/data/keytab=nas-keytab:back/in >/dev/null
godwit job start push >/dev/null
job_wait push 60 done
[ "$(on fs1 stat -c %U /srv/back/in/team/own)" = "$(on fs1 stat -c %U /srv/data/team/own)" ] || fail "pushed: the owner is another"
on fs1 cmp /srv/data/team/own /srv/back/in/team/own || fail "pushed: another content"

say "without NTLM in the domain a password says so, and Kerberos goes on"
on dc1 sh -c 'sed -i "s/^\[global\]/[global]\n\tntlm auth = disabled/" /etc/samba/smb.conf; systemctl restart samba-ad-dc'
refused() { ! godwit endpoint shares nas-domain --proxy new1 >/dev/null 2>&1; }
until_true 30 "NTLM is refused" refused
pull wrong failed
godwit job start pull-domain >/dev/null
job_wait pull-domain 60 failed
godwit job report pull-domain | grep -q 'refuses the log-on of LAB\\svc' || { godwit job report pull-domain; fail "what is wrong is not said"; }
for how in keytab ccache; do
    [ "$(shares "$how")" = back,data ] || fail "$how: without NTLM the shares are not listed"
    on fs1 sh -c "echo $how >/srv/data/team/since-$how"
    godwit job start "pull-$how" >/dev/null
    job_wait "pull-$how" 60 done
    [ "$(on new1 cat "/srv/data/$how/team/since-$how")" = "$how" ] || fail "$how: the next pass brought nothing"
done
show "the domain allows no NTLM: keytab and ticket cache go on"

[ -z "$(on new1 sh -c 'ls -d /run/godwit-shares* /run/private/godwit-shares* /dev/shm/godwit*' 2>/dev/null)" ] || fail "tickets are left"
for host in orch new1; do
    on "$host" journalctl -q --no-pager | grep -F "$password" | grep -v 'kinit\|lab' && fail "the password is in the journal of $host"
    on "$host" grep -rlaF "$password" /var/lib/godwit /var/log/godwit /run/godwit 2>/dev/null && fail "the password is in a file of $host"
done
say "done"
