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
torture_tree fs1 /srv/data/torture
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
# rsync cannot say paths longer than PATH_MAX; the list of the torture tree goes there too.
same_tree fs1 /srv/data new1 /srv/data --exclude=/torture/deep-path
same_tree fs2 /srv/data new2 /srv/copy
same_torture fs1 /srv/data/torture new1 /srv/data/torture

say "a second run sends only what changed"
on fs1 sh -c 'echo more >>/srv/data/extra/one; rm /srv/data/extra/setuid; chmod 700 /srv/data/extra/capable'
godwit job start wave1
job_wait wave1 200 done
again=$(job_number wave1 .totals.bytes)
show "second run: $(job_number wave1 .totals.files) files, $again bytes, $(job_number wave1 .totals.elapsed_ms) ms"
[ "$again" -lt 1000000 ] || fail "the second run sent $again bytes"
on new1 test -e /srv/data/extra/setuid || fail "a run deleted without being told to"
same_tree fs1 /srv/data new1 /srv/data --exclude=/torture/deep-path --exclude=/extra/setuid
say "done"
