#!/bin/bash
# rejoin: a member of a domain moves by joining anew: a join account that lacks a right is refused before anything changes;
# with the rights the cutover ends at 100 % with the same SID, groups and service names, users work under the old name, the
# outage is measured by a client that tries every 50 ms; back, and it is as before, also when it fails half way: the source's
# leaving, the destination's join, Samba's start there, and the source's own join. ROUNDS=10: so often, and the median.
# limit: 580
# slow
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/cutlib.sh"

packages
DOMAIN_DC=dc1 DOMAIN_MEMBERS="fs1 new1" SAMBA_HOSTS=cl lab_up orch fs1 new1 cl
orchestrator_up
agents_up fs1 new1

say "a member with groups, a service name of its own, users; its successor"
lab user alice bob
lab group staff alice
on dc1 sh -c 'samba-tool group add fileservers; samba-tool group addmembers fileservers "FS1\$"; samba-tool spn add nfs/fs1.lab.test "FS1\$"
    samba-tool user create weak Weak-Passw0rd1; samba-tool user create joiner Join-Passw0rd1' >/dev/null
on fs1 sh -c 'mkdir -p /srv/data/sales; chgrp "LAB\staff" /srv/data/sales; chmod 2770 /srv/data/sales; echo old >/srv/data/sales/letter'
share sales /srv/data/sales | on fs1 sh -c 'cat >>/etc/samba/smb.conf; systemctl enable -q --now smbd'
on new1 systemctl enable -q --now smbd
godwit job create files --name move --shares pair --pair fs1:/srv/data=new1:/srv/data >/dev/null
godwit job start move --wait >/dev/null || { godwit job report move; fail "the transfer failed"; }

directory() { on dc1 ldbsearch -H /var/lib/samba/private/sam.ldb '(|(objectClass=computer)(cn=joiner))' '*' nTSecurityDescriptor; }
account() { # what others know the source by
    on dc1 ldbsearch -H /var/lib/samba/private/sam.ldb '(sAMAccountName=FS1$)' objectSid memberOf servicePrincipalName dNSHostName userAccountControl |
        grep -E '^(dn|objectSid|memberOf|service|dNS|userAcc)' | sort
}
# lastLogon and its like are the domain's own, not of a cutover.
steady() { grep -vE '^(lastLogon|logonCount|badP|lastLogonTimestamp|whenChanged|uSNChanged|# )'; }
credential() { # USER PASSWORD
    local h
    for h in fs1 new1; do
        printf 'username = %s\npassword = %s\n' "$1" "$2" |
            on $h sh -c 'mkdir -p /etc/godwit; umask 077; cat >/etc/godwit/cutover.cred'
    done
}
prepare() { godwit cutover prepare move --method rejoin --source-address "$(admin_of fs1)/24" --new-name FS1-OLD; }
check() { cut_job move ".pairs[0].checks[] | select(.id == \"$1\" and .on == \"$2\") | .result + \": \" + .text"; }

say "a join account that may make and delete computers, but not reset a password, is refused, and nothing changes"
weak=$(on dc1 wbinfo -n weak | cut -d' ' -f1)
on dc1 samba-tool dsacl set --objectdn="CN=Computers,DC=lab,DC=test" --sddl="(OA;CI;CCDC;bf967a86-0de6-11d0-a285-00aa003049e2;;$weak)" >/dev/null
credential weak Weak-Passw0rd1
before=$(directory | steady)
hosts=$(identity_of fs1; identity_of new1)
! prepare >/dev/null 2>&1 || fail "prepare lets it pass"
[[ $(check rights destination) == "fail: weak may not reset its password"* ]] || { godwit cutover report move; fail "the report says: $(check rights destination)"; }
! godwit cutover run move >/dev/null 2>&1 || fail "run lets it pass"
diff <(echo "$before") <(echo "$(directory | steady)") || fail "the directory is not as it was"
diff <(echo "$hosts") <(identity_of fs1; identity_of new1) || fail "a host is not as it was"
show "refused before any call: $(check rights destination)"

say "one with the few rights that docs/CUTOVER.md names may"
joiner=$(on dc1 wbinfo -n joiner | cut -d' ' -f1)
for dn in CN=FS1,CN=Computers CN=NEW1,CN=Computers; do
    for right in CR\;00299570-246d-11d0-a768-00aa006e0529 RPWP\;4c164200-20c0-11d0-a768-00aa006e0529 SWRPWP\;f3a64788-5306-11d1-a9c5-0000f80367c1 \
        SWRPWP\;72e39547-7b18-11d1-adef-00c04fd8d5cd SW\;80863791-dbe9-4eb8-837e-7f0ab55d9ac7; do
        on dc1 samba-tool dsacl set --objectdn="$dn,DC=lab,DC=test" --sddl="(OA;;$right;;$joiner)" >/dev/null
    done
