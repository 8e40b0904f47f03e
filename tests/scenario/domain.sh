#!/bin/bash
# domain: the lab's domain is a real one: names, tickets and trust work, users reach their files on members, and
# each idmap back end gives ids.
# limit: 120
. "$(dirname "$0")/lib.sh"

DOMAIN_DC=dc1 DOMAIN_MEMBERS="fs1 new1:200000-299999" SAMBA_HOSTS=cl lab_up cl
lab user alice bob:5001:5000
lab group staff alice

say "a user with a ticket opens files on a member, and another does not"
on fs1 sh -c 'mkdir -p /srv/data; chgrp "LAB\staff" /srv/data; chmod 2770 /srv/data
printf "[data]\npath = /srv/data\nread only = no\n" >>/etc/samba/smb.conf; systemctl start smbd'
smb() { lab as cl "$1" smbclient //fs1/data --use-kerberos=required -c "$2" 2>&1; }
smb alice 'put /etc/hostname mine' >/dev/null || fail "alice cannot write: $(smb alice 'put /etc/hostname mine')"
[ "$(on fs1 stat -c %U /srv/data/mine)" = 'LAB\alice' ] || fail "the file is not alice's"
[[ $(smb bob 'get mine -') == *NT_STATUS_ACCESS_DENIED* ]] || fail "bob reads it"

say "ranges differ as told"
id_of() { on "$1" id -u "LAB\\$2"; }
[ $(($(id_of new1 alice) - $(id_of fs1 alice))) = 100000 ] || fail "ids: $(id_of fs1 alice) $(id_of new1 alice)"
lab join new1 --backend ad --range 5000-5999
[ "$(id_of new1 bob)" = 5001 ] || fail "bob's id in the directory is 5001, not $(id_of new1 bob)"
for backend in tdb autorid; do
    lab join new1 --backend $backend --range 1000000-1999999
    on new1 wbinfo -i 'LAB\alice' >/dev/null || fail "$backend gives alice no id"
done

say "names and the directory"
[ "$(on cl host -t A fs1.lab.test | sed 's/.* //')" = "$(lab ip fs1)" ] || fail "the join registered no address"
[ "$(on cl host -t A dc1.lab.test | sed 's/.* //')" = "$(lab ip dc1)" ] || fail "the controller's address is another one"
lab as cl alice ldapsearch -LLLQ -Y GSSAPI -H ldap://dc1.lab.test -b DC=lab,DC=test '(cn=fs1)' dn | grep -q '^dn: CN=FS1,' ||
    fail "the directory does not show fs1"
say "done"
