#!/bin/bash
# smb: a server without an agent, played by Samba, is taken over SMB: data, streams, descriptors with audit ACLs, times
# and attributes arrive as the destination's own Samba reads them; and what goes wrong says so.
# limit: 240
. "$(dirname "$0")/../fault/lib.sh"

py=/usr/bin/python3
command -v smbd smbclient >/dev/null || skip "needs samba and smbclient"
$py -c 'from samba.samba3 import smbd' 2>/dev/null || skip "needs python3-samba"
[ -e /etc/samba/smb.conf ] || skip "needs /etc/samba/smb.conf to be put another in its place"

secret=Se-cret.7319
# Users of this mount namespace alone.
for f in passwd group; do cp /etc/$f "$work/$f"; done
for u in migrator:64001 alice:64002; do
    echo "${u%:*}:x:${u#*:}:${u#*:}::/:/usr/sbin/nologin" >>"$work/passwd"
    echo "${u%:*}:x:${u#*:}:" >>"$work/group"
done
mount --bind "$work/passwd" /etc/passwd
mount --bind "$work/group" /etc/group

conf() { # NAME IP SHARE-PATH MORE…
    local at=$work/samba-$1
    mkdir -p "$at"/{private,lock,state,cache,pid,log}
    cat >"$at/smb.conf" <<CONF
[global]
  workgroup = LAB
  netbios name = $1
  server role = standalone server
  interfaces = $2/24
  bind interfaces only = yes
  smb ports = 445
  disable netbios = yes
  private dir = $at/private
  lock directory = $at/lock
  state directory = $at/state
  cache directory = $at/cache
  pid directory = $at/pid
  ncalrpc dir = $at/pid
  log file = $at/log/log
  passdb backend = tdbsam:$at/private/passdb.tdb
  load printers = no
  disable spoolss = yes
  vfs objects = acl_xattr streams_xattr
  store dos attributes = yes
  map archive = no
  ea support = yes
  acl_xattr:ignore system acls = ${4:-no}
[data]
  path = $3
  comment = What all work on
  read only = no
  admin users = migrator
[sealed]
  path = $3
  read only = no
  smb encrypt = required
  admin users = migrator
CONF
}
net_of() { net -s "$work/samba-$1/smb.conf" "${@:2}"; }
smbd_up() { # NAME HOST [SHARE]
    nsenter --net="/run/netns/$ns-$2" smbd -s "$work/samba-$1/smb.conf" -D
    later helpers_down "$1"
    later smbd_down "$1"
    until_true 20 "the smbd of $1 answers" smb "$1" "${3:-data}" -c quit
}
# With the processes of its connections, which are of its group.
smbd_down() { [ ! -e "$work/samba-$1/pid/smbd.pid" ] || kill -- "-$(cat "$work/samba-$1/pid/smbd.pid")" 2>/dev/null || true; }
# Who asks for shares has smbd start helpers, which outlive it.
helpers_down() { pkill -f -- "--configfile=$work/samba-$1/smb.conf" || true; }
declare -A at=([winsrv]=10.77.0.2 [newsrv]=10.77.0.3)
smb() { # NAME SHARE ARG…
    PASSWD=$secret nsenter --net="/run/netns/$ns-orch" smbclient -s "$work/samba-$1/smb.conf" "//${at[$1]}/$2" \
        -U "${as:-migrator}" "${@:3}" 2>&1
}
allinfo() { smb "$1" data -c "allinfo \"$2\"" | grep -E '^(create_time|write_time|attributes|stream):'; }

# sddl CONF PATH [SDDL]: a descriptor with its audit ACL, by smbd's own code; set when one is given.
cat >"$work/sddl.py" <<'PY'
import sys
from samba.samba3 import param, smbd
from samba.auth_util import system_session_unix
from samba.dcerpc import security
lp = param.get_context()
lp.load(sys.argv[1])
session = system_session_unix()
sid = security.dom_sid("S-1-5-21-1-2-3")
if len(sys.argv) > 3:
    smbd.set_nt_acl(sys.argv[2], 15, security.descriptor.from_sddl(sys.argv[3], sid), session, service="data")
