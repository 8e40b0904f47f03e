# smblib: what the scenarios with a Samba that plays a server without an agent share. Sourced behind fault/lib.sh; the
# scenario sets `secret`, `src`, `dst`, the servers' addresses `at`, `pair_of="FROM TO"`, which servers are compared, and `here`, whose smb.conf is
# this host's.
py=/usr/bin/python3
command -v smbd smbclient >/dev/null || skip "needs samba and smbclient"
$py -c 'from samba.samba3 import smbd' 2>/dev/null || skip "needs python3-samba"
[ -e /etc/samba/smb.conf ] || skip "needs /etc/samba/smb.conf to be put another in its place"

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
give() { $py "$work/sddl.py" "$work/samba-${pair_of% *}/smb.conf" "$src/$1" "$2" || fail "cannot set a descriptor"; }
# windows_tree MIB: what Windows keeps, at the first of the two; a large file has so many MiB.
windows_tree() {
    small_files "$src/small" 6 40
    big_files "$src/big" 2 "$1"
    mkdir "$src/empty" "$src/attr" "$src/locked-out"
    chmod -R a+rwX "$src"
    echo hello >"$work/hello"
    smb "${pair_of% *}" data -c "put $work/hello attr\\plain.txt; put $work/hello attr\\hidden.txt;
      put $work/hello attr\\system.txt; put $work/hello attr\\plain.txt:note; put $work/hello attr:of-a-folder;
      put $work/hello attr\\hidden.txt:second.stream; put $work/hello attr\\big.txt:second.stream; setmode attr\\hidden.txt +h; setmode attr\\system.txt +s+r" >/dev/null
    : >"$src/attr/nothing"
    echo äöü >"$src/attr/Grüße ☃.txt"
    echo for the system alone >"$src/locked-out/file"
    give attr/plain.txt "O:${alice}G:S-1-5-32-545D:PAI(D;;FW;;;$alice)(A;;FA;;;S-1-5-32-544)(A;;FR;;;WD)S:(AU;SAFA;FA;;;WD)"
    give empty "O:${alice}G:S-1-5-32-545D:PAI(A;OICI;FA;;;$alice)(A;OICIIO;FR;;;WD)"
    give locked-out/file "O:S-1-5-18G:S-1-5-18D:P(A;;FA;;;S-1-5-18)"
    give locked-out "O:S-1-5-18G:S-1-5-18D:P(A;OICI;FA;;;S-1-5-18)"
}
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
    descriptors "${pair_of% *}" "$src" >"$work/a" && descriptors "${pair_of#* }" "$dst" >"$work/b"
    no_difference "descriptors"
}

users_of() { # NAME: its users, with the secret
    local u
    for u in migrator alice; do
        printf '%s\n%s\n' "$secret" "$secret" | smbpasswd -c "$work/samba-$1/smb.conf" -s -a "$u" >/dev/null
    done
}
sid_of() { net_of "$1" sam show "$2" 2>&1 | grep -oE 'S-1-5-21-[0-9-]+' | head -1; } # NAME USER
# secret_is_nowhere JOB…: neither in a file, nor in what is said of a job.
secret_is_nowhere() {
    local hex found job
    found=$(grep -rlaF -- "$secret" "$work"/orch "$work"/dst-state "$work"/src-state "$work"/*.log 2>/dev/null || true)
    [ -z "$found" ] || fail "the password stands in $found"
    hex=$(printf %s "$secret" | od -An -tx1 | tr -d ' \n')
    found=$(grep -rlaiF -- "$hex" "$work"/orch "$work"/dst-state "$work"/src-state "$work"/*.log 2>/dev/null || true)
    [ -z "$found" ] || fail "the password stands in hex in $found"
    for job; do
        { godwit job report "$job" -o json; godwit job journal "$job" -o json; godwit job show "$job" -o json; } | grep -qF -- "$secret" &&
            fail "the password is in what is said of $job"
    done
    true
}
# servers_up HOST HOST RIGHT…: both of pair_of, on these hosts; migrator has the rights on both. Sets alice, her SID at the first.
servers_up() {
    local on_first=$1 on_second=$2 s
    shift 2
    mount --bind "$work/samba-$here/smb.conf" /etc/samba/smb.conf
    for s in $pair_of; do
        users_of "$s"
        net_of "$s" sam rights grant migrator "$@" >/dev/null
    done
    fleet_up
    smbd_up "${pair_of% *}" "$on_first"
    smbd_up "${pair_of#* }" "$on_second"
    alice=$(sid_of "${pair_of% *}" alice)
    [ -n "$alice" ] || fail "no SID of alice"
}
