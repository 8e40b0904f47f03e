# host: one booted Debian: an overlay on the base root, a control group of its own, systemd as its
# init. Sourced by tests/lab/lab.

host_dir() { echo "$lab_dir/hosts/$1"; }
host_names() { [ ! -d "$lab_dir/hosts" ] || ls "$lab_dir/hosts"; }
host_check() { [ -d "$(host_dir "$1")" ] || die "lab '$LAB_NAME' has no host '$1'"; }
host_ip() { host_check "$1" && cat "$(host_dir "$1")/address"; }
host_group() { echo "$groups/$1"; }

# The process id of the host's init, as seen from here; changes at each reboot.
host_pid() { # HOST
    local nspawn init=""
    { read -r nspawn <"$(host_group "$1")/supervisor/cgroup.procs"; } 2>/dev/null || return 1
    # Without looking through all processes of the machine: this is asked for each command.
    if [ -e "/proc/$nspawn/task/$nspawn/children" ]; then
        { read -r init _ <"/proc/$nspawn/task/$nspawn/children"; } 2>/dev/null || [ -n "$init" ] || return 1
        echo "$init"
    else
        pgrep -P "$nspawn" | head -1 | grep .
    fi
}

host_write_files() { # HOST NUMBER
    local root
    root="$(host_dir "$1")/root"
    echo "$1" >"$root/etc/hostname"
    systemd-id128 new >"$root/etc/machine-id"
    cp "$lab_dir/hosts.txt" "$root/etc/hosts"
    [ ! -e "$lab_dir/dc" ] || domain_files "$root"
    local card=host0
    if [ -d "$root/usr/share/lab-guest" ]; then # a host of machines: they hang on the lab's network as it does
        card=br0
        printf '[NetDev]\nName=br0\nKind=bridge\n[Bridge]\nSTP=no\nForwardDelaySec=0\n' >"$root/etc/systemd/network/10-br0.netdev"
        printf '[Match]\nName=host0\n[Network]\nBridge=br0\n' >"$root/etc/systemd/network/10-host0.network"
    fi
    # 10-: the unit's own 80-container-host0.network would win over a later name.
    cat >"$root/etc/systemd/network/10-lab.network" <<END
[Match]
Name=$card
[Network]
Address=$(cat "$(host_dir "$1")/address")/24
Gateway=$(net_prefix).1
LinkLocalAddressing=no
IPv6AcceptRA=no
END
    [[ " ${ifupdown:-} " != *" $1 "* ]] || ifupdown_files "$root" "$(cat "$(host_dir "$1")/address")"
}

# /srv is a plain folder of this machine's disk (LAB_SRV=tmpfs: of memory), so that tests see real
# ext4 or tmpfs and not the overlay.
host_mount() { # HOST BASE
    local dir
    dir=$(host_dir "$1")
    mkdir -p "$dir/upper" "$dir/work" "$dir/root" "$dir/srv"
    mount -t overlay "lab-$LAB_NAME-$1" -o "lowerdir=$2,upperdir=$dir/upper,workdir=$dir/work" \
        "$dir/root"
    [ "${LAB_SRV:-disk}" != tmpfs ] || mount -t tmpfs -o mode=0755,size=80% "lab-$LAB_NAME" "$dir/srv"
}

# Runs until the host powers off; a reboot inside ends systemd-nspawn with 133. systemd-nspawn needs a
# terminal for its console, also where there is none.
host_loop() { # HOST
    local dir rc
    dir=$(host_dir "$1")
    echo $BASHPID >"$(host_group "$1")/cgroup.procs"
    while rc=0; do
        nsenter --net="/run/netns/$netns" unshare --mount --propagation private \
            script -qfec "exec '$here/boot' '$dir' '$1'" "$dir/console" </dev/null >/dev/null 2>&1 ||
            rc=$?
        [ $rc -eq 133 ] || break
    done
    echo "$rc" >"$dir/ended"
}

