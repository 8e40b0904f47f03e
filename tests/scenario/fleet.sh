#!/bin/bash
# fleet: two sources, two destinations, one job, real trees; an independent tool finds no difference, and
# the orchestrator carries next to nothing.
# limit: 900
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/trees.sh"

fleet_up fs1 fs2 new1 new2
say "making the trees"
real_tree fs1 /srv/data share bin
real_tree fs2 /srv/data share sbin lib/x86_64-linux-gnu
torture=no
torture_tree fs1 /srv/data/torture && torture=yes
for host in fs1 fs2; do
    show "$host: $(on "$host" sh -c 'find /srv/data | wc -l') entries, $(on "$host" du -sh /srv/data | cut -f1)"
done

say "one job with two pairs"
read -r _ sent0 _ received0 < <(lab counters orch)
godwit job create files --name wave1 --pair fs1:/srv/data=new1:/srv/data --pair fs2:/srv/data=new2:/srv/copy
start=$(now_ms)
godwit job start wave1
job_wait wave1 400 done
took=$(($(now_ms) - start))
read -r _ sent1 _ received1 < <(lab counters orch)
moved=$(job_number wave1 .totals.bytes)
control=$((sent1 + received1 - sent0 - received0))
show "moved $moved bytes in $took ms; the orchestrator host carried $control bytes"
[ $((control * 100)) -lt "$moved" ] || fail "the orchestrator carried over 1% of the bytes"

say "the copies are the same"
# Below a path longer than rsync can say, tar compares.
same_tree fs1 /srv/data new1 /srv/data --exclude=/torture/deep
same_tree fs2 /srv/data new2 /srv/copy
deep_sum() { on "$1" sh -c 'cd /srv/data/torture && tar --sort=name --format=posix --acls --xattrs --pax-option=delete=atime,delete=ctime,exthdr.name=x -cf - deep | sha256sum'; }
if [ $torture = yes ] && on fs1 test -d /srv/data/torture/deep; then
    [ "$(deep_sum fs1)" = "$(deep_sum new1)" ] || fail "the deep folders differ"
fi

say "a second run sends only what changed"
on fs1 sh -c 'echo more >>/srv/data/extra/one; rm /srv/data/extra/setuid; chmod 700 /srv/data/extra/capable'
godwit job start wave1
job_wait wave1 200 done
again=$(job_number wave1 .totals.bytes)
show "second run: $(job_number wave1 .totals.files) files, $again bytes, $(job_number wave1 .totals.elapsed_ms) ms"
[ "$again" -lt 1000000 ] || fail "the second run sent $again bytes"
on new1 test -e /srv/data/extra/setuid || fail "a run deleted without being told to"
on new1 rm /srv/data/extra/setuid
same_tree fs1 /srv/data new1 /srv/data --exclude=/torture/deep --no-times --omit-dir-times
say "done"
