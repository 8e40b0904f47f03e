# lib: what the fault cases share. Sourced. A fleet of the real programs on this machine: orchestrator, source and
# destination as processes, each in a network namespace of its own on one bridge, restarted when they die. What a
# case needs to break (a disk, a link, a process) is its own, and goes with it.
#   KEEP=1   leaves its folder      GODWIT_ALL=yes   the long form      GODWIT_BIN   where the programs are
# Lines "CASE: …" count as cases that passed; lines "SHOW: …" are figures; tests/run repeats both.
set -euo pipefail
top=$(readlink -f "$(dirname "${BASH_SOURCE[0]}")/../..")
bin=${GODWIT_BIN:-$top/build/dev/bin}
name=$(basename "$0" .sh)

say() { echo "$(date +%T) $*"; }
show() { echo "SHOW: $*"; }
passed() { echo "CASE: $*"; }
fail() { echo "FAIL: $*" >&2; exit 1; }
skip() { echo "SKIP: $*"; exit 77; }
long() { [ "${GODWIT_ALL:-no}" = yes ]; }
now_ms() { echo $((${EPOCHREALTIME/./} / 1000)); }

[ "$(id -u)" = 0 ] || skip "needs root: for namespaces and file systems"
[ -x "$bin/godwitd" ] && [ -x "$bin/godwit-agent" ] || skip "the programs are not built in $bin"

# Mounts of our own: whoever makes a namespace beside us must not keep them when we let them go.
if [ -z "${GODWIT_FAULT_OWN:-}" ]; then
    export GODWIT_FAULT_OWN=1
    exec unshare --mount --propagation private bash "$0" "$@"
fi

work=$(mktemp -d "${GODWIT_FAULT_DIR:-/var/tmp}/godwit-fault-$name-XXXXXX") # a bench may want it in memory
chmod 755 "$work"
export GODWIT_STATE=$work/orch
ns=gwf-$$
declare -A ip=([orch]=10.77.0.1 [src]=10.77.0.2 [dst]=10.77.0.3)
declare -A wrap=([orch]="" [src]="" [dst]="") # put before a program's command line
declare -A more=([orch]="" [src]="" [dst]="") # put after it
godwit() { "$bin/godwit" "$@"; }

# ── ending ──

at_end=() # commands, run backwards
later() { at_end+=("$*"); }

journals() {
    local log
    for log in "$work"/*.log; do
        [ ! -f "$log" ] || { echo "--- ${log##*/}"; tail -n 12 "$log"; }
    done
}

