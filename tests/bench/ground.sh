# ground: where the bench's trees lie: memory of the lab hosts, or ext4 or XFS on a loop device that a host mounts.
# Sourced by tests/bench/transfer; wants $out, lab, on, fail.

tree_mib() { # TREE: its size
    case $1 in
    small) echo 430 ;;
    big) echo 4096 ;;
    mixed) echo 2350 ;;
    million) echo 4400 ;;
    empty5m) echo 1900 ;;
    flat) echo 400 ;;
    image10g) echo 10240 ;;
    esac
}
tree_inodes() { # TREE: more than it has
    case $1 in
    small) echo 52000 ;;
    mixed) echo 21000 ;;
    million | flat) echo 1010000 ;;
    empty5m) echo 5010000 ;;
    *) echo 100 ;;
    esac
}
# A tree at the scale, in MiB, and some room.
scaled_mib() { echo $(($(tree_mib "$1") / scale + 64)); }

on_disk() { [ "$kind" != memory ]; }

# What a file system for so many MiB of the row's tree is made of: much for small files, little for one large one.
disk_mib() {
    case $tree in
    delta*) echo $(($1 * 33 / 32 + 512)) ;;
    *) echo $(($1 * 5 / 4 + 512)) ;;
    esac
}

need_memory() { # MIB
    local have
    have=$(awk '/^MemAvailable/ {print int($2 / 1024)}' /proc/meminfo)
    [ "$have" -ge "$1" ] ||
        fail "tree $tree needs $1 MiB of free memory and there are $have: give --disk, or --scale N for a smaller tree"
}
need_disk() { # MIB
    local have
    have=$(df -m --output=avail "$out" | tail -1)
    [ "$have" -ge "$1" ] || fail "tree $tree needs $1 MiB free below $out and there are $have: give --scale N"
}

in_mounts_of() { # HOST CMD…: in the host's mounts, yet with this machine's devices
    local pid
    pid=$(lab pid "$1")
    shift
    nsenter -t "$pid" -m "$@"
}

# disk_image FILE MIB: all of it written once, as a disk's blocks are. Of a sparse file each first write to a block
# would make this machine's file system find room, which costs the processor half as much as the copy that is measured.
disk_image() {
    [ "$(stat -c %s "$1" 2>/dev/null)" = $(($2 << 20)) ] ||
        dd if=/dev/zero of="$1" bs=1M count="$2" oflag=direct status=none
}

# disk_new HOST MIB INODES: a new ext4, or XFS whose files can share blocks, at /srv/ground. New each time: ext4
# keeps away from inodes that were freed in the last minutes, so that a folder emptied before a run costs the run up
# to half its time. Past the machine's page cache: a disk has no second one, in which all that a host's cache holds
# lies once more, and what is read or written only seems to be.
disk_new() {
    local image=$out/$1.$kind device numbers
    disk_drop "$1"
    disk_image "$image" "$(disk_mib "$2")"
    case $kind in # neither may punch holes
    ext4)
        UNIX_IO_NOZEROOUT=1 mkfs.ext4 -qF -m 0 -N $(($3 * 5 / 4 + 20000)) \
            -E nodiscard,lazy_itable_init=0,lazy_journal_init=0 "$image"
        ;;
    xfs) mkfs.xfs -qfK -m reflink=1 "$image" ;;
    esac
    device=$(losetup --direct-io=on --find --show "$image")
    numbers=$(stat -c '0x%t 0x%T' "$device")
    # shellcheck disable=SC2086,SC2016
    in_mounts_of "$1" sh -c 'mkdir -p /srv/ground && rm -f "$1" && mknod "$1" b "$2" "$3" && mount "$1" /srv/ground' \
        sh "/dev/bench${device##*/}" $numbers
    losetup -d "$device" # goes away when the file system is unmounted
}
disk_drop() { # HOST; an agent may still watch it for a moment
    local i image
    for ((i = 0; i < 50; i++)); do
        in_mounts_of "$1" mountpoint -q /srv/ground || break
        in_mounts_of "$1" umount /srv/ground 2>/dev/null || sleep 0.1
    done
    ! in_mounts_of "$1" mountpoint -q /srv/ground || in_mounts_of "$1" umount -l /srv/ground
    for image in "$out/$1.ext4" "$out/$1.xfs"; do
        for ((i = 0; i < 20; i++)); do
            [ -n "$(losetup -j "$image")" ] || continue 2
            sleep 0.1
        done
        rm -f "$image" # something still writes to it
    done
}

# ground_clear HOST [MIB INODES]: an empty /srv/ground of the row's kind.
ground_clear() {
    if on_disk; then
        disk_new "$@"
    else
        on "$1" sh -c 'rm -rf /srv/ground && mkdir /srv/ground'
    fi
}
ground_free() { # HOST…: memory and disk go back
    local host
    for host; do
        disk_drop "$host"
        rm -f "$out/$host.ext4" "$out/$host.xfs"
        on "$host" rm -rf /srv/ground
    done
}

# tree_make HOST TREE: at /srv/ground/tree, in the page cache.
tree_make() {
    ground_clear "$1" "$(scaled_mib "$2")" $(($(tree_inodes "$2") / scale))
    on "$1" /root/maketree "$2" /srv/ground/tree "$scale"
    ! on_disk || on "$1" sync -f /srv/ground
}
