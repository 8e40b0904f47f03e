#!/bin/bash
# nameonly: source and destination stand in two subnets, so that no address can move: the names do, in DNS, with the machine
# identity. First by transplant, back, then by rejoin, for good. Records of the server, of a name that was added, of an alias, an
# alias that stands for another name (CNAME), and the reverse ones, asked by dig from a client; lived short since prepare.
# METHODS="": the last part alone.
# limit: 590
# slow
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/cutlib.sh"

packages
DOMAIN_DC=dc1 DOMAIN_MEMBERS="fs1 new1" SAMBA_HOSTS=cl lab_up orch fs1 new1 cl
far=10.63.$(net new1 | cut -d. -f3) # another subnet on the same wire: the lab's gateway knows both

say "new1 stands in another subnet"
nsenter --net="/run/netns/gwlab-$LAB_NAME" sh -c "ip addr add $far.1/24 dev lab0; echo 1 >/proc/sys/net/ipv4/ip_forward; echo 0 >/proc/sys/net/ipv4/conf/all/send_redirects; echo 0 >/proc/sys/net/ipv4/conf/lab0/send_redirects"
on new1 sh -c "sed -i 's/$(lab ip new1)/$far.8/; s/^Gateway=.*/Gateway=$far.1/' /etc/systemd/network/10-lab.network; sed -i '/ new1/d' /etc/hosts
    echo '$far.8 new1.lab.test new1' >>/etc/hosts; networkctl reload; networkctl reconfigure host0"
until_true 20 "new1 reaches the domain controller" on new1 dig +short +time=1 +tries=1 @dc1 dc1.lab.test
for h in orch fs1 cl dc1; do on $h sed -i "s/^[0-9.]*\(.*[^a-z0-9]new1\)/$far.8\1/" /etc/hosts; done
on cl sed -i '/fs1/d' /etc/hosts # asks DNS, as a client does
on new1 net ads dns register new1.lab.test $far.8 -P >/dev/null
orchestrator_up
agents_up fs1 new1
source=$(lab ip fs1)

say "names, aliases and reverse names of fs1"
lab user alice
rev() { awk -F. '{print $3 "." $2 "." $1 ".in-addr.arpa"}' <<<"$1"; }
dns() { on dc1 samba-tool dns "$@" -U Administrator%Lab-Passw0rd >/dev/null; }
dns zonecreate dc1 "$(rev "$source")"
dns zonecreate dc1 "$(rev $far.8)"
dns add dc1 "$(rev "$source")" "${source##*.}" PTR fs1.lab.test
dns add dc1 lab.test docs A "$source"
dns add dc1 lab.test files A "$source"
dns add dc1 lab.test www CNAME fs1.lab.test
on fs1 sh -c 'mkdir -p /srv/data/sales; chmod 777 /srv/data/sales; echo old >/srv/data/sales/letter
    sed -i "s/^\[global\]/&\n   netbios aliases = files\n   additional dns hostnames = docs.lab.test/" /etc/samba/smb.conf'
share sales /srv/data/sales | on fs1 sh -c 'cat >>/etc/samba/smb.conf; systemctl enable -q --now smbd'
on new1 systemctl enable -q --now smbd
for h in fs1 new1; do
    printf 'username = Administrator\npassword = Lab-Passw0rd\n' | on $h sh -c 'umask 077; mkdir -p /etc/godwit; cat >/etc/godwit/cutover.cred'
done
godwit job create files --name move --shares pair --pair fs1:/srv/data=new1:/srv/data >/dev/null
godwit job start move --wait >/dev/null || { godwit job report move; fail "the transfer failed"; }

