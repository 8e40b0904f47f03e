#!/bin/bash
# rehearse: the destination plays the source's part in a network of its own; the directory, the source and the destination
# are as before, byte for byte; an address in use, a missing folder of a share, another idmap range, a missing right and an
# interface that cannot be mapped are told beforehand, each with a remedy. A user of the domain opens, writes, reads and
# deletes there, by each name, with Kerberos and the machine's own key.
# limit: 300
# slow
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/cutlib.sh"

packages
DOMAIN_DC=dc1 DOMAIN_MEMBERS="fs1 new1" SAMBA_HOSTS=cl lab_up orch fs1 new1 cl
orchestrator_up
agents_up fs1 new1
lab user alice
on fs1 sh -c 'mkdir -p /srv/data/sales; chmod 777 /srv/data/sales; echo old >/srv/data/sales/letter; sed -i "s/^\[global\]/&\n   netbios aliases = files/" /etc/samba/smb.conf'
share sales /srv/data/sales | on fs1 sh -c 'cat >>/etc/samba/smb.conf; systemctl enable -q --now smbd'
on new1 systemctl enable -q --now smbd
godwit job create files --name move --shares pair --pair fs1:/srv/data=new1:/srv/data >/dev/null
godwit job start move --wait >/dev/null || { godwit job report move; fail "the transfer failed"; }
for h in fs1 new1; do
    printf 'username = Administrator\npassword = Lab-Passw0rd\n' | on $h sh -c 'umask 077; mkdir -p /etc/godwit; cat >/etc/godwit/cutover.cred'
done

steady() { grep -vE '^(lastLogon|logonCount|badP|lastLogonTimestamp|# )'; }
everything() {
    on dc1 ldbsearch -H /var/lib/samba/private/sam.ldb '(objectClass=computer)' '*' nTSecurityDescriptor | steady
    local h
    for h in fs1 new1; do
        identity_of $h
        on $h sh -c 'cd /; find etc srv -xdev -type f -newer /etc/machine-id -exec sha256sum {} + 2>/dev/null | grep -v " etc/godwit" | sort; find srv | sort; ip -br addr; pgrep -c smbd >/dev/null && echo smbd'
    done
}
rehearse() { godwit cutover rehearse move --source-address "$(admin_of fs1)/24" --new-name FS1-OLD "$@"; }
checks() { cut_job move ".pairs[0].checks[] | select(.result == \"$1\") | (.on // \"\") + \" \" + .id + \": \" + .text + \" -> \" + .remedy"; }
catches() { # WHAT PATTERN: the rehearsal that just ran has told it, with a remedy
    local told
    told=$(checks fail)
    [[ $told == *$2*"-> "?* ]] || { echo "$told"; fail "$1 is not caught"; }
    show "caught: $(grep -m1 -e "${2%%\**}" <<<"$told" || echo "$1")"
    diff <(echo "$before") <(echo "$(everything)") || fail "the refusal of $1 left something"
}
provoked() { before=$(everything); } # by what is wrong now

say "a rehearsal, and all is as before"
before=$(everything)
rehearse || { godwit cutover report move; fail "the rehearsal failed"; }
diff <(echo "$before") <(echo "$(everything)") || fail "the rehearsal left something"
told=$(checks pass)
for want in "rehearsal names: Samba reads its configuration as FS1" "rehearsal address $(lab ip fs1)/24" "rehearsal name FS1" "rehearsal name files" "rehearsal start"; do
    [[ $told == *"$want"* ]] || { echo "$told"; fail "the rehearsal did not show: $want"; }
done
predicted=$(cut_job move '.pairs[0].outage.predicted_ms')
[ "$predicted" -gt 0 ] || fail "no outage is predicted"
show "rehearsed: $(grep -o 'Samba served after [0-9]* ms' <<<"$told"), outage predicted: $predicted ms"

say "and as a user of the domain, by Kerberos, with the machine's own key"
printf 'username = alice\npassword = Lab-Passw0rd\ndomain = LAB\n' | on new1 sh -c 'umask 077; cat >/etc/godwit/probe.cred'
watch_arguments fs1 new1
provoked
rehearse --probe-user alice || { godwit cutover report move; fail "the rehearsal with a user failed"; }
diff <(echo "$before") <(echo "$(everything)") || fail "the rehearsal with a user left something"
told=$(checks pass)
for want in "rehearsal identity" "rehearsal user sales by Kerberos as FS1:" "rehearsal user sales by Kerberos as fs1.lab.test:"; do
    [[ $told == *"$want"* ]] || { echo "$told"; checks warn; fail "the rehearsal did not show: $want"; }
done
[[ $(checks warn) == *"rehearsal ticket files: the directory gives no ticket for cifs/files"* ]] || { checks warn; fail "an alias without a service name is not told"; }
on new1 test ! -e /run/godwit-rehearsal || fail "a copy of the machine's key is left on new1"
no_secret Lab-Passw0rd fs1 new1
show "rehearsed as alice: $(grep -c 'by Kerberos as' <<<"$told") names by Kerberos, opened, written, read, deleted"
on new1 chmod 700 /srv/data/sales
provoked
! rehearse >/dev/null 2>&1 || fail "a folder that the user may not open passes"
catches "a folder's rights" "rehearsal user sales by Kerberos as"
on new1 chmod 777 /srv/data/sales

say "what would fail is told"
on cl ip addr add "$(admin_of fs1)/24" dev host0
provoked
! rehearse >/dev/null 2>&1 || fail "an address in use passes"
catches "an address in use" "address $(admin_of fs1)/24: in use"
on cl ip addr del "$(admin_of fs1)/24" dev host0
on new1 mv /srv/data/sales /srv/data/elsewhere
provoked
! rehearse >/dev/null 2>&1 || fail "a missing folder passes"
catches "a missing folder" "share sales: its folder /srv/data/sales is missing"
on new1 mv /srv/data/elsewhere /srv/data/sales
on new1 cp -p /etc/samba/smb.conf /root/smb.conf
on new1 sed -i 's/100000-199999/300000-399999/' /etc/samba/smb.conf
provoked
! rehearse >/dev/null 2>&1 || fail "another range passes"
catches "another range" "idmap: "
on new1 cp -p /root/smb.conf /etc/samba/smb.conf
provoked
! rehearse --map "$(on fs1 cat /sys/class/net/host0/address)=02:00:00:00:00:01" >/dev/null 2>&1 || fail "an interface that is not there passes"
catches "an interface" "addresses: no address of the source is in a network"
on dc1 samba-tool user create weak Weak-Passw0rd1 >/dev/null
printf 'username = weak\npassword = Weak-Passw0rd1\n' | on new1 sh -c 'cat >/etc/godwit/cutover.cred'
provoked
! godwit cutover rehearse move --method rejoin --map "$(on fs1 cat /sys/class/net/host0/address)=$(on new1 cat /sys/class/net/host0/address)" >/dev/null 2>&1 || fail "a missing right passes"
catches "a missing right" "rights: weak may not reset its password"
say "done"