done
on dc1 samba-tool dsacl set --objectdn="CN=Computers,DC=lab,DC=test" --sddl="(OA;CI;CC;bf967a86-0de6-11d0-a285-00aa003049e2;;$joiner)" >/dev/null
credential joiner Join-Passw0rd1
watch_arguments fs1 new1 orch
was=$(account)
prepare || { godwit cutover report move; fail "prepare failed"; }
[[ $(check rights destination) == "pass: joiner may take over CN=FS1"* ]] || fail "rights: $(check rights destination)"
diff <(echo "$hosts") <(identity_of fs1; identity_of new1) || fail "prepare changed a host"

say "the source's new account waits, disabled; it goes when the prepared cutover is taken back; a deleted job would leave it"
staged() { on dc1 ldbsearch -H /var/lib/samba/private/sam.ldb "(sAMAccountName=$1\$)" objectSid userAccountControl | sed -n 's/^\(objectSid\|userAccountControl\): //p' | xargs; }
[[ $(staged FS1-OLD) == "4098 S-1-5-21-"* || $(staged FS1-OLD) == "S-1-5-21-"*" 4098" ]] || { godwit cutover report move; fail "prepare has made no account: $(staged FS1-OLD)"; }
[[ $(check new-account source) == "pass: FS1-OLD is in the directory"* ]] || fail "new-account: $(check new-account source)"
! godwit job delete move >/dev/null 2>&1 || fail "a job was deleted that has an account in the directory"
godwit cutover rollback move >/dev/null || { godwit cutover report move; fail "what was prepared cannot be taken back"; }
[ -z "$(staged FS1-OLD)" ] || fail "the account is left: $(staged FS1-OLD)"
diff <(echo "$hosts") <(identity_of fs1; identity_of new1) || fail "taking it back changed a host"
godwit cutover prepare move --new-name FS1-ELSE >/dev/null || { godwit cutover report move; fail "prepare by another name failed"; }
[ -n "$(staged FS1-ELSE)" ] || fail "no account by the other name"
prepare >/dev/null || { godwit cutover report move; fail "prepare failed the third time"; }
[ -z "$(staged FS1-ELSE)" ] || fail "the account of the name that was given up is left"
[[ $(check rights-new source) == "pass: joiner may make"* ]] || fail "rights-new: $(check rights-new source)"
prepare >/dev/null || { godwit cutover report move; fail "prepare failed the fourth time"; }
[[ $(check rights-new source) == "pass: joiner may give CN=FS1-OLD"* ]] || fail "rights-new: $(check rights-new source)"
waiting=$(staged FS1-OLD | grep -oE 'S-1-5-[0-9-]+')

