# sharelib: a Samba in the place of the fleet's source, which plays a server without an agent; the destination's agent is the proxy.
# Sourced behind lib.sh, by fault cases and by bench/smb.
#   share_ready FOLDER   before fleet_up: `data` is that folder. 1: there is no Samba here
#   share_up             after it: smbd runs, and the endpoint is nas:data
share_secret=share-7319
share_at=$work/samba

share_ready() { # FOLDER
    command -v smbd smbclient >/dev/null && [ -e /etc/samba/smb.conf ] || {
        echo "skipped: all that pulls over SMB, since there is no Samba here"
        return 1
    }
    local f
    for f in passwd group; do cp /etc/$f "$work/$f"; done
    echo "migrator:x:64001:64001::/:/usr/sbin/nologin" >>"$work/passwd"
    echo "migrator:x:64001:" >>"$work/group"
    mount --bind "$work/passwd" /etc/passwd # of this mount namespace alone
    mount --bind "$work/group" /etc/group
    mkdir -p "$share_at"/{private,lock,state,cache,pid}
    cat >"$share_at/smb.conf" <<CONF
[global]
  server role = standalone server
  netbios name = WINSRV
  interfaces = ${ip[src]}/24
  bind interfaces only = yes
  smb ports = 445
  disable netbios = yes
  private dir = $share_at/private
  lock directory = $share_at/lock
  state directory = $share_at/state
  cache directory = $share_at/cache
  pid directory = $share_at/pid
  ncalrpc dir = $share_at/pid
  log file = $share_at/log
  passdb backend = tdbsam:$share_at/private/passdb.tdb
  load printers = no
  disable spoolss = yes
  vfs objects = acl_xattr streams_xattr
  store dos attributes = yes
  acl_xattr:ignore system acls = yes
[data]
  path = $1
  read only = no
  admin users = migrator
CONF
    mount --bind "$share_at/smb.conf" /etc/samba/smb.conf
    printf '%s\n%s\n' "$share_secret" "$share_secret" | smbpasswd -c "$share_at/smb.conf" -s -a migrator >/dev/null
    net -s "$share_at/smb.conf" sam rights grant migrator SeSecurityPrivilege >/dev/null # audit ACLs too
}
share_client() { # ARG…: smbclient at the destination
    PASSWD=$share_secret nsenter --net="/run/netns/$ns-dst" smbclient -s "$share_at/smb.conf" "//${ip[src]}/data" -U migrator "$@" >/dev/null 2>&1
}
share_down() { [ ! -e "$share_at/pid/smbd.pid" ] || kill -- "-$(cat "$share_at/pid/smbd.pid")" 2>/dev/null || true; } # with its connections
share_up() {
    nsenter --net="/run/netns/$ns-src" smbd -s "$share_at/smb.conf" -D
    later share_down
    until_true 20 "smbd answers" share_client -c quit
    printf 'migrator\n%s\n' "$share_secret" | godwit credential add reader >/dev/null
    godwit endpoint add nas --address "${ip[src]}" --credentials reader >/dev/null
}
share_start() { # JOB FOLDER-OF-THE-SHARE|"" DST [OPTION…]: a pull of it
    godwit job create files --name "$1" --pair "nas:data${2:+/$2}=dst:$3" "${@:4}" >/dev/null
    godwit job start "$1" >/dev/null
}
share_same() { # SRC DST [DIFF-OPTION…]: names and content; smbd has its own idea of the rest
    diff -r "${@:3}" "$1" "$2" >"$work/diff" 2>&1 || { head -30 "$work/diff"; fail "$1 and $2 differ"; }
}
