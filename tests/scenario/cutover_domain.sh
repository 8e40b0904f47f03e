#!/bin/bash
# cutover_domain: a member of a real domain moves: same account, SID, groups, SPNs; tickets from before go on working, at
# the destination and after a rollback; commit changes the password, and the source's copy is worth nothing.
# limit: 450
# slow
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/cutlib.sh"

packages
DOMAIN_DC=dc1 DOMAIN_MEMBERS="fs1 new1" SAMBA_HOSTS=cl lab_up orch fs1 new1 cl
orchestrator_up
agents_up fs1 new1 cl
lab user alice bob
lab group fileservers 'FS1$'

say "a member with a share, a group and an SPN of its own, and an alias"
on fs1 sh -c 'mkdir -p /srv/data/sales; chgrp "LAB\domain users" /srv/data/sales; chmod 2770 /srv/data/sales
sed -i "s/^\[global\]/[global]\n   netbios aliases = files\n   machine password timeout = 86400/" /etc/samba/smb.conf
printf "[sales]\npath = /srv/data/sales\nread only = no\n" >>/etc/samba/smb.conf; systemctl enable -q --now smbd winbind'
on new1 sh -c 'sed -i "s/^\[global\]/[global]\n   machine password timeout = 4000/" /etc/samba/smb.conf; systemctl enable -q --now smbd winbind'
on dc1 samba-tool spn add nfs/fs1.lab.test 'FS1$' >/dev/null
account() { # what may not change
    on dc1 ldbsearch -H /var/lib/samba/private/sam.ldb '(samaccountname=FS1$)' objectSid memberOf userAccountControl servicePrincipalName distinguishedName 2>/dev/null |
        grep -E '^(dn|objectSid|memberOf|userAccountControl|servicePrincipalName):' | sort
}
kvno() { on dc1 ldbsearch -H /var/lib/samba/private/sam.ldb '(samaccountname=FS1$)' msDS-KeyVersionNumber 2>/dev/null | sed -n 's/^msDS-KeyVersionNumber: //p'; }
# With the ticket that she has from the beginning.
as_alice() { lab as cl alice smbclient "//$1/sales" --use-kerberos=required -c "$2" 2>&1; }
opens() { local out; out=$(as_alice "$1" 'put /etc/hostname mine; get mine /run/mine.back; rm mine') && [[ $out != *NT_STATUS_* ]] || { echo "$out"; return 1; }; }
must_open() { opens "$1" >/run/opens.$$ 2>&1 || { cat /run/opens.$$; rm -f /run/opens.$$; fail "alice cannot use //$1/sales $2"; }; rm -f /run/opens.$$; }
served_here() { # HOST: is it HOST's folder that she sees?
    local rc=0
    on "$1" touch /srv/data/sales/mark
    [[ $(as_alice fs1.lab.test 'ls mark') != *NT_STATUS_* ]] || rc=1
    on "$1" rm /srv/data/sales/mark
    return $rc
}
must_open fs1.lab.test "before"
account_before=$(account) kvno_before=$(kvno)
godwit job create files --name move --shares pair --pair fs1:/srv/data=new1:/srv/data >/dev/null
godwit job start move --wait >/dev/null || { godwit job report move; fail "the transfer failed"; }
host_before=$(identity_of fs1; identity_of new1)

say "the secrets that nobody may see: the machine's password, and its hash"
secret_of() { # HOST: as bytes, a line
    on "$1" sh -c 'tdbdump -k SECRETS/MACHINE_PASSWORD/LAB /var/lib/samba/private/secrets.tdb' | sed 's/\\00$//; s/\\\([0-9A-F][0-9A-F]\)/\\x\1/g' |
        { read -r text || true; printf '%b\n' "$text"; }
}
secret_of fs1 >/run/secret.$$
[ "$(wc -c </run/secret.$$)" -gt 20 ] || fail "the machine's password cannot be read: $(wc -c </run/secret.$$) bytes"
iconv -f UTF-8 -t UTF-16LE <(tr -d '\n' </run/secret.$$) | openssl md4 -provider legacy -provider default 2>/dev/null | sed 's/.*= *//' >/run/hash.$$ || true
hidden() { # WHEN: in no argument, log, journal or readable file of any host
    local h f
    for h in orch fs1 new1 cl; do
        on "$h" sh -c '[ -s /run/arguments ]' || fail "nobody looked at arguments on $h"
        for f in /run/secret.$$ /run/hash.$$; do
            [ "$(tr -d '\n' <"$f" | wc -c)" -gt 20 ] || continue
            on "$h" sh -c 'cat >/run/needle' <"$f"
            on "$h" sh -c '! grep -qaFf /run/needle /run/arguments' || fail "a secret in an argument on $h $1"
            on "$h" sh -c '! grep -rlaFf /run/needle /var/log /tmp /var/tmp /etc/godwit /etc/samba 2>/dev/null' || fail "a secret in a file of $h $1"
            on "$h" sh -c '! find /var/lib/godwit /run/godwit* -type f -perm /044 -exec grep -laFf /run/needle {} + 2>/dev/null | grep .' || fail "a secret that others may read on $h $1"
            on "$h" sh -c '! journalctl -q --no-pager -o cat | grep -qaFf /run/needle' || fail "a secret in the log of $h $1"
            [ "$h" != orch ] || on "$h" sh -c '! grep -rlaFf /run/needle /var/lib/godwit' || fail "a secret in the orchestrator's journal $1"
            on "$h" rm -f /run/needle
        done
    done
}
watch_arguments orch fs1 new1 cl