ask() { on cl dig +short @dc1 "$@"; }
ttl() { on cl dig +noall +answer @dc1 "$1" A | awk '$4 == "A" {print $2; exit}'; }
stands_for() { # ADDRESS NAME…
    local want=$1 n
    shift
    for n; do [ "$(ask "$n" A | tail -1)" = "$want" ] || fail "$n stands for $(ask "$n" A), not $want"; done
}
served_by() { # HOST: alice works there under the old name
    local i
    for ((i = 0; ; i++)); do
        on cl sh -c 'rm -f /run/lab-ticket-alice; net cache flush' # smbclient keeps names for eleven minutes
        lab as cl alice smbclient //fs1.lab.test/sales --use-kerberos=required -c 'put /etc/hostname probe; rm probe' >"/tmp/$LAB_NAME.uses" 2>&1 && break
        [ $i -lt 30 ] || { cat "/tmp/$LAB_NAME.uses"; ask fs1.lab.test A; godwit cutover report move; godwit cutover stages move -o json | jq -r '.pairs[0].stages[] | select(.after) | .id + ": " + .after'; fail "alice does not use fs1 at $1"; }
    done
    rm -f "/tmp/$LAB_NAME.uses"
    on "$1" touch /srv/data/sales/mark
    [[ $(lab as cl alice smbclient //fs1.lab.test/sales --use-kerberos=required -c 'ls mark') != *NT_STATUS_* ]] || fail "not $1 serves"
    on "$1" rm /srv/data/sales/mark
}
was_there() {
    stands_for "$source" fs1.lab.test docs.lab.test files.lab.test www.lab.test
    [ "$(ask -x "$source")" = fs1.lab.test. ] || fail "$source stands for $(ask -x "$source")"
    stands_for $far.8 new1.lab.test
    [ "$(ttl fs1.lab.test)" = "$long" ] || fail "the record of fs1 lives for $(ttl fs1.lab.test) s, not $long"
}
is_here() {
    stands_for $far.8 fs1.lab.test docs.lab.test files.lab.test www.lab.test
    stands_for "$source" fs1-old.lab.test
    [ "$(ask -x $far.8)" = fs1.lab.test. ] || fail "$far.8 stands for $(ask -x $far.8)"
    [ "$(ask -x "$source")" = fs1-old.lab.test. ] || fail "$source stands for $(ask -x "$source")"
    [ -z "$(ask new1.lab.test A)" ] || fail "new1 still stands for $(ask new1.lab.test A)"
    [ "$(on new1 hostname) $(on fs1 hostname)" = "fs1 fs1-old" ] || fail "names: $(on new1 hostname) $(on fs1 hostname)"
    [ "$(lab ip new1) $(on new1 ip -br -4 addr show dev host0 | grep -c "$far.8/")" != "" ] || fail "an address moved"
    ! on cl timeout 3 bash -c ': </dev/tcp/$0/445' "$source" 2>/dev/null || fail "the source still listens"
}
long=$(ttl fs1.lab.test)
[ "$long" -gt 60 ] || fail "the record of fs1 lives for $long s"

say "prepare lets others remember the names for a minute; going back takes that back"
godwit cutover prepare move --name-only --new-name FS1-OLD || { godwit cutover report move; fail "prepare failed"; }
[ "$(ttl fs1.lab.test) $(ttl docs.lab.test)" = "60 60" ] || { godwit cutover report move; fail "fs1 lives for $(ttl fs1.lab.test) s, docs for $(ttl docs.lab.test) s"; }
stands_for "$source" fs1.lab.test docs.lab.test
show "prepared: $(cut_job move '.pairs[0].checks[] | select(.id == "ttl") | .text')"
godwit cutover rollback move >/dev/null || { godwit cutover report move; fail "prepare cannot be taken back"; }
was_there

for method in ${METHODS-transplant rejoin}; do
    say "$method, by name only"
    godwit cutover run move --name-only --new-name FS1-OLD --method $method || { godwit cutover report move; fail "$method failed"; }
    served_by new1
    is_here
    [ $method = rejoin ] || show "by name only, transplant: $(cut_job move '.pairs[0].outage.measured_ms') ms as the orchestrator saw it"
    say "back"
    godwit cutover rollback move >/dev/null || { godwit cutover report move; fail "the rollback failed"; }
    served_by fs1
    was_there
done

say "once more by rejoin, and for good: the records live as long as before"
godwit cutover run move --name-only --new-name FS1-OLD --method rejoin >/dev/null || { godwit cutover report move; fail "the second rejoin failed"; }
is_here
godwit cutover commit move >/dev/null || { godwit cutover report move; fail "the commit failed"; }
served_by new1
[ "$(ttl fs1.lab.test)" = "$long" ] || fail "fs1 lives for $(ttl fs1.lab.test) s after commit, not $long"
show "by name only, both methods: names, alias, CNAME and reverse names right at each point, as asked from a client"
say "done"
