#!/bin/bash
# rows: a list of very many failed items streams to the console: whole, in order, within the time, and nobody keeps it in
# memory. 500,000 rows; the long form has 10 million.
# limit: 300
. "$(dirname "$0")/lib.sh"

rows=500000
! long || rows=10000000
src=$work/from dst=$work/to
mkdir "$src" && echo x >"$src/file"
mkdir -p "$dst/file/full" # a folder with entries gives no way
fleet_up
job_start rows "$src" "$dst"
job_end rows 60 partial

list=$(echo "${state[src]}"/transfer/*.failed)
[ -f "$list" ] || fail "the source keeps no list of what failed"
python3 - "$list" "$rows" <<'END'
import sys
with open(sys.argv[1], "wb") as out:
    for n in range(int(sys.argv[2])):
        out.write(b"folder%d/of-some/depth/item-%d\n%s\0" % (n // 1000, n, (b"EACCES", b"EIO", b"EBUSY")[n % 3]))
END
peak() { awk '/^VmHWM/ {print int($2 / 1024)}' "/proc/$1/status"; }
before="$(peak "$(pid_of src)") $(peak "$(pid_of orch)")"
start=$(now_ms)
godwit job failures rows --csv | awk -F, -v want="$rows" '
    NR == 1 { next }
    { n = NR - 2; split("EACCES EIO EBUSY", code, " ") }
    $2 != code[n % 3 + 1] || $3 != "\"folder" int(n / 1000) "/of-some/depth/item-" n "\"" { print "row " n " is: " $0; exit 1 }
    END { if (NR - 1 != want) { print NR - 1 " rows of " want; exit 1 } }' || fail "the list did not arrive as it is"
took=$(($(now_ms) - start))
for host in src orch; do
    now=$(peak "$(pid_of "$host")")
    show "$host: $now MiB at its peak (${before/ / and } MiB before, source and orchestrator)"
    [ "$now" -lt 96 ] || fail "$host needs $now MiB to pass a list on"
done
passed "$rows failed items listed in $took ms"
some=$(godwit job failures rows --cause EIO --csv | tail -n +2 | wc -l)
[ "$some" = $(((rows + 1) / 3)) ] || fail "of one cause there are $some"
passed "and those of one cause alone"
say done
