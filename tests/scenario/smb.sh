#!/bin/bash
# smb: a server without an agent, played by Samba, is taken over SMB: data, streams, descriptors with audit ACLs, times
# and attributes arrive as the destination's own Samba reads them; and what goes wrong says so.
# limit: 240
. "$(dirname "$0")/../fault/lib.sh"

secret=Se-cret.7319
declare -A at=([winsrv]=10.77.0.2 [newsrv]=10.77.0.3)
pair_of="winsrv newsrv"
. "$(dirname "$0")/smblib.sh"

src=$work/win dst=$work/new
mkdir -p "$src" "$dst"
chmod 777 "$src"
conf winsrv 10.77.0.2 "$src" yes
conf newsrv 10.77.0.3 "$dst"
here=newsrv
# Windows lets a backup operator in by backup intent; Samba knows that over SMB 1 only, so here the reader is an admin user.
servers_up src dst SeSecurityPrivilege

# ── a tree with what Windows keeps ──
windows_tree 20

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
godwit job validate wrong -o json >"$work/out" 2>/dev/null && fail "a job whose credential is wrong may start"
jq -e '.checks[] | select(.id == "rights-source") | .result == "fail" and (.evidence | contains("refuses the log-on of migrator"))' "$work/out" >/dev/null ||
    { cat "$work/out"; fail "the checks before do not say that the log-on is refused"; }
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
arm dst near-write 12 # in the middle of a large file, which the proxy writes itself
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
godwit job validate nas -o json >"$work/out" || { cat "$work/out"; fail "the checks fail"; }
jq -e '.checks[] | select(.id == "rights-source") | .result == "pass" and (.evidence | contains("audit"))' "$work/out" >/dev/null ||
    { cat "$work/out"; fail "the checks do not say that audit ACLs may be read"; }
godwit inventory show nas -o json | jq -e --arg sid "$alice" '.pairs[0].contract[] | select(.class == "orphan-sids" and .verdict == "note") | .examples[0] | startswith($sid)' >/dev/null ||
    { godwit inventory show nas -o json | jq -c '.pairs[0] | [.contract, .identities]'; fail "a user of the server whom the destination does not know is not named"; }
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
conn = libsmb.Conn(sys.argv[2], sys.argv[3], lp, c)
h = conn.create(sys.argv[4], DesiredAccess=0x120089, ShareAccess=0)
print("held", flush=True)
time.sleep(600)
PY
rm -rf "$work/lock"
hold() { # SHARE FILE: until let_go
    echo "$secret" | nsenter --net="/run/netns/$ns-orch" $py "$work/hold.py" "$work/samba-winsrv/smb.conf" 10.77.0.2 "$@" >"$work/held" 2>&1 &
    holder=$!
    until_true 15 "the file is held" grep -q held "$work/held"
}
let_go() {
    kill "$holder" 2>/dev/null || true
    wait "$holder" 2>/dev/null || true
    until_true 15 "the file is let go" smb winsrv "$1" -c "get $2 /dev/null"
}
hold data 'small\d0\f1'
pull lock nas:data/small "$work/lock" --lock-tries 2 --lock-wait 1
job_end lock 60 partial
said lock "d0/f1" "locked"
let_go data 'small\d0\f1'
godwit job start lock >/dev/null
job_end lock 60 done
cmp -s "$src/small/d0/f1" "$work/lock/d0/f1" || fail "the next pass did not take it"
passed "a locked file is named, and taken by the next pass"

# ── what a copy cannot keep is counted before it begins ──
mkdir -p "$work/oddities/sub" "$work/depot"
cat >>"$work/samba-winsrv/smb.conf" <<CONF
[odd]
  path = $work/oddities
  read only = no
  admin users = migrator
  msdfs root = yes
  vfs objects = acl_xattr streams_depot
  streams_depot:directory = $work/depot
