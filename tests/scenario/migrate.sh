#!/bin/bash
# migrate: one folder to another without any set-up: as root and as nobody, again, with deletion,
# interrupted; the judge is rsync.
# limit: 300
set -euo pipefail
top=$(readlink -f "$(dirname "${BASH_SOURCE[0]}")/../..")
godwit=${GODWIT:-$top/build/dev/bin/godwit}
say() { echo "$(date +%T) $*"; }
fail() { echo "FAIL: $*" >&2; exit 1; }
skip() { echo "SKIP: $*"; exit 77; }

[ "$(id -u)" = 0 ] || skip "needs root, to be nobody too"
command -v rsync >/dev/null || skip "needs rsync as the judge"
[ -x "$godwit" ] || skip "$godwit is not built"

work=$(mktemp -d /var/tmp/godwit-migrate-XXXXXX)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
chmod 755 "$work"
keep=$work/keep

same() { # SRC DST [RSYNC-FLAGS]: prints nothing when they are the same
    rsync "${3:--aHAXnc}" --delete --itemize-changes "$1/" "$2/"
}
expect() { # CODE CMD…
    local want=$1 rc=0
    shift
    "$@" >"$work/out" 2>"$work/err" || rc=$?
    [ $rc = "$want" ] || { cat "$work/out" "$work/err"; fail "$* gave $rc, not $want"; }
}
field() { python3 -c 'import json,sys; print(json.load(open(sys.argv[1]))["totals"].get(sys.argv[2], 0))' "$work/out" "$1"; }
left() { pgrep -f "migrate $work" || true; } # processes of ours that still run
migrate() { "$godwit" migrate "$@" --keep "$keep"; }

say "a tree with what copying gets wrong"
src=$work/src
mkdir -p "$src/deep/er" "$src/empty" "$src/$(printf 'caf\xe9')"
for i in $(seq 300); do echo "file $i" >"$src/deep/$i"; done
head -c 20000000 /dev/urandom >"$src/large"
truncate -s 50M "$src/hole" && echo end >>"$src/hole"
ln "$src/deep/1" "$src/deep/er/hard"
ln -s /nowhere "$src/link"
mkfifo "$src/fifo"
mknod "$src/null" c 1 3
chmod 4755 "$src/deep/2"
chmod 000 "$src/deep/3"
chown 1234:2345 "$src/deep/4"
touch -d '2001-02-03 04:05:06.789012345' "$src/deep/5" "$src/deep/er"
setfattr -n user.note -v hello "$src/deep/6" 2>/dev/null || true
setfacl -m u:1234:rx "$src/deep/7" 2>/dev/null || true

say "root: all of it"
expect 0 migrate "$src" "$work/dst" -o json
[ -z "$(same "$src" "$work/dst")" ] || { same "$src" "$work/dst"; fail "the copy differs"; }
[ "$(stat -c %b "$work/dst/hole")" -lt 1000 ] || fail "the hole was filled"
[ -f "$(python3 -c 'import json,sys; print(json.load(open(sys.argv[1]))["kept"])' "$work/out")" ] || fail "no report was kept"
[ -z "$(left)" ] || fail "something keeps running"
sent=$(field sent_bytes)

say "again: nothing is sent"
expect 0 migrate "$src" "$work/dst" -o json
[ "$(field files)" = 0 ] || fail "files were sent again"
[ "$(field sent_bytes)" -lt $((sent / 20)) ] || fail "$(field sent_bytes) bytes were sent again"

say "a change, an extra, a dry run, a deletion"
echo changed >"$src/deep/8"
rm "$src/deep/9"
echo mine >"$work/dst/extra"
expect 0 migrate "$src" "$work/dst" --delete --dry-run
[ -e "$work/dst/extra" ] && [ "$(cat "$work/dst/deep/8")" = "file 8" ] || fail "a dry run changed something"
expect 0 migrate "$src" "$work/dst" -o json
[ -e "$work/dst/extra" ] || fail "an extra was deleted without being told to"
[ "$(field files)" = 1 ] || fail "$(field files) files were sent, not 1"
expect 0 migrate "$src" "$work/dst" --delete
[ -z "$(same "$src" "$work/dst")" ] || fail "the copy differs after deletion"

