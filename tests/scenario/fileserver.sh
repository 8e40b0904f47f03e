#!/bin/bash
# fileserver: a whole Samba and NFS server moves to a new host by one job: 12 shares, 40 local users in 10 groups, share and
# NT ACLs with inherited, explicit and denying entries, streams, an export. Five users see the same from a third host.
# slow
# limit: 240
. "$(dirname "$0")/lib.sh"

SAMBA_HOSTS="fs1 new1 cl" fleet_up fs1 new1 cl
users=(user1 user2 user3 user4 user5)
is() { [ "$2" = "$3" ] || fail "$1: '$2', not '$3'"; }

say "the old server"
on fs1 bash -se <<'END'
for g in $(seq 10); do groupadd -g $((2000 + g)) team$g; done
for u in $(seq 40); do
    useradd -M -N -u $((3000 + u)) -g $((2001 + u % 10)) -c "User $u" user$u
    gpasswd -a user$u team$((1 + (u + 3) % 10)) >/dev/null
    echo "user$u:unix-$u"
done | chpasswd
cat >/etc/samba/smb.conf <<'X'
[global]
   workgroup = WORKGROUP
   server role = standalone server
   registry shares = yes
   load printers = no
   passdb backend = tdbsam
   vfs objects = acl_xattr streams_xattr
   map acl inherit = yes
   store dos attributes = yes
   include = /etc/samba/more.conf
[homes]
   path = /srv/data/homes/%S
   valid users = %S
   read only = no
   browseable = no
