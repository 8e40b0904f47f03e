#!/bin/bash
# power: the destination host loses power in mid-write, and what it had not flushed is gone: its file system (with the
# agent's state) is shut down without a flush under the frozen agent, which dies, and is mounted anew after a check.
# Whatever stands under its final name must be whole, and what the catalogue says must be true. Large files come from an agent
# and over SMB.
# limit: 300
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/sharelib.sh"

command -v xfs_io >/dev/null || skip "needs xfs_io (xfsprogs)"
src=$work/from
mkdir "$src"
small_files "$src/small" 20 200
big_files "$src/big" 3 24
odd_files "$src/odd"
total=$(du -sb "$src" | cut -f1) used=$(du -sk "$src" | cut -f1)
types="ext4"
cuts="5 45" points="moved:2" writing="past-cache:5"
! long || { types="xfs ext4"; cuts="0 5 10 20 30 45 60 75 90" points="moves-noted:1 moved:1 moved:3 moves-synced:1 moves-committed:1"
    writing="past-cache:1 past-cache:5 past-cache:20 content-settled:1 large-renamed:1 synced:2 committed:2"
    sharing="basis-found:1 piece-made:2 large-renamed:2 synced:2 committed:2"; }

check_of() { # TYPE IMAGE: as at boot; 0 and 1 are a sound file system
    case $1 in
    ext4) fsck.ext4 -p "$2" >"$work/fsck.log" 2>&1 || [ $? -le 1 ] ;;
    *) : ;; # xfs replays its log when it is mounted
    esac || { cat "$work/fsck.log"; fail "$1 is damaged"; }
}

# Whatever has its final name is whole: names come after a sync. Prints how many have theirs.
none_lies() { # SRC DST
    python3 - "$@" <<'END'
import os, sys
src, dst = sys.argv[1:3]
whole = 0
for folder, folders, names in os.walk(dst):
    folders[:] = [f for f in folders if not f.startswith(".godwit-")] # not named yet
    for name in names:
        at = os.path.join(folder, name)
        if name.startswith(".godwit-") or os.path.islink(at) or not os.path.isfile(at):
            continue
        want = os.path.join(src, os.path.relpath(at, dst))
        if os.path.getsize(at) != os.path.getsize(want):
            sys.exit(f"{at} has {os.path.getsize(at)} bytes of {os.path.getsize(want)}")
        if open(at, "rb").read() != open(want, "rb").read():
            sys.exit(f"{at} has its full size and other bytes")
        whole += 1
print(whole)
END
}
test_used() { [ "$(du -sk "$1" 2>/dev/null | cut -f1)" -ge "$2" ]; } # FOLDER KIB

# The power goes: what dst did not flush is gone, and dst is down.
cut_power() { # TYPE
    local victim
    victim=$(pid_of dst)
    touch "$work/dst.down"
    kill -STOP "$victim"
    until_true 10 "the agent is frozen" frozen "$victim"
    xfs_io -x -c shutdown "$work/$1" >/dev/null || skip "this kernel cannot shut $1 down"
    down dst
    umount "$work/$1"
    check_of "$1" "$work/$1.img"
    disk_mount "$work/$1"
}
# While it renames what was renamed on the source, at POINT for the TIMES. time.
cut_renaming() { # TYPE POINT TIMES
    local type=$1 job=$1-$2-$3 dst=$work/$1/renamed from=$work/renamed
    cp -a "$src" "$from"
    job_start "$job" "$from" "$dst" --delete
    job_end "$job" 60 done
    mv "$from/small/d1" "$from/small/t" && mv "$from/small/d2" "$from/small/d1" && mv "$from/small/t" "$from/small/d2"
    mv "$from/small/d3" "$from/big/d3" && mv "$from/big/big1" "$from/one" && mv "$from/odd" "$from/other"
    halt dst "$2" "$3"
    godwit job start "$job" >/dev/null
    until_true 30 "dst stands still at $2" halted dst
    cut_power "$type"
    up dst
    job_end "$job" 90 done
    same "$from" "$dst" --filter="-x trusted.SGI_ACL_*"
    no_temporaries "$dst"
    godwit job start "$job" >/dev/null
    job_end "$job" 60 done
    [ "$(report "$job" .totals.files)" = 0 ] || fail "a pass over the same sends something"
    passed "$type: power cut at $2 while it renames"
    rm -rf "$dst" "$from"
}

