# cutlib: what the scenarios of a cutover share: servers with shares and users, and who looks at them as a user from
# a third host. Sourced after lib.sh.

net() { lab ip "$1" | sed 's/\.[0-9]*$//'; }
admin_of() { echo "$(net "$1").$((100 + ${2:-0}))"; } # HOST [N]: where the source's administrators find it afterwards
cut_job() { godwit cutover report "$1" -o json | jq -r "$2"; } # JOB EXPRESSION

# The third host knows a server by these names and nothing of who it is.
names_for() { # CLIENT SERVER NAME…: beside its own
    local client=$1 server=$2
    shift 2
    on "$client" sh -c "echo '$(lab ip "$server") $*' >>/etc/hosts"
}

# users_on HOST USER:UID…: unix and Samba users of a workgroup server; password pw-USER.
users_on() {
    local host=$1 u
    shift
    for u; do
        on "$host" sh -c "useradd -M -u ${u#*:} ${u%:*} && printf 'pw-${u%:*}\npw-${u%:*}\n' | smbpasswd -s -a ${u%:*} >/dev/null"
    done
}

# standalone HOST [LINE]…: Samba on a workgroup server, with these lines in [global]; more comes on standard input.
standalone() {
    local host=$1
    shift
    { printf '[global]\n workgroup = WORKGROUP\n server role = standalone server\n map to guest = never\n log level = 1\n'
        printf ' %s\n' "$@"; cat; } | on "$host" sh -c 'cat >/etc/samba/smb.conf'
    on "$host" systemctl enable -q --now smbd
}

share() { printf '[%s]\n path = %s\n read only = no\n' "$1" "$2"; }

# as_user CLIENT SERVER SHARE USER COMMANDS [PASSWORD]: else $users_password, else as users_on has made it.
as_user() { on "$1" timeout 20 smbclient "//$2/$3" -U "$4%${6:-${users_password:-pw-$4}}" -c "$5" 2>&1; }

# uses CLIENT SERVER SHARE USER: opens, writes, reads, deletes.
uses() {
    local out probe=/run/probe-$2
    on "$1" sh -c "echo through >$probe"
    out=$(as_user "$1" "$2" "$3" "$4" "put $probe probe-file; get probe-file $probe.back; rm probe-file; ls") ||
        { echo "$out"; return 1; }
    [[ $out != *NT_STATUS_* ]] || { echo "$out"; return 1; }
    on "$1" cmp -s $probe $probe.back
}
must_use() { uses "$@" >/run/uses.$$ 2>&1 || { cat /run/uses.$$; rm -f /run/uses.$$; fail "$4 cannot use //$2/$3"; }; rm -f /run/uses.$$; }
refuses() { ! as_user "$@" 'ls' >/dev/null; } # CLIENT SERVER SHARE USER

# served_from CLIENT SERVER SHARE USER HOST: is it HOST's own folder that the user sees there?
served_from() {
    local mark=mark-$RANDOM rc=0
    on "$5" touch "/srv/data/$3/$mark"
    as_user "$1" "$2" "$3" "$4" "ls $mark" >/dev/null || rc=1
    on "$5" rm "/srv/data/$3/$mark"
    return $rc
}

# Who answers for an address, all the time, as seen from CLIENT; more than one machine is two servers.
watch_address() { # CLIENT ADDRESS
    lab push "$1" "$top/tests/lab/who.py" /root
    on "$1" sh -c 'systemctl stop -q who 2>/dev/null; rm -f /run/who /run/who.two'
    on "$1" systemd-run -q --unit=who python3 /root/who.py host0 "$2" /run/who
    until_true 10 "somebody answers for $2" on "$1" grep -qs : /run/who
}
never_two() { # CLIENT [WHEN]
    on "$1" systemctl -q is-active who || fail "nobody watches the address"
    on "$1" sh -c '! [ -s /run/who.two ]' || { on "$1" cat /run/who.two | head -5; fail "two machines answered for one address${2:+: $2}"; }
}

# Of this job: a person does a stage of it.
by_hand=move
held() { # STAGE COMMAND…: the cutover waits for a person there
    local stage=$1 rc=0
    shift
    godwit cutover "$@" >/run/held.$$ 2>&1 || rc=$?
    [ $rc = 3 ] || { cat /run/held.$$; fail "exit code $rc, not 3"; }
    rm -f /run/held.$$
    [ "$(cut_job $by_hand '.pairs[0].hold')" = "$stage" ] || fail "it waits for $(cut_job $by_hand '.pairs[0].hold'), not $stage"
}
type_stage() { # STAGE: what the runbook says, word for word
    local host command
    while IFS=$'\t' read -r host command; do
        on "$host" bash -c "$command" >/dev/null </dev/null || fail "on $host: $command"
    done < <(godwit cutover runbook $by_hand -o json | jq -r ".pairs[0].stages[] | select(.id == \"$1\").commands[] | [.on, .command] | @tsv" | sed 's/\\\\/\\/g')
}

# Has a host noted this stage (its file is there)? Looked at from outside: also of a host that is off.
noted() { compgen -G "$(lab dir "$1")/upper/var/lib/godwit/agent/cutover/*/$2" >/dev/null; } # HOST FILE

# What a cutover may change of a host, and a rollback has to put back.
identity_of() {
    looks_of "$1"
    on "$1" sh -c 'for f in /var/lib/samba/private/secrets.tdb /var/lib/samba/private/passdb.tdb /var/lib/samba/group_mapping.tdb /etc/krb5.keytab; do
            [ ! -e $f ] || { echo $f; tdbdump $f 2>/dev/null | sort | sha256sum; }; done'
}
# The same but for keys, which a way back by joining anew makes anew.
looks_of() {
    on "$1" sh -c 'hostname; cat /etc/hostname /etc/hosts /etc/samba/smb.conf /etc/systemd/network/*; ip -br addr show dev host0 | tr -s " " | sed "s,@if[0-9]*,,"
        systemctl is-enabled smbd nmbd winbind; systemctl is-active smbd winbind; true'
}

# No secret of Samba's in an argument, a log, the journal or a file that others may read.
watch_arguments() { # HOST…
    local h
    for h; do
        on "$h" systemd-run -q --unit=arguments sh -c 'while :; do cat /proc/[0-9]*/cmdline; sleep 0.03; done 2>/dev/null | tr "\0" "\n" >/run/arguments'
    done
}
no_secret() { # SECRET HOST…
    local secret=$1 h
    shift
    for h; do
        on "$h" systemctl stop -q arguments 2>/dev/null || true # else it finds the secret in this very question
        on "$h" sh -c "! grep -qaF -- '$secret' /run/arguments 2>/dev/null" || fail "a secret in an argument on $h"
        on "$h" sh -c "! grep -rlaF -- '$secret' /var/log /tmp /var/tmp 2>/dev/null" || fail "a secret in a file of $h"
        on "$h" sh -c "! find /var/lib/godwit /run/godwit* -type f -perm /044 -exec grep -laF -- '$secret' {} + 2>/dev/null | grep ." || fail "a secret that others may read on $h"
        on "$h" sh -c "! journalctl -q --no-pager | grep -qaF -- '$secret'" || fail "a secret in the log of $h"
    done
}