[template]
   path = /srv/data/archive
   veto files = /*.exe/
   available = no
[team]
   path = /srv/data/team
   read only = no
   comment = All teams of %L
[closed]
   path = /srv/data/team/closed
   read only = no
[archive]
   copy = template
   available = yes
   comment = Old; and "quoted" # all
[drop]
   path = /srv/data/drop
   read only = no
   create mask = 0660
[dfs]
   path = /srv/data/dfs
   msdfs root = yes
   read only = no
X
cat >/etc/samba/more.conf <<'X'
[scan]
   path = /srv/data/scan
   write list = user2, @team4
[hidden$]
   path = /srv/data/with space
   hide unreadable = yes
   read only = no
X
cd /srv && mkdir -p data/{team/closed,archive,drop,dfs,scan,"with space",reg1,reg2,media}
for u in $(seq 40); do mkdir -p data/homes/user$u && chown user$u data/homes/user$u && chmod 700 data/homes/user$u; done
chmod 1777 data/drop; chmod 777 data/team data/team/closed data/scan "data/with space" data/reg1 data/reg2 data/media
ln -s 'msdfs:fs9\other,fs8\other' data/dfs/other
for n in $(seq 200); do echo "old $n" >data/archive/$n.txt; done
echo no >data/archive/run.exe
touch -d '7 years ago' data/archive/*.txt
net conf addshare reg1 /srv/data/reg1 writeable=y guest_ok=n "from the registry"
net conf setparm reg1 "hide files" "/lost+found/"
net conf addshare reg2 /srv/data/reg2 writeable=y
net conf addshare media /srv/data/media
for u in $(seq 40); do printf "smb-$u\nsmb-$u\n" | smbpasswd -s -a user$u >/dev/null; done
for g in $(seq 10); do net groupmap add ntgroup=Team$g unixgroup=team$g type=domain >/dev/null; done
sid() { net sam show "$1" | sed 's/.*SID //'; }
sharesec reg1 --setsddl="D:(D;;0x001301bf;;;$(sid user3))(A;;0x001f01ff;;;WD)" >/dev/null 2>&1
sharesec media --setsddl="D:(A;;0x001200a9;;;$(sid Team2))(A;;0x001f01ff;;;$(sid user4))" >/dev/null 2>&1
cat >/etc/exports <<'X'
/srv/data/archive 10.0.0.0/8(ro,no_subtree_check,sec=sys,anonuid=65533) *.example.com(rw,async,no_root_squash,no_subtree_check)
"/srv/data/with space" *(ro,no_subtree_check,fsid=77)
X
exportfs -ra
pdbedit -P "min password length" -C 8 >/dev/null
echo "user7 ALL=(ALL) /bin/ls" >/etc/sudoers.d/one
echo "odd name:x:3999:2001::/nowhere:/bin/sh" >>/etc/passwd
systemctl enable -q --now smbd
END
on new1 systemctl enable -q --now smbd

say "what its users put there: inherited, explicit and denying entries, streams"
on cl bash -se <<'END'
echo content >/tmp/file; echo more >/tmp/more
smb() { smbclient "//fs1/$2" -U "$1%smb-${1#user}" -c "$3" >/dev/null; }
acl() { smbcacls "//fs1/$2" "$3" -U "$1%smb-${1#user}" "${@:4}" || { echo "smbcacls $*"; exit 1; }; }
smb user1 team 'mkdir plans'
acl user1 team plans -S 'REVISION:1,OWNER:FS1\user1,GROUP:FS1\Team2,ACL:FS1\user1:ALLOWED/OI|CI/FULL,ACL:FS1\Team3:ALLOWED/OI|CI/CHANGE,ACL:FS1\user4:ALLOWED/OI|CI/READ'
smb user1 team 'mkdir plans/open; mkdir plans/shut; put /tmp/file plans/open/a; put /tmp/more plans/open/a:side; put /tmp/more plans/open/a:second'
acl user1 team plans/shut -a 'ACL:FS1\user2:DENIED/OI|CI/FULL'
smb user1 team 'put /tmp/file plans/shut/a'
smb user2 team 'put /tmp/file plans/open/b'
acl user2 team plans/open/b -S 'REVISION:1,ACL:FS1\user2:ALLOWED/0x0/FULL,ACL:FS1\user1:ALLOWED/I/FULL,ACL:FS1\Team3:ALLOWED/I/CHANGE,ACL:FS1\user4:ALLOWED/I/READ'
acl user1 team plans/open/a -a 'ACL:FS1\Team5:ALLOWED/0x0/READ'
acl user1 team plans/open/a -a 'ACL:FS1\user3:DENIED/0x0/R'
smb user5 closed 'mkdir mine; put /tmp/file mine/f'
acl user5 closed mine -S 'REVISION:1,OWNER:FS1\user5,GROUP:FS1\Team6,ACL:FS1\user5:ALLOWED/OI|CI/FULL'
acl user5 closed mine/f -S 'REVISION:1,OWNER:FS1\user5,GROUP:FS1\Team6,ACL:FS1\user5:ALLOWED/0x0/FULL'
for u in user1 user2 user3 user4 user5; do
    smb $u $u "put /tmp/file own; put /tmp/more own:note; mkdir deep; put /tmp/file deep/er"
    smb $u drop "put /tmp/file of-$u"
    smb $u 'hidden$' "put /tmp/file of-$u"
    acl $u 'hidden$' of-$u -S "REVISION:1,OWNER:FS1\\$u,ACL:FS1\\$u:ALLOWED/0x0/FULL"
    smb $u reg2 "mkdir $u; put /tmp/file $u/f; put /tmp/more $u/f:s; setmode $u/f +rsh"
done
smb user2 scan 'put /tmp/file scanned'
smb user5 drop 'put /tmp/file orphan'
acl user5 drop orphan -a ACL:S-1-5-21-1-2-3-4711:ALLOWED/0x0/READ
smb user1 reg1 'put /tmp/file one; mkdir sub; put /tmp/file sub/two'
END

# What a client sees, as one user. What may be written is opened for it and stays as it is; what may be made is taken away again.
on cl sh -c 'cat >/usr/local/bin/seen; chmod 755 /usr/local/bin/seen' <<'END'
#!/bin/bash
host=$1 user=$2 name=${1^^}
clean() {
    sed -E "s/\b$name\b/HOST/g; s/\b$host\b/HOST/g; s/ \([0-9.a-z]+ [kK][bi].*//; /blocks of size/d; /^Disk.print./d; /^session/d
        s/^(  .* D[A-Z]*) +0  .*/\1/; /^  probe-/d; /^(create|access|write|change)_time/d; /^$/d" # the probes change the times of folders
}
shares=("$user" team closed archive drop dfs scan 'hidden$' reg1 reg2 media)
declare -A files=([$user]=own [team]='plans/open/a plans/open/b plans/shut/a' [closed]=mine/f [reg2]=user1/f [drop]=of-user2
    ['hidden$']=of-user3 [reg1]=sub/two [media]=none [archive]='run.exe 7.txt')
