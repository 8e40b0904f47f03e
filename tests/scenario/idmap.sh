#!/bin/bash
# idmap: a member server of a domain moves to one whose winbind gives other ids: stopped before a byte moves;
# with a map every user may do there what it could here, asked through smbd. What the check says for each back end.
# slow
# limit: 240
. "$(dirname "$0")/lib.sh"

DOMAIN_DC=dc1 DOMAIN_MEMBERS="fs1 new1:200000-299999" SAMBA_HOSTS=cl fleet_up fs1 new1 cl
users=(alice bob carol dave erin)
lab user "${users[@]}"
lab group staff alice bob
lab group eng carol dave

say "files of five users, with inherited, explicit and denying entries, and streams, made through smbd"
on fs1 sh -c 'mkdir -p /srv/data; chgrp "LAB\domain users" /srv/data; chmod 2775 /srv/data
printf "[data]\n   path = /srv/data\n   read only = no\n   inherit acls = yes\n" >>/etc/samba/smb.conf; systemctl enable -q --now smbd'
on new1 systemctl enable -q --now smbd
smb() { lab as cl "$2" smbclient "//$1/data" --use-kerberos=required --use-krb5-ccache="/run/lab-ticket-$2" -c "$3" 2>&1; }
acl() { lab as cl alice smbcacls "//fs1/data" "$1" --use-kerberos=required --use-krb5-ccache=/run/lab-ticket-alice "${@:2}" >/dev/null || fail "smbcacls $*"; }
on cl sh -c 'echo content >/tmp/file; echo more >/tmp/more'
smb fs1 alice 'mkdir team' >/dev/null
acl team -S 'ACL:LAB\alice:ALLOWED/OI|CI/FULL,ACL:LAB\staff:ALLOWED/OI|CI/CHANGE,ACL:LAB\carol:ALLOWED/OI|CI/READ'
smb fs1 alice 'mkdir team/open; mkdir team/closed' >/dev/null
acl team/closed -a 'ACL:LAB\bob:DENIED/OI|CI/FULL'
for user in "${users[@]}"; do
    smb fs1 "$user" "mkdir $user; put /tmp/file $user/own; put /tmp/more $user/own:stream" >/dev/null
done
smb fs1 alice 'put /tmp/file team/open/a; put /tmp/file team/closed/a; put /tmp/more team/open/a:side' >/dev/null
smb fs1 bob 'put /tmp/file team/open/b' >/dev/null
lab as cl bob smbcacls //fs1/data bob/own --use-kerberos=required --use-krb5-ccache=/run/lab-ticket-bob \
    -S 'ACL:LAB\bob:ALLOWED/0x0/FULL,ACL:LAB\eng:ALLOWED/0x0/READ' >/dev/null
on fs1 getfattr -n security.NTACL /srv/data/team/closed/a >/dev/null 2>&1 || fail "smbd keeps no NT ACL"

# What each user may do, asked by doing it; a put that is let in writes the same content again.
seen() { # HOST
    local user
    for user in "${users[@]}"; do
        for path in team/open/a team/open/b team/closed/a alice/own bob/own erin/own; do
            echo "$user $path read $(smb "$1" "$user" "get $path -" | grep -oE 'content|NT_STATUS_[A-Z_]*' | head -1)"
            echo "$user $path write $(smb "$1" "$user" "put /tmp/file $path" | grep -oE 'putting|NT_STATUS_[A-Z_]*' | head -1)"
        done
        echo "$user lists $(smb "$1" "$user" 'ls team\*; ls team\closed\*' | grep -oE '^  [a-z]+|NT_STATUS_[A-Z_]*' | xargs)"
        echo "$user stream $(smb "$1" "$user" 'get team/open/a:side -' | grep -oE 'more|NT_STATUS_[A-Z_]*' | head -1)"
    done
}
acls() { # HOST
    for path in team team/open team/closed team/closed/a team/open/b bob/own; do
        lab as cl alice smbcacls "//$1/data" "$path" --use-kerberos=required --use-krb5-ccache=/run/lab-ticket-alice | tr A-Z a-z # winbind tells one name in both ways
    done
}
before=$(seen fs1)
[ "$(grep -c 'NT_STATUS_ACCESS_DENIED' <<<"$before")" -gt 10 ] && [ "$(grep -cE 'read content|write putting' <<<"$before")" -gt 10 ] ||
    { echo "$before"; fail "the tree does not tell users apart"; }

