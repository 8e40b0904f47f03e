#!/bin/bash
# dhcp: two workgroup servers whose address comes by DHCP, one with networkd and one with ifupdown's dhclient: the destination has the
# address for good, users reach it there, and the source asks no more, also when both restart; a rollback begins the client again, and
# the lease is the source's as before; forth for good. What the runbook says of the source's addresses does the same when it is typed.
# A lease whose client nobody knows is refused. Never two answer for the address.
# WHO="networkd" or "dhclient": that one alone.
# limit: 500
# slow
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/cutlib.sh"

packages
SAMBA_HOSTS="fs1 new1 fs2 new2 cl" IFUPDOWN_HOSTS=fs2 lab_up orch fs1 new1 fs2 new2 cl

which=${WHO:-networkd dhclient}
leased() { on "$1" ip -o -4 addr show dev host0 dynamic | grep -qF " $(lab ip "$1")/"; }
must_lease() { until_true 30 "$1 has its address by DHCP" leased "$1"; }
gives() { # HOST: a server that has this one's address to give and no other, for half a minute, with a name server and a domain
    on orch sh -c 'sed -i "/^DHCPServer/,\$d" /etc/systemd/network/10-lab.network; cat >>/etc/systemd/network/10-lab.network; networkctl reload; networkctl reconfigure host0' <<END
DHCPServer=yes
[DHCPServer]
PoolOffset=$(lab ip "$1" | cut -d. -f4)
PoolSize=1
DefaultLeaseTimeSec=30s
MaxLeaseTimeSec=30s
EmitDNS=yes
DNS=$(lab ip orch)
EmitRouter=yes
Router=$(net orch).1
SendOption=15:string:lab.test
END
}
orchestrator_up
agents_up fs1 new1 fs2 new2

say "two workgroup servers and their successors"
for i in 1 2; do
    users_on fs$i alice:3001
    on fs$i sh -c 'mkdir -p /srv/data/sales; echo old >/srv/data/sales/letter; chmod 777 /srv/data/sales'
    share sales /srv/data/sales | standalone fs$i "netbios aliases = files$i"
    standalone new$i </dev/null
    names_for cl fs$i files$i
    godwit job create files --name move$i --accounts rename --shares pair --pair fs$i:/srv/data=new$i:/srv/data >/dev/null
    godwit job start move$i --wait >/dev/null || { godwit job report move$i; fail "the transfer failed"; }
done

files() { identity_of "$1"; on "$1" sh -c 'cat /etc/network/interfaces 2>/dev/null; ip -4 route show dev host0 | sed "s/ *metric .*//; s/ proto .*//; s/ scope .*//; s/ *$//" | sort'; }
asks() { # HOST: does anybody there ask for an address?
    on "$1" sh -c '[ -n "$(pgrep -x dhclient)" ] || ls /run/systemd/netif/leases/* >/dev/null 2>&1'
}
served_by() { # N HOST WHEN: under every name and the address, and nobody else
    local name
    for name in fs$1 files$1 "$(lab ip fs$1)"; do
        until_true 30 "alice uses $name ($3)" uses cl "$name" sales alice >/dev/null
        served_from cl "$name" sales alice "$2" || fail "$3: $name leads to another than $2"
    done
    never_two cl "$3"
}
asks_no_more() { # N WHEN
    local now
    ! asks fs$1 || fail "$2: fs$1 asks for an address still"
    now=$(on fs$1 ip -br -4 addr show dev host0 | tr -s ' ' | cut -d' ' -f3-)
    [ "$now" = "$(admin_of fs$1 $1)/24 " ] || fail "$2: fs$1 has $now"
    on fs$1 ip -4 route show default | grep -qF "via $(net fs$1).1 " || fail "$2: fs$1 has lost its gateway: $(on fs$1 ip -4 route show default)"
    [ -z "$(on new$1 ip -o -4 addr show dev host0 dynamic)" ] || fail "$2: new$1 has an address by DHCP"
}
renewed() { # N: does it last longer than when it was last looked at?
    local was=$left
    left=$(on fs$1 ip -j -4 addr show dev host0 | jq '[.[0].addr_info[] | select(.dynamic).valid_life_time] | max // 0')
    [ "$left" -gt "$was" ]
}
restart() { # N
    lab reboot fs$1 & local first=$!
    lab reboot new$1
    wait $first
}