declare -A streams=([$user]=own:note [team]='plans/open/a:side plans/open/a:second' [reg2]=user5/f:s)
declare -A acls=([team]='plans plans/open plans/open/a plans/open/b plans/shut plans/shut/a' [closed]='mine mine/f' [reg2]=user2/f ['hidden$']="of-$user")
smbclient -gL "//$host" -U "$user%smb-${user#user}" 2>/dev/null | clean | sort
for share in "${shares[@]}"; do
    commands="put /tmp/file probe-$user; del probe-$user;"
    for f in ${files[$share]:-}; do commands+="get $f -; reput /tmp/file $f; allinfo $f;"; done
    for f in ${streams[$share]:-}; do commands+="get $f -;"; done
    smbclient "//$host/$share" -U "$user%smb-${user#user}" -c "$commands recurse; ls" 2>&1 | clean | sort | sed "s/^/$share: /"
    for f in ${acls[$share]:-}; do
        smbcacls "//$host/$share" "$f" -U "$user%smb-${user#user}" 2>&1 | clean | sed "s|^|$share/$f: |"
    done
done
END
seen() { # HOST: as each user
    local user
    for user in "${users[@]}"; do on cl sh -c 'seen "$1" "$2" >/tmp/seen-$2' sh "$1" "$user" & done
    wait
    for user in "${users[@]}"; do on cl sed "s/^/$user: /" "/tmp/seen-$user"; done
}
tests=(smb2.connect smb2.read smb2.streams smb2.acls smb2.getinfo)
torture() { # HOST: what Samba's own tests say of it, in a share of its own; some fail on any Samba
    { on cl timeout 100 smbtorture "//$1/drop" -U user1%smb-1 "${tests[@]}" 2>&1 || true; } | grep -oE '^(success|failure|skip|error): [^ ]+' | sort
}
tortured=$(torture fs1) # leaves files behind
before=$(seen fs1)
[ -n "$tortured" ] || fail "smbtorture says nothing"
is "questions that were refused" "$([ "$(grep -c NT_STATUS_ACCESS_DENIED <<<"$before")" -gt 20 ] && echo many)" many
grep -q 'Team3:ALLOWED/I/CHANGE' <<<"$before" || fail "no inherited entry is seen"
grep -q 'user2:DENIED' <<<"$before" || fail "no denying entry is seen"
is "files that were read" "$([ "$(grep -c ': content' <<<"$before")" -gt 20 ] && echo many)" many
grep -q ':side:.DATA' <<<"$before" || fail "no stream is seen"

