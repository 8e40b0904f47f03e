#!/bin/bash
# push: a tree goes to a server without an agent over SMB, played by Samba: content, streams, descriptors with audit ACLs,
# times and attributes are there as they were here; resumed after its agent was killed; and what goes wrong says so.
# limit: 200
. "$(dirname "$0")/../fault/lib.sh"

secret=Se-cret.7321
declare -A at=([oldsrv]=10.77.0.2 [winsrv]=10.77.0.3)
pair_of="oldsrv winsrv"
. "$(dirname "$0")/smblib.sh"

src=$work/old win=$work/win dst=$work/win/in
mkdir -p "$src" "$win"
chmod 777 "$src" "$win"
conf oldsrv 10.77.0.2 "$src"
conf winsrv 10.77.0.3 "$win" yes
here=oldsrv
servers_up src dst SeSecurityPrivilege SeRestorePrivilege SeTakeOwnershipPrivilege

windows_tree 12

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

# ── a disk that is not there, most likely ──
mv "$src" "$work/away" && mkdir "$src"
godwit job start nas >/dev/null
job_end nas 60 failed
said nas "is empty" "--override source-root"
diff -r "$work/away" "$dst" || fail "an empty folder in the source's place deleted something"
rmdir "$src" && mv "$work/away" "$src"
rm -r "$src/small/d2"
godwit job start nas >/dev/null
job_end nas 60 done
arrived
passed "an empty folder in the source's place deletes nothing, the source itself what it has not any more"

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

# ── streams of any size, which this host's share keeps as files ──
mkdir -p "$work/deep" "$work/deep-depot"
cat >>"$work/samba-oldsrv/smb.conf" <<CONF
[deep]
  path = $work/deep
  read only = no
  admin users = migrator
  vfs objects = acl_xattr streams_depot
  streams_depot:directory = $work/deep-depot
CONF
cat >>"$work/samba-winsrv/smb.conf" <<CONF
[wide]
  path = $work/wide
  read only = no
  admin users = migrator
  vfs objects = acl_xattr streams_depot
  streams_depot:directory = $work/wide-depot
CONF
mkdir -p "$work/wide" "$work/wide-depot"
chmod 777 "$work/deep" "$work/deep-depot" "$work/wide" "$work/wide-depot"
for s in oldsrv:deep winsrv:wide; do
    kill -HUP "$(cat "$work/samba-${s%:*}/pid/smbd.pid")"
    until_true 15 "the share ${s#*:} is there" smb "${s%:*}" "${s#*:}" -c quit
done
head -c 2500K /dev/urandom >"$work/stream"
smb oldsrv deep -c "mkdir sub; put $work/hello one; put $work/stream one:thick; put $work/hello one:thin; put $work/hello sub:folder" >/dev/null ||
    fail "no streams in the depot"
src=$work/deep
push deep nas:wide
job_end deep 60 done
stream_is() { # STREAM FILE: what a client reads of the server
    rm -f "$work/got"
    smb winsrv wide -c "get $1 $work/got" >/dev/null || true
    cmp "$work/got" "$2" || fail "a client reads another stream $1"
}
stream_is one:thick "$work/stream"
stream_is one:thin "$work/hello"
stream_is sub:folder "$work/hello"
find "$work/deep-depot" -name ':thin:*' -delete
godwit job start deep >/dev/null
job_end deep 60 done
stream_is one:thick "$work/stream"
smb winsrv wide -c 'allinfo one' | grep -q 'stream: \[:thin' && fail "a stream that was removed is still there"
passed "streams of any size out of a depot"

# ── other SIDs ──
src=$work/old
printf 'sid,%s,%s\n' "$alice" "$(sid_of winsrv alice)" >"$work/map.csv"
push mapped nas:data/mapped --exclude 'big/**' --exclude 'small/**' --map "$work/map.csv"
job_end mapped 60 done
descriptors winsrv "$win/mapped" >"$work/out"
grep -qF "$(sid_of winsrv alice)" "$work/out" && ! grep -qF "$alice" "$work/out" || { cat "$work/out"; fail "SIDs of the old server are left"; }
passed "a map of SIDs: owner and entries are of the server's user"

# ── the server dies while it is written to, and comes back without the share; then with it ──
src=$work/old
begun() { [ -n "$(find "$win/gone" -name '.godwit-*' 2>/dev/null)" ]; }
link_rate dst 40mbit
godwit job create files --name gone --pair "src:$src/big=nas:data/gone" >/dev/null
godwit job start gone >/dev/null
until_true 30 "the copy has begun" begun
smbd_down winsrv
sed -i 's/^\[data\]/[moved]/' "$work/samba-winsrv/smb.conf"
smbd_up winsrv dst sealed
job_end gone 60 failed
said gone "has no share data"
nothing_wrong "$src/big" "$win/gone"
smbd_down winsrv
sed -i 's/^\[moved\]/[data]/' "$work/samba-winsrv/smb.conf"
link_rate dst off
smbd_up winsrv dst
godwit job retry gone >/dev/null
job_end gone 60 done
diff -r "$src/big" "$win/gone" || fail "what was resumed differs"
no_temporaries "$win/gone"
passed "a server that dies and a share that goes away while it is written: said, and resumed when it is back"

secret_is_nowhere nas odd gone
say done