say "pre-flight stops it, and so does a start"
godwit job create files --name plain --pair fs1:/srv/data=new1:/srv/plain --shares pair >/dev/null
godwit job inventory plain --wait >/dev/null
rc=0
checks=$(godwit job validate plain -o json) || rc=$?
[ $rc = 8 ] || fail "validate ended with $rc, not 8"
found=$(jq -r '.checks[] | select(.id == "identity-maps") | "\(.result) \(.evidence)"' <<<"$checks")
[[ $found == fail* && $found == *"rid 100000-199999"* && $found == *"rid 200000-299999"* ]] || fail "the check says: $found"
show "pre-flight: $(cut -c1-160 <<<"$found")"
rc=0
godwit job start plain --wait >/dev/null 2>&1 || rc=$?
[ $rc -ne 0 ] || fail "it was not stopped"
on new1 test -e /srv/plain && fail "something was copied"
godwit inventory show plain -o json |
    jq -e '.pairs[0].inventory.identities.differ | map(select(.result == "fail" and .name == "LAB\\alice")) | length > 0' >/dev/null ||
    fail "the inventory does not name alice"

say "with a map: pre-flight passes, and each user may do there what it could here"
printf 'uid,100000-199999,200000-299999\ngid,100000-199999,200000-299999\n' | on orch sh -c 'cat >/root/map.csv'
godwit job create files --name mapped --pair fs1:/srv/data=new1:/srv/data --shares pair --map /root/map.csv >/dev/null
godwit job start mapped --wait >/dev/null || { godwit job report mapped; fail "the job with a map failed"; }
found=$(godwit job validate mapped -o json | jq -r '.checks[] | select(.id == "identity-maps") | "\(.result) \(.evidence)"')
[[ $found == pass* ]] || fail "with the map the check says: $found"
diff <(echo "$before") <(seen new1) || fail "users may do other things there"
diff <(acls fs1) <(acls new1) || fail "clients see other ACLs there"
show "$(wc -l <<<"$before") questions of ${#users[@]} users through smbd: the same answers on both hosts with the map"

say "job access asks both servers as each user, without a password, and finds what a wrong map would do"
ask() { # JOB: sets rc and answer
    local user named=()
    for user in "${users[@]}"; do named+=(--user "LAB\\$user"); done
    rc=0
    answer=$(godwit job access "$1" "${named[@]}" --paths 30 --seed 7 -o json) || rc=$?
}
before_access=$(on fs1 sh -c 'cd /srv/data; find . -printf "%p %s %T@ %C@\n" | sort | cksum')
ask mapped
jq -e '.pairs[0] | .smb.different == 0 and .smb.same > 100 and .smb.unknown == 0 and .local.different == 0 and .local.same > 100' \
    <<<"$answer" >/dev/null && [ $rc = 0 ] || { echo "$answer" | head -c 3000; fail "job access of the mapped job: $rc"; }
show "job access: $(jq -r '.pairs[0] | "\(.smb.same) answers of smbd and \(.local.same) of the kernel are the same"' <<<"$answer")"
godwit job create files --name raw --pair fs1:/srv/data=new1:/srv/raw >/dev/null
godwit job start raw --override identity-maps --wait >/dev/null || { godwit job report raw; fail "an overridden check still stops"; }
on new1 sh -c 'printf "[raw]\n   path = /srv/raw\n   read only = no\n" >>/etc/samba/smb.conf; smbcontrol smbd reload-config'
ask raw
jq -e '[.pairs[0].findings[] | select(.asked == "smb" and .source == "yes" and .destination == "no: NT_STATUS_ACCESS_DENIED")] | length > 10' \
    <<<"$answer" >/dev/null && [ $rc = 1 ] || { echo "$answer" | head -c 3000; fail "job access of the raw job: $rc"; }
show "without the map: $(jq -r '.pairs[0] | "\(.smb.different) of \(.smb.same + .smb.different) answers of smbd differ"' <<<"$answer")"
[ "$(on fs1 sh -c 'cd /srv/data; find . -printf "%p %s %T@ %C@\n" | sort | cksum')" = "$before_access" ] || fail "asking changed something"

say "what the check says for each back end"
said() { # BACKEND RANGE: the check's answer after a count
    lab join new1 --backend "$1" --range "$2"
    godwit job inventory plain --wait >/dev/null
    { godwit job validate plain -o json 2>/dev/null || true; } | jq -r '.checks[] | select(.id == "identity-maps") | "\(.result) \(.evidence)"'
}
for case in "rid 100000-199999 pass" "autorid 100000-9999999 fail" "ad 100000-199999 fail" "tdb 100000-199999 fail"; do
    read -r backend range want <<<"$case"
    found=$(said "$backend" "$range")
    [[ $found == $want* ]] || fail "$backend $range: $found"
    show "$backend: $(cut -c1-140 <<<"$found")"
done
before=$(on new1 net idmap dump 2>/dev/null | sort)
godwit job inventory plain --wait >/dev/null
[ "$(on new1 net idmap dump 2>/dev/null | sort)" = "$before" ] || fail "asking gave somebody an id"
say "done"
