#!/bin/bash
# push: a tree goes to a server without an agent over SMB, played by Samba: content, streams, descriptors with audit ACLs,
# times and attributes are there as they were here; resumed after its agent was killed; and what goes wrong says so.
# limit: 200
. "$(dirname "$0")/../fault/lib.sh"

py=/usr/bin/python3
command -v smbd smbclient >/dev/null || skip "needs samba and smbclient"
$py -c 'from samba.samba3 import smbd' 2>/dev/null || skip "needs python3-samba"
[ -e /etc/samba/smb.conf ] || skip "needs /etc/samba/smb.conf to be put another in its place"

secret=Se-cret.7321
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
    later smbd_down "$1"
    until_true 20 "the smbd of $1 answers" smb "$1" "${3:-data}" -c quit
}
# With the processes of its connections, which are of its group.
smbd_down() { [ ! -e "$work/samba-$1/pid/smbd.pid" ] || kill -- "-$(cat "$work/samba-$1/pid/smbd.pid")" 2>/dev/null || true; }
declare -A at=([oldsrv]=10.77.0.2 [winsrv]=10.77.0.3)
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
give() { $py "$work/sddl.py" "$work/samba-oldsrv/smb.conf" "$src/$1" "$2" || fail "cannot set a descriptor"; }
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
    descriptors oldsrv "$src" >"$work/a" && descriptors winsrv "$dst" >"$work/b"
    no_difference "descriptors"
}

src=$work/old win=$work/win dst=$work/win/in
mkdir -p "$src" "$win"
chmod 777 "$src" "$win"
conf oldsrv 10.77.0.2 "$src"
conf winsrv 10.77.0.3 "$win" yes
mount --bind "$work/samba-oldsrv/smb.conf" /etc/samba/smb.conf
for s in oldsrv winsrv; do
    for u in migrator alice; do
        printf '%s\n%s\n' "$secret" "$secret" | smbpasswd -c "$work/samba-$s/smb.conf" -s -a "$u" >/dev/null
    done
    net_of $s sam rights grant migrator SeSecurityPrivilege SeRestorePrivilege SeTakeOwnershipPrivilege >/dev/null
done
fleet_up
smbd_up oldsrv src
smbd_up winsrv dst
alice=$(net_of oldsrv sam show alice 2>&1 | grep -oE 'S-1-5-21-[0-9-]+' | head -1)
[ -n "$alice" ] || fail "no SID of alice"

small_files "$src/small" 6 40
big_files "$src/big" 2 12
mkdir "$src/empty" "$src/attr" "$src/locked-out"
chmod -R a+rwX "$src"
echo hello >"$work/hello"
smb oldsrv data -c "put $work/hello attr\\plain.txt; put $work/hello attr\\hidden.txt; setmode attr\\hidden.txt +h;
  put $work/hello attr\\system.txt; put $work/hello attr\\plain.txt:note; put $work/hello attr:of-a-folder;
  put $work/hello attr\\big.txt:second.stream; setmode attr\\system.txt +s+r" >/dev/null
: >"$src/attr/nothing"
echo äöü >"$src/attr/Grüße ☃.txt"
echo for the system alone >"$src/locked-out/file"
give attr/plain.txt "O:${alice}G:S-1-5-32-545D:PAI(D;;FW;;;$alice)(A;;FA;;;S-1-5-32-544)(A;;FR;;;WD)S:(AU;SAFA;FA;;;WD)"
give empty "O:${alice}G:S-1-5-32-545D:PAI(A;OICI;FA;;;$alice)(A;OICIIO;FR;;;WD)"
give locked-out/file "O:S-1-5-18G:S-1-5-18D:P(A;;FA;;;S-1-5-18)"
give locked-out "O:S-1-5-18G:S-1-5-18D:P(A;OICI;FA;;;S-1-5-18)"

printf 'LAB\\migrator\n%s\n' "$secret" | godwit credential add writer >/dev/null
printf 'migrator\nwrong-one\n' | godwit credential add wrong >/dev/null
godwit endpoint add nas --address 10.77.0.3 --credentials writer >/dev/null
godwit endpoint add nas-wrong --address 10.77.0.3 --credentials wrong >/dev/null
godwit endpoint add nas-far --address 10.77.0.3 --credentials writer --proxy dst >/dev/null
push() { # NAME ENDPOINT:SHARE [OPTION…]
    godwit job create files --name "$1" --pair "src:$src=$2" "${@:3}" >/dev/null
    godwit job start "$1" >/dev/null
}

