# again: rows whose destination has the tree already: nothing changed, one percent changed, one huge file changed
# in place. Each peer has a destination of its own, so that all see the same change. Sourced by tests/bench/transfer.

again_tree() { case $1 in delta*) echo image10g ;; *) echo million ;; esac; }

# The huge file, its old copies and what is being written are more than the memory: what of them the one before left
# in the page cache would be the next one's luck. So each begins with none of it, both hosts being this machine.
caches_drop() {
    on fs1 sync -f /srv/ground
    on new1 sync -f /srv/ground
    echo 3 >/proc/sys/vm/drop_caches
}

again_prepare() { # PEER: sets target, job; nothing is emptied
    target=/srv/ground/out-$1
    on new1 sync -f /srv/ground
    case $tree in delta*) caches_drop ;; esac
    [ "$1" != tar ] || listen_tar
}

again_seed() { # PEER…
    local peer
    target=/srv/ground/out-godwit
    job=bench-$tree-$(now_ms)
    # shellcheck disable=SC2086
    godwit job create files --name "$job" $more_godwit --pair "fs1:/srv/ground/tree=new1:$target" >/dev/null 2>&1
    timed move_godwit
    say "tree $tree: first copy by godwit $took s, agents' peak $(agent_peak fs1) and $(agent_peak new1) KiB"
    for peer; do
        target=/srv/ground/out-$peer
        on new1 cp -a --reflink=never /srv/ground/out-godwit "$target"
    done
    target=/srv/ground/out-godwit
}

# again_options ROW: 1 if this Godwit cannot do that. With the source's change feed is the default; the rows without
# "-feed" in their name look at everything.
again_options() {
    local has
    has=$(godwit job create --help)
    more_rsync='' more_godwit=''
    case $1 in
    delta*)
        more_rsync=--no-whole-file more_godwit=--delta
        grep -q -- --delta <<<"$has"
        ;;
    *-feed) grep -q -- --full-scan <<<"$has" ;;
    *) ! grep -q -- --full-scan <<<"$has" || more_godwit=--full-scan ;;
    esac
}

bench_again() { # ROW PEER…
    local row=$1 round peer copies made
    shift
    made=$(again_tree "$row")
    copies=$(($# + 1))
    if ! again_options "$row"; then
        say "tree $row: not built"
        echo '[]' >"$out/$row.json"
        return
    fi
    [ "$made" != image10g ] || copies=$((copies + 1)) # the one that is being written
    need_disk $(($(disk_mib "$(scaled_mib "$made")") + $(disk_mib $(($(scaled_mib "$made") * copies)))))
    tree_make fs1 "$made"
    disk_new new1 $(($(scaled_mib "$made") * copies)) $(($(tree_inodes "$made") / scale * copies))
    again_seed "$@"
    [ "$*" = "${*/rclone/}" ] || { http_up; rclone_choose; }
    for round in $(seq "$rounds"); do
        [ "${row%-feed}" = nochange ] || on fs1 /root/maketree "change:$made" /srv/ground/tree "$scale" "$round"
        for peer in godwit "$@"; do one_run "$peer"; done
    done >"$out/$row.runs"
    for peer in godwit "$@"; do target=/srv/ground/out-$peer && check "$peer"; done
    http_down
    forget_job
    summarise "$out/$row.runs" '{}' "$@" >"$out/$row.json"
    ground_free fs1 new1
    more_rsync='' more_godwit=''
}

# Memory of the agents with five million empty files, in a first and a second pass that looks at everything.
bench_memory() { # ROW
    local pass rows=()
    need_disk $(($(scaled_mib "$1") * 3))
    tree_make fs1 "$1"
    ground_clear new1 "$(scaled_mib "$1")" $(($(tree_inodes "$1") / scale))
    target=/srv/ground/out
    job=bench-$tree-$(now_ms)
    again_options nochange
    # shellcheck disable=SC2086
    godwit job create files --name "$job" $more_godwit --pair "fs1:/srv/ground/tree=new1:$target" >/dev/null 2>&1
    more_godwit=''
    for pass in first second; do
        agents_peak_reset
        timed move_godwit
        rows+=("$(jq -nc --arg tree "$1" --argjson scale "$scale" --arg pass $pass --argjson seconds "$took" \
            --argjson source "$(agent_peak fs1)" --argjson destination "$(agent_peak new1)" \
            --argjson files "$(job_number "$job" '.totals.total_files // .totals.files')" \
            '{memory: $tree, $scale, $pass, $files, $seconds, source_rss_kib: $source, destination_rss_kib: $destination,
              limit_kib: 262144, pass_memory: ([$source, $destination] | max < 262144)}')")
    done
    printf '%s\n' "${rows[@]}" | jq -s . >"$out/$1.json"
    forget_job
    ground_free fs1 new1
}