has_names() { on fs1 sh -c "grep -q '^DNS=.*$(lab ip orch)' /run/systemd/netif/links/* && grep -q '^DOMAINS=.*lab.test' /run/systemd/netif/links/*"; }
has_left() { ! asks fs$1 && on fs$1 ip -4 route show default | grep -qF "via $(net fs$1).1 "; } # N
typed() { # N: by a person alone; no cutover runs
    by_hand=move$1
    godwit cutover prepare $by_hand --source-address "$(admin_of fs$1 $1)/24" --new-name fs$1-old >/dev/null || { godwit cutover report $by_hand; fail "prepare"; }
    on fs$1 sh -c 'cp -a /etc/systemd/network /root/network; cp -a /etc/network/interfaces /root/interfaces 2>/dev/null || true'
    type_stage source.addresses
    until_true 20 "fs$1 asks no more, and has a way out" has_left $1
    asks_no_more $1 "by hand"
    lab reboot fs$1
    until_true 20 "fs$1 has a way out, also after a restart" has_left $1
    asks_no_more $1 "by hand, after a restart"
    [ $1 = 2 ] || until_true 10 "fs1 has its name server" has_names
    on fs$1 sh -c 'cp -a /root/network/. /etc/systemd/network/; [ ! -e /root/interfaces ] || cp -a /root/interfaces /etc/network/interfaces'
    lab reboot fs$1
    must_lease fs$1
    until_true 60 "fs$1 online" is_online fs$1
}

moves() { # N WHO: of which the lease is
    local n=$1 before
    must_lease fs$n
    until_true 30 "fs$n online" is_online fs$n
    before=$(files fs$n; files new$n)
    watch_address cl "$(lab ip fs$n)"
    say "$2: what pre-flight says"
    godwit cutover validate move$n --source-address "$(admin_of fs$n $n)/24" --new-name fs$n-old >/run/checks.$$ || { cat /run/checks.$$; fail "validate"; }
    grep -q "^lease host0 .*pass .*$2 asks for it" /run/checks.$$ || { cat /run/checks.$$; fail "it is not seen who asks"; }
    grep -q "^dhcp .*warn .*$(on new$n cat /sys/class/net/host0/address)" /run/checks.$$ || { cat /run/checks.$$; fail "nobody is told of the DHCP server"; }
    rm -f /run/checks.$$

    say "$2: what the runbook says, typed"
    typed $n
    diff <(echo "$before") <(files fs$n; files new$n) || fail "it is not as before"

    say "$2: forth"
    godwit cutover run move$n || { godwit cutover report move$n; fail "the cutover failed"; }
    show "$2: outage as the orchestrator saw it: $(cut_job move$n '.pairs[0].outage.measured_ms') ms"
    served_by $n new$n "forth"
    asks_no_more $n "forth"
    [ $n = 2 ] || has_names || { on fs1 cat /etc/systemd/network/10-lab.network; fail "fs1 has lost its name server"; }
    say "$2: both restart"
    restart $n
    served_by $n new$n "after the restart"
    asks_no_more $n "after the restart"

    say "$2: back"
    godwit cutover rollback move$n >/dev/null || { godwit cutover report move$n; fail "the rollback failed"; }
    served_by $n fs$n "back"
    must_lease fs$n
    diff <(echo "$before") <(files fs$n; files new$n) || fail "the rollback left something"
    [ $n = 1 ] || [ "$(on fs2 pgrep -xc dhclient)" = 1 ] || fail "fs2 has $(on fs2 pgrep -xc dhclient) clients"
    say "$2: it is renewed"
    left=99
    until_true 40 "fs$n has renewed its lease" renewed $n
    restart $n
    must_lease fs$n
    served_by $n fs$n "after the second restart"

    say "$2: for good"
    godwit cutover run move$n >/dev/null || { godwit cutover report move$n; fail "the second cutover failed"; }
    godwit cutover commit move$n >/dev/null || { godwit cutover report move$n; fail "the commit failed"; }
    restart $n
    served_by $n new$n "after the commit"
    asks_no_more $n "after the commit"
    refuses cl "$(admin_of fs$n $n)" sales alice || fail "the source serves users at its new address"
}

gives fs1
on fs1 sh -c 'printf "[Match]\nName=host0\n[Network]\nDHCP=ipv4\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n" >/etc/systemd/network/10-lab.network
    networkctl reload; networkctl reconfigure host0'
[[ " $which " != *" networkd "* ]] || moves 1 networkd
[[ " $which " = *" dhclient "* ]] || { say "done"; exit 0; }

gives fs2
on fs2 sh -c 'ifdown host0; sed -i "/^iface host0/,\$d" /etc/network/interfaces; echo "iface host0 inet dhcp" >>/etc/network/interfaces; ifup host0' >/dev/null 2>&1
must_lease fs2
until_true 30 "fs2 online" is_online fs2
say "a lease whose client nobody knows is refused"
on fs2 pkill -KILL -x dhclient
rc=0
godwit cutover validate move2 --source-address "$(admin_of fs2 2)/24" --new-name fs2-old -o json >/run/checks.$$ || rc=$?
[ $rc = 8 ] || { cat /run/checks.$$; fail "exit code $rc, not 8"; }
[ "$(jq -r '.pairs[0].checks[] | select(.result == "fail").id' /run/checks.$$)" = "lease host0" ] || { cat /run/checks.$$; fail "another check fails"; }
rm -f /run/checks.$$
on fs2 sh -c 'ifdown --force host0; ifup host0' >/dev/null 2>&1
moves 2 dhclient
say "done"
