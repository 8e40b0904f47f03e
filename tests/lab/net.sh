# net: one network namespace per lab with a bridge in it; each host hangs on the bridge by a veth. No
# way leads out. Sourced by tests/lab/lab.

netns=gwlab-$LAB_NAME

net_prefix() { # first three numbers of the lab's addresses
    local n
    n=$(cksum <<<"$LAB_NAME" | cut -d' ' -f1)
    echo "10.$((64 + n % 64)).$((n / 64 % 256))"
}

net_up() {
    ip netns add "$netns"
    ip -n "$netns" link set lo up
    ip -n "$netns" link add lab0 type bridge
    ip -n "$netns" addr add "$(net_prefix).1/24" dev lab0
    ip -n "$netns" link set lab0 up
    in_net nft -f - <<<'table bridge lab {
        chain forward { type filter hook forward priority 0; policy accept; }
    }' || die "nftables cannot filter on the bridge here"
}

net_down() { ip netns del "$netns" 2>/dev/null || true; }

in_net() { nsenter --net="/run/netns/$netns" "$@"; }

# Silence between two hosts, both ways, as when a cable is pulled: nobody is told. BYTES: only larger packets are lost.
net_cut() { # A B [BYTES]
    local a b
    a=$(host_ip "$1") b=$(host_ip "$2")
    in_net nft -f - <<<"add rule bridge lab forward ip saddr $a ip daddr $b ${3:+meta length > $3} drop comment \"$1 $2\"
        add rule bridge lab forward ip saddr $b ip daddr $a ${3:+meta length > $3} drop comment \"$1 $2\""
}

net_heal() { # A B
    local handle
    in_net nft -a list chain bridge lab forward |
        sed -n "s/.*comment \"\($1 $2\|$2 $1\)\" # handle \([0-9]*\)$/\2/p" |
        while read -r handle; do
            in_net nft delete rule bridge lab forward handle "$handle"
        done
}

# Seen from the host: "sent BYTES received BYTES".
net_counters() { # HOST
    local rx tx
    read -r rx tx < <(ip -n "$netns" -j -s link show "vb-$1" |
        jq -r '.[0].stats64 | "\(.rx.bytes) \(.tx.bytes)"')
    echo "sent $rx received $tx"
}

# As a slower link into the host; "off" makes it as fast as memory again.
net_rate() { # HOST MBIT|off
    in_net tc qdisc del dev "vb-$1" root 2>/dev/null || true
    [ "$2" = off ] || in_net tc qdisc add dev "vb-$1" root tbf rate "$2mbit" burst 256kb latency 50ms
}
