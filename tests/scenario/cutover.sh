#!/bin/bash
# cutover: a workgroup server moves: run to 100 %, users of the old name are served by the new machine; back, and they are
# served as before; once more, for good; both hosts restart, and the right one serves.
# limit: 120
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/cutlib.sh"

packages
SAMBA_HOSTS="fs1 new1 cl" lab_up orch fs1 new1 cl
orchestrator_up
agents_up fs1 new1 cl

say "a workgroup server with two shares and two users, one more name; its successor"
users_on fs1 alice:3001 bob:3002
on fs1 sh -c 'mkdir -p /srv/data/sales /srv/data/crew /srv/data/desk; echo old >/srv/data/sales/letter; chmod 777 /srv/data/*'
{ share sales /srv/data/sales; share crew /srv/data/crew; share desk /srv/data/desk; echo ' vfs objects = acl_xattr'; } |
    standalone fs1 'netbios aliases = files'
standalone new1 </dev/null
names_for cl fs1 files
say "an ACL of files and one of a share that name its own users; an export"
on fs1 sh -c 'sid() { net sam show $1 | sed "s/.*SID //"; }
    sharesec desk --setsddl="D:(A;;0x001f01ff;;;$(sid alice))(A;;0x001200a9;;;$(sid bob))" >/dev/null 2>&1
    echo "/srv/data/sales 10.0.0.0/8(rw,no_subtree_check,sec=sys:krb5,fsid=77)" >/etc/exports; exportfs -ra'
as_user cl fs1 desk alice 'put /etc/hostname shut; put /etc/hostname open' >/dev/null || fail "alice cannot write"
on cl smbcacls //fs1/desk shut -U alice%pw-alice -a 'ACL:FS1\bob:DENIED/0x0/FULL' >/dev/null || fail "smbcacls"
desk() { # SERVER: what each may there
    local user file
    for user in alice bob; do
        for file in shut open; do echo "$user $file $(as_user cl "$1" desk $user "get $file -" | grep -oE 'NT_STATUS_[A-Z_]*|^cl$')"; done
        echo "$user writes $(as_user cl "$1" desk $user 'put /etc/hostname new' | grep -oE 'NT_STATUS_[A-Z_]*|putting')"
    done
}
may=$(desk fs1)
[ "$(grep -c NT_STATUS_ACCESS_DENIED <<<"$may")" = 2 ] && [ "$(grep -cE ' cl$|putting' <<<"$may")" = 4 ] || { echo "$may"; fail "the ACLs do not tell users apart"; }
exported() { on "$1" exportfs -s | sort; }
exports=$(exported fs1)
[ -n "$exports" ] || fail "nothing is exported"
sid=$(on fs1 net getlocalsid | sed 's/.*: //')
must_use cl fs1 sales alice
godwit job create files --name move --accounts rename --shares pair --nfs pair --pair fs1:/srv/data=new1:/srv/data >/dev/null
godwit job start move --wait >/dev/null || { godwit job report move; fail "the transfer failed"; }
on fs1 sh -c 'echo late >/srv/data/sales/late'
before=$(identity_of fs1; identity_of new1)

say "prepare changes nothing"
watch_arguments fs1 new1 orch cl
printf 'username = alice\npassword = pw-alice\n' | on cl sh -c 'umask 077; cat >/etc/godwit/probe.cred'
godwit cutover prepare move --probe-host cl --probe-user alice --source-address "$(admin_of fs1)/24" --new-name fs1-old >/run/prepare.$$ 2>&1 ||
    { cat /run/prepare.$$; godwit cutover report move; fail "prepare failed"; }
rm -f /run/prepare.$$
diff <(echo "$before") <(identity_of fs1; identity_of new1) || fail "prepare changed something"

