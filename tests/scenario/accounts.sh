#!/bin/bash
# accounts: local users and groups come along before the first file, by each mode of conflict; an id map; a
# malformed map changes nothing.
# limit: 150
. "$(dirname "$0")/lib.sh"

fleet_up fs1 new1

say "40 users and 10 groups on the source; some of their names and ids are taken on the destination"
on fs1 sh -e <<'END'
for g in $(seq 10); do groupadd -g $((2000 + g)) team$g; done
for u in $(seq 40); do
    useradd -M -N -u $((3000 + u)) -g $((2001 + u % 10)) -c "User $u" -s /bin/bash user$u
    echo "user$u:secret-$u" | chpasswd
    gpasswd -a user$u team$((1 + (u + 3) % 10)) >/dev/null
    mkdir -p /srv/data/u$u
    echo "of $u" >/srv/data/u$u/file
    chown -R user$u:team$((1 + u % 10)) /srv/data/u$u
done
setfacl -m u:user7:rw,g:team3:r /srv/data/u1/file
END
on new1 sh -e <<'END'
groupadd -g 2500 team4                          # its name is taken
useradd -M -U -u 4000 user5                     # this one too
useradd -M -U -u 3006 other                     # user6's id is taken
END
before=$(on new1 sh -c 'cat /etc/passwd /etc/group /etc/shadow /etc/gshadow | sha256sum')

owner_of() { on new1 stat -c %U:%G "/srv/$1/$2"; }
is() { [ "$2" = "$3" ] || fail "$1: '$2', not '$3'"; }

say "a malformed map: line and column, and no job"
printf 'uid,3001,5001\nuid,30x2,5002\n' | on orch sh -c 'cat >/root/bad.csv'
rc=0
godwit job create files --name bad --map /root/bad.csv --pair fs1:/srv/data=new1:/srv/bad 2>/tmp/err.$$ || rc=$?
err=$(cat /tmp/err.$$)
rm -f /tmp/err.$$
is "exit code" $rc 2
[[ $err == *"/root/bad.csv:2:7: "* ]] || fail "no line and column: $err"
is "jobs" "$(godwit job list -o json | jq '.jobs | length')" 0
show "refused: $err"

say "a dry run changes nothing and tells what it would do"
godwit job create files --name moved --accounts merge --pair fs1:/srv/data=new1:/srv/moved >/dev/null
godwit job start moved --dry-run --wait >/dev/null
is "accounts of new1" "$(on new1 sh -c 'cat /etc/passwd /etc/group /etc/shadow /etc/gshadow | sha256sum')" "$before"
[[ $(godwit job report moved) == *"passwords, and Samba's users and groups, would come along"* ]] || fail "the dry run does not tell of passwords"
is "would be created" "$(job_number moved '.pairs[0].accounts.counts.created')" 48

say "merge: names that are there are the same people"
godwit job start moved --wait >/dev/null
show "merged: $(job_number moved '.pairs[0].accounts.counts | tojson')"
is "created" "$(job_number moved '.pairs[0].accounts.counts.created')" 48
is "merged" "$(job_number moved '.pairs[0].accounts.counts.merged')" 2
is "owner of u1" "$(owner_of moved u1/file)" user1:team2
is "owner of u5" "$(owner_of moved u5/file)" user5:team6
is "owner of u6" "$(owner_of moved u6/file)" user6:team7
is "user5 keeps its id" "$(on new1 id -u user5)" 4000
is "group of u3" "$(owner_of moved u3/file)" user3:team4
is "user1's groups" "$(on new1 id -Gn user1)" "team2 team5"
is "user11's groups" "$(on new1 id -Gn user11)" "team2 team5"
is "users with a password" "$(on new1 sh -c "grep -c '^user[0-9]*:[\$]' /etc/shadow" || true)" 39
is "user1's password" "$(on new1 grep ^user1: /etc/shadow)" "$(on fs1 grep ^user1: /etc/shadow)"
on new1 getfacl -cp /srv/moved/u1/file | grep -q '^user:user7:rw-' || fail "the ACL lost its user"
report=$(godwit job report moved)
[[ $report == *"passwords: 39 set"* && $report == *"user user5 (3005) is user5 (4000) there"* ]] || { echo "$report"; fail "the report does not tell what became of accounts"; }
on new1 sh -c '! grep -rq secret- /var/lib/godwit /var/log 2>/dev/null' || fail "a secret was left behind"

