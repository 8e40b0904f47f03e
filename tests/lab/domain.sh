# domain: a real domain of the lab: LAB.TEST, with a Samba domain controller that is the lab's name server,
# members, users, tickets. Sourced by tests/lab/lab.
#
# The directory is provisioned once into an image that lies beside the root file systems; a controller
# that starts from it only gets its address put in.

domain_realm=LAB.TEST domain_name=LAB
domain_password=Lab-Passw0rd # of Administrator and of all users
domain_version=1             # raise it when the provisioning changes
domain_placeholder=10.255.255.10

domain_dc() { cat "$lab_dir/dc" 2>/dev/null || die "lab '$LAB_NAME' has no domain: up --dc NAME"; }

# What the traps are: without samba_spnupdate nobody gets a ticket for the directory; the forwarder that
# the provisioning finds is the controller itself, and questions would go round for ever.
domain_provision() { # DC: in a root of its own without a network
    cat <<END
set -e
hostname $1
rm -rf /etc/samba/smb.conf /var/lib/samba/private
mkdir -p -m 700 /var/lib/samba/private
printf '127.0.0.1 localhost\n$domain_placeholder $1.${domain_realm,,} $1\n' >/etc/hosts
samba-tool domain provision --realm=$domain_realm --domain=$domain_name --server-role=dc \
    --dns-backend=SAMBA_INTERNAL --adminpass=$domain_password --host-name=$1 \
    --host-ip=$domain_placeholder --use-rfc2307 \
    --option='server services=s3fs, rpc, ldap, cldap, kdc, winbindd, dns'
sed -i '/dns forwarder/d' /etc/samba/smb.conf
samba-tool domain passwordsettings set --complexity=off --min-pwd-length=1 --min-pwd-age=0 \
    --max-pwd-age=0 --history-length=0
ip link set lo up
samba_spnupdate
END
}

# Prints the folder that is laid over the root file system BASE; makes it when it is not there.
domain_image() { # DC BASE
    local key image new
    key=$( (echo "$domain_version $1 $2"; domain_provision "$1") | sha256sum | cut -c1-12)
    image=$LAB_CACHE/domain-$key
    (
        flock 9
        [ -d "$image" ] && exit 0
        say "provisioning the domain $domain_realm (once): $image"
        new=$image.new.$$
        mkdir -p "$new"/{upper,work,root}
        if ! domain_provision "$1" | unshare --mount --net --uts --pid --fork --propagation private bash -c '
            mount -t overlay domain -o "lowerdir=$2,upperdir=$1/upper,workdir=$1/work" "$1/root" &&
            mount -t proc proc "$1/root/proc" && mount --rbind /dev "$1/root/dev" &&
            exec chroot "$1/root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 \
                bash -s' domain "$new" "$2" >"$new.log" 2>&1; then
            tail -20 "$new.log"
            rm -rf --one-file-system "$new"
            exit 1
        fi
        rm -f "$new.log"
        mv -T "$new/upper" "$image"
        rm -rf --one-file-system "$new"
    ) 9>"$LAB_CACHE/lock" >&2 || return 1
    echo "$image"
}

# What every host of a lab with a domain has: the name server, and where tickets are got.
domain_files() { # ROOT
    printf 'search %s\nnameserver %s\noptions timeout:2 attempts:2\n' "${domain_realm,,}" "$(cat "$lab_dir/dc-address")" \
        >"$1/etc/resolv.conf"
    cat >"$1/etc/krb5.conf" <<END
[libdefaults]
 default_realm = $domain_realm
 dns_lookup_realm = false
 dns_lookup_kdc = true
 rdns = false
END
}

