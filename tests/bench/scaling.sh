# scaling: 1 to 4 pairs from as many sources to one destination, and 1 to 4 lanes of one pair. Shown, not judged.
# Sourced by tests/bench/transfer.

# scaling_run PAIRS LANES: a line of JSON. Pair N copies fsN's tree.
scaling_run() {
    local pairs=$1 lanes=$2 n arguments=()
    ground_clear new1 $(($(scaled_mib "$made") * pairs)) $(($(tree_inodes "$made") / scale * pairs))
    on new1 sh -c 'rm -rf /srv/.godwit*'
    job=bench-$tree-$(now_ms)
    for ((n = 1; n <= pairs; n++)); do arguments+=(--pair "fs$n:/srv/ground/tree=new1:/srv/ground/out$n"); done
    godwit job create files --name "$job" --lanes "$lanes" "${arguments[@]}" >/dev/null 2>&1
    timed move_godwit
    jq -nc --argjson pairs "$pairs" --argjson lanes "$lanes" --argjson seconds "$took" \
        --argjson bytes "$(job_number "$job" '.totals.bytes')" '{$pairs, $lanes, $seconds, $bytes}'
    forget_job
}

scaling_rows='def median: sort | .[length / 2 | floor];
    group_by(.pairs, .lanes) | map({scaling: $tree, $kind, $scale, pairs: .[0].pairs, lanes: .[0].lanes,
        seconds: (map(.seconds) | median), mib_per_second: (map(.bytes / 1048576 / .seconds) | median)})
    | .[0].mib_per_second as $one | map(. + {times: (.mib_per_second / $one)})'

bench_scaling() { # pairs|lanes
    local n round made=mixed sources=1
    [ "$1" = lanes ] && made=big || sources=4
    on_disk || need_memory $((sources * 2 * $(scaled_mib $made) + 512))
    for ((n = 1; n <= sources; n++)); do tree_make "fs$n" $made; done
    for round in $(seq "$rounds"); do
        for n in 1 2 3 4; do
            if [ "$1" = pairs ]; then scaling_run "$n" 0; else scaling_run 1 "$n"; fi
        done
    done >"$out/$1.runs"
    jq -s --arg tree "$1" --arg kind "$kind" --argjson scale "$scale" "$scaling_rows" "$out/$1.runs" >"$out/$1.json"
    ground_free new1 $(seq -f 'fs%g' $sources)
}

other_tables() { # < rows: of scaling and of memory
    jq -r '.[] | def f(d): . * pow(10; d) | round / pow(10; d);
        if .scaling then "\(.scaling): \(.pairs) pair\(if .pairs > 1 then "s" else "" end), \(if .lanes == 0 then "lanes as they adapt" else "lanes \(.lanes)" end): \(.seconds | f(2)) s, \(.mib_per_second | f(0)) MiB/s, \(.times | f(2)) times the first"
        elif .memory then "\(.memory)\(if .scale > 1 then " /\(.scale)" else "" end), \(.pass) pass: \(.files) files in \(.seconds | f(1)) s; agents peaked at \(.source_rss_kib / 1024 | f(1)) MiB (source) and \(.destination_rss_kib / 1024 | f(1)) MiB (destination), limit 256: \(if .pass_memory then "ok" else "MISSED" end)"
        else empty end'
}
tables() { # < rows of all sorts
    local rows
    rows=$(cat)
    ! jq -e 'any(.peer)' <<<"$rows" >/dev/null || table <<<"$rows"
    other_tables <<<"$rows"
}