# While it makes files of others that share their blocks at the source, at POINT for the TIMES. time.
cut_sharing() { # TYPE POINT TIMES
    local type=$1 job=$1-$2-$3 dst=$work/$1/shares from=$work/sharing/tree
    [ -d "$from" ] || {
        disk sharing 400 xfs
        big_files "$from/big" 2 24
        cp -r --reflink=always "$from/big" "$from/copies"
        echo more >>"$from/copies/big1"
        sync -f "$from"
    }
    halt dst "$2" "$3"
    job_start "$job" "$from" "$dst" --delete
    until_true 30 "dst stands still at $2" halted dst
    cut_power "$type"
    whole=$(none_lies "$from" "$dst") || fail "something wrong stands under its final name"
    up dst
    job_end "$job" 90 done
    same "$from" "$dst"
    no_temporaries "$dst"
    godwit job start "$job" >/dev/null
    job_end "$job" 60 done
    [ "$(report "$job" .totals.files)" = 0 ] || fail "a pass over the same sends something"
    passed "$type: power cut at $2 while files share blocks ($whole files under their names, each whole)"
    rm -rf "$dst"
}

# While it writes large files past the page cache, at POINT for the TIMES. time.
cut_writing() { # TYPE agents|pull POINT TIMES
    local type=$1 how=$2 job=$1-$2-$3-$4 dst=$work/$1/written
    halt dst "$3" "$4"
    if [ "$how" = pull ]; then share_start "$job" "" "$dst"; else job_start "$job" "$src/big" "$dst"; fi
    until_true 30 "dst stands still at $3" halted dst
    cut_power "$type"
    whole=$(none_lies "$src/big" "$dst") || fail "something wrong stands under its final name"
    up dst
    job_end "$job" 90 done
    share_same "$src/big" "$dst"
    no_temporaries "$dst"
    passed "$type: power cut at $3, $4. time, $how ($whole files under their names, each whole, sent again: $(report "$job" .totals.again_bytes) bytes)"
    rm -rf "$dst"
}

share_ready "$src/big" && hows="agents pull" || hows=agents
for type in $types; do
    disk "$type" 400 "$type"
    state[dst]=$work/$type/state
    if [ -d "$work/saved" ]; then # it is enrolled already
        cp -a "$work/saved" "${state[dst]}" && sync -f "${state[dst]}" # else the cut would take its keys
        up dst
        until_true 15 "dst is online" is_online dst
    else
        fleet_up
        [ "$hows" = agents ] || share_up
    fi
    for percent in $cuts; do
        job=$type-$percent dst=$work/$type/to-$percent
        link_rate dst 300mbit
        job_start "$job" "$src" "$dst"
        until_true 30 "the transfer has begun" test -d "$dst/small"
        until_true 30 "$percent% is there" test_used "$dst" $((used * percent / 100))
        cut_power "$type"
        whole=$(none_lies "$src" "$dst") || fail "something wrong stands under its final name"
        kept=$(du -sk "$dst" 2>/dev/null | cut -f1)
        up dst
        job_end "$job" 90 done
        link_rate dst off
        same "$src" "$dst" --filter="-x trusted.SGI_ACL_*" # as xfs shows an ACL to root, besides the ACL
        no_temporaries "$dst"
        passed "$type: power cut at $percent% (${kept:-0} KiB survived, $whole files under their names, each whole, sent again: $(report "$job" .totals.again_bytes) of $total bytes)"
        rm -rf "$dst"
    done
    for point in $points; do
        cut_renaming "$type" "${point%:*}" "${point#*:}"
    done
    for point in $writing; do
        for how in $hows; do
            cut_writing "$type" "$how" "${point%:*}" "${point#*:}"
        done
    done
    for point in ${sharing:-}; do
        [ "$type" != xfs ] || cut_sharing "$type" "${point%:*}" "${point#*:}"
    done
    down dst
    rm -rf "$work/saved" && cp -a "${state[dst]}" "$work/saved"
    umount "$work/$type"
done
say done
