#!/bin/bash
# byhand_domain: in a real domain, by joining anew and by name only, a person fences and closes the shares, lets both hosts leave and
# join, and writes DNS: the runbook's own commands are typed on their hosts, `resume` asks the hosts and goes on to 100 %; and back
# again. What no person can do is refused: what goes sealed from host to host, and the join that installs it.
# limit: 400
# slow
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/cutlib.sh"

packages
DOMAIN_DC=dc1 DOMAIN_MEMBERS="fs1 new1" SAMBA_HOSTS=cl lab_up orch fs1 new1 cl
orchestrator_up
agents_up fs1 new1
lab user alice bob
lab group staff alice

say "a member with a group, a service name and an alias; its successor; a credential"
on dc1 sh -c 'samba-tool group add fileservers; samba-tool group addmembers fileservers "FS1\$"; for spn in nfs/fs1.lab.test HOST/FILES HOST/files.lab.test; do samba-tool spn add $spn "FS1\$"; done
    samba-tool dns add dc1 lab.test files A '"$(lab ip fs1)"' -U Administrator%Lab-Passw0rd' >/dev/null
on fs1 sh -c 'mkdir -p /srv/data/sales; chgrp "LAB\staff" /srv/data/sales; chmod 2770 /srv/data/sales; echo old >/srv/data/sales/letter
    sed -i "s/^\[global\]/&\n   netbios aliases = files/" /etc/samba/smb.conf; echo "/srv/data/sales 10.0.0.0/8(rw,no_subtree_check,fsid=77)" >/etc/exports; exportfs -ra'
share sales /srv/data/sales | on fs1 sh -c 'cat >>/etc/samba/smb.conf; systemctl enable -q --now smbd'
on new1 systemctl enable -q --now smbd
on cl sed -i '/fs1/d' /etc/hosts # asks DNS, as a client does
for h in fs1 new1; do
    printf 'username = Administrator\npassword = Lab-Passw0rd\n' | on $h sh -c 'umask 077; mkdir -p /etc/godwit; cat >/etc/godwit/cutover.cred'
done
godwit job create files --name move --shares pair --pair fs1:/srv/data=new1:/srv/data >/dev/null
godwit job start move --wait >/dev/null || { godwit job report move; fail "the transfer failed"; }

