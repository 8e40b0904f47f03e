# base: the root file systems that the hosts of all labs share, each built once per package list and kept
# outside the tree: "plain", "samba" for file servers, "vm" for hosts of machines (built when first asked for).
# Sourced by tests/lab/lab.

LAB_CACHE=${LAB_CACHE:-/var/cache/godwit-lab}
base_version=2 # raise it when base_configure or base_build changes

base_section() { "$top/packaging/install-dependencies" --print "$@"; } # SECTION…

base_packages() { # FLAVOUR
    local sections=(run lab)
    [ "$1" != samba ] || sections+=(lab-samba)
    base_section "${sections[@]}" | paste -sd,
}

base_dir() { # FLAVOUR
    local key
    key=$( (echo "$base_version"; base_packages "$1"; [ "$1" != vm ] || base_vm_hook) | sha256sum | cut -c1-12)
    echo "$LAB_CACHE/$key"
}

# Hosts of machines: QEMU 10 and libvirt 11 from backports, since emulated machines that migrate while they write are
# corrupted by Debian 12's own QEMU 7.2 (seen: they oops or stand still). Beside them the kernel of the tests' machines
# (guest.sh) with the modules that it needs, in the order in which they load.
base_vm_hook() {
    cat <<END
set -e
sed -n 's/ bookworm main\$/ bookworm-backports main/p' /etc/apt/sources.list >/etc/apt/sources.list.d/backports.list
apt-get -qq update
apt-get -qq install -y --no-install-recommends -t bookworm-backports $(base_section lab-vm | xargs)
cd /tmp
apt-get -qq download \$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p')
dpkg -x linux-image-*.deb kernel
mkdir -p /usr/share/lab-guest/mods
cp kernel/boot/vmlinuz-* /usr/share/lab-guest/vmlinuz
n=0
for module in virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_blk failover net_failover \
    virtio_net; do
    file=\$(find kernel/lib/modules -name \$module.ko)
    [ -n "\$file" ] || continue
    cp \$file /usr/share/lab-guest/mods/\$(printf %02d \$n)
    n=\$((n + 1))
done
rm -rf /tmp/*
END
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
    trap "rm -rf --one-file-system '$new' '$new.hook' '$new.log'" RETURN
    local more=()
    if [ "$1" = vm ]; then
        base_vm_hook >"$new.hook"
        more=(--customize-hook="chroot \"\$1\" sh -s <'$new.hook' >'$new.log' 2>&1 || { tail -20 '$new.log'; exit 1; }")
    fi
    mmdebstrap --quiet --variant=minbase --include="$(base_packages "$1")" "${more[@]}" bookworm "$new" ||
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