say "a probe that fails takes all back by itself"
printf 'username = alice\npassword = Lab-Passw0rd\ndomain = LAB\n' | on cl sh -c 'umask 077; cat >/etc/godwit/probe.cred'
on new1 sh -c 'tail -c1 /etc/samba/smb.conf | grep -q . && echo >>/etc/samba/smb.conf; printf "   write list = nobody\n   read only = yes\n" >>/etc/samba/smb.conf' # the last word counts
! godwit cutover run move --probe-host cl --probe-user alice --source-address "$(admin_of fs1)/24" --new-name fs1-old >/run/run.$$ 2>&1 ||
    fail "a share that nobody can write to was good enough"
grep -q 'taken back: sales by' /run/run.$$ || { cat /run/run.$$; godwit cutover report move; fail "taken back for another reason"; }
on new1 sed -i '/^   write list = nobody$/d; /^   read only = yes$/d' /etc/samba/smb.conf
until_true 20 "alice uses fs1 again" opens fs1.lab.test
served_here fs1 || fail "not the source serves fs1 after the failed probe"
diff <(echo "$host_before") <(identity_of fs1; identity_of new1) || fail "the failed probe left something"
diff <(echo "$account_before") <(account) || fail "the account was changed by the failed probe"

say "run to 100 %"
godwit cutover run move --source-address "$(admin_of fs1)/24" --new-name fs1-old >/run/run.$$ 2>&1 ||
    { cat /run/run.$$; rm -f /run/run.$$; godwit cutover report move; godwit cutover stages move; fail "the cutover failed"; }
rm -f /run/run.$$
show "outage as the orchestrator saw it: $(cut_job move '.pairs[0].outage.measured_ms') ms"
for way in NTLM Kerberos; do # alice, from the third host, by each name: opened, written, read, deleted
    [ "$(cut_job move "[.pairs[0].findings[] | select(.check == \"sales by $way\" and .passed)] | length")" -ge 2 ] ||
        { cut_job move '.pairs[0].findings'; fail "the third host did not use the share by $way"; }
done
changed=$(cut_job move '.pairs[0].identity[] | select(.judged == "changed")')
[ -z "$changed" ] || fail "changed as nobody planned: $changed"
for what in "account's SID" "service names" groups "rules on the object" "key version" "DNS records"; do
    [ "$(cut_job move ".pairs[0].identity[] | select(.on == \"server\" and .what == \"$what\").judged")" = same ] || fail "the report on $what: $(cut_job move '.pairs[0].identity')"
done
hidden "after the swap"
must_open fs1.lab.test "with the old ticket, by its full name"
must_open fs1 "with the old ticket"
served_here new1 || fail "fs1 is another than the new host"
diff <(echo "$account_before") <(account) || fail "the account was changed"
[ "$(kvno)" = "$kvno_before" ] || fail "the key version was changed"
on new1 wbinfo -t >/dev/null || fail "the domain does not trust the new host"

say "back: the old ticket again"
godwit cutover rollback move >/dev/null || { godwit cutover report move; fail "the rollback failed"; }
diff <(echo "$host_before") <(identity_of fs1; identity_of new1) || fail "the rollback left something"
until_true 20 "alice uses fs1 again" opens fs1.lab.test
served_here fs1 || fail "not the source serves fs1"
on fs1 wbinfo -t >/dev/null || fail "the domain does not trust the source after the rollback"
diff <(echo "$account_before") <(account) || fail "the account was changed by the rollback"

say "forth again, and commit"
on fs1 sh -c 'cp /var/lib/samba/private/secrets.tdb /root/stale.tdb'
godwit cutover run move >/dev/null || { godwit cutover report move; fail "the second cutover failed"; }
godwit cutover commit move >/dev/null || { godwit cutover report move; fail "the commit failed"; }
[ "$(kvno)" -gt "$kvno_before" ] || fail "the machine's password was not changed"
[ "$(cut_job move '.pairs[0].identity[] | select(.on == "server" and .what == "key version").judged')" = expected ] || fail "the report does not know the new key"
hidden "after the commit"
secret_of new1 >/run/secret.$$ # the new one
hidden "of the new machine's after the commit"
rm -f /run/secret.$$ /run/hash.$$ /run/run.$$
must_open fs1.lab.test "with the old ticket, after the commit"
on new1 sh -c 'kinit -k "FS1\$" && kdestroy' >/dev/null || fail "the new host's keytab does not hold"
diff <(echo "$account_before") <(account) || fail "the account was changed by the commit"
[ "$(on new1 testparm -s --parameter-name='machine password timeout' 2>/dev/null)" = 4000 ] || fail "the machine password timeout is not the administrator's"
on fs1 sh -c '! [ -e /var/lib/samba/private/secrets.tdb ] || ! tdbdump /var/lib/samba/private/secrets.tdb | grep -q "MACHINE_PASSWORD/LAB"' ||
    on fs1 sh -c 'tdbdump /var/lib/samba/private/secrets.tdb | grep -q FS1-OLD' || fail "the source has the machine's password"
say "done"