else:
    for line in sys.stdin:
        path = line.rstrip("\n")
        print(path, smbd.get_nt_acl(sys.argv[2] + "/" + path, 15, session, service="data").as_sddl(sid))
PY
give() { $py "$work/sddl.py" "$work/samba-winsrv/smb.conf" "$src/$1" "$2" || fail "cannot set a descriptor"; }
descriptors() { # NAME FOLDER
    (cd "$2" && find . -mindepth 1 -printf '%P\n' | LC_ALL=C sort) | $py "$work/sddl.py" "$work/samba-$1/smb.conf" "$2"
}
streams() { (cd "$1" && find . -exec getfattr -h -d -m '^user\.DosStream' -e hex {} + 2>/dev/null | LC_ALL=C sort); }
times() { # to the 100 ns that SMB tells
    (cd "$1" && find . -mindepth 1 -printf '%P %y %TY%Tm%Td%TH%TM%TS\n' | sed -E 's/(\.[0-9]{7})[0-9]*/\1/' | LC_ALL=C sort)
}
no_difference() { # WHAT CMD-A… -- is run for both
    diff "$work/a" "$work/b" >"$work/diff" || { head -20 "$work/diff"; fail "$1 differ"; }
}
arrived() {
    diff -r "$src" "$dst" || fail "content differs"
    for what in streams times; do
        "$what" "$src" >"$work/a" && "$what" "$dst" >"$work/b"
        no_difference "$what"
    done
    descriptors winsrv "$src" >"$work/a" && descriptors newsrv "$dst" >"$work/b"
    no_difference "descriptors"
}

src=$work/win dst=$work/new
mkdir -p "$src" "$dst"
chmod 777 "$src"
conf winsrv 10.77.0.2 "$src" yes
conf newsrv 10.77.0.3 "$dst"
mount --bind "$work/samba-newsrv/smb.conf" /etc/samba/smb.conf
for s in winsrv newsrv; do
    for u in migrator alice; do
        printf '%s\n%s\n' "$secret" "$secret" | smbpasswd -c "$work/samba-$s/smb.conf" -s -a "$u" >/dev/null
    done
done
# Windows lets a backup operator in by backup intent; Samba knows that over SMB 1 only, so here the reader is an admin user.
net_of winsrv sam rights grant migrator SeSecurityPrivilege >/dev/null
fleet_up
smbd_up winsrv src
smbd_up newsrv dst
sid() { net_of winsrv sam show alice 2>&1 | grep -oE 'S-1-5-21-[0-9-]+' | head -1; }
alice=$(sid)
[ -n "$alice" ] || fail "no SID of alice"

# ── a tree with what Windows keeps ──
small_files "$src/small" 6 40
big_files "$src/big" 2 20
mkdir "$src/empty"
chmod -R a+rwX "$src"
echo hello >"$work/hello"
smb winsrv data -c "mkdir attr; put $work/hello attr\\plain.txt; put $work/hello attr\\hidden.txt; setmode attr\\hidden.txt +h;
  put $work/hello attr\\system.txt; setmode attr\\system.txt +s+r;
  put $work/hello attr\\plain.txt:note; put $work/small-not-there x" >/dev/null || true
smb winsrv data -c "put $work/hello attr\\hidden.txt:second.stream; put $work/hello attr:of-a-folder" >/dev/null || true
echo äöü >"$src/attr/Grüße ☃.txt"
give attr/plain.txt "O:${alice}G:S-1-5-32-545D:PAI(D;;FW;;;$alice)(A;;FA;;;S-1-5-32-544)(A;;FR;;;WD)S:(AU;SAFA;FA;;;WD)"
give empty "O:${alice}G:S-1-5-32-545D:PAI(A;OICI;FA;;;$alice)(A;OICIIO;FR;;;WD)"
mkdir "$src/locked-out"
echo for the system alone >"$src/locked-out/file"
give locked-out/file "O:S-1-5-18G:S-1-5-18D:P(A;;FA;;;S-1-5-18)"
give locked-out "O:S-1-5-18G:S-1-5-18D:P(A;OICI;FA;;;S-1-5-18)"