say "once more: nothing to do"
after=$(on new1 sh -c 'cat /etc/passwd /etc/group /etc/shadow /etc/gshadow | sha256sum')
godwit job start moved --wait >/dev/null
is "accounts" "$(on new1 sh -c 'cat /etc/passwd /etc/group /etc/shadow /etc/gshadow | sha256sum')" "$after"
is "entries changed" "$(job_number moved '.totals.changed_meta // 0')" 0

say "rename: another name and the source's own id; skip: left alone and told"
godwit job create files --name renamed --accounts rename --pair fs1:/srv/data=new1:/srv/renamed >/dev/null
godwit job start renamed --wait >/dev/null
is "renamed" "$(on new1 id -un 3005)" user5-fs1
is "owner of u5" "$(on new1 stat -c %u /srv/renamed/u5/file)" 3005
godwit job create files --name skipped --accounts skip --pair fs1:/srv/data=new1:/srv/skipped >/dev/null
on fs1 useradd -M -N -u 1777 -g 2001 late
on new1 useradd -M -N -u 1778 -g 2001 late
godwit job start skipped --wait >/dev/null
report=$(godwit job report skipped)
[[ $report == *"user late (1777) was left alone"* ]] || { echo "$report"; fail "the report does not tell what was skipped"; }
is "late keeps its id" "$(on new1 id -u late)" 1778

say "a map: owners, groups and ACLs are others"
printf -- '- {kind: uid, from: 3001-3040, to: 7001}\n- {kind: gid, from: 2001-2010, to: 8001}\n' |
    on orch sh -c 'cat >/root/map.yaml'
godwit job create files --name mapped --map /root/map.yaml --pair fs1:/srv/data=new1:/srv/mapped >/dev/null
told=$(godwit job map mapped)
[[ $told == *"u1/file
    owner 3001 -> 7001
    group 2002 -> 8002
    ACL user 3007 -> 7007
    ACL group 2003 -> 8003"* && $told == *"80 of 81 entries would change; 0 could not be read"* ]] ||
    { echo "$told"; fail "the map's dry run tells something else"; }
is "affected as JSON" "$(godwit job map mapped -o json | jq '[.affected, (.rows | length), (.rows[0].changes | length)] | tojson')" '"[80,80,2]"'
rc=0
godwit job create files --name plain --pair fs1:/srv/data=new1:/srv/plain >/dev/null
godwit job map plain >/dev/null 2>&1 || rc=$?
is "a job without a map has nothing to tell" $rc 2
godwit job start mapped --wait >/dev/null
is "owner of u9" "$(on new1 stat -c %u:%g /srv/mapped/u9/file)" 7009:8010
on new1 getfacl -cpn /srv/mapped/u1/file | grep -q '^user:7007:rw-' || fail "the ACL's user was not mapped"
on new1 getfacl -cpn /srv/mapped/u1/file | grep -q '^group:8003:r--' || fail "the ACL's group was not mapped"
godwit job start mapped --wait >/dev/null
is "entries changed by the next pass" "$(job_number mapped '.totals.changed_meta // 0')" 0

say "a domain controller is refused"
on new1 sh -c 'mkdir -p /var/lib/samba/private; touch /var/lib/samba/private/sam.ldb'
rc=0
godwit job start renamed --wait >/dev/null 2>&1 || rc=$?
is "exit code" $rc 1
[[ $(godwit job report renamed) == *"domain controller"* ]] || fail "the report does not say why"
say "done"
