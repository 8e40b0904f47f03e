# base: the root file system that all hosts of all labs share, built once per package list and kept
# outside the tree. Sourced by tests/lab/lab.

LAB_CACHE=${LAB_CACHE:-/var/cache/godwit-lab}
base_version=2 # raise it when base_configure or base_build changes

base_packages() { "$top/packaging/install-dependencies" --print run lab | paste -sd,; }

base_dir() {
    local key
    key=$( (echo "$base_version"; base_packages) | sha256sum | cut -c1-12)
    echo "$LAB_CACHE/$key"
}

# What differs from a plain Debian: the network comes up by itself and nothing runs on a timer.
base_configure() { # ROOT
    local unit
    systemctl -q --root="$1" enable systemd-networkd.service
    for unit in apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer fstrim.timer \
        dpkg-db-backup.timer man-db.timer console-getty.service systemd-networkd-wait-online.service; do
        ln -sf /dev/null "$1/etc/systemd/system/$unit"
    done
    rm -f "$1/etc/machine-id" "$1/etc/hostname" "$1/etc/resolv.conf"
    mkdir -p "$1/srv" "$1/root/.ssh"
}

base_build() { # DIR
    local new="$1.new.$$"
    # shellcheck disable=SC2064
    trap "rm -rf --one-file-system '$new'" RETURN
    mmdebstrap --quiet --variant=minbase --include="$(base_packages)" bookworm "$new" ||
        die "mmdebstrap failed: the lab needs a Debian mirror the first time"
    base_configure "$new"
    mv -T "$new" "$1"
}

# Prints the directory; builds it when it is not there. Two labs that start at once build it once.
base_ensure() {
    local dir
    dir=$(base_dir)
    mkdir -p "$LAB_CACHE"
    (
        flock 9
        [ -d "$dir" ] && exit 0
        say "building the root file system of the lab hosts (once, under a minute): $dir"
        base_build "$dir"
    ) 9>"$LAB_CACHE/lock" >&2 || return 1
    echo "$dir"
}
