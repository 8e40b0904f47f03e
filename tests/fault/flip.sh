#!/bin/bash
# flip: one bit is flipped on a lane, four times: TLS notices, and the transfer goes on. And a bit is flipped on a
# temporary file of the destination and on a file in place: a digest finds the one, reading both sides the other.
# limit: 90
. "$(dirname "$0")/lib.sh"

[ -x "$bin/fault-relay" ] || skip "fault-relay is not built"
src=$work/from
mkdir "$src"
small_files "$src/small" 20 100
big_files "$src/big" 3 24
odd_files "$src/odd"
fleet_up

# What goes to the destination's lanes goes through the relay, in the source's own namespace.
on src nft "add table ip f; add chain ip f out { type nat hook output priority -100; }
    add rule ip f out ip daddr ${ip[dst]} tcp dport 7410 meta mark != 7 redirect to :7999"
on src "$bin/fault-relay" 7999 127.0.0.77 7410 3000000 4 >"$work/relay.out" 2>&1 &
on src nft "add rule ip f out ip daddr 127.0.0.77 tcp dport 7410 dnat to ${ip[dst]}:7410"
on src sysctl -qw net.ipv4.conf.all.route_localnet=1
on src nft "add chain ip f post { type nat hook postrouting priority 100; }
    add rule ip f post ip saddr 127.0.0.0/8 oifname eth0 masquerade"

job_start flip "$src" "$work/to"
job_end flip 60 done
[ "$(grep -c flipped "$work/relay.out")" = 4 ] || fail "$(grep -c flipped "$work/relay.out") bits were flipped, not 4"
same "$src" "$work/to"
no_temporaries "$work/to"
passed "4 bits flipped on lanes (sent again: $(report flip .totals.again_bytes) bytes)"

say "a bit of a file in place, its time and size as they were"
python3 - "$work/to/small/d3/f7" "$work/to/big/big2" <<'END'
import os, sys
for name in sys.argv[1:]:
    st = os.stat(name)
    with open(name, "r+b") as f:
        f.seek(st.st_size // 2)
        b = f.read(1)[0]
        f.seek(st.st_size // 2)
        f.write(bytes([b ^ 1]))
    os.utime(name, ns=(st.st_atime_ns, st.st_mtime_ns))
END
godwit job create files --name check --pair "src:$src=dst:$work/to" --checksum >/dev/null
godwit job start check >/dev/null
job_end check 60 done
same "$src" "$work/to"
[ "$(report check .totals.files)" = 2 ] || fail "$(report check .totals.files) files were sent, not 2"
passed "bits flipped at the destination are found by --checksum"
say done