# ── wrong input ──
push wrong nas-wrong:data/in
job_end wrong 30 failed
said wrong "refuses the log-on of migrator"
push share nas:nothing
job_end share 30 failed
said share "has no share nothing"
refused() { # TEXT ARG…
    if godwit job create files --name bad "${@:2}" >"$work/out" 2>&1; then fail "${*:2} was taken"; fi
    grep -q -- "$1" "$work/out" || { cat "$work/out"; fail "${*:2} does not say: $1"; }
}
refused "there is no endpoint nobody" --pair "src:$src=nobody:data"
refused "by the source's own agent" --pair "src:$src=nas-far:data"
refused "one side of a pair" --pair "nas:data=nas-wrong:data"
refused "an endpoint goes with a share" --pair "src:$src=nas:/"
refused "options.manifest: needs an agent" --pair "src:$src=nas:data" --manifest sha256
[ ! -e "$dst" ] || fail "something was made"
passed "wrong password, share, endpoint, proxy and option"

# ── the whole tree, the agent killed half way ──
push nas nas:data/in --dry-run
job_end nas 30 done
[ ! -e "$dst" ] || fail "a dry run made something"
godwit job delete nas >/dev/null
arm src push-file 60
push nas nas:data/in --delete
fired() { ! armed src; }
until_true 30 "the agent was killed" fired
job_end nas 90 done
arrived
for f in attr/plain.txt attr/hidden.txt attr/system.txt attr; do
    smb oldsrv data -c "allinfo \"$f\"" | grep -E '^(create_time|write_time|attributes|stream):' >"$work/a"
    smb winsrv data -c "allinfo \"in/$f\"" | grep -E '^(create_time|write_time|attributes|stream):' >"$work/b"
    no_difference "attributes, streams and times of $f, seen by a client,"
done
passed "data, streams, descriptors, audit ACLs, attributes, times; resumed after the agent was killed"

# ── the next pass ──
give attr/plain.txt "O:${alice}G:S-1-5-32-545D:P(A;;FA;;;S-1-5-32-544)S:(AU;FA;FA;;;WD)"
echo more >>"$src/small/d0/f0"
echo other >"$src/attr/system.txt"
setfattr -x 'user.DosStream.note:$DATA' "$src/attr/plain.txt"
rm -r "$src/small/d1"
mkdir "$src/small/d0/f1.d" && rm "$src/small/d0/f2" && mkdir "$src/small/d0/f2"
smb winsrv data -c "mkdir in\\extra; put $work/hello in\\extra\\x; put $work/hello in\\.godwit-0123-4" >/dev/null
godwit job start nas >/dev/null
job_end nas 60 done
arrived
sent=$(job_field nas '[.pairs[].counters.sent_bytes // 0] | add')
[ "$sent" -lt 100000 ] || fail "a pass over some changes sent $sent bytes"
passed "a pass after changes to content, a descriptor, a stream, a file that is read only, folders: $sent bytes sent"

# ── what SMB cannot hold is named, the rest arrives ──
mkdir -p "$work/odd/sub"
src=$work/odd
ln -s /etc/passwd "$src/link"
echo x >"$src/a:b"
echo x >"$src/Same"
echo x >"$src/sAME"
echo good >"$src/sub/good"
push odd nas:data/odd
job_end odd 60 failed
said odd "would be lost" "smb-names" "case-collisions"
[ ! -e "$win/odd" ] || fail "a loss that nobody accepted changed something"
godwit job start odd --accept-loss all >/dev/null
job_end odd 60 partial
said odd "symbolic link" "another name is the same" "a:b"
[ "$(cat "$win/odd/sub/good")" = good ] || fail "the rest did not arrive"
[ "$(find "$win/odd" -iname same | wc -l)" = 1 ] || fail "not one of two names arrived"
passed "links, and names that the server cannot hold or tell apart"

found=$(grep -rlaF -- "$secret" "$work"/orch "$work"/dst-state "$work"/src-state "$work"/*.log 2>/dev/null || true)
[ -z "$found" ] || fail "the password stands in $found"
say done