# ── endpoint and credential ──
printf 'LAB\\migrator\n%s\n' "$secret" | godwit credential add reader >/dev/null
printf 'migrator\nwrong-one\n' | godwit credential add wrong >/dev/null
printf 'alice\n%s\n' "$secret" | godwit credential add alice >/dev/null
godwit endpoint add nas --address 10.77.0.2 --credentials reader >/dev/null
godwit endpoint add nas-wrong --address 10.77.0.2 --credentials wrong >/dev/null
godwit endpoint add nas-alice --address 10.77.0.2 --credentials alice >/dev/null
[ "$(godwit endpoint show nas -o json | jq -r .address)" = 10.77.0.2 ] || fail "endpoint show"
pull() { # NAME ENDPOINT:SHARE FOLDER [OPTION…]
    godwit job create files --name "$1" --pair "$2=dst:$3" "${@:4}" >/dev/null
    godwit job start "$1" >/dev/null
}
passed "endpoint and credentials"

# ── wrong input: clear, and nothing is changed ──
pull wrong nas-wrong:data "$work/none"
job_end wrong 30 failed
said wrong "refuses the log-on of migrator" "godwit credential add"
pull share nas:nothing "$work/none"
job_end share 30 failed
said share "has no share nothing"
pull folder nas:data/not-there "$work/none"
job_end folder 30 failed
[ ! -e "$work/none" ] || fail "something was made for a source that is not there"
godwit job create files --name bad --pair "nobody:data=dst:/tmp/x" >"$work/out" 2>&1 && fail "an unknown endpoint was taken"
grep -q "there is no endpoint nobody" "$work/out" || { cat "$work/out"; fail "what is wrong is not said"; }
passed "wrong password, unknown share, folder and endpoint"

# ── which shares there are ──
godwit endpoint shares nas --proxy dst -o json >"$work/shares" || fail "the shares are not listed"
[ "$(jq -r '[.shares[] | select(.special | not) | "\(.share) \(.kind)"] | sort | join(", ")' "$work/shares")" = "data folder, sealed folder" ] &&
    [ "$(jq -r '.shares[] | select(.share == "data") | .comment' "$work/shares")" = "What all work on" ] ||
    { cat "$work/shares"; fail "other shares than the server has"; }
refused() { # TEXT ARG…
    local text=$1
    shift
    if godwit "$@" >"$work/out" 2>&1; then fail "godwit $* was taken"; fi
    grep -q "$text" "$work/out" || { cat "$work/out"; fail "godwit $* does not say: $text"; }
}
refused "does not let migrator list its shares" endpoint shares nas-wrong --proxy dst
refused "has no proxy of its own" endpoint shares nas
refused "has no approved agent" endpoint shares nas --proxy nobody
refused "there is no endpoint nobody" endpoint shares nobody --proxy dst
refused "there is no endpoint nobody" job create files --name bad --pair "nobody:*=dst:/tmp/x"
pull all 'nas:*' "$work/all" --exclude 'big/**' --exclude 'small/**'
job_end all 60 done
[ -e "$work/all/data/attr/plain.txt" ] && [ -e "$work/all/sealed/attr/plain.txt" ] || fail "not every share arrived"
passed "the shares of an endpoint: listed, and all taken by one pair"

# ── the whole tree, the proxy killed half way ──
arm dst record-out 60
pull nas nas:data "$dst" --delete
fired() { ! armed dst; }
until_true 30 "the proxy was killed" fired
job_end nas 90 done
arrived
for f in attr/plain.txt attr/hidden.txt attr/system.txt attr; do
    allinfo winsrv "$f" >"$work/a"
    allinfo newsrv "$f" >"$work/b"
    no_difference "attributes, streams and times of $f, seen by a client,"
done
grep -q "for the system alone" "$dst/locked-out/file" || fail "what its owner alone may read is not there"
passed "data, streams, descriptors, audit ACLs, attributes, times; resumed after the proxy was killed"

# ── the next pass costs what changed ──
give attr/plain.txt "O:${alice}G:S-1-5-32-545D:P(A;;FA;;;S-1-5-32-544)S:(AU;FA;FA;;;WD)"
echo more >>"$src/small/d0/f0"
rm -r "$src/small/d1"
godwit job start nas >/dev/null
job_end nas 60 done
arrived
sent=$(job_field nas '[.pairs[].counters.sent_bytes // 0] | add')
[ "$sent" -lt 100000 ] || fail "a pass over three changes sent $sent bytes"
passed "a pass after changes to content, a descriptor and a folder: $sent bytes sent"