account() { # what others know the source by
    on dc1 ldbsearch -H /var/lib/samba/private/sam.ldb '(sAMAccountName=FS1$)' objectSid memberOf servicePrincipalName dNSHostName userAccountControl |
        grep -E '^(dn|objectSid|memberOf|service|dNS|userAcc)' | sort
}
ask() { on cl dig +short @dc1 "$@"; }
stand_for() { # ADDRESS NAME…
    local want=$1 n
    shift
    for n; do [ "$(ask "$n" A)" = "$want" ] || fail "$n stands for '$(ask "$n" A)', not '$want'"; done
}
works_at() { # HOST: alice writes there under the old name and the alias, bob does not
    local name i
    for name in fs1 files; do
        for ((i = 0; ; i++)); do
            on cl sh -c 'rm -f /run/lab-ticket-alice; net cache flush' # smbclient keeps names for eleven minutes
            on cl smbclient "//$name.lab.test/sales" -U 'LAB\alice%Lab-Passw0rd' -c 'put /etc/hostname probe; get probe /run/probe; rm probe' >"/tmp/$LAB_NAME.uses" 2>&1 && break
            [ $i -lt 30 ] || { cat "/tmp/$LAB_NAME.uses"; fail "alice does not use $name at $1"; }
        done
    done
    rm -f "/tmp/$LAB_NAME.uses"
    on "$1" touch /srv/data/sales/mark
    [[ $(lab as cl alice smbclient //fs1.lab.test/sales --use-kerberos=required -c 'ls mark' 2>&1) != *NT_STATUS_* ]] || fail "not $1 serves alice by Kerberos"
    on "$1" rm /srv/data/sales/mark
    [[ $(on cl smbclient //fs1.lab.test/sales -U 'LAB\bob%Lab-Passw0rd' -c ls 2>&1) == *ACCESS_DENIED* ]] || fail "bob sees what he may not"
}
was=$(account)
host_was=$(looks_of fs1; looks_of new1)
works_at fs1

say "what no person can do is refused, and nothing changes"
rc=0
godwit cutover run move --name-only --method rejoin --by-hand bundle >/run/refused.$$ 2>&1 || rc=$?
[ $rc = 2 ] && grep -q 'goes sealed from host to host' /run/refused.$$ || { cat /run/refused.$$; fail "the bundle by hand: exit code $rc"; }
rc=0
godwit cutover run move --name-only --method transplant --new-name FS1-OLD --by-hand destination.join >/run/refused.$$ 2>&1 || rc=$?
[ $rc != 0 ] && [ $rc != 3 ] || { cat /run/refused.$$; fail "a transplant's join by hand: exit code $rc"; }
[ "$(cut_job move '[.pairs[0].checks[] | select(.result == "fail").id] | join(" ")')" = by-hand ] || { cat /run/refused.$$; godwit cutover report move; fail "refused for another reason"; }
rm -f /run/refused.$$
diff <(echo "$was") <(account) || fail "the refusal changed the account"
diff <(echo "$host_was") <(looks_of fs1; looks_of new1) || fail "the refusal changed a host"

say "eight stages by hand, each waited for until it is so"
stages="destination.leave source.fence source.close source.leave destination.join destination.dns source.join source.dns"
godwit cutover prepare move --name-only --method rejoin --new-name FS1-OLD >/dev/null || { godwit cutover report move; fail "prepare failed"; }
options=()
for stage in $stages; do options+=(--by-hand "$stage"); done
next=(run move "${options[@]}")
for stage in $stages; do
    held "$stage" "${next[@]}"
    held "$stage" resume move # nothing was done: it waits on
    type_stage "$stage"
    next=(resume move)
done
godwit cutover resume move >/run/resume.$$ 2>&1 || { cat /run/resume.$$; godwit cutover stages move; fail "resume failed"; }
rm -f /run/resume.$$
[ "$(cut_job move '.pairs[0].cutover')" = "cut over" ] || fail "it is $(cut_job move '.pairs[0].cutover')"
[ "$(cut_job move '[.pairs[0].stages[] | select(.by == "hand").id] | sort | join(" ")')" = "$(tr ' ' '\n' <<<"$stages" | sort | xargs)" ] || fail "who did what is not kept"
works_at new1
diff <(echo "$was") <(account) || fail "the account is another one"
stand_for "$(lab ip new1)" fs1.lab.test files.lab.test
stand_for "$(lab ip fs1)" fs1-old.lab.test
on new1 wbinfo -t >/dev/null || fail "the domain does not trust the destination"
on fs1 net ads testjoin -P >/dev/null 2>&1 || fail "the source has not joined by its new name"
[ "$(on new1 hostname) $(on fs1 hostname)" = "fs1 fs1-old" ] || fail "names: $(on new1 hostname) $(on fs1 hostname)"
on cl timeout 3 bash -c '! : </dev/tcp/$0/445' "$(lab ip fs1)" 2>/dev/null || fail "the source still listens"
[ -z "$(on fs1 exportfs -s)" ] || fail "the source exports $(on fs1 exportfs -s)"
changed=$(cut_job move '.pairs[0].identity[] | select(.judged == "changed")')
[ -z "$changed" ] || fail "changed as nobody planned: $changed"

say "back: also what a person did"
godwit cutover rollback move >/dev/null || { godwit cutover report move; fail "the rollback failed"; }
diff <(echo "$was") <(account) || fail "the account is another one after the rollback"
diff <(echo "$host_was") <(looks_of fs1; looks_of new1) || fail "the rollback left something"
stand_for "$(lab ip fs1)" fs1.lab.test files.lab.test
stand_for "$(lab ip new1)" new1.lab.test
[ -z "$(ask fs1-old.lab.test A)" ] || fail "fs1-old still stands for $(ask fs1-old.lab.test A)"
works_at fs1
on fs1 wbinfo -t >/dev/null || fail "the domain does not trust the source"
until_true 20 "the domain trusts new1" on new1 wbinfo -t
[ -n "$(on fs1 exportfs -s)" ] || fail "the source's export did not come back"
! on dc1 ldbsearch -H /var/lib/samba/private/sam.ldb '(sAMAccountName=FS1-OLD$)' dn | grep -q '^dn: CN' || fail "the account for the new name is left"
no_secret Lab-Passw0rd orch
show "by hand, and back: $stages"
say "done"