host_start() { # HOST
    mkdir -p "$(host_group "$1")"
    rm -f "$(host_dir "$1")/ended"
    # The loop must hold no file of ours open: who waits for our output would wait for the host.
    (
        exec 0</dev/null 1>/dev/null 2>&1
        for fd in /proc/self/fd/*; do
            fd=${fd##*/}
            [ "$fd" -le 2 ] || eval "exec $fd>&-"
        done
        trap '' HUP INT
        host_loop "$1"
    ) &
    disown
}

host_add() { # HOST NUMBER BASE
    mkdir -p "$(host_dir "$1")"
    echo "$(net_prefix).$((10 + $2))" >"$(host_dir "$1")/address"
    host_mount "$1" "$3"
    host_write_files "$1" "$2"
    host_start "$1"
}

# Up means: systemd has finished starting (a failed unit is the test's business).
host_wait() { # HOST
    local limit=$((SECONDS + ${LAB_WAIT:-60})) state
    host_check "$1"
    while [ $SECONDS -lt $limit ]; do
        state=$(host_run "$1" systemctl is-system-running 2>/dev/null) || true
        case "$state" in running | degraded) return 0 ;; esac
        sleep 0.1
    done
    tail -5 "$(host_dir "$1")/console" >&2
    die "host '$1' did not come up: see $(host_dir "$1")/console"
}

# In the host's control group, so that the host's account has it and the host's end ends it.
host_run() { # HOST CMD…
    local pid group
    host_check "$1"
    pid=$(host_pid "$1") || { echo "lab: host '$1' is not running" >&2; return 125; }
    group=$(host_group "$1")/payload/lab
    shift
    (
        { [ -d "$group" ] || mkdir -p "$group"; } && echo $BASHPID >"$group/cgroup.procs"
        exec nsenter -t "$pid" -a --wdns=/ env -i \
            PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
            HOME=/root TERM="${TERM:-dumb}" LC_ALL=C.UTF-8 "$@"
    )
}

host_reboot() { # HOST: as a power cut if --hard
    local before
    before=$(host_pid "$1") || die "host '$1' is not running"
    if [ "${2:-}" = --hard ]; then
        host_stop "$1"
        host_start "$1"
    else
        # Its init may end before it has answered.
        host_run "$1" systemctl --no-block reboot 2>/dev/null || true
        # What still runs there from outside goes now: the shutdown stops all processes for a moment,
        # nsenter then stops itself for good, and the host would wait for its child for ever.
        echo 1 >"$(host_group "$1")/payload/lab/cgroup.kill" || true
    fi
    local limit=$((SECONDS + ${LAB_WAIT:-60}))
    while [ "$(host_pid "$1")" = "$before" ]; do
        [ $SECONDS -lt $limit ] || die "host '$1' does not restart"
        sleep 0.1
    done
    host_wait "$1"
}

host_kill() { # HOST PROCESS
    host_run "$1" pkill -KILL -x "$2" || die "host '$1' runs no '$2'"
}

host_stop() { # HOST: at once, with everything in it
    local group
    group=$(host_group "$1")
    [ -d "$group" ] || return 0
    # A connection that nobody answers keeps the kernel's side of its network alive, and answering, for a minute.
    ip -n "$netns" link del "vb-$1" 2>/dev/null || true
    while [ -d "$group" ]; do
        echo 1 >"$group/cgroup.kill"
        find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || sleep 0.05
    done
}

host_remove() { # HOST
    local dir
    dir=$(host_dir "$1")
    host_stop "$1"
    mountpoint -q "$dir/root" && umount -l "$dir/root"
    # Emptied first: memory is free then, whoever still holds the file system.
    ! mountpoint -q "$dir/srv" || { find "$dir/srv" -mindepth 1 -delete; umount -l "$dir/srv"; }
    rm -rf --one-file-system "$dir" 2>/dev/null && return 0
    chattr -Rf -ia "$dir" || true # a test may have left immutable files
    rm -rf --one-file-system "$dir"
}

host_push() { # HOST SRC DST: a file or folder of this machine into the host
    local pid
    pid=$(host_pid "$1") || die "host '$1' is not running"
    tar -C "$(dirname "$2")" --xattrs --acls -cf - "$(basename "$2")" |
        host_run "$1" sh -c 'mkdir -p "$1" && tar -C "$1" --xattrs --acls -xf -' sh "$3"
}