CONF
for f in one held large; do echo $f >"$work/oddities/$f"; done
ln "$work/oddities/one" "$work/oddities/two"
ln -s 'msdfs:elsewhere\share' "$work/oddities/sub/away"
chmod -R a+rwX "$work/oddities" "$work/depot"
head -c 200K /dev/urandom >"$work/stream"
kill -HUP "$(cat "$work/samba-winsrv/pid/smbd.pid")"
until_true 15 "the share odd is there" smb winsrv odd -c quit
smb winsrv odd -c "put $work/stream large:thick; put $work/hello one:thin" >/dev/null || fail "no streams in the depot"
hold odd held
pull odd nas:odd "$work/odd-new" --lock-tries 1
job_end odd 60 failed
said odd "would be lost" reparse-points streams-large
[ ! -e "$work/odd-new" ] || fail "a loss that nobody accepted changed something"
godwit inventory show odd -o json >"$work/out"
class() { # NAME VERDICT COUNT
    jq -e ".pairs[0].contract[] | select(.class == \"$1\" and .verdict == \"$2\" and .count == $3)" "$work/out" >/dev/null ||
        { jq -c '.pairs[0].contract[] | [.class, .verdict, .count, .examples]' "$work/out"; fail "not $3 of $1 as $2"; }
}
class hard-links translated 2
class reparse-points lost 1
class streams-large lost 1
class streams kept 2 # both names of one file have it
class locked-now note 1
[ "$(jq -r '.pairs[0].contract[] | select(.class == "reparse-points") | .examples[0]' "$work/out")" = sub/away ] || fail "no example of a link"
godwit job start odd --accept-loss reparse-points --accept-loss streams-large >/dev/null
job_end odd 60 partial
said odd "reparse point" "held" "stream"
cmp -s "$work/oddities/one" "$work/odd-new/two" || fail "a hard link did not arrive as a file"
let_go odd held
passed "links, hard links, large streams, open files: classes of the contract, with what each becomes"

# ── streams of any size, where the destination's share keeps them as files ──
mkdir -p "$work/deep" "$work/deep-depot"
chmod 777 "$work/deep" "$work/deep-depot"
cat >>"$work/samba-newsrv/smb.conf" <<CONF
[deep]
  path = $work/deep
  read only = no
  admin users = migrator
  vfs objects = acl_xattr streams_depot
  streams_depot:directory = $work/deep-depot
CONF
kill -HUP "$(cat "$work/samba-newsrv/pid/smbd.pid")"
until_true 15 "the share deep is there" smb newsrv deep -c quit
streams_equal() { # what a client reads of both servers
    local s
    for s in large:thick one:thin two:thin sub:folder; do
        smb winsrv odd -c "get $s $work/s1" >/dev/null || true
        smb newsrv deep -c "get $s $work/s2" >/dev/null || true
        cmp "$work/s1" "$work/s2" || fail "a client reads another stream $s"
        rm -f "$work/s1" "$work/s2"
    done
}
smb winsrv odd -c "put $work/hello sub:folder" >/dev/null || fail "no stream of a folder"
pull deep nas:odd "$work/deep" --exclude sub/away --verify full
job_end deep 60 done
godwit inventory show deep -o json >"$work/out"
class streams-large kept 1
streams_equal
head -c 3M /dev/urandom >"$work/stream"
smb winsrv odd -c "put $work/stream large:thick; put $work/stream one:more" >/dev/null || fail "no other streams"
find "$work/depot" -name ':thin:*' -delete
godwit job start deep >/dev/null
job_end deep 60 done
smb newsrv deep -c "get one:more $work/s2" >/dev/null
cmp "$work/stream" "$work/s2" || fail "a stream that is new did not arrive"
smb newsrv deep -c "get large:thick $work/s2" >/dev/null
cmp "$work/stream" "$work/s2" || fail "a stream that changed did not arrive"
damaged=$(find "$work/deep-depot" -name ':thick:*')
printf X | dd of="$damaged" bs=1 seek=100000 conv=notrunc status=none
cmp -s "$work/stream" "$damaged" && fail "the stream was not damaged"
godwit job start deep >/dev/null
job_end deep 60 done
cmp "$work/stream" "$damaged" || fail "a stream that was damaged in the depot stayed so"
smb newsrv deep -c 'allinfo one' | grep -q 'stream: \[:thin' && fail "a stream that was removed is still there"
passed "streams of any size in a depot: as a client reads them, and the next passes, which see one that was damaged"

