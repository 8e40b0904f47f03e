#!/bin/bash
# console: the godwit program against a live orchestrator on this machine, without a lab: exit codes,
# a wave of 100 pairs, watching, completion with names, installing over a made-up SSH.
# limit: 120
set -euo pipefail
top=$(readlink -f "$(dirname "${BASH_SOURCE[0]}")/../..")
bin=${GODWIT_BIN:-$top/build/dev/bin}
say() { echo "$(date +%T) $*"; }
show() { echo "SHOW: $*"; }
fail() { echo "FAIL: $*" >&2; exit 1; }
[ -x "$bin/godwitd" ] && [ -x "$bin/godwit-agent" ] || { echo "SKIP: the daemons are not built"; exit 77; }

work=$(mktemp -d /tmp/godwit-console-XXXXXX)
pids=()
finish() {
    local rc=$?
    [ ${#pids[@]} = 0 ] || kill "${pids[@]}" 2>/dev/null || true
    wait || true
    [ $rc = 0 ] || tail -n 5 "$work"/*.log "$work/err" 2>/dev/null || true
    rm -rf "$work"
    exit $rc
}
trap finish EXIT
trap 'exit 130' INT TERM
export GODWIT_STATE=$work/state
godwit() { "$bin/godwit" "$@"; }
expect() { # CODE CMD…
    local want=$1 rc=0
    shift
    "$@" >"$work/out" 2>"$work/err" || rc=$?
    [ $rc = "$want" ] || { cat "$work/out" "$work/err"; fail "$* gave $rc, not $want"; }
}
said() { grep -qF -- "$1" "$work/out" "$work/err" || { cat "$work/out" "$work/err"; fail "it did not say: $1"; }; }
json() { python3 -c 'import json,sys; d=json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$work/out" "$1"; }
until_true() { # WHAT CMD…
    local what=$1
    shift
    for _ in $(seq 300); do
        "$@" >/dev/null 2>&1 && return
        sleep 0.1
    done
    fail "after 30 s still not: $what"
}

say "no daemon: exit 1, with what to do"
expect 1 godwit status
said "systemctl start godwitd"
mkdir "$work/state"
"$bin/godwitd" --state-dir "$work/state" --run-dir "$work/run" --listen 127.0.0.1 --public-name 127.0.0.1 \
    --agents-port 0 --enrol-port 0 >"$work/godwitd.log" 2>&1 &
pids+=($!)
until_true "the orchestrator answers" godwit status

say "a key that may not be read: exit 4, with what to do"
if [ "$(id -u)" = 0 ]; then
    expect 4 runuser -u nobody -- env GODWIT_STATE="$GODWIT_STATE" "$bin/godwit" status
    said sudo
fi

say "hosts"
expect 0 godwit agent list
said "no host has enrolled yet"
expect 6 godwit agent show fs1
for host in fs1 new1; do
    expect 0 godwit token create --host $host -o json
    json 'd["token"]' | "$bin/godwit-agent" enrol --state-dir "$work/$host" >"$work/enrol.log" 2>&1
    "$bin/godwit-agent" run --state-dir "$work/$host" --lane-port 0 >"$work/$host.log" 2>&1 &
    pids+=($!)
done
online() { [ "$(godwit agent list -o json | grep -c '"presence": "online"')" = 2 ]; }
until_true "both hosts are online" online
expect 0 godwit agent show fs1
said KEY

say "a job file with an error names line and column, and changes nothing"
printf 'name: w\npairs:\n  - source: fs1:/srv\n    destnation: new1:/srv\n' >"$work/bad.yaml"
expect 2 godwit job create -f "$work/bad.yaml"
said "bad.yaml:4:5: unknown key 'destnation'"
printf 'source,destination\nfs1:/a,new1:/a\nfs1:/b,new1:/a\n' >"$work/bad.csv"
expect 2 godwit job create -f "$work/bad.csv"
said "bad.csv:3:8: destination 'new1:/a' is already that of line 2"
expect 0 godwit job list
said "there are no jobs"

say "100 pairs in one command; inventory, watched"
{ echo "name: wave100" && echo "pairs:" && for i in $(seq 100); do
    mkdir -p "$work/src/$i" && echo "$i" >"$work/src/$i/file"
    echo "  - fs1:$work/src/$i=new1:$work/dst/$i"
done; } >"$work/wave.yaml"
expect 0 godwit job create -f "$work/wave.yaml"
said "job wave100 has 100 pairs"
expect 5 godwit job create -f "$work/wave.yaml"
expect 0 godwit job validate wave100
start=$EPOCHREALTIME
expect 0 godwit job start wave100 --phase inventory --wait
show "inventory of 100 pairs took $(awk "BEGIN {printf \"%.1f\", $EPOCHREALTIME - $start}") s"
[ "$(grep -c ': done 100%' "$work/out")" = 100 ] || fail "not every pair's end was told"
expect 0 godwit inventory show wave100 -o json
[ "$(json 'sum(p["inventory"]["files"] for p in d["pairs"])')" = 100 ] || fail "the inventory is not of 100 files"
start=$EPOCHREALTIME
expect 0 godwit job show wave100
show "job show of 100 pairs took $(awk "BEGIN {printf \"%.0f\", ($EPOCHREALTIME - $start) * 1000}") ms"
expect 0 godwit job report wave100 --csv
[ "$(wc -l <"$work/out")" = 101 ] || fail "the CSV report has not 101 lines"
expect 0 godwit job journal wave100
said "the chain of digests is whole"
expect 6 godwit job watch none

say "a terminal is redrawn in place and fits"
script -qc "stty cols 90 rows 10; TERM=xterm $bin/godwit job start wave100 --phase inventory --wait" /dev/null \
    </dev/null >"$work/out" 2>&1 || fail "watching on a terminal failed"
grep -q 'more pairs; godwit job show lists them' "$work/out" || fail "a long list did not become short"
frame=$(tr '\r' '\n' <"$work/out" | awk '/wave100/ {n = 0} /K$/ {n++} n > max {max = n} END {print max}')
[ "$frame" -le 10 ] || fail "a frame has $frame lines on a screen of 10"

say "completion knows jobs and hosts; a script at the prompt"
source <(godwit completion bash)
COMP_WORDS=("$bin/godwit" job show wav) COMP_CWORD=3
_godwit
[ "${COMPREPLY[*]}" = wave100 ] || fail "completed ${COMPREPLY[*]}, not wave100"
COMP_WORDS=("$bin/godwit" agent revoke f) COMP_CWORD=3
_godwit
[ "${COMPREPLY[*]}" = fs1 ] || fail "completed ${COMPREPLY[*]}, not fs1"
expect 6 godwit console <<<$'status\njob show "wave100"\njob show none\nexit\njob list'
said "there is no job none"

say "agents over SSH: several at once, each with its own result, no secret in an argument"
mkdir "$work/path" && touch "$work/agent.deb"
cat >"$work/path/ssh" <<'END'
#!/bin/bash
echo "$(basename "$0") $*" >>"$SSH_LOG"
case $* in *full*apt-get*) echo "E: no space left" >&2; exit 100 ;; *enrol*) cat >>"$SSH_LOG.stdin" ;; esac
END
chmod +x "$work/path/ssh" && cp "$work/path/ssh" "$work/path/scp"
export SSH_LOG=$work/ssh
expect 3 env PATH="$work/path:$PATH" "$bin/godwit" agent install a1 a2=192.0.2.2 full --ssh admin@ --package "$work/agent.deb" --wait 0 -o json
[ "$(json '[h["result"] for h in d["hosts"]]')" = "['enrolled', 'enrolled', 'failed']" ] ||
    fail "wrong results"
said "no space left"
grep -q "admin@192.0.2.2" "$work/ssh" || fail "the address was not used"
! grep -q godwit1 "$work/ssh" || fail "a token was an argument"
[ "$(grep -c '^godwit1' "$work/ssh.stdin")" = 2 ] || fail "two tokens on standard input were expected"
expect 2 godwit agent install --package "$work/agent.deb" -- -oProxyCommand=x

expect 0 godwit job delete wave100
expect 0 godwit agent revoke new1
say "done"
