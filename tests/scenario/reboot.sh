#!/bin/bash
# reboot: the destination host restarts, and another time loses power, in the middle of a transfer.
# limit: 300
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/trees.sh"

fleet_up fs1 new1
real_tree fs1 /srv/data share/doc bin
total=$(on fs1 du -sb /srv/data | cut -f1)
lab rate new1 200 # slow enough that a third is well before the end: bytes count once they are durable

for how in soft hard; do
    godwit job create files --name "$how" --pair "fs1:/srv/data=new1:/srv/$how" >/dev/null
    godwit job start "$how" >/dev/null
    job_under_way "$how" $((total / 3))
    say "restarting new1 ($how)"
    # shellcheck disable=SC2046
    lab reboot new1 $([ $how = soft ] || echo --hard)
    lab rate new1 200
    job_wait "$how" 120 done
    show "$how: sent again: $(job_number "$how" '.totals.again_bytes // 0') of $total bytes"
    same_tree fs1 /srv/data new1 "/srv/$how"
done
say "done"
