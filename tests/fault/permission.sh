#!/bin/bash
# permission: the right to read is taken from a source agent that is not root while it works, and its destination has no
# right to write some of the folders.
# limit: 120
. "$(dirname "$0")/lib.sh"

src=$work/from dst=$work/to
mkdir "$src"
small_files "$src/small" 10 100
big_files "$src/big" 3 20
chown -R nobody: "$src"
mkdir "$dst" "${state[src]}" "${state[dst]}" && chown nobody: "$dst" "${state[src]}" "${state[dst]}"
for host in src dst; do
    wrap[$host]="setpriv --reuid=nobody --regid=nogroup --clear-groups"
done
fleet_up

say "taken from the source"
link_rate dst 150mbit
job_start read "$src" "$dst" --accept-loss owners # others' files, and a destination that is not root
until_true 20 "some is there" job_moved read 4000000
chown root: "$src/big/big3" "$src/small/d9" "$src/small/d8/f7"
chmod 600 "$src/big/big3" "$src/small/d8/f7"
chmod 700 "$src/small/d9"
link_rate dst off
until_true 60 "job read has ended" job_ended read
godwit job start read >/dev/null # what was under way before the change may have been read
job_end read 60 partial
said read "Permission denied" "grant the right to read" small/d9
nothing_wrong "$src" "$dst"
no_temporaries "$dst"
godwit job failures read >"$work/failures"
grep -qE '1 +EACCES +small/d9$' "$work/failures" || { cat "$work/failures"; fail "the list lacks what failed"; }
[ "$(wc -l <"$work/failures")" = "$(report read .totals.failed)" ] || fail "the list is not of as many as failed"
[ "$(godwit job failures read -o json | jq -r '.failures[] | select(.path == "small/d9") | .code')" = EACCES ] || fail "no JSON list"
[ "$(godwit job failures read --csv | head -1)" = pair,code,path ] || fail "no CSV list"
[ -z "$(godwit job failures read --cause EIO)" ] || fail "a cause that nothing failed by lists something"
passed "rights taken from the source, and each item that failed is on the list"
chown -R nobody: "$src"
rc=0
godwit job retry read --cause EIO >/dev/null 2>&1 || rc=$? # nothing failed by that
[ $rc = 6 ] || fail "a retry of a cause that nothing failed by ends with $rc"
godwit job retry read --cause EACCES >/dev/null
job_end read 60 done
godwit job start read >/dev/null
job_end read 60 done
same "$src" "$dst"
passed "granted again: the rest follows"

say "taken from the destination"
rm -rf "${dst:?}"/* && mkdir -p "$dst/small/d3" "$dst/small/d4"
echo old >"$dst/small/d4/f1"
chown nobody: "$dst/small"
job_start write "$src" "$dst"
job_end write 60 partial
said write "Permission denied" "grant the right to read and write" "small/d3" "small/d4"
[ "$(cat "$dst/small/d4/f1")" = old ] || fail "a file in a folder that may not be written was changed"
no_temporaries "$dst"
same "$src" "$dst" --exclude=/small
passed "what may not be written costs just that"
chown -R nobody: "$dst"
godwit job retry write >/dev/null
job_end write 60 done
same "$src" "$dst"
passed "allowed again: the rest follows"
say done
