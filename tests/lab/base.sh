# base: the root file systems that the hosts of all labs share, each built once per package list and kept
# outside the tree: "plain", "samba" for file servers, "vm" for hosts of machines (built when first asked for).
# Sourced by tests/lab/lab.

LAB_CACHE=${LAB_CACHE:-/var/cache/godwit-lab}
base_version=2 # raise it when base_configure or base_build changes

base_packages() { # FLAVOUR
    local sections=(run lab)
    [ "$1" = plain ] || sections+=("lab-$1")
    "$top/packaging/install-dependencies" --print "${sections[@]}" | paste -sd,
}

base_dir() { # FLAVOUR
    local key
    key=$( (echo "$base_version"; base_packages "$1") | sha256sum | cut -c1-12)
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
    # Servers start when a test starts them; `systemctl enable` in a host is for good, as everywhere.
    for unit in smbd nmbd winbind samba-ad-dc nfs-server nfs-client.target nfs-blkmap rpcbind.socket rpcbind quotarpc; do
        systemctl -q --root="$1" disable "$unit" 2>/dev/null || true
    done
    ln -sf /dev/null "$1/etc/systemd/system/run-rpc_pipefs.mount" # no kernel NFS in a container
    rm -f "$1/etc/machine-id" "$1/etc/hostname" "$1/etc/resolv.conf"
    mkdir -p "$1/srv" "$1/root/.ssh"
}

base_build() { # FLAVOUR DIR
    local new="$2.new.$$"
    # shellcheck disable=SC2064
    trap "rm -rf --one-file-system '$new'" RETURN
    mmdebstrap --quiet --variant=minbase --include="$(base_packages "$1")" bookworm "$new" ||
        die "mmdebstrap failed: the lab needs a Debian mirror the first time"
    base_configure "$new"
    mv -T "$new" "$2"
}

# Prints the directory; builds it when it is not there. Two labs that start at once build it once.
base_ensure() { # FLAVOUR
    local dir
    dir=$(base_dir "$1")
    mkdir -p "$LAB_CACHE"
    (
        flock 9
        [ -d "$dir" ] && exit 0
        say "building the root file system of the $1 lab hosts (once, a minute or two): $dir"
        base_build "$1" "$dir"
    ) 9>"$LAB_CACHE/lock" >&2 || return 1
    echo "$dir"
}