domain_serve() { # DC
    host_run "$1" python3 - address "$domain_placeholder" "$(host_ip "$1")" <"$here/domain.py" >/dev/null ||
        die "host '$1': the directory does not take its address"
    host_run "$1" systemctl enable -q --now samba-ad-dc || die "host '$1': no domain controller"
    # Answers: names, the directory, tickets.
    host_until "$1" "answers as a domain controller" sh -c '
        host -W1 -t SRV _ldap._tcp.'"${domain_realm,,}"' &&
        ldapsearch -x -H ldap://127.0.0.1 -s base -b "" dn &&
        echo '$domain_password' | kinit -c /run/lab-ready Administrator && rm -f /run/lab-ready'
}

host_until() { # HOST WHAT CMD…
    local host=$1 what=$2 limit=$((SECONDS + ${LAB_WAIT:-60}))
    shift 2
    until host_run "$host" "$@" >"$lab_dir/until.$host" 2>&1; do
        [ $SECONDS -lt $limit ] || { cat "$lab_dir/until.$host" >&2; die "host '$host' never $what"; }
        sleep 0.1
    done
}

# A host becomes a member: smb.conf written anew (shares are appended by who wants some), winbind runs.
domain_join() { # HOST [--range A-B] [--backend B] [--global LINE]…
    local host=$1 range=100000-199999 backend=rid more=""
    shift
    while [ $# -gt 0 ]; do
        case $1 in
        --range) range=${2:?--range needs two numbers} && shift 2 ;;
        --backend) backend=${2:?--backend needs a name} && shift 2 ;;
        --global) more+="   ${2?--global needs a line}"$'\n' && shift 2 ;;
        *) die "join: unknown option '$1'" ;;
        esac
    done
    local idmap="   idmap config * : backend = tdb
   idmap config * : range = 3000-7999
   idmap config $domain_name : backend = $backend
   idmap config $domain_name : range = $range"
    # These give ids as people come, and are for all domains.
    [[ $backend != autorid && $backend != tdb ]] || idmap="   idmap config * : backend = $backend
   idmap config * : range = $range"
    # The domain's own "Domain Users" has no id in the directory: users have the group that is written there.
    [ "$backend" != ad ] || idmap+="
   idmap config $domain_name : schema_mode = rfc2307
   idmap config $domain_name : unix_primary_group = yes"
    host_run "$host" sh -c 'cat >/etc/samba/smb.conf' <<END
[global]
   workgroup = $domain_name
   realm = $domain_realm
   security = ads
   netbios name = ${host^^}
   kerberos method = secrets and keytab
$idmap
   vfs objects = acl_xattr streams_xattr
   map acl inherit = yes
   store dos attributes = yes
   load printers = no
$more
END
    domain_dc >/dev/null
    host_run "$host" sh -c 'sed -i "s/^\(passwd\|group\):.*/\1: files systemd winbind/" /etc/nsswitch.conf
        echo '$domain_password' | net ads join -U Administrator -S '"$(domain_dc).${domain_realm,,}" >"$lab_dir/join.$host" 2>&1 ||
        { cat "$lab_dir/join.$host" >&2; die "host '$host' does not join"; }
    # winbind remembers ids beyond its end, by other ranges too.
    host_run "$host" sh -c 'systemctl enable -q winbind; systemctl stop winbind; net cache flush; cd /var/lib/samba && rm -f winbindd_cache.tdb winbindd_idmap.tdb autorid.tdb'
    host_run "$host" systemctl restart winbind
    host_until "$host" "trusts its domain" wbinfo -t
}

# Runs a command in a host with a user's ticket: KRB5CCNAME is set, smbclient --use-kerberos=required works.
domain_as() { # HOST USER CMD…
    local host=$1 user=$2
    shift 2
    # shellcheck disable=SC2016
    host_run "$host" env KRB5CCNAME="/run/lab-ticket-$user" sh -c 'user=$1 password=$2; shift 2
        klist -s || said=$(echo "$password" | kinit "$user" 2>&1) || { echo "$said" >&2; exit 125; }
        exec "$@"' sh "$user" "$domain_password" "$@"
}

domain_change() { # user|group …
    host_run "$(domain_dc)" python3 - "$@" <"$here/domain.py"
}
