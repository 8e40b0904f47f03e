#!/bin/bash
# sector: the source cannot be read: one bad block under one file, a folder that cannot be read, and a disk that dies
# in the middle. A block is made bad by changing it below btrfs, whose checksums then refuse it: a read gives EIO.
# limit: 120
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/sharelib.sh"

spoil() { # FILE: a block in its middle
    python3 - "$work/from.img" "$1" <<'END'
import sys
image, name = sys.argv[1:3]
want = open(name, "rb").read()[1 << 20:(1 << 20) + 4096] if len(open(name, "rb").read()) > 1 << 20 else open(name, "rb").read()
with open(image, "r+b") as f:
    data = f.read()
    at = data.find(want)
    assert at >= 0, "content not found in the image"
    f.seek(at + 100)
    f.write(bytes(64))
END
}

disk from 256 btrfs -d single -m single
src=$work/from/tree
small_files "$src/small" 4 50
for i in 1 2 3; do head -c 15000 /dev/urandom >"$src/small/bad$i"; done
big_files "$src/big" 3 20
big_files "$work/from/share" 2 20
cp -a "$src/big/big2" "$work/good"
cp -a "$src/small/bad2" "$work/good2"
sync -f "$src"
spoil "$src/big/big2"
spoil "$src/small/bad2"
spoil "$work/from/share/big2"
umount "$work/from" && disk_mount "$work/from" # nothing of it is in memory any more
cat "$src/big/big2" >/dev/null 2>&1 && fail "the block is not bad"
shares=yes
share_ready "$work/from/share" || shares=no
fleet_up
[ $shares = no ] || share_up

dst=$work/to
job_start sector "$src" "$dst"
job_end sector 60 partial
said sector "Input/output error" "check the disk" big/big2 small/bad2
[ "$(report sector .totals.failed)" = 2 ] || fail "not just two files failed"
nothing_wrong "$src" "$dst"
[ ! -e "$dst/big/big2" ] && [ ! -e "$dst/small/bad2" ] || fail "a file that cannot be read is there"
same "$src" "$dst" --exclude=/big/big2 --exclude=/small/bad2
no_temporaries "$dst"
passed "bad blocks cost their two files"

cp "$work/good" "$src/big/big2" && cp "$work/good2" "$src/small/bad2"
godwit job retry sector >/dev/null
job_end sector 60 done
same "$src" "$dst"
passed "restored files are sent alone ($(report sector .totals.files) files)"

if [ $shares = yes ]; then
    share_start pulled "" "$work/pulled"
    job_end pulled 60 partial
    said pulled big2 "Input/output error"
    [ "$(report pulled .totals.failed)" = 1 ] || fail "not just one file failed"
    cmp "$work/from/share/big1" "$work/pulled/big1"
    [ ! -e "$work/pulled/big2" ] || fail "a file that the server cannot read is there"
    no_temporaries "$work/pulled"
    passed "a bad block of the server costs its file"
fi

say "the disk dies in the middle"
disk dying 400 ext4
dying=$work/dying/tree
small_files "$dying/small" 10 100
big_files "$dying/big" 3 100
cp -a "$dying" "$work/twin"
umount "$work/dying" && cp "$work/dying.img" "$work/whole.img"
device=$(losetup --direct-io=on --find --show "$work/dying.img") # reads past its end fail only so
later losetup -d "$device"
[ "$(cat "/sys/block/${device#/dev/}/loop/dio")" = 1 ] || skip "no direct I/O on ${work%/*}: a disk cannot die there"
mount -o ro "$device" "$work/dying" # else its journal makes the image longer again, and what was cut off reads as zeros
halt src chunk-read 80 # of 1,200: no matter how slow the machine is, most is not read yet
job_start dying "$dying" "$work/to2"
until_true 30 "the source stands still in the middle" halted src
truncate -s 40M "$work/dying.img"
echo 3 >/proc/sys/vm/drop_caches
! cat "$dying"/big/* >/dev/null 2>&1 || fail "the disk did not die"
go_on src
until_true 60 "job dying has ended" job_ended dying
case $(job_state dying) in partial | failed) ;; *) fail "a dead disk gave '$(job_state dying)'" ;; esac
said dying "Input/output error" "check the disk"
nothing_wrong "$work/twin" "$work/to2"
passed "a dead source is named"
umount -l "$work/dying"
losetup -d "$device"
truncate -s 400M "$work/dying.img" && cp "$work/whole.img" "$work/dying.img" && disk_mount "$work/dying"
godwit job start dying >/dev/null
job_end dying 60 done
same "$work/twin" "$work/to2"
no_temporaries "$work/to2"
passed "repaired, and the rest follows"

# It takes what it is given, and fails when that is written back, or past the page cache at once.
say "the destination's disk fails behind a write"
fails_behind() { # JOB WHAT CMD…: starts the job into the folder that is added
    local job=$1 what=$2 at=$work/$1
    shift 2
    mkdir "$work/tiny-$job" "$at"
    mount -t tmpfs -o size=40M tmpfs "$work/tiny-$job" && later umount -l "$work/tiny-$job"
    truncate -s 400M "$work/tiny-$job/$job.img"
    ln -s "tiny-$job/$job.img" "$at.img"
    mkfs.ext4 -q "$at.img"
    disk_mount "$at"
    later umount -l "$at"
    "$@" "$at/to"
    until_true 60 "job $job has ended" job_ended "$job"
    case $(job_state "$job") in partial | failed) ;; *) fail "a dead destination gave '$(job_state "$job")'" ;; esac
    said "$job" "destination"
    godwit job start "$job" >/dev/null
    until_true 60 "job $job has ended" job_ended "$job"
    case $(job_state "$job") in partial | failed) ;; *) fail "a dead destination gave '$(job_state "$job")' the second time" ;; esac
    passed "a destination that cannot keep what it took is named, $what ($(job_state "$job"))"
    umount -l "$at"
}
fails_behind failing "from an agent" job_start failing "$work/twin"
rm "$work/from/share/big2" # which cannot be read
[ $shares = no ] || { big_files "$work/from/share" 3 20 && fails_behind faltering "over SMB" share_start faltering ""; }
say done
