#!/bin/bash
# descriptors: agents that may open 2,000 files, then ones that may open hardly enough: wide and deep trees, many large
# files, 32 pairs at once over 16 lanes each.
# limit: 180
. "$(dirname "$0")/lib.sh"

src=$work/from
mkdir "$src"
small_files "$src/small" 10 20
python3 - "$src/deep" <<'END'
import os, sys
os.makedirs(sys.argv[1])
os.chdir(sys.argv[1])
for i in range(3000): # deeper than descriptors go, longer than PATH_MAX
    os.mkdir("d")
    os.chdir("d")
open("bottom", "w").write("x")
END
mkdir "$src/big"
for i in $(seq 10); do head -c 300000 /dev/urandom >"$src/big/$i"; done
odd_files "$src/odd"
for host in src dst; do
    wrap[$host]="prlimit --nofile=2000:2000"
done
fleet_up

job_start one "$src" "$work/one" --lanes 16
job_end one 60 done
same "$src" "$work/one" --exclude=/deep
[ "$(cd "$work/one/deep" && find . -name d | wc -l)" = 3000 ] || fail "the deep folder is not whole"
passed "2,000 descriptors, one pair"
rm -rf "$work/one"

pairs=32
{ echo "name: many" && echo "options: {lanes: 16}" && echo "limits: {pairs: $pairs}" && echo "pairs:"
    for i in $(seq $pairs); do
        cp -a "$src/small" "$work/m$i" && cp -a "$src/big" "$work/m$i"
        echo "  - src:$work/m$i=dst:$work/n$i"
    done; } >"$work/many.yaml"
godwit job create -f "$work/many.yaml" >/dev/null 2>&1
down orch
more[orch]="--max-pairs-per-host $pairs"
up orch
until_true 20 "src is online" is_online src
until_true 20 "dst is online" is_online dst

godwit job start many >/dev/null
job_end many 150 done
for i in $(seq $pairs); do same "$work/m$i" "$work/n$i"; done
passed "2,000 descriptors, $pairs pairs of 16 lanes at once ($(report many .totals.elapsed_ms) ms)"
long || exit 0
for host in src dst; do
    prlimit --pid "$(pid_of $host)" --nofile=400:2000
done
rm -rf "$work"/n*
godwit job start many >/dev/null
until_true 150 "job many has ended" job_ended many
if [ "$(job_state many)" = partial ]; then
    said many "Too many open files" "LimitNOFILE"
fi
for i in $(seq $pairs); do
    nothing_wrong "$work/m$i" "$work/n$i"
    no_temporaries "$work/n$i"
done
passed "400 descriptors for as much: $(job_state many), the cause is named"
for host in src dst; do
    prlimit --pid "$(pid_of $host)" --nofile=2000:2000
done
[ "$(job_state many)" != partial ] || { godwit job retry many >/dev/null && job_end many 150 done; }
for i in $(seq $pairs); do same "$work/m$i" "$work/n$i"; done
passed "2,000 again: the rest follows"
say done
