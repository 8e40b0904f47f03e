#!/bin/bash
# guide: the operator's guide (docs/FILE-SERVER.md) word for word, from an empty orchestrator to a destination that was looked
# at: each of its commands is read from there and typed as it stands. The lab's kernel serves no NFS: a unit that does
# nothing stands in for the server.
# slow
# limit: 240
. "$(dirname "$0")/lib.sh"
guide=$top/docs/FILE-SERVER.md

packages
SAMBA_HOSTS="orch fs1 new1" lab_up orch fs1 new1

say "a server that people use, and an empty one; the operator's key is known to both"
on orch ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519
for host in fs1 new1; do
    on orch cat /root/.ssh/id_ed25519.pub | on $host sh -c 'umask 077; mkdir -p /root/.ssh; cat >>/root/.ssh/authorized_keys'
    until_true 20 "sshd of $host listens" on $host sh -c 'ss -Hltn "sport = 22" | grep -q .'
    on orch sh -c "ssh-keyscan -t ed25519 $host 2>/dev/null >>/root/.ssh/known_hosts"
    on $host sh -c 'printf "[Unit]\nDescription=stand-in\n[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n" >/etc/systemd/system/nfs-server.service; systemctl daemon-reload'
done
on fs1 bash -se <<'X'
groupadd -g 3000 staff2
for u in alice:3001 bob:3002; do
    useradd -M -u ${u#*:} -G staff2 ${u%:*}; printf "pw-${u%:*}\npw-${u%:*}\n" | smbpasswd -s -a ${u%:*} >/dev/null
done
mkdir -p /srv/data/projects /srv/data/public/sub && chmod 777 /srv/data/*
echo plan >/srv/data/projects/plan; echo free >/srv/data/public/sub/free; chown -R alice:staff2 /srv/data/projects; chmod 750 /srv/data/projects
setfacl -m u:bob:rx /srv/data/projects
printf '[global]\n workgroup = WORKGROUP\n server role = standalone server\n[projects]\n path = /srv/data/projects\n read only = no\n[public]\n path = /srv/data/public\n read only = no\n' >/etc/samba/smb.conf
sharesec public --setsddl="D:(A;;0x001f01ff;;;$(net sam show alice | sed 's/.*SID //'))(A;;0x001200a9;;;WD)" >/dev/null 2>&1
echo '/srv/data/public *(ro,no_subtree_check)' >/etc/exports; exportfs -ra
systemctl enable -q --now smbd
X
for deb in orchestrator console; do lab push orch "$(ls "$GODWIT_DEBS/godwit-${deb}"_*.deb)" /root; done
as() { on orch env PASSWD=pw-alice smbclient "//$1/$2" -U "$3%pw-$3" -c "$4" 2>&1 | grep -oE 'NT_STATUS_[A-Z_]*|^plan$|^free$|putting' | head -1; }
seen() { # HOST
    echo "alice plan $(as "$1" projects alice 'get plan -')"; echo "bob plan $(as "$1" projects bob 'get plan -')"
    echo "bob writes $(as "$1" projects bob 'put /etc/hostname plan')"; echo "bob public $(as "$1" public bob 'put /etc/hostname x')"
    echo "bob free $(as "$1" public bob 'get sub/free -')"; echo "alice writes $(as "$1" public alice 'put /etc/hostname x')"
}
before=$(seen fs1)
[ "$(grep -c ACCESS_DENIED <<<"$before")" = 2 ] || { echo "$before"; fail "the server does not tell users apart"; }

say "each command of the guide"
awk '/^## 1\. /{on = 1} /^## What moves/{on = 0} on && /^    (sudo|ssh|smbclient) / {sub(/^ +/, ""); sub(/ +# .*/, ""); print}' "$guide" >"/tmp/$LAB_NAME.commands"
[ "$(wc -l <"/tmp/$LAB_NAME.commands")" -ge 15 ] || fail "the guide has lost its commands"
while read -r command <&7; do
    echo "\$ $command"
    rc=0
    on orch env -C /root PASSWD=pw-alice DEBIAN_FRONTEND=noninteractive bash -c "${command//SOMEBODY/alice}" >"/tmp/$LAB_NAME.out" 2>&1 </dev/null || rc=$?
    [ $rc = 0 ] || { cat "/tmp/$LAB_NAME.out"; fail "the guide's command ended with $rc: $command"; }
    case $command in
    *"agent list"*) [ "$(grep -c online "/tmp/$LAB_NAME.out")" = 2 ] || { cat "/tmp/$LAB_NAME.out"; fail "not both agents are online"; } ;;
    *"job validate"*) ! grep -qE ' (fail|unknown) ' "/tmp/$LAB_NAME.out" || { cat "/tmp/$LAB_NAME.out"; fail "a check says fail or unknown"; } ;;
    *"job report"*) grep -q projects "/tmp/$LAB_NAME.out" || { cat "/tmp/$LAB_NAME.out"; fail "the report has no line of a share"; } ;;
    esac
done 7<"/tmp/$LAB_NAME.commands"
show "$(wc -l <"/tmp/$LAB_NAME.commands") commands of the guide, word for word, from an empty orchestrator"
rm -f "/tmp/$LAB_NAME.commands" "/tmp/$LAB_NAME.out"

say "and its job file"
awk '/^    name: fs1/{on = 1} on && !/^    /{exit} on {sub(/^    /, ""); print}' "$guide" | sed 's/^name: fs1$/name: again/' | on orch sh -c 'cat >/root/fs1.yaml'
godwit job create files --file /root/fs1.yaml >/dev/null || fail "the guide's job file is not taken"
diff <(godwit job show fs1 -o json | jq -S '.options') <(godwit job show again -o json | jq -S '.options') || fail "it is another job than the command makes"

say "the new server is what the old one was"
diff <(on fs1 exportfs -s | sed 's|/srv/data|/srv/new|') <(on new1 exportfs -s) || fail "the exports differ"
same_tree fs1 /srv/data new1 /srv/new --no-xattrs
diff <(echo "$before") <(seen new1) || fail "users may do other things there"
say "done"
