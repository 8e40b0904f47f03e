#!/bin/bash
# ifupdown: a workgroup server and its successor, whose network is ifupdown's: forth, both restart, and the right one serves; back,
# both restart, and it is as before; forth for good, both restart. Asked from a third host, by name and by address.
# limit: 240
# slow
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/cutlib.sh"

packages
SAMBA_HOSTS="fs1 new1 cl" IFUPDOWN_HOSTS="fs1 new1" lab_up orch fs1 new1 cl
orchestrator_up
agents_up fs1 new1

say "a workgroup server with two addresses, and its successor"
for h in fs1 new1; do
    on $h sh -c '! systemctl -q is-active systemd-networkd && systemctl -q is-active networking' || fail "the network of $h is not ifupdown's"
done
second=$(net fs1).211
on fs1 sh -c "printf '\niface host0 inet static\n    address $second\n    netmask 255.255.255.0\n' >>/etc/network/interfaces; ip addr add $second/24 dev host0"
users_on fs1 alice:3001
on fs1 sh -c 'mkdir -p /srv/data/sales; echo old >/srv/data/sales/letter; chmod 777 /srv/data/*'
share sales /srv/data/sales | standalone fs1 'netbios aliases = files'
standalone new1 </dev/null
names_for cl fs1 files
must_use cl fs1 sales alice
godwit job create files --name move --accounts rename --shares pair --pair fs1:/srv/data=new1:/srv/data >/dev/null
godwit job start move --wait >/dev/null || { godwit job report move; fail "the transfer failed"; }
files() { identity_of "$1"; on "$1" cat /etc/network/interfaces; }
before=$(files fs1; files new1)
watch_address cl "$(lab ip fs1)"

restart() {
    lab reboot fs1 & local first=$!
    lab reboot new1
    wait $first
}
serves() { # HOST: under every name and address, and nobody else
    local name
    for name in fs1 files "$(lab ip fs1)" "$second"; do
        until_true 30 "alice uses $name" uses cl "$name" sales alice
        served_from cl "$name" sales alice "$1" || fail "$name leads to another than $1"
    done
    never_two cl "$2"
}

say "forth"
godwit cutover validate move --source-address "$(admin_of fs1)/24" --new-name fs1-old >/run/checks.$$ || { cat /run/checks.$$; fail "validate"; }
[ "$(grep -c 'ifupdown has it: /etc/network/interfaces' /run/checks.$$)" = 2 ] || { cat /run/checks.$$; fail "ifupdown is not found"; }
rm -f /run/checks.$$
godwit cutover run move || { godwit cutover report move; fail "the cutover failed"; }
show "outage as the orchestrator saw it: $(cut_job move '.pairs[0].outage.measured_ms') ms"
serves new1 "forth"
on fs1 cat /etc/network/interfaces
on new1 cat /etc/network/interfaces
restart
serves new1 "after the restart"
[ "$(on fs1 sh -c 'ip -br -4 addr show dev host0' | tr -s ' ' | cut -d' ' -f3-)" = "$(admin_of fs1)/24 " ] || fail "the source has $(on fs1 ip -br addr show dev host0)"

say "back"
godwit cutover rollback move >/dev/null || { godwit cutover report move; fail "the rollback failed"; }
diff <(echo "$before") <(files fs1; files new1) || fail "the rollback left something"
serves fs1 "back"
restart
serves fs1 "after the second restart"
diff <(echo "$before") <(files fs1; files new1) || fail "after the restart a host is another"

say "for good"
godwit cutover run move >/dev/null || { godwit cutover report move; fail "the second cutover failed"; }
godwit cutover commit move >/dev/null || { godwit cutover report move; fail "the commit failed"; }
restart
serves new1 "after the commit"
on fs1 sh -c '! systemctl is-active -q smbd' || fail "smbd runs on the source"
refuses cl "$(admin_of fs1)" sales alice || fail "the source serves users at its new address"
say "done"