say "run to 100 %"
godwit cutover run move || { godwit cutover report move; fail "the cutover failed"; }
[ "$(cut_job move '.pairs[0].cutover')" = "cut over" ] || fail "it is $(cut_job move '.pairs[0].cutover')"
for share in sales crew; do # alice, from the third host, by each name
    [ "$(cut_job move "[.pairs[0].findings[] | select(.check == \"$share by NTLM\" and .passed)] | length")" = 2 ] ||
        { godwit cutover report move; fail "the third host did not try $share"; }
done
for name in fs1 files "$(lab ip fs1)"; do
    for share in sales crew; do
        must_use cl "$name" $share alice
    done
    must_use cl "$name" sales bob
    served_from cl "$name" sales alice new1 || fail "$name leads to another than the new host"
done
[ "$(as_user cl fs1 sales alice 'get late -' | head -1)" = late ] || fail "what was written last is not there"
[ "$(on new1 net getlocalsid | sed 's/.*: //')" = "$sid" ] || fail "the machine's SID is another one"
diff <(echo "$may") <(desk fs1) || fail "users may do other things on the new server"
[ -z "$(exported fs1)" ] || fail "the source exports $(exported fs1)"
diff <(echo "$exports") <(exported new1) || fail "the destination exports something else"
refuses cl "$(admin_of fs1)" sales alice || fail "the source still serves users at its new address"
on cl timeout 5 bash -c '! : </dev/tcp/$0/445' "$(admin_of fs1)" 2>/dev/null || fail "port 445 of the source is open"
show "outage as the orchestrator saw it: $(cut_job move '.pairs[0].outage.measured_ms') ms, predicted $(cut_job move '.pairs[0].outage.predicted_ms') ms"

say "back: the source serves as before"
godwit cutover rollback move >/dev/null || { godwit cutover report move; fail "the rollback failed"; }
[ "$(cut_job move '.pairs[0].cutover')" = "rolled back" ] || fail "it is $(cut_job move '.pairs[0].cutover')"
diff <(echo "$before") <(identity_of fs1; identity_of new1) || fail "the rollback left something"
must_use cl fs1 sales alice
served_from cl fs1 sales alice fs1 || fail "fs1 is another than the source"
diff <(echo "$may") <(desk fs1) || fail "users may do other things after the rollback"
diff <(echo "$exports") <(exported fs1) || fail "the source's exports did not come back"

say "once more, and for good"
godwit cutover run move >/dev/null || { godwit cutover report move; fail "the second cutover failed"; }
must_use cl fs1 crew bob
godwit cutover commit move >/dev/null || { godwit cutover report move; fail "the commit failed"; }
[ "$(cut_job move '.pairs[0].cutover')" = committed ] || fail "it is $(cut_job move '.pairs[0].cutover')"
! godwit cutover rollback move >/dev/null 2>&1 || fail "a rollback after the commit"
on fs1 grep -q '^/srv/data/sales' /etc/exports.before-cutover || fail "the source's exports are kept nowhere"
diff <(echo "$may") <(desk fs1) || fail "users may do other things after the commit"

say "nobody but Samba has a secret"
for h in fs1 new1 orch; do on "$h" sh -c '[ -s /run/arguments ]' || fail "nobody looked at arguments on $h"; done
for hash in $(on new1 pdbedit -Lw | cut -d: -f4); do
    no_secret "$hash" orch fs1 new1
done
no_secret pw-alice orch fs1 new1
[ -z "$(on new1 ls -A /var/lib/godwit/agent/cutover 2>/dev/null | grep -v lock | grep -v run)" ] || fail "the destination keeps $(on new1 ls -A /var/lib/godwit/agent/cutover)"

say "both restart"
lab reboot fs1 & first=$!
lab reboot new1
wait $first
until_true 30 "alice uses fs1" uses cl fs1 sales alice
served_from cl fs1 sales alice new1 || fail "after the restart fs1 is another than the new host"
on fs1 sh -c '! systemctl is-active -q smbd' || fail "smbd runs on the source"
[ "$(on fs1 hostname) $(on new1 hostname)" = "fs1-old fs1" ] || fail "names: $(on fs1 hostname) $(on new1 hostname)"
say "done"
