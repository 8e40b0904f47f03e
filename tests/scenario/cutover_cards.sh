#!/bin/bash
# cutover_cards: a workgroup server with two interfaces, three more names and an IPv6 address moves, and comes back; its routes go to
# a destination that has none, and its SSH host keys with it (--ssh-keys): sshd shows them, and the source makes others. Once a
# person types the destination's addresses and routes. Last by a map: to a card without an address.
# limit: 300
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
say "the destination has no way out, and host keys of its own; the source has a way to a network behind a router"
on fs1 sh -c "printf '[Route]\nDestination=203.0.113.0/24\nGateway=$(net fs1).1\n' >>/etc/systemd/network/10-lab.network; networkctl reload; networkctl reconfigure host0"
until_true 20 "fs1 has its addresses and its ways" on fs1 sh -c 'ip -4 route show | grep -q "^203.0.113.0/24 via" && ip -6 addr show dev host0 | grep "fd00:9::12/64" | grep -qv tentative'
on new1 sh -c 'sed -i "/^Gateway/d" /etc/systemd/network/10-lab.network; networkctl reload; networkctl reconfigure host0'
until_true 20 "new1 has no default route" on new1 sh -c '! ip -4 route show default | grep -q . && ip -6 addr show dev host0 | grep "fd00:9::13/64" | grep -qv tentative'
for h in fs1 new1; do on $h sh -c 'rm -f /etc/ssh/ssh_host_*; ssh-keygen -A >/dev/null; systemctl restart ssh'; done
keys_of() { on cl ssh-keyscan -T 3 -t rsa,ecdsa,ed25519 "$1" 2>/dev/null | cut -d' ' -f2- | sort; } # NAME: what a client sees
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
shown() { [ "$(keys_of fs1 | wc -l) $(keys_of new1 | wc -l)" = "3 3" ]; }
until_true 20 "all keys are shown" shown
keys=$(keys_of fs1) keys_new=$(keys_of new1)
[ "$keys" != "$keys_new" ] || fail "both hosts have the same keys"
shows() { [ "$(keys_of "$1")" = "$2" ]; }
all_of() { for h in fs1 new1; do identity_of $h; on $h sh -c 'cat /etc/ssh/ssh_host_* | sha256sum; ip -4 route show | grep -v " proto kernel" | sed "s/ proto .*//; s/ *$//" | sort; ip -br addr show dev eth1 | tr -s " "; ip -6 -br addr show dev host0 | tr -s " "'; done; }
before=$(all_of)

routes_came() {
    on new1 ip -4 route show default | grep -q "via $(net fs1).1 dev host0" || fail "the default route did not come along: $(on new1 ip route)"
    on new1 ip -4 route show | grep -q "^203.0.113.0/24 via $(net fs1).1 dev host0" || fail "the way to the network behind the router did not come along: $(on new1 ip route)"
    for line in "Gateway=$(net fs1).1" Destination=203.0.113.0/24; do
        on new1 grep -qx "$line" /etc/systemd/network/10-lab.network || fail "the routes are gone at the next start"
    done
}

say "there"
godwit cutover run move --ssh-keys --source-address "$(admin_of fs1)/24" >/dev/null || { godwit cutover report move; fail "the cutover failed"; }
everywhere new1
refuses cl "$(admin_of fs1)" sales alice || fail "the source still serves users"
until_true 10 "who comes by SSH sees the same server" shows fs1 "$keys"
routes_came

say "and back"
godwit cutover rollback move >/dev/null || { godwit cutover report move; fail "the rollback failed"; }
diff <(echo "$before") <(all_of) || fail "the rollback left something"
everywhere fs1
until_true 10 "sshd of the source shows its keys" shows fs1 "$keys"
until_true 10 "sshd of the destination shows its own again" shows new1 "$keys_new"

say "and again, a person types the destination's addresses"
held destination.addresses run move --by-hand destination.addresses
type_stage destination.addresses
routes_came
godwit cutover resume move >/dev/null || { godwit cutover report move; fail "resume failed"; }
everywhere new1
godwit cutover rollback move >/dev/null || { godwit cutover report move; fail "the second rollback failed"; }
diff <(echo "$before") <(all_of) || fail "the second rollback left something"

say "for good, by a map: the destination's second card has no address of its own"
on new1 sh -c 'sed -i "/^Address=/d" /etc/systemd/network/11-eth1.network; networkctl reload; networkctl reconfigure eth1'
until_true 20 "new1's second card has no address" on new1 sh -c '! ip -4 addr show dev eth1 | grep -q inet'
mac() { on "$1" cat "/sys/class/net/$2/address"; }
godwit cutover run move --by-hand= --map "$(mac fs1 eth1)=$(mac new1 eth1)" >/dev/null || { godwit cutover report move; fail "the third cutover failed"; }
godwit cutover commit move >/dev/null || { godwit cutover report move; fail "the commit failed"; }
everywhere new1
until_true 10 "who comes by SSH sees the same server for good" shows fs1 "$keys"
other() { [ "$(keys_of "$(admin_of fs1)" | wc -l)" = 3 ] && [ -z "$(comm -12 <(keys_of "$(admin_of fs1)") <(echo "$keys"))" ]; }
until_true 10 "the source shows other keys" other
say "done"
