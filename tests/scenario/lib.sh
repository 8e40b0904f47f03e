# lib: what the scenarios share. Sourced; sets up a lab of the scenario's own that goes away with it.
#   KEEP=1      leaves the lab standing (tests/lab/lab says how to look; LAB_NAME is printed)
#   GODWIT_DEBS where the packages are (default: built now)
# Lines "SHOW: …" of a scenario are repeated by tests/run.
set -euo pipefail
top=$(readlink -f "$(dirname "${BASH_SOURCE[0]}")/../..")
scenario=$(basename "$0" .sh | tr _ -)
# Two checkouts may run the same scenario at once.
export LAB_NAME=${LAB_NAME:-$scenario-$(cksum <<<"$top" | cut -c1-4)}
GODWIT_DEBS=${GODWIT_DEBS:-$top/build/packages}

lab() { "$top/tests/lab/lab" "$@"; }
on() { lab run "$@"; }
# Whose orchestrator: a lab may have several, each with agents of its own.
orch=orch
godwit() { on "$orch" godwit "$@"; }
say() { echo "$(date +%T) $*"; }
show() { echo "SHOW: $*"; }
fail() { echo "FAIL: $*" >&2; exit 1; }
skip() { echo "SKIP: $*"; exit 77; }
now_ms() { date +%s%3N; }

# until_true SECONDS WHAT CMD…: waits for a command to succeed.
until_true() {
    local end=$(($(now_ms) + $1 * 1000)) what=$2
    local limit=$1
    shift 2
    until "$@"; do
        [ "$(now_ms)" -lt $end ] || fail "after $limit s still not: $what"
        sleep 0.1
    done
}

journals() {
    local host
    for host in $(lab list | cut -d' ' -f1); do
        echo "--- journal of $host"
        on "$host" journalctl -q --no-pager -o short-precise -u godwitd -u godwit-agent 2>/dev/null | tail -25
    done
}

# finish [RC]: a trap that has something of its own to do first tells it the code.
finish() {
    local rc=${1:-$?}
    trap '' INT TERM
    set +e
    [ $rc -eq 0 ] || [ $rc -eq 77 ] || journals
    if [ "${KEEP:-}" = 1 ]; then
        echo "kept: LAB_NAME=$LAB_NAME tests/lab/lab list"
    else
        lab down
    fi
    exit $rc
}

# lab_up HOST…: boots hosts; the end of the scenario takes them down. Those named in SAMBA_HOSTS have
# Samba and NFS installed, those in VM_HOSTS libvirt and QEMU; the network of those in IFUPDOWN_HOSTS is ifupdown's. With DOMAIN_DC there is a domain (tests/lab/domain.sh), and DOMAIN_MEMBERS have joined it.
lab_up() {
    trap finish EXIT
    trap 'exit 130' INT TERM
    lab up --hosts "$*" --samba "${SAMBA_HOSTS:-}" --vm "${VM_HOSTS:-}" --ifupdown "${IFUPDOWN_HOSTS:-}" --dc "${DOMAIN_DC:-}" --member "${DOMAIN_MEMBERS:-}"
}

packages() {
    [ -n "$(ls "$GODWIT_DEBS"/godwit-agent_*.deb 2>/dev/null)" ] ||
        "$top/packaging/build-packages" "$GODWIT_DEBS" >/dev/null
}

install_on() { # HOST PACKAGE…
    local host=$1 package
    shift
    for package; do
        lab push "$host" "$(ls "$GODWIT_DEBS/${package}"_*.deb)" /root
    done
    on "$host" sh -c 'dpkg -i /root/godwit-*.deb >/tmp/dpkg.log 2>&1 || { cat /tmp/dpkg.log; exit 1; }'
}

# The orchestrator with quicker heartbeats than the default, so that tests need not wait.
orchestrator_up() { # [LINE OF godwitd.conf]…
    install_on "$orch" godwit-orchestrator godwit-console
    printf '%s\n' "heartbeat = 1s" "$@" | on "$orch" sh -c 'cat >>/etc/godwit/godwitd.conf'
    on "$orch" systemctl enable -q --now godwitd
}

is_online() { godwit agent show "$1" -o json 2>/dev/null | jq -e '.presence == "online"' >/dev/null; }

enrol() { # HOST: as an operator does it
    godwit token create --host "$1" -o json | jq -r .token | on "$1" godwit-agent enrol >/dev/null
}

agents_up() { # HOST…
    local host
    for host; do
        install_on "$host" godwit-agent
        on "$host" systemctl enable -q --now godwit-agent
        enrol "$host"
    done
    for host; do
        until_true 30 "$host online" is_online "$host"
    done
}

# fleet_up HOST…: orch and these hosts, installed from packages, enrolled by token.
fleet_up() {
    packages
    lab_up orch "$@"
    orchestrator_up
    agents_up "$@"
    say "fleet is up: orch $*"
}

job_state() { godwit job show "$1" -o json 2>/dev/null | jq -r .state; }
job_ended() { case $(job_state "$1") in done | partial | failed | stopped) ;; *) return 1 ;; esac; }

# job_wait JOB SECONDS STATE: the job ends so, or the report says why not.
job_wait() {
    until_true "$2" "job $1 has ended" job_ended "$1"
    local state
    state=$(job_state "$1")
    [ "$state" = "$3" ] || { godwit job report "$1" || true; fail "job $1 ended as '$state', not '$3'"; }
}

# job_number JOB EXPRESSION: from the job's last report.
job_number() { godwit job report "$1" -o json | jq -r "$2"; }

# job_under_way JOB BYTES: waits until that much has landed; a job that ends before has failed the test.
job_under_way() {
    until_true 60 "$2 bytes of job $1 have landed" job_past "$1" "$2"
    ! job_ended "$1" || { godwit job report "$1" || true; fail "job $1 ended before $2 bytes had landed"; }
}
job_past() {
    godwit job show "$1" -o json 2>/dev/null | jq -e --argjson want "$2" \
        '([.pairs[].counters.bytes // 0] | add) >= $want or .state != "running"' >/dev/null
}

# same_tree SRC-HOST SRC DST-HOST DST [RSYNC-OPTION…]: an independent tool reads both and finds no
# difference in content, owner, mode, time, links, ACLs, attributes. Speaks rsync's own protocol.
same_tree() {
    local src_host=$1 src=$2 dst_host=$3 dst=$4 diff
    shift 4
    on "$dst_host" sh -c "cat >/run/same.conf; rm -f /run/same.pid; rsync --daemon --config=/run/same.conf" <<END
pid file = /run/same.pid
uid = 0
gid = 0
use chroot = yes
numeric ids = yes
[same]
path = $dst
read only = no
END
    diff=$(on "$src_host" rsync -aHAXnc --delete --itemize-changes --numeric-ids "$@" \
        "$src/" "rsync://$dst_host/same/" 2>&1) || diff="rsync failed: $diff"
    # Until it is gone its port is not free for the next one.
    on "$dst_host" sh -c 'pid=$(cat /run/same.pid); kill $pid; while kill -0 $pid 2>/dev/null; do sleep 0.05; done'
    [ -z "$diff" ] || { echo "$diff" | head -40; fail "$src_host:$src and $dst_host:$dst differ"; }
}
