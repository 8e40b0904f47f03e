#!/bin/bash
# shares: a Samba and NFS server with its shares moves to a new host: the clients see the same there. Then
# what must be refused, each with its reason and nothing changed.
# limit: 240
. "$(dirname "$0")/lib.sh"

SAMBA_HOSTS="fs1 new1" fleet_up fs1 new1

say "a server with 12 shares in files and registry, a DFS root, [homes], descriptors, exports"
on fs1 bash -s <<'END'
set -e
cd /srv
mkdir -p data/{projects,public,"with space",archive,reg1,reg2,scan,dfs,homes/alice,drop,media}
chmod 1777 data/public data/drop
ln -s 'msdfs:fs9\other' data/dfs/other
useradd -u 2001 alice; useradd -u 2002 bob
for u in alice bob; do printf 'pw\npw\n' | smbpasswd -s -a $u >/dev/null; done
chown alice data/homes/alice
echo hello >data/projects/file
cat >/etc/samba/smb.conf <<'X'
[global]
   workgroup = WORKGROUP
   server role = standalone server
   map to guest = bad user
   registry shares = yes
   create mask = 0664
   map acl inherit = yes
   load printers = no
   include = /etc/samba/more.conf
[homes]
   path = /srv/data/homes/%S
   valid users = %S
   read only = no
   browseable = no
[printers]
   path = /var/tmp
   printable = yes
