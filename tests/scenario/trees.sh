# trees: what the scenarios move. Sourced after lib.sh.

# real_tree HOST FOLDER [PART OF /usr]…: a copy of this machine's /usr with what a plain one lacks.
real_tree() {
    local host=$1 folder=$2
    shift 2
    on "$host" sh -c 'set -e
        folder=$1; shift; mkdir -p "$folder/usr"; cd /media/usr
        cp -a --parents "$@" "$folder/usr/"
        cd "$folder"
        mkdir -p extra/shared
        cp -a /bin/true extra/capable && setcap cap_net_bind_service,cap_net_raw+ep extra/capable
        cp -a /bin/true extra/setuid && chmod 6755 extra/setuid
        chown 1234:5678 extra/shared && chmod 2775 extra/shared
        setfacl -m u:4321:rwx,d:g:8765:r-x extra/shared
        setfattr -n user.origin -v fs extra/shared
        setfattr -n security.NTACL -v 0xDEADBEEF extra/shared
        echo text >extra/one && ln extra/one extra/shared/two' sh "$folder" "$@"
}

# torture_tree HOST FOLDER: what copying tools get wrong; torture_list says it in every detail.
torture_tree() {
    torture_push "$1"
    on "$1" /root/torture "$2"
}

torture_push() { # HOST
    on "$1" test -x /root/torture && return
    [ -x "$top/build/dev/bin/torture" ] || (cd "$top" && cmake --preset dev && cmake --build --preset dev \
        --target torture) >/dev/null
    lab push "$1" "$top/build/dev/bin/torture" /root
}

same_torture() { # SRC-HOST SRC DST-HOST DST
    local diff
    torture_push "$1" && torture_push "$3"
    diff=$(diff <(on "$1" /root/torture --list "$2") <(on "$3" /root/torture --list "$4")) ||
        { echo "$diff" | head -40; fail "$1:$2 and $3:$4 differ"; }
}

# big_files HOST FOLDER COUNT MIB: does not compress.
big_files() {
    on "$1" sh -c 'mkdir -p "$1" && for i in $(seq "$2"); do
        head -c "$3M" /dev/urandom >"$1/big$i"; done' sh "$2" "$3" "$4"
}

small_files() { # HOST FOLDER FOLDERS FILES-EACH
    on "$1" bash -c 'for d in $(seq "$2"); do
        mkdir -p "$1/d$d"; for f in $(seq "$3"); do echo "$RANDOM $d $f" >"$1/d$d/f$f"; done; done' \
        bash "$2" "$3" "$4"
}