say "inventory, checks, and the move: one job"
godwit job create files --name fs1 --pair fs1:/srv/data=new1:/srv/new --shares pair --nfs pair --accounts rename >/dev/null
# Somebody has a file open meanwhile: what it reads goes into a pipe that nobody empties.
on cl systemd-run -q --unit=holder sh -c 'mkfifo /tmp/held; smbclient //fs1/drop -U user1%smb-1 -c "get of-user1 /tmp/held"'
until_true 20 "a file is open" on fs1 sh -c 'smbstatus -L 2>/dev/null | grep -q of-user1'
godwit job inventory fs1 --wait >/dev/null
on cl timeout 10 cat /tmp/held >/dev/null
godwit inventory show fs1 -o json >/tmp/inventory-$$.json
jq -e '.pairs[0] | ([.inventory.shares.list[] | select(.inside)] | length == 12)
    and (.inventory.shares.list[] | select(.name == "archive") | .copied_from == "template" and .counted.files == 201 and .counted.cold_bytes_5y > 1000
        and (.counted.size_histogram | add) == 201 and .counted.newest_ms > .counted.oldest_ms)
    and (.inventory.shares.list[] | select(.name == "closed") | .counted.files == 1)
    and (.inventory.shares.list[] | select(.name == "homes") | .counted.files == 10)
    and (.inventory.shares.list[] | select(.name == "dfs") | .dfs_links[0].target == "fs9\\x5cother,fs8\\x5cother")
    and (.inventory.shares.exports | length == 2)
    and (.inventory.accounts | (.users | length == 40) and (.groups | length == 10) and (.users[0].sid | startswith("S-1-5-21-")) and (.groups[0].sid | startswith("S-1-5-21-")))
    and ([.contract[].class] | contains(["nt-acl", "streams", "orphan-sids"]) and (contains(["dangling-links"]) | not))
    and (.contract[] | select(.class == "open-now") | .count == 1 and .examples == ["drop/of-user1"])
    and (.contract[] | select(.class == "orphan-sids") | .count > 0)' /tmp/inventory-$$.json >/dev/null ||
    { jq '.pairs[0] | .inventory.shares.list |= map(del(.parameters, .properties))' /tmp/inventory-$$.json; rm -f /tmp/inventory-$$.json; fail "the inventory tells something else"; }
rm -f /tmp/inventory-$$.json
godwit job validate fs1 >/dev/null || { godwit job validate fs1 || true; fail "the checks do not pass"; }
godwit job start fs1 --wait >/dev/null || { godwit job report fs1; fail "the move failed"; }
report=$(godwit job report fs1)
for line in "user odd name (3999) stays behind" "/etc/sudoers.d/one gives rights to user7" 'account policy "min password length" is 8'; do
    [[ $report == *"$line"* ]] || { echo "$report"; fail "the report does not say: $line"; }
done

same_tree fs1 /srv/data new1 /srv/new --no-xattrs # SIDs in NT ACLs are others

say "once more: nothing to do"
godwit job start fs1 --wait >/dev/null
is "entries changed" "$(job_number fs1 '.totals.changed_meta // 0')" 0
is "shares changed" "$(job_number fs1 '.pairs[0].shares.changed')" false

say "the same is seen"
diff <(echo "$before") <(seen new1) || { godwit job report fs1; fail "a user sees something else"; }
show "$(wc -l <<<"$before") lines seen by ${#users[@]} users from a third host: the same on both servers"
diff <(echo "$tortured") <(torture new1) || fail "smbtorture sees another server"
show "smbtorture: $(grep -c ^success <<<"$tortured") of $(wc -l <<<"$tortured") tests of ${tests[*]} succeed on both servers, the same ones"
exported() { on "$1" exportfs -s | sed 's|/srv/new|/srv/data|' | sort; }
diff <(exported fs1) <(exported new1) || fail "the exports differ"
is "users of Samba" "$(on new1 pdbedit -L | grep -c ^user)" 40
is "groups of Samba" "$(on new1 net groupmap list | grep -c ^Team)" 10

say "may everybody do there what they could here?"
named=()
for user in "${users[@]}"; do named+=(--user "$user"); done
answer=$(godwit job access fs1 "${named[@]}" --paths 60 --seed 5 -o json) || { jq . <<<"$answer" | head -60; fail "job access"; }
jq -e '.pairs[0] | .smb.different == 0 and .smb.unknown == 0 and .smb.same > 300 and .local.different == 0 and .local.same > 300' <<<"$answer" >/dev/null ||
    { jq . <<<"$answer" | head -60; fail "job access tells something else"; }
show "job access, local users: $(jq -r '.pairs[0] | "\(.smb.same) answers of smbd and \(.local.same) of the kernel are the same, \(.smb.outside) of paths that no share has"' <<<"$answer")"
say "done"