say "run to 100 %, a client trying every 50 ms"
lab push cl "$top/tests/lab/outage.py" /root
cut_over() { # sets ms
    on cl rm -f /run/outage
    on cl systemd-run -q --collect --unit=outage python3 /root/outage.py "$(lab ip fs1)" sales 'LAB\alice' Lab-Passw0rd /run/outage
    until_true 60 "the client works" on cl grep -q ok /run/outage
    godwit cutover run move || { godwit cutover report move; fail "the cutover failed"; }
    on cl rm -f /run/lab-ticket-alice
    until_true 60 "alice uses fs1" lab as cl alice smbclient //fs1/sales --use-kerberos=required -c 'put /etc/hostname probe; get probe /run/probe; rm probe'
    until_true 60 "the client works again" on cl sh -c 'tail -1 /run/outage | grep -q ok'
    on cl systemctl stop outage
    ms=$(on cl python3 /root/outage.py --gap /run/outage)
}
cut_over
show "rejoin: users were without their server for $ms ms, by a client that tried every 50 ms"
show "its stages, in ms: $(cut_job move '[.pairs[0].stages[] | select(.took_ms and .percent >= 29 and .percent <= 75) | "\(.id) \(.took_ms)"] | join(", ")')"
gaps=$ms
[ "$ms" -lt 60000 ] || fail "an outage of $ms ms"
[ "$(cut_job move '.pairs[0].cutover')" = "cut over" ] || fail "it is $(cut_job move '.pairs[0].cutover')"
diff <(echo "$was") <(account) || fail "the account is another one"
[ "$(on new1 hostname) $(on fs1 hostname)" = "fs1 fs1-old" ] || fail "names: $(on new1 hostname) $(on fs1 hostname)"
[[ $(lab as cl bob smbclient //fs1/sales --use-kerberos=required -c 'ls' 2>&1) == *ACCESS_DENIED* ]] || fail "bob sees what he may not"
on new1 wbinfo -t >/dev/null || fail "the domain does not trust the destination"
[ "$(staged FS1-OLD | grep -oE 'S-1-5-[0-9-]+')" = "$waiting" ] || fail "the source has not taken the account that waited: $(staged FS1-OLD), not $waiting"
[[ $(staged FS1-OLD) != *4098* ]] || fail "the source's account is disabled"
[ "$(on cl dig +short @dc1 fs1.lab.test A)" = "$(lab ip fs1)" ] || fail "DNS has fs1 at $(on cl dig +short @dc1 fs1.lab.test A)"
[ "$(on cl dig +short @dc1 fs1-old.lab.test A)" = "$(admin_of fs1)" ] || fail "DNS has fs1-old at $(on cl dig +short @dc1 fs1-old.lab.test A)"
! on cl timeout 3 bash -c ': </dev/tcp/$0/445' "$(admin_of fs1)" 2>/dev/null || fail "the source still listens"

say "back: the source serves as before, with its account"
godwit cutover rollback move >/dev/null || { godwit cutover report move; fail "the rollback failed"; }
diff <(echo "$was") <(account) || fail "the account is another one after the rollback"
on cl rm -f /run/lab-ticket-alice # for another key
until_true 60 "alice uses fs1" lab as cl alice smbclient //fs1/sales --use-kerberos=required -c 'put /etc/hostname probe; rm probe'
on fs1 wbinfo -t >/dev/null || fail "the domain does not trust the source"
until_true 20 "the domain trusts new1" on new1 wbinfo -t
! on dc1 ldbsearch -H /var/lib/samba/private/sam.ldb '(sAMAccountName=FS1-OLD$)' dn | grep -q '^dn: CN' || fail "the account for the new name is left"

# in_the_way HOST PROGRAM PATTERN UNLESS FIRST: where it is called so, and UNLESS does not hold, it does FIRST and fails.
in_the_way() {
    cat <<END | on "$1" sh -c "cat >/usr/local/sbin/$2; chmod 755 /usr/local/sbin/$2"
#!/bin/sh
case "\$*" in $3) $4 || { $5; echo "in the way" >&2; exit 1; } ;; esac
exec /usr/bin/$2 "\$@"
END
}
goes_back_from() { # STAGE, at which something stands in the way
    local stage=$1
    ! godwit cutover run move >/dev/null 2>&1 || fail "the cutover went on although $stage failed"
    [ "$(cut_job move '.pairs[0].cutover')" = "rolled back" ] || { godwit cutover report move; fail "failed at $stage: it is $(cut_job move '.pairs[0].cutover')"; }
    [[ $(cut_job move '.pairs[0].why') == *"in the way"* ]] || fail "failed at $stage for another reason: $(cut_job move '.pairs[0].why')"
    diff <(echo "$was") <(account) || fail "failed at $stage: the account is another one"
    on cl rm -f /run/lab-ticket-alice # perhaps for another key
    until_true 60 "alice uses fs1 after a failure at $stage" lab as cl alice smbclient //fs1/sales --use-kerberos=required -c 'put /etc/hostname probe; rm probe'
    on fs1 wbinfo -t >/dev/null || fail "failed at $stage: the domain does not trust the source"
    until_true 20 "the domain trusts new1" on new1 wbinfo -t
    [ "$(on fs1 hostname) $(on new1 hostname)" = "fs1 new1" ] || fail "failed at $stage: names: $(on fs1 hostname) $(on new1 hostname)"
    ! on dc1 ldbsearch -H /var/lib/samba/private/sam.ldb '(sAMAccountName=FS1-OLD$)' dn | grep -q '^dn: CN' || fail "failed at $stage: the account for the new name is left"
    points+=" $stage"
}

say "back from half way"
points=""
in_the_way fs1 net '"ads leave"*' false :
goes_back_from "the source's leave"
on orch journalctl -q -u godwitd | grep -q 'nobody waits any more for the source to leave' || fail "the destination was not told"
on fs1 rm /usr/local/sbin/net
# The directory has it, the host does not know.
in_the_way new1 net '"ads join"*' '[ -e /run/joined ]' 'touch /run/joined; /usr/bin/net "$@" >/dev/null'
goes_back_from "the destination's join"
on new1 rm /usr/local/sbin/net
in_the_way new1 systemctl '"start winbind.service"*' false :
goes_back_from "the destination's start"
on new1 rm /usr/local/sbin/systemctl
in_the_way fs1 net '"ads join"*' '[ "$(hostname)" = fs1 ]' :
goes_back_from "the source's join"
on fs1 rm /usr/local/sbin/net
show "rejoin went back whole from:$points"

for ((round = 2; round <= ${ROUNDS:-1}; round++)); do
    cut_over >/dev/null
    gaps+=" $ms"
    godwit cutover rollback move >/dev/null
done
[ "${ROUNDS:-1}" = 1 ] || show "rejoin: median outage of $ROUNDS: $(tr ' ' '\n' <<<"$gaps" | sort -n | sed -n "$(((ROUNDS + 1) / 2))p") ms (all: $gaps)"

say "once more, and for good"
godwit cutover run move >/dev/null || { godwit cutover report move; fail "the second cutover failed"; }
godwit cutover commit move >/dev/null || { godwit cutover report move; fail "the commit failed"; }
diff <(echo "$was") <(account) || fail "the account is another one after commit"
on cl rm -f /run/lab-ticket-alice # for another key
until_true 60 "alice uses fs1" lab as cl alice smbclient //fs1/sales --use-kerberos=required -c 'put /etc/hostname probe; rm probe'

say "nobody's password in an argument, a log or a readable file"
no_secret Join-Passw0rd1 orch fs1 new1
no_secret Weak-Passw0rd1 orch fs1 new1
say "done"
