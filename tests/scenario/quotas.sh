#!/bin/bash
# quotas: limits of users, groups and projects move between ext4 and XFS. Kernels of test machines often count no quotas, so
# a Debian kernel is booted in an emulated machine whose whole system is an initrd of this machine's programs.
# slow
# limit: 300
. "$(dirname "$0")/lib.sh"

LAB_CACHE=${LAB_CACHE:-/var/cache/godwit-lab}
work=$(mktemp -d /var/tmp/godwit-quotas.XXXXXX)
trap 'rm -rf "$work"' EXIT
root=$work/root

say "a Debian kernel with its modules (got once)"
mkdir -p "$LAB_CACHE"
package=$(cd "$LAB_CACHE" && ls -d linux-image-*-cloud-*/done 2>/dev/null | tail -1) || true
package=${package%/done}
if [ -z "$package" ]; then
    apt-get -qq update || true
    package=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p') || true
    [ -n "$package" ] || skip "this machine finds no Debian kernel"
    mkdir -p "$LAB_CACHE/$package" "$work/deb" && chmod 755 "$work" && chmod 777 "$work/deb"
    (cd "$work/deb" && apt-get -qq download "$package") || skip "no Debian mirror"
    dpkg -x "$work"/deb/*.deb "$LAB_CACHE/$package"
    touch "$LAB_CACHE/$package/done"
fi
kernel=$LAB_CACHE/$package
version=${package#linux-image-}
depmod -b "$kernel" "$version"

say "its system: godwit, from its packages, and what makes, mounts and asks file systems"
packages
mkdir -p "$root"/{proc,sys,dev,tmp,run,etc,mods,var/tmp,root,mnt}
for deb in agent orchestrator console; do dpkg -x "$GODWIT_DEBS/godwit-${deb}"_*.deb "$root/deb"; done
copy() { # PROGRAM…: with the libraries that it needs
    local file lib
    for file; do
        for lib in $(ldd "$file" | grep -oE '/[^ ]+'); do
            [ -e "$root$lib" ] || { mkdir -p "$root${lib%/*}" && cp -L "$lib" "$root$lib"; }
        done
    done
}
mkdir -p "$root"/usr/{bin,sbin} && ln -s usr/bin "$root/bin" && ln -s usr/sbin "$root/sbin"
cp -a "$root"/deb/usr/{bin,sbin} "$root/usr" && cp -a "$root/deb/usr/lib/godwit" "$root/usr/lib/" 2>/dev/null || true
rm -rf "$root/deb"
for name in bash ln dd mount umount insmod mkdir cat cp chown truncate stat ip mkfs.ext4 mkfs.xfs setquota repquota awk diff sync chattr sleep; do
    file=$(readlink -f "$(command -v "$name")") || skip "there is no $name here"
    cp "$file" "$root/usr/bin/$name"
    copy "$file"
done
copy "$root"/usr/bin/godwit "$root"/usr/sbin/godwit*
for module in loop ext4 xfs quota_v2 crc32c_generic; do
    modprobe -d "$kernel" -S "$version" --show-depends "$module" 2>/dev/null | sed -n 's/^insmod \([^ ]*\).*/\1/p'
