# ifupdown: a host whose network is Debian's older manager's: its packages laid over the root file system that all
# hosts share, which is none the larger for it. Sourced by tests/lab/lab.

# Prints the folder of the packages; downloads them when it is not there.
ifupdown_debs() {
    local dir
    dir=$LAB_CACHE/debs-$(base_section lab-ifupdown | sha256sum | cut -c1-12)
    (
        flock 9
        [ -d "$dir" ] && exit 0
        say "downloading the packages of ifupdown (once): $dir"
        mkdir -p "$dir.new.$$"
        # shellcheck disable=SC2046
        # A machine that has just been set up may know no packages yet.
        (cd "$dir.new.$$" && apt-get -qq update && apt-get -qq -o APT::Sandbox::User=root download $(base_section lab-ifupdown)) &&
            mv -T "$dir.new.$$" "$dir" || { rm -rf "$dir.new.$$"; exit 1; }
    ) 9>"$LAB_CACHE/lock" >&2 || return 1
    echo "$dir"
}

ifupdown_files() { # ROOT ADDRESS
    local debs
    debs=$(ifupdown_debs) || die "the packages of ifupdown cannot be downloaded"
    cp "$debs"/*.deb "$1/root/"
    chroot "$1" env DEBIAN_FRONTEND=noninteractive sh -c 'dpkg --force-confnew -i /root/*.deb && rm /root/*.deb' >"$1/root/dpkg.log" 2>&1 ||
        { tail -5 "$1/root/dpkg.log" >&2; die "ifupdown cannot be installed"; }
    rm "$1/etc/systemd/network/10-lab.network"
    ln -sf /dev/null "$1/etc/systemd/system/systemd-networkd.service"
    ln -sf /dev/null "$1/etc/systemd/system/systemd-networkd.socket"
    systemctl -q --root="$1" enable networking.service
    cat >"$1/etc/network/interfaces" <<END
# of this host
source /etc/network/interfaces.d/*

auto lo
iface lo inet loopback

auto host0
iface host0 inet static
    address $2/24
    gateway $(net_prefix).1
END
}
