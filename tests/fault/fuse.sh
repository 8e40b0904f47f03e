#!/bin/bash
# fuse: a destination on a file system that cannot rename without replacing (bindfs, a FUSE; NFS is so too): new folders,
# renames at the source, a deep tree that goes, and what stood there moved aside.
# limit: 120
. "$(dirname "$0")/lib.sh"

command -v bindfs >/dev/null || skip "needs bindfs"
src=$work/from under=$work/under
mkdir "$src" "$under" "$work/fuse"
bindfs "$under" "$work/fuse" 2>/dev/null || skip "no FUSE here"
later umount -l "$work/fuse"
rename_new() { # FOLDER: what renameat2(RENAME_NOREPLACE) says there
    python3 - "$1" <<'END'
import ctypes, os, sys
os.chdir(sys.argv[1])
open("a", "w").close()
libc = ctypes.CDLL(None, use_errno=True)
print(os.strerror(ctypes.get_errno()) if libc.renameat2(-100, b"a", -100, b"b", 1) else "done")
for name in "ab":
    if os.path.exists(name): os.unlink(name)
END
}
[ "$(rename_new "$work/fuse")" = "Invalid argument" ] || skip "this bindfs can rename without replacing"
small_files "$src/small" 20 50
big_files "$src/big" 2 20
mkdir -p "$src/deep/$(printf 'd/%.0s' $(seq 200))"
find "$src/deep" -type d -links 2 -exec touch {}/bottom \;
echo one >"$src/one" && ln "$src/one" "$src/two" && ln -s nowhere "$src/link"
fleet_up

job_start fuse "$src" "$work/fuse/to" --delete
job_end fuse 60 done
same "$src" "$under/to"
no_temporaries "$under/to"
passed "new folders"

mv "$src/small/d3" "$src/elsewhere" && mv "$src/big/big1" "$src/big/other" && mv "$src/small/d4/f1" "$src/f1"
mv "$src/small/d5/f1" "$src/small/d5/f2"
godwit job start fuse >/dev/null
job_end fuse 60 done
same "$src" "$under/to"
no_temporaries "$under/to"
[ "$(report fuse .totals.renamed)" = 4 ] || fail "$(report fuse .totals.renamed) were renamed, not 4"
[ "$(report fuse .totals.bytes)" = 0 ] || fail "$(report fuse .totals.bytes) bytes were sent for renames"
passed "what is renamed at the source is renamed there"

rm -r "$src/deep"
godwit job start fuse >/dev/null
job_end fuse 60 done
same "$src" "$under/to"
passed "a tree of 200 levels goes"

mkdir -p "$under/was/folder" && echo old >"$under/was/folder/file" && echo old >"$under/was/one"
job_start aside "$src" "$work/fuse/was" --pre-existing aside
job_end aside 60 done
kept=$(find "$under/was" -maxdepth 1 -name '.pre-existing-*')
[ "$(cat "$kept/one" "$kept/folder/file" 2>/dev/null)" = $'old\nold' ] || fail "what stood there is not aside"
same "$src" "$under/was" --exclude='/.pre-existing-*'
passed "what stood there is aside"
say done
