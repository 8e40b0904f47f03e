#!/bin/bash
# quota: the destination folder's quota is reached in the middle. btrfs, whose quota groups every kernel of Debian has.
# limit: 90
. "$(dirname "$0")/lib.sh"

disk to 512 btrfs
dst=$work/to/tree
btrfs subvolume create "$dst" >/dev/null
btrfs quota enable "$work/to" || skip "this kernel's btrfs has no quotas"
btrfs quota rescan -w "$work/to" >/dev/null 2>&1 || true
src=$work/from
mkdir "$src"
small_files "$src/small" 10 100
big_files "$src/big" 2 20
odd_files "$src/odd"
btrfs qgroup limit 30M "$dst"
fleet_up

job_start quota "$src" "$dst"
job_end quota 60 failed
said quota "Disk quota exceeded" "raise the quota"
nothing_wrong "$src" "$dst"
passed "quota reached"
btrfs qgroup limit none "$dst"
godwit job retry quota >/dev/null
job_end quota 60 done
same "$src" "$dst"
no_temporaries "$dst"
passed "raised, and the rest follows"
say done