# ── other SIDs ──
printf 'sid,%s,%s\n' "$alice" "$(sid_of newsrv alice)" >"$work/map.csv"
mapped() { godwit job map "$1" -o json >"$work/out" || { cat "$work/out"; fail "what the map of $1 changes is not listed"; }; }
godwit job create files --name mapped --pair "nas:data/attr=dst:$dst/mapped" --map "$work/map.csv" >/dev/null
mapped mapped
[ "$(jq -r '.rows[] | select(.path == "plain.txt") | .changes[]' "$work/out")" = "SID $alice -> $(sid_of newsrv alice)" ] ||
    { cat "$work/out"; fail "what the map would change is not listed"; }
[ ! -e "$dst/mapped" ] || fail "listing what a map would change made something"
printf 'sid,S-1-1-0,S-1-5-11\n' >"$work/everyone.csv"
small_files "$src/many" 6 120
chmod -R a+rwX "$src/many"
godwit job create files --name everyone --pair "nas:data/many=dst:$dst/mapped" --map "$work/everyone.csv" --exclude 'd5/**' >/dev/null
mapped everyone # more than a page of 500
diff <(cd "$src/many" && find . -path './d5/*' -prune -o -printf '%P\n' | LC_ALL=C sort) <(jq -r '.rows[].path' "$work/out" | sed 's/^[.]$//' | LC_ALL=C sort) ||
    fail "not each entry once"
rm -r "$src/many"
godwit job start mapped >/dev/null
job_end mapped 60 done
[ "$(stat -c %u "$dst/mapped/plain.txt")" = 64002 ] || fail "the file is not alice's of the new server"
descriptors newsrv "$dst/mapped" >"$work/out"
grep -qF "$(sid_of newsrv alice)" "$work/out" && ! grep -qF "$alice" "$work/out" || { cat "$work/out"; fail "SIDs of the old server are left"; }
rm -r "$dst/mapped"
passed "a map of SIDs: listed before, entry by entry; owner and entries are of the new server's user"

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

# ── a share that has nothing any more, and one whose disk is not there ──
mkdir -m 777 "$work/shelf"
cat >>"$work/samba-winsrv/smb.conf" <<CONF
[shelf]
  path = $work/shelf
  read only = no
  admin users = migrator
CONF
kill -HUP "$(cat "$work/samba-winsrv/pid/smbd.pid")"
until_true 15 "the share shelf is there" smb winsrv shelf -c quit
mkdir "$work/shelf/deep" && echo 1 >"$work/shelf/one" && echo 2 >"$work/shelf/deep/two"
chmod -R a+rwX "$work/shelf"
pull shelf nas:shelf "$work/shelf-new" --delete
job_end shelf 60 done
mv "$work/shelf" "$work/shelf-away" && mkdir -m 777 "$work/shelf"
godwit job start shelf >/dev/null
job_end shelf 60 failed
said shelf "is empty" "--override source-root"
diff -r "$work/shelf-away" "$work/shelf-new" || fail "a share whose disk is not there deleted something"
rmdir "$work/shelf" && mv "$work/shelf-away" "$work/shelf"
rm -r "$work/shelf/deep" "$work/shelf/one"
godwit job start shelf >/dev/null
job_end shelf 60 done
[ -z "$(ls -A "$work/shelf-new")" ] || fail "what was removed from the share is still there"
passed "a share that was emptied deletes as told, one whose disk is not there nothing"

# ── the secret is nowhere ──
secret_is_nowhere nas lock wrong
[ "$(stat -c %a "$work/orch/vault.key")" = 600 ] || fail "the key of the vault is open to others"
passed "the password is in no file, log, report or journal"
say done