# ── one folder without the right to read ──
pull rights nas-alice:data "$work/rights"
job_end rights 60 partial
said rights "locked-out" "Permission denied"
cmp -s "$src/small/d0/f0" "$work/rights/small/d0/f0" || fail "the rest did not arrive"
passed "no right to one folder: named, the rest arrives"

# ── locked by a program on the server ──
cat >"$work/hold.py" <<'PY'
import sys, time
from samba import credentials
from samba.param import LoadParm
from samba.samba3 import param, libsmb_samba_internal as libsmb
lp = param.get_context()
lp.load(sys.argv[1])
common = LoadParm()
common.load(sys.argv[1])
c = credentials.Credentials()
c.guess(common)
c.set_username("migrator")
c.set_domain("WINSRV")
c.set_password(sys.stdin.readline().strip())
c.set_kerberos_state(credentials.DONT_USE_KERBEROS)
conn = libsmb.Conn(sys.argv[2], "data", lp, c)
h = conn.create("small\\d0\\f1", DesiredAccess=0x120089, ShareAccess=0)
print("held", flush=True)
time.sleep(600)
PY
rm -rf "$work/lock"
echo "$secret" | nsenter --net="/run/netns/$ns-orch" $py "$work/hold.py" "$work/samba-winsrv/smb.conf" 10.77.0.2 >"$work/held" 2>&1 &
holder=$!
until_true 15 "the file is held" grep -q held "$work/held"
pull lock nas:data/small "$work/lock" --lock-tries 2 --lock-wait 1
job_end lock 60 partial
said lock "d0/f1" "locked"
kill "$holder" 2>/dev/null || true
wait "$holder" 2>/dev/null || true
until_true 15 "the file is let go" smb winsrv data -c 'get small\d0\f1 /dev/null'
godwit job start lock >/dev/null
job_end lock 60 done
cmp -s "$src/small/d0/f1" "$work/lock/d0/f1" || fail "the next pass did not take it"
passed "a locked file is named, and taken by the next pass"

# ── encrypted share, a share that goes away half way ──
pull sealed nas:sealed/attr "$work/sealed"
job_end sealed 60 done
cmp -s "$src/attr/plain.txt" "$work/sealed/plain.txt" || fail "the encrypted share did not arrive"
passed "a share that demands encryption"

begun() { [ -n "$(find "$work/gone" -name '.godwit-*' 2>/dev/null)" ]; }
link_rate dst 40mbit
pull gone nas:data/big "$work/gone"
until_true 30 "the copy has begun" begun
smbd_down winsrv
sed -i 's/^\[data\]/[moved]/' "$work/samba-winsrv/smb.conf"
smbd_up winsrv src sealed
job_end gone 60 failed
said gone "has no share data"
nothing_wrong "$src/big" "$work/gone"
smbd_down winsrv
sed -i 's/^\[moved\]/[data]/' "$work/samba-winsrv/smb.conf"
link_rate dst off
smbd_up winsrv src
godwit job retry gone >/dev/null
job_end gone 60 done
diff -r "$src/big" "$work/gone" || fail "what was resumed differs"
passed "a server that dies and a share that goes away half way: said, and resumed when it is back"

# ── the secret is nowhere ──
found=$(grep -rlaF -- "$secret" "$work"/orch "$work"/dst-state "$work"/src-state "$work"/*.log 2>/dev/null || true)
[ -z "$found" ] || fail "the password stands in $found"
hex=$(printf %s "$secret" | od -An -tx1 | tr -d ' \n')
found=$(grep -rlaiF -- "$hex" "$work"/orch "$work"/dst-state "$work"/*.log 2>/dev/null || true)
[ -z "$found" ] || fail "the password stands in hex in $found"
for job in nas lock wrong; do
    { godwit job report $job -o json; godwit job journal $job -o json; godwit job show $job -o json; } | grep -qF -- "$secret" &&
        fail "the password is in what is said of $job"
done
[ "$(stat -c %a "$work/orch/vault.key")" = 600 ] || fail "the key of the vault is open to others"
passed "the password is in no file, log, report or journal"
say done
