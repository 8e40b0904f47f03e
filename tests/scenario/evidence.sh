#!/bin/bash
# evidence: a manifest that sha256sum reads and anybody can check; one bit flipped at the destination is named and
# repaired; a manifest that was touched is refused.
# limit: 180
set -euo pipefail
top=$(readlink -f "$(dirname "${BASH_SOURCE[0]}")/../..")
godwit=${GODWIT:-$top/build/dev/bin/godwit}
say() { echo "$(date +%T) $*"; }
show() { echo "SHOW: $*"; }
fail() { echo "FAIL: $*" >&2; exit 1; }
skip() { echo "SKIP: $*"; exit 77; }

[ "$(id -u)" = 0 ] || skip "needs root, so that owners are compared too"
command -v sha256sum python3 >/dev/null || skip "needs sha256sum and python3"
[ -x "$godwit" ] || skip "$godwit is not built"

work=$(mktemp -d /var/tmp/godwit-evidence-XXXXXX)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
src=$work/src
dst=$work/dst

pass() { # CODE [OPTION…]
    local want=$1 rc=0
    shift
    "$godwit" migrate "$src" "$dst" --keep "$work/keep" -o json "$@" >"$work/out" 2>"$work/err" || rc=$?
    [ $rc = "$want" ] || { cat "$work/out" "$work/err"; fail "migrate $* gave $rc, not $want"; }
}
get() { python3 -c 'import json,sys
d=json.load(open(sys.argv[1]))
print(eval(sys.argv[2], {"d": d, "e": d["pairs"][0].get("evidence", {}), "t": d["totals"]}))' "$work/out" "$1"; }
same() { [ -z "$(rsync -aHAXnc --delete --itemize-changes "$src/" "$dst/")" ] || fail "the copy differs"; }

say "a tree with names that a list gets wrong"
mkdir -p "$src/deep/er" "$src/empty" "$src/$(printf 'caf\xe9')"
for i in $(seq 2000); do echo "file $i" >"$src/deep/$i"; done
for i in 1 2; do head -c 30000000 /dev/urandom >"$src/large$i"; done
truncate -s 50M "$src/hole"
printf x >"$src/$(printf 'new\nline')"
printf y >"$src/back\\slash"
printf z >"$src/ - "
printf w >"$src/$(printf 'cr\rx')"
ln "$src/deep/1" "$src/deep/er/hard"
ln -s /nowhere "$src/link"
mkfifo "$src/fifo"
chown 1234:2345 "$src/deep/4"

say "a pass with a manifest: the standard tool agrees"
pass 0 --manifest sha256 --verify full
same
[ "$(get 'e["files"]')" = 2008 ] || fail "$(get 'e["files"]') files are listed, not 2008"
[ "$(get 'e["differing"] + e["unproved_files"] + e["left_out"]')" = 0 ] || fail "something was not proved"
lists=$(get 'e["folder"]')
(cd "$dst" && sha256sum --strict --quiet -c "$lists/SHA256SUMS") || fail "sha256sum does not agree"
show "first pass, read again in full and listed: $(get 'e["read_files"]') files, $(get 't["elapsed_ms"]') ms in all"
[ -z "$(find "$work/keep" -name sign.key ! -perm 600)" ] || fail "others may read a key that signs"
[ "$(find "$work/keep" -name sign.key | wc -l)" = 3 ] || fail "not every side has a key of its own"

say "checked without a daemon, with the public keys alone"
cp -r "$lists" "$work/audit"
awk '/^signed/ {print ($2 == "orchestrator" ? $2 : "host"), $3, $4}' "$work/audit/STATEMENT" >"$work/keys"
verify() { "$godwit" report verify "$work/audit/STATEMENT" "$@" >"$work/said" 2>&1; }
verify --keys "$work/keys" || { cat "$work/said"; fail "the manifest is not proved"; }
rc=0
verify || rc=$?
[ $rc = 3 ] || fail "without keys it must not be called proved: $rc"

say "what was touched is refused"
refused() { # WHAT FILE SED
    local rc=0
    rm -rf "$work/audit" && cp -r "$lists" "$work/audit" && cp "$work/keys" "$work/keys.bad"
    sed -i "$3" "$work/$2"
    verify --keys "$work/keys.bad" || rc=$?
    [ $rc = 1 ] || { cat "$work/said"; fail "$1: exit code $rc, not 1"; }
}
refused "a digest in the list" audit/SHA256SUMS '5s/^\(.\{9\}\)./\1x/'
refused "a line of the metadata" audit/METADATA '3d'
refused "a figure of the statement" audit/STATEMENT 's/^files .*/files 1/'
refused "a signature that is gone" audit/STATEMENT '/^signed source/d'
refused "a line behind the signatures" audit/STATEMENT '$a files 3'
refused "a key that nobody believes" keys.bad "s/^\(host source \).*/\1$(printf '%064d' 7)/"

say "nothing changed: nothing is read again for a list alone"
pass 0 --manifest sha256
pass 0 --manifest sha256
[ "$(get 'e["read_files"]')" -le 2 ] || fail "$(get 'e["read_files"]') files were read again"
[ "$(get 'e["files"]')" = 2008 ] || fail "the second list is not whole"

say "one bit flipped behind Godwit's back, time and size kept"
python3 - "$dst/large2" <<'END'
import os, sys
p = sys.argv[1]
s = os.stat(p)
with open(p, 'r+b') as f:
    f.seek(9999999)
    b = f.read(1)
    f.seek(9999999)
    f.write(bytes([b[0] ^ 1]))
os.utime(p, ns=(s.st_atime_ns, s.st_mtime_ns))
END
pass 3 --manifest sha256 --verify full
[ "$(get '[(g["code"], g["count"], g["examples"]) for g in d["failures"]]')" = "[('VERIFY_CONTENT', 1, ['large2'])]" ] ||
    { cat "$work/out"; fail "the flipped bit is not named, or more than that"; }
[ "$(get 't.get("files", 0)')" = 0 ] || fail "it was replaced before it was named"
[ "$(get 'e["files"]')" = 2007 ] || fail "the damaged file is in the manifest"
pass 0 --manifest sha256 --verify full
[ "$(get 't["files"]')" = 1 ] || fail "$(get 't["files"]') files were sent, not 1"
same

say "somebody's work at the destination is named before it is replaced"
echo "mine" >"$dst/deep/7"
pass 3 --manifest sha256 --verify full
[ "$(get '[g["code"] for g in d["failures"]]')" = "['VERIFY_CHANGED']" ] || fail "the change is not named"
[ "$(cat "$dst/deep/7")" = mine ] || fail "it was replaced before it was named"
pass 0 --manifest sha256 --verify full
same
say "done"