[template]
   path = /srv/data/archive
   vfs objects = acl_xattr streams_xattr
   veto files = /*.exe/*.com/
   available = no
[projects]
   copy = template
   available = yes
   path = /srv/data/projects
   comment = The "projects" of %L; yes # all
   read only = no
   valid users = alice, @users, \
       bob
   hide unreadable = yes
   create mask = 0744
   smb encrypt = desired
   include = /etc/samba/by-%U.conf
[public]
   path = /srv/data/public
   guest ok = yes
   read only = no
   max connections = 7
   root preexec = /usr/local/bin/make-home %U
   frobnicate level = 3
[spaced]
   path = /srv/data/with space
   csc policy = disable
[dfs]
   path = /srv/data/dfs
   msdfs root = yes
[elsewhere]
   path = /tmp
X
cat >/etc/samba/more.conf <<'X'
[scan]
   path = /srv/data/scan
   force group = users
   oplocks = no
   vfs objects = acl_xattr no_such_module
[archive]
   path = /srv/data/archive
[drop]
   path = /srv/data/drop
   write list = bob
X
net conf addshare reg1 /srv/data/reg1 writeable=y guest_ok=n "from the registry"
net conf setparm reg1 "hide files" "/lost+found/"
net conf addshare reg2 /srv/data/reg2
net conf addshare media /srv/data/media
systemctl start smbd
sharesec projects --setsddl="D:(A;;0x001200a9;;;WD)(A;;0x001f01ff;;;$(net sam show alice | sed 's/.*SID //'))" >/dev/null
sharesec reg1 --setsddl='D:(D;;0x001301bf;;;BG)(A;;0x001f01ff;;;WD)' >/dev/null
cat >/etc/exports <<'X'
/srv/data/projects 10.0.0.0/8(rw,sync,no_subtree_check) \
    192.168.0.0/16(ro,no_subtree_check)
"/srv/data/with space" *(ro,no_subtree_check,fsid=77)
/opt 10.0.0.0/8(ro,no_subtree_check)
X
exportfs -ra
END
on new1 bash -s <<'END'
set -e
useradd -u 2001 alice; useradd -u 2002 bob
for u in bob alice; do printf 'pw\npw\n' | smbpasswd -s -a $u >/dev/null; done
systemctl start smbd
END

# Without this they cannot be compared: the destination's folder is another one.
seen() { # HOST: shares as the servers have them, /srv/new being /srv/data
    on "$1" bash -s <<'END' | sed 's|/srv/new|/srv/data|g; s|[A-Z0-9]*\\alice|HOST\\alice|'
testparm -s 2>/dev/null | sed '/^\[global\]/,/^$/d' | awk '/^\[/ {s = $0} NF && s !~ /print|template|elsewhere/ {print s, $0}' |
    grep -vE '[[:space:]](copy|include|create mask|map acl inherit|root preexec) =' | sort
testparm -s 2>/dev/null --section-name=projects --parameter-name="create mask"
for s in homes public spaced dfs scan archive drop reg1 reg2 media; do
    echo "$s $(testparm -s 2>/dev/null --section-name=$s --parameter-name="create mask") $(testparm -s 2>/dev/null --section-name=$s --parameter-name="map acl inherit")"
done
sharesec --view-all 2>/dev/null | awk '/^\[/ {s = $0} /^ACL/ && s !~ /print|template|elsewhere/ {print s, $0}' | sort
END
}
clients_see() { # HOST
    on "$1" bash -s <<'END' | sed 's/FS1/HOST/; s/NEW1/HOST/'
smbclient -gL localhost -U alice%pw 2>/dev/null | grep -vE 'IPC|print|template|elsewhere' | sort
smbclient //localhost/projects -U alice%pw -c 'get file -' 2>/dev/null
smbclient //localhost/alice -U alice%pw -c 'put /etc/hostname mine; rm mine' 2>&1 | grep -v putting
smbclient //localhost/projects -U bob%pw -c 'put /etc/hostname mine' 2>&1 | grep -o 'NT_STATUS[A-Z_]*'
smbclient //localhost/dfs -U alice%pw -c 'ls' 2>/dev/null | grep -o '^  other *DR\?'
END
}
exported() { on "$1" exportfs -s | sed 's|/srv/new|/srv/data|' | grep -v '^/opt' | sort; }

say "the inventory shows them"
godwit job create files --name move --pair fs1:/srv/data=new1:/srv/new --shares pair --nfs pair >/dev/null
godwit job start move --phase inventory --wait >/dev/null
godwit inventory show move -o json >/tmp/shares-$$.json
jq -e '.pairs[0].inventory.shares | (.list | map(select(.inside)) | length == 12)
    and (.list | map(select(.origin == "registry")) | length == 3)
    and (.list[] | select(.name == "dfs") | .dfs_links[0].target == "fs9\\x5cother")
    and (.list[] | select(.name == "public") | .unknown["frobnicate level"] == "3" and .properties.ConcurrentUserLimit == "7")
    and (.list[] | select(.name == "projects") | .includes == ["/etc/samba/by-%U.conf"] and .copied_from == "template")
    and (.list[] | select(.name == "printers") | .kind == "printer")
    and (.exports | map(select(.inside)) | length == 2)' /tmp/shares-$$.json >/dev/null || { cat /tmp/shares-$$.json; fail "the inventory is another one"; }
rm -f /tmp/shares-$$.json
[ "$(godwit inventory show move | grep -c ' registry ')" = 3 ] || fail "the table does not show the registry's shares"

say "a dry run says what would be and changes nothing"
state() { on new1 sh -c 'cat /etc/samba/*.conf /etc/exports.d/* 2>/dev/null; net conf list; sharesec --view-all 2>/dev/null' | cksum; }
before=$(state)
godwit job start move --dry-run --wait >/dev/null
[ "$(job_number move '[.pairs[0].shares.outcomes[] | select(.outcome != "left out")] | length')" = 14 ] ||
    { godwit job report move; fail "the dry run's report"; }
[ "$(state)" = "$before" ] || fail "a dry run changed something"

refused() { # WHAT PATTERN: the job fails with a reason like that and new1 is as it was
    local before
    before=$(state)
    if godwit job start "$3" --wait >/dev/null 2>&1; then fail "$1 was not refused"; fi
    godwit job report "$3" | grep -qE "$2" || { godwit job report "$3"; fail "$1: another reason"; }
    [ "$(state)" = "$before" ] || fail "$1: something was changed"
    say "  refused: $1: $(godwit job report "$3" -o json | jq -r '.pairs[0].reason' | cut -c1-100)"
}

say "what must be refused, before a byte is copied"
godwit job create files --name missing --pair fs1:/srv/data/projects=new1:/srv/p --shares all >/dev/null
refused "a folder that is not there" "share 'scan': its folder '/srv/data/scan' is not there on the destination" missing
on new1 sh -c 'mkdir -p /srv/mine; cp /etc/samba/smb.conf /tmp/smb.conf; printf "[REG1]\npath = /srv/mine\n" >>/etc/samba/smb.conf'
refused "a share of that name with another folder" "share 'reg1' is on the destination already, for '/srv/mine'" move
on new1 sh -c 'cp /tmp/smb.conf /etc/samba/smb.conf; mv /usr/bin/testparm /usr/bin/testparm.not'
refused "a destination without Samba" 'there is no Samba on the destination' move
on new1 mv /usr/bin/testparm.not /usr/bin/testparm
[ -z "$(on new1 sh -c 'find /srv/new /srv/p -type f 2>/dev/null')" ] || fail "files were copied before shares were checked"

say "the move"
godwit job start move --wait >/dev/null || { godwit job report move; fail "the move failed"; }
godwit job report move
diff <(seen fs1) <(seen new1) || fail "the servers differ"
diff <(clients_see fs1) <(clients_see new1) || fail "clients see something else"
diff <(exported fs1) <(exported new1) || fail "the exports differ"
on new1 grep -q '# runs code, not taken over: root preexec' /etc/samba/godwit.conf || fail "root preexec is not there as a comment"
on new1 grep -q 'frobnicate level = 3' /etc/samba/godwit.conf || fail "what Samba does not know was dropped"
report=$(godwit job report move)
grep -q 'root preexec: runs code' <<<"$report" || fail "the report does not name root preexec"
grep -q 'module no_such_module of vfs objects is not here; install' <<<"$report" || fail "the report does not name a module that is not there"
grep -q 'frobnicate level' <<<"$report" || fail "the report does not name what Samba does not know"
show "$(seen new1 | grep -c path) shares on the new host as on the old, $(exported new1 | wc -l) exports"

say "again: nothing is new; what goes at the source goes here"
before=$(state)
godwit job start move --wait >/dev/null
[ "$(job_number move '.pairs[0].shares.changed')" = false ] || { godwit job report move; fail "the second run changed shares"; }
[ "$(state)" = "$before" ] || fail "the second run changed something"
on fs1 sh -c 'net conf delshare reg2; sed -i "/^\[drop\]/,\$d" /etc/samba/more.conf'
godwit job start move --wait >/dev/null
on new1 sh -c 'testparm -s 2>/dev/null | grep -qE "^\[(reg2|drop)\]"' && fail "shares that went at the source are still here"

say "a failure at the end undoes all of it; an agent that dies there leaves what was, and does it again"
on fs1 sh -c 'net conf addshare reg4 /srv/data/reg2; sharesec reg4 --setsddl="D:(A;;0x001200a9;;;WD)" >/dev/null; printf "[late]\npath = /srv/data/drop\n" >>/etc/samba/more.conf
mkdir -p /etc/exports.d; echo "/srv/data/media *(ro,no_subtree_check)" >/etc/exports.d/media.exports; exportfs -ra'
fake_sharesec() { # SCRIPT: what happens when a descriptor is set
    printf '#!/bin/sh\ncase "$*" in *setsddl*) %s;; esac\nexec /usr/bin/sharesec "$@"\n' "$1" |
        on new1 sh -c 'cat >/usr/local/bin/sharesec; chmod 755 /usr/local/bin/sharesec'
}
fake_sharesec 'rm -f $0; testparm -s 2>/dev/null | grep -c "^.late.$" >/tmp/was-there; echo no such luck >&2; exit 9'
refused "a descriptor that cannot be set" 'sharesec --setsddl.* ended with 9: no such luck' move
[ "$(on new1 cat /tmp/was-there)" = 1 ] || fail "the failure came before anything was put there"
fake_sharesec 'rm -f $0; pkill -KILL -x godwit-agent; sleep 5'
godwit job start move --wait >/dev/null || { godwit job report move; fail "it did not get over the agent's death"; }
on new1 journalctl -q -u godwit-agent | grep -q 'half put there by a run that broke off: undone' || fail "nothing was undone"
diff <(seen fs1) <(seen new1) || fail "the servers differ after the agent's death"
diff <(exported fs1) <(exported new1) || fail "the exports differ after the agent's death"

say "what must be refused later"
on new1 cp /etc/samba/smb.conf /tmp/smb.conf.before
on fs1 sh -c 'cp /etc/samba/smb.conf /tmp/smb.conf; echo "[broken" >>/etc/samba/smb.conf'
refused "an error in the source's smb.conf" 'smb.conf has an error: line [0-9]+: a section without \]' move
on fs1 sh -c 'cp /tmp/smb.conf /etc/samba/smb.conf'
on new1 sh -c 'echo "[broken" >>/etc/samba/smb.conf'
refused "an error in the destination's smb.conf" 'smb.conf has an error: line [0-9]+: a section without \]' move
on new1 sh -c 'cp /tmp/smb.conf.before /etc/samba/smb.conf'
on new1 sh -c 'echo "/srv/new/projects *(rw,no_subtree_check)" >/etc/exports'
refused "an export of the same folder in another way" 'is exported on the destination already' move
on new1 rm /etc/exports
godwit job start move --wait >/dev/null || { godwit job report move; fail "after all that it does not move"; }
say "done"
