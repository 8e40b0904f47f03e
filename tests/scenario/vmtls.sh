#!/bin/bash
# vmtls: a running machine moves live with its storage by libvirt's own TCP with TLS (--own-tcp), where hosts have certificates for
# their addresses and their ports are open; its memory and its storage are encrypted too. Nothing is left, no record is missing. A
# certificate that has ended is found before anything is touched.
# limit: 200
# slow
VM_HOSTS="kvm1 kvm2"
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/machines.sh"

fleet_up kvm1 kvm2
libvirt_up kvm1 kvm2

say "certificates"
ca=$(mktemp -d)
openssl req -x509 -newkey rsa:2048 -nodes -keyout "$ca/ca.key" -out "$ca/ca.pem" -subj /CN=lab -days 2 2>/dev/null
for host in kvm1 kvm2; do
    mkdir "$ca/$host"
    openssl req -newkey rsa:2048 -nodes -keyout "$ca/$host/key.pem" -out "$ca/$host/req" -subj "/CN=$host" 2>/dev/null
    openssl x509 -req -in "$ca/$host/req" -CA "$ca/ca.pem" -CAkey "$ca/ca.key" -CAcreateserial -days 2 -out "$ca/$host/cert.pem" \
        -extfile <(printf 'subjectAltName=DNS:%s,IP:%s\n' "$host" "$(lab ip $host)") 2>/dev/null
    cp "$ca/ca.pem" "$ca/$host"
    lab push $host "$ca/$host" /root
    on $host sh -e -c "cd /root/$host
        mkdir -p /etc/pki/CA /etc/pki/libvirt/private /etc/pki/qemu
        cp ca.pem /etc/pki/CA/cacert.pem
        for who in server client; do
            cp cert.pem /etc/pki/libvirt/\${who}cert.pem; cp key.pem /etc/pki/libvirt/private/\${who}key.pem
            cp cert.pem /etc/pki/qemu/\$who-cert.pem; cp key.pem /etc/pki/qemu/\$who-key.pem
        done
        cp ca.pem /etc/pki/qemu/ca-cert.pem
        printf '%s\n' 'default_tls_x509_cert_dir = \"/etc/pki/qemu\"' 'default_tls_x509_verify = 1' >>/etc/libvirt/qemu.conf
        systemctl stop libvirtd.socket libvirtd-ro.socket libvirtd-admin.socket libvirtd
        systemctl start libvirtd.socket libvirtd-tls.socket libvirtd"
    until_true 30 "libvirt of $host answers" on $host virsh -q list >/dev/null
done
until_true 20 "kvm1 reaches libvirt of kvm2 by TLS" on kvm1 virsh -q -c "qemu+tls://$(lab ip kvm2)/system" list >/dev/null

meter_start 1
machine_define kvm1 web 1 256M
on kvm1 virsh -q start web
machine_lives 1

say "a certificate that ends before the move would is refused, one that ends soon after is warned of"
ends() { # DAYS: from now, of kvm2's own; its libvirt goes on with the one that it has read
    openssl x509 -req -in "$ca/kvm2/req" -CA "$ca/ca.pem" -CAkey "$ca/ca.key" -CAcreateserial -days "$1" -out "$ca/kvm2/cert.pem" 2>/dev/null
    lab push kvm2 "$ca/kvm2" /root
    on kvm2 cp /root/kvm2/cert.pem /etc/pki/libvirt/servercert.pem
}
on kvm2 cp /etc/pki/libvirt/servercert.pem /root/servercert.good
ends 0
rc=0
said=$(godwit vm migrate web --to kvm2 --own-tcp 2>&1) || rc=$?
[[ $rc = 8 && $said == *"fail, certificates: kvm2: /etc/pki/libvirt/servercert.pem is good until "*"remedy: have new ones made"* ]] || fail "a certificate that has ended: $rc $said"
is "states" "$(machine_state kvm1 web) $(machine_state kvm2 web)" "running absent"
show "$(grep -m1 "fail, certificates" <<<"$said" | sed 's/^ *//')"
godwit vm plan web --to kvm2 >/dev/null || fail "lanes need no certificate of libvirt's"
ends 1
said=$(godwit vm plan web --to kvm2 --own-tcp) || fail "a certificate that ends tomorrow stops it: $said"
[[ $said == *"warn, certificates: kvm2: /etc/pki/libvirt/servercert.pem is good until "* ]] || fail "a certificate that ends tomorrow: $said"
on kvm2 cp /root/servercert.good /etc/pki/libvirt/servercert.pem
rm -rf "$ca"
meter_anew 1
said=$(godwit vm migrate web --to kvm2 --type live-vsm --own-tcp --keep 0 --name tls 2>&1) || fail "not moved: $said$(godwit vm moves tls 2>&1)"
machine_lives 1
said=$(meter_tell 1)
is "one and the same machine" "$(jq -r '"\(.twice) \(.boots)"' <<<"$said")" "0 0"
is "states" "$(machine_state kvm1 web) $(machine_state kvm2 web)" "absent running"
on kvm2 virsh -q destroy web
machine_check kvm2 "$images/web.qcow2" "$(jq .record <<<"$said")" >/dev/null
show "by libvirt's own TCP with TLS: silent for $(jq .gap_ms <<<"$said") ms, $(jq .lost <<<"$said") heartbeats lost"
