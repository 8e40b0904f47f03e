#!/bin/bash
# byhand: two stages of a cutover are a person's: the runbook's own commands are typed on their hosts, `resume` asks the hosts
# and goes on to 100 %; and back again: what a person did is taken back as what the hosts did, and what users wrote on the new
# server meanwhile is carried back, or told.
# limit: 300
# slow
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/cutlib.sh"

packages
SAMBA_HOSTS="fs1 new1 cl" lab_up orch fs1 new1 cl
orchestrator_up
agents_up fs1 new1

say "a workgroup server and its successor"
users_on fs1 alice:3001
on fs1 sh -c 'mkdir -p /srv/data/sales; echo old >/srv/data/sales/letter; echo old >/srv/data/sales/gone; chown 3001 /srv/data/sales/*; chmod 777 /srv/data/sales'
share sales /srv/data/sales | standalone fs1 'netbios aliases = files'
standalone new1 </dev/null
names_for cl fs1 files
godwit job create files --name move --accounts rename --shares pair --pair fs1:/srv/data=new1:/srv/data >/dev/null
godwit job start move --wait >/dev/null || { godwit job report move; fail "the transfer failed"; }
before=$(identity_of fs1; identity_of new1)

say "all that can be known beforehand, and what a missing folder does"
godwit cutover validate move --source-address "$(admin_of fs1)/24" --new-name fs1-old >/run/checks.$$ || { cat /run/checks.$$; fail "validate ended with $?"; }
for check in control timer firewall accounts 'share sales'; do
    grep -q "^$check  .*pass" /run/checks.$$ || { cat /run/checks.$$; fail "no check $check that passes"; }
done
on new1 mv /srv/data/sales /srv/data/elsewhere
rc=0; godwit cutover validate move -o json >/run/checks.$$ || rc=$?
[ $rc = 8 ] || { cat /run/checks.$$; fail "exit code $rc, not 8"; }
[ "$(jq -r '.pairs[0].checks[] | select(.result == "fail").id' /run/checks.$$)" = "share sales" ] || { cat /run/checks.$$; fail "another check fails"; }
on new1 mv /srv/data/elsewhere /srv/data/sales
rm -f /run/checks.$$
diff <(echo "$before") <(identity_of fs1; identity_of new1) || fail "validate changed something"

say "the run ends where a person is to go on"
on orch sh -c '! grep -rq pw-alice /var/log' || fail "a password in a log"
held source.addresses run move --source-address "$(admin_of fs1)/24" --new-name fs1-old --by-hand source.addresses --by-hand source.names
godwit cutover runbook move >/run/book.$$
grep -q '^\[x\] .* stop ' /run/book.$$ || { cat /run/book.$$; fail "the runbook does not mark what is done"; }
grep -q '^\[ \] .* destination.start ' /run/book.$$ || { cat /run/book.$$; fail "the runbook does not say what is left"; }
rm -f /run/book.$$
held source.addresses resume move # nothing was done: it waits on

say "the first stage by hand, then the second"
type_stage source.addresses
held source.names resume move
type_stage source.names
godwit cutover resume move >/run/resume.$$ 2>&1 || { cat /run/resume.$$; godwit cutover stages move; fail "resume failed"; }
rm -f /run/resume.$$
[ "$(cut_job move '.pairs[0].cutover')" = "cut over" ] || fail "it is $(cut_job move '.pairs[0].cutover')"
[ "$(cut_job move '[.pairs[0].stages[] | select(.by == "hand").id] | join(" ")')" = "source.addresses source.names" ] || fail "who did what is not kept"
for name in fs1 files "$(lab ip fs1)"; do
    must_use cl "$name" sales alice
done
served_from cl fs1 sales alice new1 || fail "fs1 leads to another than the new host"
[ "$(on fs1 hostname)" = fs1-old ] || fail "the source is called $(on fs1 hostname)"

say "the identity before and after, line by line"
report=$(cut_job move '.pairs[0].identity[] | "\(.on) \(.what): \(.judged)"')
grep -q '^server host name: same' <<<"$report" || fail "$report"
grep -q "^server machine's SID: same" <<<"$report" || fail "$report"
grep -q '^source host name: expected' <<<"$report" || fail "$report"
! grep -q ': changed' <<<"$report" || fail "changed as nobody planned: $(cut_job move '.pairs[0].identity[] | select(.judged == "changed")')"
table=$(godwit cutover report move)
grep -q '^machine.s SID  *server  *same' <<<"$table" || fail "the report has no such table: $table"

say "back: also what a person did, and what users wrote meanwhile comes along"
as_user cl fs1 sales alice 'put /etc/hostname written; put /etc/passwd letter; rm gone' >/dev/null
! godwit cutover rollback move --carry-back --destination-is-off >/dev/null 2>&1 || fail "a destination that is off gave something"
godwit cutover rollback move --carry-back >/run/back.$$ 2>&1 || { cat /run/back.$$; godwit cutover report move; fail "the rollback failed"; }
grep -q '^2 files that users wrote on new1 were carried back' /run/back.$$ || { cat /run/back.$$; fail "what was carried back is not told"; }
rm -f /run/back.$$
for f in written letter; do
    cmp <(on fs1 cat "/srv/data/sales/$f") <(on new1 cat "/srv/data/sales/$f") || fail "$f was not carried back"
    [ "$(on fs1 stat -c '%u %Y' "/srv/data/sales/$f")" = "$(on new1 stat -c '%u %Y' "/srv/data/sales/$f")" ] || fail "$f is not alice's any more"
done
on fs1 test -e /srv/data/sales/gone || fail "a delete was carried back that nobody asked for"
diff <(echo "$before") <(identity_of fs1; identity_of new1) || fail "the rollback left something"
served_from cl fs1 sales alice fs1 || fail "fs1 is another than the source"
seen=$(as_user cl fs1 sales alice 'get letter -')
grep -q ^root: <<<"$seen" || fail "alice does not see what she wrote: $seen"

say "forth and back without that: what stays behind is told"
godwit cutover run move >/dev/null 2>&1 || { godwit cutover report move; fail "the second cutover failed"; }
as_user cl fs1 sales alice 'put /etc/hostname left' >/dev/null
godwit cutover rollback move >/run/back.$$ 2>&1 || { cat /run/back.$$; godwit cutover report move; fail "the second rollback failed"; }
grep -q '^1 files that users wrote on new1 stay there alone' /run/back.$$ || { cat /run/back.$$; fail "what stays behind is not told"; }
rm -f /run/back.$$
[ "$(cut_job move '.pairs[0].written.paths[].path')" = sales/left ] || fail "the list says $(cut_job move '.pairs[0].written')"
on fs1 test ! -e /srv/data/sales/left || fail "it came along unasked"

say "forth and back with deletes"
on fs1 rm -f /srv/data/sales/left
godwit cutover run move >/dev/null 2>&1 || { godwit cutover report move; fail "the third cutover failed"; }
as_user cl fs1 sales alice 'rm gone' >/dev/null
godwit cutover rollback move --carry-back --carry-deletes >/dev/null 2>&1 || { godwit cutover report move; fail "the third rollback failed"; }
on fs1 test ! -e /srv/data/sales/gone || fail "the delete was not carried back"
served_from cl fs1 sales alice fs1 || fail "fs1 is another than the source at the end"
say "done"