say "errors are named before anything starts"
expect 6 migrate "$work/none" "$work/x"
expect 2 migrate "$src" "$src/deep/new"
expect 2 migrate "$src" "$src"
expect 2 migrate "$src/large" "$work/x"
expect 2 "$godwit" migrate "$src" "$work/x" --keep "$src/keep"
expect 2 "$godwit" migrate "$src" "$work/x" --keep "$work/x/keep" --delete
[ ! -e "$src/keep" ] || fail "a refused migration left its folder"
rm -rf "$work/x"
[ ! -e "$work/x" ] || fail "a refused migration made its destination"

say "nobody: what nobody may read, and what could not be kept is said"
mkdir "$work/home" && chown nobody "$work/home"
expect 3 runuser -u nobody -- env HOME="$work/home" XDG_STATE_HOME= "$godwit" migrate "$src" "$work/home/dst"
grep -q "could not be kept" "$work/out" || { cat "$work/out"; fail "nothing was said of owners"; }
grep -q "Permission denied" "$work/out" || fail "the unreadable file is not named"
rsync -rlptnc --specials --itemize-changes --exclude=/null --exclude=/deep/3 --exclude=/deep/2 "$src/" "$work/home/dst/" 2>/dev/null |
    grep -v '^cd\|^\.d' >"$work/diff" || true
[ ! -s "$work/diff" ] || { cat "$work/diff"; fail "what nobody may read differs"; }
expect 4 runuser -u nobody -- env HOME="$work/home" "$godwit" migrate "$src" "$work/dst/of-root"
[ "$(find "$work/home/.local" -perm /077 | wc -l)" = 0 ] || [ "$(stat -c %a "$work/home/.local/state/godwit")" = 700 ] ||
    fail "others may read what is kept"

say "Ctrl-C: nothing keeps running, nothing is torn, the next run ends it"
big=$work/big
mkdir "$big"
for i in $(seq 12); do head -c 60000000 /dev/urandom >"$big/$i"; done
migrate "$big" "$work/bigdst" >"$work/out" 2>"$work/err" &
pid=$!
for _ in $(seq 200); do
    [ -n "$(ls -A "$work/bigdst" 2>/dev/null)" ] && break
    sleep 0.02
done
kill -INT $pid
rc=0
wait $pid || rc=$?
[ $rc = 1 ] || [ $rc = 0 ] || { cat "$work/err"; fail "an interrupted run gave $rc"; }
[ -z "$(left)" ] || fail "something keeps running after Ctrl-C"
for f in "$work/bigdst"/*; do
    [ ! -e "$f" ] || cmp "$f" "$big/${f##*/}" || fail "$f is torn"
done
expect 0 migrate "$big" "$work/bigdst"
[ -z "$(same "$big" "$work/bigdst")" ] || fail "the copy differs after Ctrl-C"
[ -z "$(find "$work/bigdst" -name '.godwit-*')" ] || fail "a temporary file is left"

say "kill -9: nothing keeps running"
rm -rf "$work/bigdst"
migrate "$big" "$work/bigdst" >"$work/out" 2>"$work/err" &
pid=$!
for _ in $(seq 200); do
    [ -n "$(ls -A "$work/bigdst" 2>/dev/null)" ] && break
    sleep 0.02
done
kill -9 $pid
wait $pid 2>/dev/null || true
for _ in $(seq 100); do
    [ -z "$(left)" ] && break
    sleep 0.05
done
[ -z "$(left)" ] || fail "something keeps running after kill -9"
expect 0 migrate "$big" "$work/bigdst"
[ -z "$(same "$big" "$work/bigdst")" ] || fail "the copy differs after kill -9"
if grep -rE 'ERROR: (Address|Leak)Sanitizer|runtime error' "$keep" --include='*.log'; then
    fail "a sanitizer spoke"
fi
say "done"
