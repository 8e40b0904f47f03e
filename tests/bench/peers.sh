# peers: one copy from fs1:/srv/ground/tree to new1:$target by each of them. Sourced by tests/bench/transfer.

rsync_options="-aHAX --numeric-ids"
rclone=/media/usr/bin/rclone # this machine's: the hosts need not have it

move_rsync() {
    # shellcheck disable=SC2086
    began_on fs1 rsync $rsync_options $more_rsync /srv/ground/tree/ "rsync://new1/srv/${target#/srv/}/"
}
move_inplace() {
    # shellcheck disable=SC2086
    began_on fs1 rsync $rsync_options $more_rsync --inplace /srv/ground/tree/ "rsync://new1/srv/${target#/srv/}/"
}
move_ssh() {
    # shellcheck disable=SC2086
    began_on fs1 rsync $rsync_options $more_rsync -e ssh /srv/ground/tree/ "root@new1:$target/"
}
# The receiving end listens before the clock starts.
listen_tar() {
    on new1 sh -c 'mkdir -p "$1" && socat -u TCP-LISTEN:7999,reuseaddr - | tar -C "$1" --acls --xattrs --numeric-owner -xpf -' sh "$target" &
    tar_end=$!
    until on new1 ss -Hltn 'sport = 7999' | grep -q .; do sleep 0.01; done
}
move_tar() {
    began_on fs1 sh -c 'tar -C /srv/ground/tree --acls --xattrs --numeric-owner -cf - . | socat -u - TCP:new1:7999'
    wait "$tar_end"
}
rclone_copy() { # HOST FROM TO
    began_on "$1" timeout "${rclone_limit:-0}" $rclone copy -q --config /root/rclone.conf --transfers 8 --checkers 8 "$2" "$3"
}
move_rclone_sftp() { rclone_copy fs1 /srv/ground/tree "new1sftp:$target"; }
move_rclone_http() { rclone_copy new1 fs1http: "$target"; }
move_rclone() { "move_rclone_$rclone_by"; }
move_godwit() { # the phase that does what the peers do: none of them counts the files beforehand
    # shellcheck disable=SC2086
    began_on orch godwit job start "$job" $godwit_phase --wait >"$out/watch" 2>&1 || { cat "$out/watch"; godwit job report "$job"; fail "job $job failed"; }
}
move_manifest() { move_godwit; }

# Which of the two ways is faster here: both run once, the second for little more than twice the first.
rclone_try() { move_rclone || { [ $? = 124 ] && tried="given up after"; }; }
rclone_choose() {
    local by best='' tried
    for by in sftp http; do
        rclone_by=$by rclone_limit=${best:+$(awk "BEGIN {print int(2 * $best) + 5}")} tried=''
        prepare rclone
        timed rclone_try
        say "rclone by $by: ${tried:+$tried }$took s"
        if [ -z "$best" ] || awk "BEGIN {exit !($took < $best)}"; then best=$took faster=$by; fi
    done
    rclone_by=$faster rclone_limit=''
}

# What the peers listen with, and how they get in.
peers_up() {
    on new1 sh -c 'cat >/root/rsyncd.conf && rsync --daemon --config=/root/rsyncd.conf' <<'END'
uid = 0
gid = 0
use chroot = yes
numeric ids = yes
[srv]
path = /srv
read only = no
END
    on fs1 ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519
    on fs1 cat /root/.ssh/id_ed25519.pub | on new1 sh -c 'mkdir -p /root/.ssh && cat >>/root/.ssh/authorized_keys'
    on fs1 sh -c 'ssh-keyscan -t ed25519 new1 2>/dev/null >/root/.ssh/known_hosts; ssh new1 true' ||
        fail "fs1 cannot reach new1 by ssh"
    on fs1 sh -c 'cat >/root/rclone.conf' <<'END'
[new1sftp]
type = sftp
host = new1
user = root
key_file = /root/.ssh/id_ed25519
known_hosts_file = /root/.ssh/known_hosts
shell_type = unix
md5sum_command = none
sha1sum_command = none
END
    on new1 sh -c 'cat >/root/rclone.conf' <<END
[fs1http]
type = http
url = http://$(lab ip fs1):7998/
END
}
# Serves the source tree as it lies there when it is asked.
http_up() {
    on fs1 systemd-run -q --unit=bench-http --collect \
        $rclone serve http --config /root/rclone.conf --addr :7998 --read-only --dir-cache-time 0s --poll-interval 0 /srv/ground/tree
    until_true 10 "rclone serves" on new1 bash -c 'exec 3<>/dev/tcp/fs1/7998' 2>/dev/null
}
http_down() { on fs1 systemctl stop bench-http 2>/dev/null || true; }