done | awk '!seen[$0]++' >"$work/modules"
n=100
while read -r file; do cp "$file" "$root/mods/$((n++)).ko"; done <"$work/modules"
printf 'root:x:0:0::/root:/bin/bash\nalice:x:1001:2001::/:/bin/bash\nbob:x:1002:2001::/:/bin/bash\n' >"$root/etc/passwd"
printf 'root:x:0:\nstaff:x:2001:\n' >"$root/etc/group"
printf 'passwd: files\ngroup: files\n' >"$root/etc/nsswitch.conf"
ln -s /proc/self/mounts "$root/etc/mtab"
cat >"$root/init" <<'END'
#!/bin/bash
export PATH=/usr/sbin:/usr/bin HOME=/root
off() { sync; echo o >/proc/sysrq-trigger; sleep 60; }
fail() { echo "GUEST FAIL: $*"; off; }
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev; mount -t tmpfs tmp /tmp; ln -s /proc/self/fd /dev/fd
for m in /mods/*.ko; do insmod $m 2>/dev/null; done
ip link set lo up
mkdir -p /img /ext /xfs /bare
truncate -s 300M /tmp/ext; mkfs.ext4 -q -O quota,project -E quotatype=usrquota:grpquota:prjquota /tmp/ext || fail mkfs.ext4
truncate -s 400M /tmp/xfs; mkfs.xfs -q /tmp/xfs || fail mkfs.xfs
truncate -s 100M /tmp/bare; mkfs.ext4 -q /tmp/bare || fail mkfs.ext4
mount -o loop,usrquota,grpquota,prjquota /tmp/ext /ext || fail "mount ext4"
mount -o loop,uquota,gquota,pquota /tmp/xfs /xfs || fail "mount xfs"
mount -o loop /tmp/bare /bare || fail "mount the third"
limits() { # MOUNT: "u 1001 soft hard soft hard" of what has a limit
    for kind in u g P; do
        repquota -nv$kind -O csv $1 2>/dev/null | awk -F, -v k=$kind 'function r(n) {return int((n + 3) / 4) * 4} NR > 1 && $5 + $6 + $9 + $10 {sub("#", "", $1); print k, $1, r($5), r($6), $9, $10}'
    done
}
same() { # A B WHAT
    diff <(limits $1) <(limits $2) || fail "$3: the limits differ"
    [ "$(limits $1 | awk 'END {print NR}')" = "$4" ] || { limits $1; fail "$3: $4 limits were to be there"; }
    echo "GUEST OK: $3"
}
migrate() { godwit migrate "$1" "$2" --keep "/root/$3" >/tmp/report 2>&1 || { cat /tmp/report; fail "migrate $1 $2"; }; }
mkdir -p /ext/data/p
for i in 1 2 3; do echo "file $i" >/ext/data/$i; done
dd if=/dev/urandom of=/ext/data/large bs=1M count=3 2>/dev/null
chown 1001:2001 /ext/data/1 /ext/data/large; chown 1002:2001 /ext/data/2
chattr -p 42 +P /ext/data/p 2>/dev/null
size=$(stat -c %b /ext/data/large); size=$((size / 2 + 8))
setquota -u 1001 0 $size 0 50 /ext || fail "setquota -u"
setquota -u 1002 1000 2000 10 20 /ext || fail "setquota -u"
setquota -u 7777 5 6 0 0 /ext || fail "setquota -u of nobody"
setquota -g 2001 0 90000 0 0 /ext || fail "setquota -g"
setquota -P 42 0 4096 0 9 /ext || fail "setquota -P"
grace() { repquota -n$2 -O csv $1 >/dev/null 2>&1; repquota -n$2 $1 2>/dev/null | awk '/Block grace time/ {print}'; }
setquota -t -u 7200 10800 /ext || fail "setquota -t"
setquota -t -g 3600 3600 /ext || fail "setquota -t"
setquota -t -g 1800 1800 /xfs || fail "setquota -t"
migrate /ext/data /xfs/data one
same /ext /xfs "from ext4 to XFS" 5
[ -n "$(grace /ext u)" ] && [ "$(grace /ext u)" = "$(grace /xfs u)" ] || fail "grace times: $(grace /ext u), $(grace /xfs u)"
[ "$(grace /ext g)" != "$(grace /xfs g)" ] || fail "a grace time that somebody set there was replaced"
echo "GUEST OK: grace times come where nobody has set some"
awk '/quotas:/ {print "GUEST SAYS:" $0}' /tmp/report
echo "other content" >/ext/data/1
cp /ext/data/large /tmp/large; printf x >>/tmp/large; cat /tmp/large >/ext/data/large; chown 1001:2001 /ext/data/large
setquota -u 1002 1000 3000 10 20 /ext
setquota -g 2001 0 0 0 0 /ext
migrate /ext/data /xfs/data one
same /ext /xfs "a user at his limit gets his files; what changes and goes at the source does so here" 4
awk '/quotas:/ {print "GUEST SAYS:" $0}' /tmp/report
setquota -u 7777 8 9 0 0 /xfs
setquota -u 7777 1 2 0 0 /ext
migrate /ext/data /xfs/data one
limits /xfs | awk '$2 == 7777 && $3 == 8 {found = 1} END {exit !found}' || fail "limits that somebody set there were replaced"
awk '/other limits here/ {found = 1} END {exit !found}' /tmp/report || { cat /tmp/report; fail "the report does not say that they stay"; }
echo "GUEST OK: limits that somebody set there stay"
setquota -u 1001 0 0 0 0 /ext; setquota -u 1002 0 0 0 0 /ext; setquota -u 7777 0 0 0 0 /ext; setquota -P 42 0 0 0 0 /ext
migrate /xfs/data /ext/back two
same /xfs /ext "from XFS to ext4" 4
migrate /xfs/data /bare/data three
awk '/quotas of its kind are not counted here/ {found = 1} END {exit !found}' /tmp/report || { cat /tmp/report; fail "what cannot be kept is not told"; }
echo "GUEST OK: a file system without quotas is told of"
echo "GUEST DONE"
off
END
chmod 755 "$root/init"
(cd "$root" && find . | cpio -o -H newc --quiet | gzip -1) >"$work/initrd.gz"

say "it boots"
rm -rf "$root"
VM_HOSTS=q lab_up q
trap 'rc=$?; rm -rf "$work"; finish $rc' EXIT
cp "$kernel"/boot/vmlinuz-* "$work/vmlinuz"
lab push q "$work/vmlinuz" /srv
lab push q "$work/initrd.gz" /srv
on q timeout 200 qemu-system-x86_64 -machine pc -accel tcg -cpu max -smp 2 -m 1536 -nographic -no-reboot -kernel /srv/vmlinuz \
    -initrd /srv/initrd.gz -append "console=ttyS0 quiet panic=-1 rdinit=/init" </dev/null >"$work/console" 2>&1 || true
grep -a "GUEST" "$work/console" | tr -d '\r'
grep -qa "GUEST DONE" "$work/console" || { tail -60 "$work/console"; fail "the machine did not come to its end"; }
! grep -qa "GUEST FAIL" "$work/console" || fail "see above"
show "$(grep -ac 'GUEST OK' "$work/console") cases of quotas on a Debian kernel, ext4 and XFS"
say "done"
