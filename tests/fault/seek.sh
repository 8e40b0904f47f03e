#!/bin/bash
# seek: the map of a sparse file's holes cannot be read (SEEK_DATA fails): ext4 whose block with the extents of one file
# is spoilt, so that its checksum refuses it. What cannot be told from a hole must never become one.
# limit: 60
. "$(dirname "$0")/lib.sh"

disk from 128 ext4
src=$work/from/tree
mkdir "$src"
small_files "$src/small" 4 50
python3 - "$src" <<'END'
import os, sys
# More runs of data than fit into the inode: their list stands in a block of its own.
for name, step, count in (("small-holes", 8192, 20), ("large-holes", 1 << 20, 40)):
    for copy in ("", "-whole"):
        with open(f"{sys.argv[1]}/{name}{copy}", "wb") as f:
            for i in range(count):
                f.seek(i * step)
                f.write(os.urandom(4096))
            f.truncate(count * step)
END
umount "$work/from"
for name in small-holes large-holes; do
    block=$(debugfs -R "dump_extents /tree/$name" "$work/from.img" 2>/dev/null | awk '$1 == "0/" {print $8; exit}')
    [ -n "$block" ] || block=$(debugfs -R "stat /tree/$name" "$work/from.img" 2>/dev/null | sed -n 's/.*(ETB0):\([0-9]*\).*/\1/p' | head -1)
    [ -n "$block" ] || fail "$name has no block of extents"
    size=$(dumpe2fs -h "$work/from.img" 2>/dev/null | sed -n 's/^Block size: *//p')
    dd if=/dev/urandom of="$work/from.img" bs="$size" seek="$block" count=1 conv=notrunc status=none
done
disk_mount "$work/from"
cat "$src/large-holes" >/dev/null 2>&1 && fail "the map is not spoilt"
fleet_up
job_start seek "$src" "$work/to"
job_end seek 40 partial
godwit job report seek | sed -n '/^Failures/,$p'
[ "$(report seek .totals.failed)" = 2 ] || fail "$(report seek .totals.failed) files failed, not 2"
[ ! -e "$work/to/small-holes" ] && [ ! -e "$work/to/large-holes" ] || fail "a file whose map is lost is there"
report seek '.failures[].remedy' | grep -q . || fail "no remedy is told"
same "$src" "$work/to" --exclude=/small-holes --exclude=/large-holes
no_temporaries "$work/to"
passed "SEEK_DATA fails: two files are missing and named"
for name in small-holes large-holes; do
    rm -f "$src/$name" && cp --sparse=always "$src/$name-whole" "$src/$name"
done
godwit job retry seek >/dev/null
job_end seek 40 done
same "$src" "$work/to"
passed "restored: the rest follows"
say done
