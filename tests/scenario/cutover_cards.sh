#!/bin/bash
# cutover_cards: a workgroup server with two interfaces, three more names and an IPv6 address moves, and comes back.
# limit: 200
# slow
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/cutlib.sh"

packages
SAMBA_HOSTS="fs1 new1 cl" lab_up orch fs1 new1 cl

# card HOST N: a second card, with an address of a second network.
card() {
    ip link add "vc-$1" netns "gwlab-$LAB_NAME" type veth peer name eth1 netns "$(lab pid "$1")"
    ip -n "gwlab-$LAB_NAME" link set "vc-$1" master lab0 up
    printf '[Match]\nName=eth1\n[Network]\nAddress=172.30.9.%s/24\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n' "$2" |
        on "$1" sh -c 'cat >/etc/systemd/network/11-eth1.network; sed -i "/^Gateway/a Address=fd00:9::$0/64" /etc/systemd/network/10-lab.network; networkctl reload; networkctl reconfigure host0 eth1' "$2"
    until_true 20 "$1 has all its addresses" on "$1" sh -c "ip addr show eth1 | grep -q 172.30.9.$2/ && ip addr show host0 | grep 'fd00:9::$2/' | grep -qv tentative"
}
card fs1 12
card new1 13
card cl 14
orchestrator_up
agents_up fs1 new1
users_on fs1 alice:3001 bob:3002
on fs1 sh -c 'mkdir -p /srv/data/sales; chmod 777 /srv/data/sales'
share sales /srv/data/sales | standalone fs1 'netbios aliases = files archive office'
standalone new1 </dev/null
on cl sh -c "printf '172.30.9.12 second\nfd00:9::12 six\n$(lab ip fs1) files archive office\n' >>/etc/hosts"
names="fs1 files archive office second six"
everywhere() { # HOST
    local name
    for name in $names; do
        must_use cl "$name" sales alice
        served_from cl "$name" sales alice "$1" || fail "$name leads to another than $1"
    done
    must_use cl fs1 sales bob
}
everywhere fs1
godwit job create files --name move --accounts rename --shares pair --pair fs1:/srv/data=new1:/srv/data >/dev/null
godwit job start move --wait >/dev/null || { godwit job report move; fail "the transfer failed"; }
all_of() { for h in fs1 new1; do identity_of $h; on $h sh -c 'ip -br addr show dev eth1 | tr -s " "; ip -6 -br addr show dev host0 | tr -s " "'; done; }
before=$(all_of)

say "there"
godwit cutover run move --source-address "$(admin_of fs1)/24" >/dev/null || { godwit cutover report move; fail "the cutover failed"; }
everywhere new1
refuses cl "$(admin_of fs1)" sales alice || fail "the source still serves users"

say "and back"
godwit cutover rollback move >/dev/null || { godwit cutover report move; fail "the rollback failed"; }
diff <(echo "$before") <(all_of) || fail "the rollback left something"
everywhere fs1

say "for good"
godwit cutover run move >/dev/null || { godwit cutover report move; fail "the second cutover failed"; }
godwit cutover commit move >/dev/null || { godwit cutover report move; fail "the commit failed"; }
everywhere new1
say "done"
