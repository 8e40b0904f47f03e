#!/bin/bash
# source: the disk that a source stands on is not mounted, another one is, or what was on it was removed: a pass with --delete
# deletes what it was told to and nothing else, and says what to do.
# limit: 120
. "$(dirname "$0")/lib.sh"

disk data 64 ext4
src=$work/data dst=$work/to
fill() { # NUMBER OF FOLDERS
    rm -rf "$src/lost+found"
    small_files "$src/small" "$1" 40
    odd_files "$src/odd"
}
fill 3
cp -a "$src" "$work/kept"
fleet_up

again() { # STATE [OPTION…]
    godwit job start disk "${@:2}" >/dev/null
    job_end disk 60 "$1"
}
refused() { # TEXT
    again failed
    said disk "$1" "Nothing was deleted" "--override source-root"
    same "$work/kept" "$dst" --omit-dir-times
}
job_start disk "$src" "$dst" --delete
job_end disk 60 done
same "$src" "$dst"

umount "$src"
refused "on another file system than before"
echo stray >"$src/stray"
refused "on another file system than before"
rm "$src/stray"
passed "a disk that is not mounted: nothing is deleted, also where a file lies in its place"

disk spare 8 ext4 # has the loop device now
disk_mount "$src"
again done
same "$src" "$dst"
rm "$src/small/d0/f0"
again done
same "$src" "$dst"
passed "mounted again, by another device: it is the same source"

rm -rf "$src/small" "$src/odd"
again done
[ -z "$(ls -A "$dst")" ] || { ls -A "$dst"; fail "what was removed from the source is still there"; }
passed "all that was removed on the same disk is deleted, as told"

say "another disk in its place"
fill 2
again done
rm -rf "$work/kept" && cp -a "$src" "$work/kept"
umount "$src"
mkfs.ext4 -q -F "$src.img"
disk_mount "$src"
fill 1
refused "on another file system than before"
again done --override source-root
same "$src" "$dst"
godwit job journal disk | grep -q "overrides source-root" || fail "the journal does not say that it was meant"
rm -rf "$src/odd"
again done
same "$src" "$dst"
passed "another disk: refused until somebody says that it is meant, and the source from then on"

say "an empty folder of the same disk in the source's place"
rm -rf "$work/kept" && cp -a "$src" "$work/kept"
src=$work/plain
cp -a "$work/kept" "$src"
job_start plain "$src" "$work/to2" --delete
job_end plain 60 done
mv "$src" "$work/away" && mkdir "$src"
godwit job start plain >/dev/null
job_end plain 60 failed
said plain "is empty" "--override source-root"
same "$work/kept" "$work/to2" --omit-dir-times
godwit job start plain --override source-root >/dev/null
job_end plain 60 done
[ -z "$(ls -A "$work/to2")" ] || fail "it was said that it is meant, and nothing was deleted"
passed "an empty folder that is another one: refused until somebody says that it is meant"
say done