finish() {
    local rc=$? i
    trap '' INT TERM
    set +e
    [ $rc = 0 ] || [ $rc = 77 ] || journals
    for host in orch src dst; do
        down "$host" 2>/dev/null
    done
    for ((i = ${#at_end[@]} - 1; i >= 0; i--)); do
        eval "${at_end[i]}" 2>/dev/null
    done
    wait 2>/dev/null
    [ "${KEEP:-}" = 1 ] && echo "kept: $work" || rm -rf --one-file-system "$work"
    exit $rc
}
trap finish EXIT
trap 'exit 130' INT TERM

# until_true SECONDS WHAT CMD…: waits for a command to succeed.
until_true() {
    local limit=$1 what=$2 end=$(($(now_ms) + $1 * 1000))
    shift 2
    until "$@"; do
        [ "$(now_ms)" -lt $end ] || fail "after $limit s still not: $what"
        sleep 0.05
    done
}

# ── network: a bridge in a namespace; nothing leads out ──

net_up() {
    local host
    for host in bridge orch src dst; do
        ip netns add "$ns-$host" || skip "no network namespaces here"
        later net_down "$host"
        ip -n "$ns-$host" link set lo up
    done
    ip -n "$ns-bridge" link add bridge0 type bridge
    ip -n "$ns-bridge" link set bridge0 up
    for host in orch src dst; do
        ip -n "$ns-bridge" link add "$host" type veth peer name eth0 netns "$ns-$host"
        ip -n "$ns-bridge" link set "$host" master bridge0 up
        ip -n "$ns-$host" addr add "${ip[$host]}/24" dev eth0
        ip -n "$ns-$host" link set eth0 up
    done
    on bridge nft 'add table bridge f; add chain bridge f forward { type filter hook forward priority 0; }'
}
net_down() { # HOST: with whatever still runs there
    ip netns pids "$ns-$1" | xargs -r kill -KILL
    ip netns del "$ns-$1"
}
on() { local host=$1; shift; nsenter --net="/run/netns/$ns-$host" "$@"; }

link_cut() { # A B: silence both ways, as when a cable is pulled
    on bridge nft "add rule bridge f forward ip saddr ${ip[$1]} ip daddr ${ip[$2]} drop
        add rule bridge f forward ip saddr ${ip[$2]} ip daddr ${ip[$1]} drop"
}
link_drop() { # N: of all packets, at random
    on bridge nft "add rule bridge f forward meta protocol ip numgen random mod $1 == 0 drop"
}
link_heal() { on bridge nft flush chain bridge f forward; }
link_rate() { # HOST RATE|off: what its network card receives; RATE as tc takes it
    on bridge tc qdisc del dev "$1" root 2>/dev/null || true
    [ "$2" = off ] || on bridge tc qdisc add dev "$1" root tbf rate "$2" burst 64kb latency 200ms
}

# ── the programs ──

command_of() { # HOST
    case $1 in
    orch) echo "$bin/godwitd --state-dir $work/orch --run-dir $work/run --public-name ${ip[orch]} --heartbeat 500ms ${more[orch]}" ;;
    *) echo "$bin/godwit-agent run --state-dir ${state[$1]} --lane-port 7410 ${more[$1]}" ;;
    esac
}

declare -A state=([src]=$work/src-state [dst]=$work/dst-state)

# Runs it until down HOST; what dies is started again, as systemd does.
up() { # HOST
    local host=$1
    rm -f "$work/$host.down"
    (
        trap - EXIT
        while [ ! -e "$work/$host.down" ]; do
            # shellcheck disable=SC2046,SC2086
            GODWIT_FAULT_FILE=$work/$host.fault nsenter --net="/run/netns/$ns-$host" ${wrap[$host]} \
                $(command_of "$host") >>"$work/$host.log" 2>&1 </dev/null &
            echo $! >"$work/$host.pid"
            wait $! || true
            echo "--- ended" >>"$work/$host.log"
            sleep 0.1
        done
    ) 2>/dev/null &
    echo $! >"$work/$host.keeper"
}
pid_of() { cat "$work/$1.pid"; }
crash() { kill -KILL "$(pid_of "$1")"; } # comes back by itself
down() { # HOST: for good, as a crash
    [ -e "$work/$1.keeper" ] || return 0
    touch "$work/$1.down"
    crash "$1" 2>/dev/null || true
    while kill -0 "$(cat "$work/$1.keeper")" 2>/dev/null; do
        crash "$1" 2>/dev/null || true
        sleep 0.05
    done
    rm -f "$work/$1.keeper"
}
arm() { echo "$2 $3" >"$work/$1.fault.new" && mv "$work/$1.fault.new" "$work/$1.fault"; } # HOST POINT N: dies there
# halt HOST POINT N: stands still there, until go_on. One who waits to see the middle of something may be late for it.
halt() { echo "$2 $3 halt" >"$work/$1.fault.new" && mv "$work/$1.fault.new" "$work/$1.fault"; }
frozen() { ! awk '{sub(/.*\) /, ""); print $1}' "/proc/$1"/task/*/stat | grep -qv T; } # PID: each of its threads
halted() { ! armed "$1" && frozen "$(pid_of "$1")"; }
go_on() { kill -CONT "$(pid_of "$1")"; }
armed() { [ -e "$work/$1.fault" ]; }

is_online() { godwit agent show "$1" -o json 2>/dev/null | jq -e '.presence == "online"' >/dev/null; }

enrol() { # HOST
    mkdir -p "${state[$1]}"
    godwit token create --host "$1" -o json | jq -r .token >"$work/token"
    # shellcheck disable=SC2086
    nsenter --net="/run/netns/$ns-$1" ${wrap[$1]} "$bin/godwit-agent" enrol --state-dir "${state[$1]}" \
        <"$work/token" >"$work/enrol.log" 2>&1 || { cat "$work/enrol.log"; fail "$1 was not enrolled"; }
}

fleet_up() {
    local host
    net_up
    up orch
    until_true 30 "the orchestrator answers" godwit status >/dev/null 2>&1
    for host in src dst; do
        enrol "$host"
        up "$host"
    done
    for host in src dst; do
        until_true 30 "$host is online" is_online "$host"
    done
    say "fleet is up"
}

# ── jobs ──

job_field() { godwit job show "$1" -o json 2>/dev/null | jq -r "$2"; }
job_state() { job_field "$1" .state; }
job_ended() { case $(job_state "$1") in done | partial | failed | stopped) ;; *) return 1 ;; esac; }
job_moved() { # JOB BYTES: that much is durable at the destination; what was counted before does not count
    godwit job show "$1" -o json 2>/dev/null |
        jq -e --argjson want "$2" '([.pairs[] | select(.phase != "inventory") | .counters.bytes // 0] | add // 0) >= $want' >/dev/null
}
job_start() { # NAME SRC DST [OPTION…]
    local job=$1 from=$2 to=$3
    shift 3
    godwit job create files --name "$job" --pair "src:$from=dst:$to" "$@" >/dev/null
    godwit job start "$job" >/dev/null
}
job_end() { # JOB SECONDS STATE: the job ends so, or its report says why not
    until_true "$2" "job $1 has ended" job_ended "$1"
    local is
    is=$(job_state "$1")
    [ "$is" = "$3" ] || { godwit job report "$1" || true; fail "job $1 ended as '$is', not '$3'"; }
}
report() { godwit job report "$1" -o json | jq -r "$2"; }
# said JOB TEXT…: each in the report that people read.
said() {
    local job=$1 text out
    shift
    out=$(godwit job report "$job") || true
    for text; do
        grep -qF -- "$text" <<<"$out" || { echo "$out"; fail "the report of $job does not say: $text"; }
    done
}

# ── judging ──

# An independent tool finds no difference.
same() { # SRC DST [RSYNC-OPTION…]
    local diff from=$1 to=$2
    shift 2
    diff=$(rsync -aHAXnc --delete --itemize-changes --numeric-ids "$@" "$from/" "$to/" 2>&1) ||
        diff="rsync failed: $diff"
    [ -z "$diff" ] || { head -30 <<<"$diff"; fail "$from and $to differ"; }
}
# What is at the destination under its final name is whole: equal to the source's, though much may be missing.
nothing_wrong() { # SRC DST
    local diff
    diff=$(cd "$2" && find . -name '.godwit-*' -prune -o -type f -print0 |
        while IFS= read -r -d '' f; do cmp -s "$f" "$1/$f" || printf '%s\n' "$f"; done)
    [ -z "$diff" ] || { head -30 <<<"$diff"; fail "files under $2 are not what $1 holds"; }
}
no_temporaries() { # DST
    local left
    left=$(find "$1" -name '.godwit-*' | head -5)
    [ -z "$left" ] || fail "temporary files are left: $left"
}

# ── trees and disks ──

small_files() { # FOLDER FOLDERS FILES-EACH
    python3 - "$@" <<'END'
import os, random, sys
top, folders, files = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
r = random.Random(1)
for d in range(folders):
    os.makedirs(f"{top}/d{d}")
    for f in range(files):
        with open(f"{top}/d{d}/f{f}", "wb") as out:
            out.write(r.randbytes(r.randrange(1, 16384)))
END
}
big_files() { # FOLDER COUNT MIB
    local i
    mkdir -p "$1"
    for i in $(seq "$2"); do head -c "$3M" /dev/urandom >"$1/big$i"; done
}
odd_files() { # FOLDER: links, holes, attributes, what is not a file
    mkdir -p "$1/deep/er"
    echo one >"$1/one" && ln "$1/one" "$1/deep/er/two" && ln -s nowhere "$1/link" && mkfifo "$1/fifo"
    truncate -s 20M "$1/hole" && echo end >>"$1/hole"
    echo x >"$1/acl" && setfacl -m u:1234:r "$1/acl" && setfattr -n user.note -v hello "$1/acl"
    chown 1234:2345 "$1/deep" && chmod 2750 "$1/deep"
}
# disk NAME MIB TYPE [MKFS-OPTION…]: a file system of its own on a loop device, mounted at $work/NAME.
disk() {
    local image=$work/$1.img at=$work/$1 mib=$2 type=$3
    shift 3
    command -v "mkfs.$type" >/dev/null || skip "needs mkfs.$type"
    truncate -s "${mib}M" "$image" && mkdir -p "$at"
    "mkfs.$type" "$@" -q "$image" >/dev/null 2>&1 || "mkfs.$type" "$@" "$image" >/dev/null || fail "mkfs.$type"
    disk_mount "$at"
    later umount -l "$at"
}
disk_mount() { mount -o loop "$1.img" "$1" || skip "cannot mount a loop device here"; }
