# measure: one run of one peer, and what several come to. Sourced by tests/bench/transfer.

cpu_all() { # HOST…: processor microseconds of all
    local host sum=0
    for host; do sum=$((sum + $(lab cpu "$host"))); done
    echo $sum
}
wire() { lab counters fs1 | awk '{printf "%.0f\n", $2 + $4}'; }
# Jiffies of the machine: busy, stolen by its host, and of kernel threads: they write back what any process wrote.
machine() {
    awk '/^cpu / {printf "%.0f %.0f ", $2 + $3 + $4 + $7 + $8, $9}' /proc/stat
    cat /proc/[0-9]*/stat 2>/dev/null | awk '{sub(/.*\) /, ""); if ($2 == 2) s += $12 + $13} END {print s + 0}'
}

# To get into a lab host takes some 30 ms, which are nobody's: the clock starts when the command does there.
began_on() { # HOST CMD…
    local host=$1
    shift
    # shellcheck disable=SC2016
    on "$host" bash -c 'echo "$EPOCHREALTIME" >&8 && exec "$@" 8>&-' bash "$@" 8>"$out/began"
}
timed() { # CMD…: sets took, in seconds; on a disk until all is on it
    local start end root
    root=/proc/$(lab pid new1)/root
    rm -f "$out/began"
    start=$EPOCHREALTIME
    "$@"
    ! on_disk || sync -f "$root/srv/ground"
    end=$EPOCHREALTIME
    [ ! -s "$out/began" ] || start=$(cat "$out/began")
    took=$(awk "BEGIN {printf \"%.4f\", $end - $start}")
}

agent_proc() { # HOST: the agent's folder in /proc here
    local pid
    pid=$(pgrep -x -P "$(lab pid "$1")" godwit-agent | head -1)
    [ -n "$pid" ] || fail "no agent on $1"
    echo "/proc/$pid"
}
agents_peak_reset() { local host; for host in fs1 new1; do echo 5 >"$(agent_proc $host)/clear_refs"; done; }
agent_peak() { awk '/^VmHWM/ {print $2}' "$(agent_proc "$1")/status"; } # HOST: KiB

# one_run PEER: a line of JSON.
one_run() {
    local peer=$1 cpu0 cpu1 wire0 wire1 busy0 steal0 kernel0 busy1 steal1 kernel1 phase=null rss=null
    prepare "$peer"
    if [ "$peer" = godwit ]; then agents_peak_reset; fi
    cpu0=$(cpu_all fs1 new1 orch) wire0=$(wire)
    read -r busy0 steal0 kernel0 < <(machine)
    timed "move_$peer"
    read -r busy1 steal1 kernel1 < <(machine)
    cpu1=$(cpu_all fs1 new1 orch) wire1=$(wire)
    if [ "$peer" = godwit ]; then
        phase=$(job_number "$job" '.totals.elapsed_ms / 1000')
        rss=[$(agent_peak fs1),$(agent_peak new1)]
    fi
    jq -nc --arg peer "$peer" --argjson seconds "$took" --argjson transfer "$phase" --argjson rss "$rss" \
        --argjson cpu "$(((cpu1 - cpu0) / 1000))" --argjson wire $((wire1 - wire0)) \
        --argjson busy $(((busy1 - busy0) * 10)) --argjson steal $(((steal1 - steal0) * 10)) \
        --argjson kernel $(((kernel1 - kernel0) * 10)) \
        '{$peer, $seconds, transfer_seconds: $transfer, cpu: ($cpu / 1000), $wire, rss_kib: $rss,
          noise: ([0, ($busy - $cpu - $kernel + $steal) / 1000 / $seconds] | max)}'
}

# Sets peak: the highest sum of resident memory of a peer's programs at both ends, in KiB, in a run that is not timed.
peak_rss() { # PEER
    local sum sampler
    rm -f "$out/rss"
    (
        trap 'exit 0' TERM
        peak=0
        while :; do
            sum=$(ps -eo pid=,comm=,cgroup= | awk -v lab="godwit-lab/$LAB_NAME/" \
                'index($0, lab) && $2 ~ /^(rsync|tar|socat|rclone|ssh|sshd)$/ {print "/proc/" $1 "/status"}' |
                xargs -r awk '/^VmRSS/ {s += $2} END {print s + 0}' 2>/dev/null) || true
            [ "${sum:-0}" -le $peak ] || { peak=$sum && echo $peak >"$out/rss"; }
            sleep 0.1
        done
    ) &
    sampler=$!
    "move_$1"
    kill $sampler
    wait $sampler 2>/dev/null || true
    peak=$(cat "$out/rss" 2>/dev/null || echo null)
}

# A peer that did not copy has no speed. rclone keeps no owners and no modes: only sizes are looked at.
check() { # PEER
    local options="-aHAXn" diff
    [ "$1" != rclone ] || options="-rn --size-only"
    # shellcheck disable=SC2086
    diff=$(on fs1 rsync $options --delete --itemize-changes --numeric-ids /srv/ground/tree/ "rsync://new1/srv/${target#/srv/}/")
    [ -z "$diff" ] || { head -5 <<<"$diff"; fail "$1 did not copy tree $tree"; }
}

summary='
def median: sort | if length == 0 then null elif length % 2 == 1 then .[length / 2 | floor]
    else (.[length / 2 - 1] + .[length / 2]) / 2 end;
def of(p): map(select(.peer == p));
def mark(have; want): if want == null or have == null then null else have >= want end;
. as $runs | ($runs | of("godwit")) as $g
| [$peers[] | . as $peer | ($runs | of($peer)) as $p
   | {tree: $tree, $peer, $kind, $scale, seconds: ($p | map(.seconds) | median),
      godwit_seconds: ($g | map(.seconds) | median),
      godwit_transfer_seconds: ($g | map(.transfer_seconds) | median),
      ratio: ([range(0; $p | length) | $p[.].seconds / $g[.].seconds] | median),
      target: $targets[$peer],
      cpu: ($p | map(.cpu) | median), godwit_cpu: ($g | map(.cpu) | median),
      cpu_ratio: ([range(0; $p | length) | $p[.].cpu / $g[.].cpu] | median),
      cpu_target: (if $peer == "rsync" then $targets.cpu else null end),
      rss_kib: $rss[$peer], godwit_rss_kib: ($g | map(.rss_kib | max) | max),
      wire: ($p | map(.wire) | median), godwit_wire: ($g | map(.wire) | median),
      noise: ($runs | map(.noise) | median), rounds: ($g | length),
      noisy_rounds: ([range(0; $g | length) | . as $i | select([$runs | group_by(.peer)[] | .[$i].noise] | max > 0.3)] | length),
      by: (if $peer == "rclone" then $rclone_by else null end), $runs}
   | . + {pass: mark(.ratio; .target), cpu_pass: mark(.cpu_ratio; .cpu_target)}]'

targets_of() { # TREE: JSON, a key a column
    [ "$quick" = no ] || { echo '{}'; return; }
    awk -v tree="$1" '/^#/ {next}
        $1 == "tree" {for (i = 2; i <= NF; i++) name[i] = $i}
        $1 == tree {for (i = 2; i <= NF; i++) if ($i != "-") printf "%s\"%s\":%s", n++ ? "," : "{", name[i], $i}
        END {print n ? "}" : "{}"}' "$bench/targets"
}
peers_of() { targets_of "$1" | jq -r 'keys_unsorted - ["cpu"] | .[]'; } # TREE: who has a target

summarise() { # RUNS-FILE RSS-JSON PEER…: rows
    local runs=$1 rss=$2
    shift 2
    jq -s --arg tree "$tree" --arg kind "$kind" --argjson scale "$scale" --argjson rss "$rss" \
        --argjson targets "$(targets_of "$tree")" --arg rclone_by "${rclone_by:-}" \
        --argjson peers "$(printf '%s\n' "$@" | jq -R . | jq -s .)" "$summary" "$runs"
}

table() { # < rows
    {
        echo "tree,on,peer,peer s,godwit s,(transfer),ratio,target,peer CPU s,godwit CPU s,CPU ratio,peer MiB,agent MiB,peer wire MiB,godwit wire MiB,noise"
        jq -r '.[] | select(.peer) | def f(d): if . == null then "-" else . * pow(10; d) | round / pow(10; d) end;
            def judged(t; ok): if t == null then "-" elif ok then "\(t) ok" else "\(t) MISSED" end;
            [.tree + (if .scale > 1 then " /\(.scale)" else "" end), .kind, .peer + (if .by then " " + .by else "" end),
             (.seconds | f(2)), (.godwit_seconds | f(2)), (.godwit_transfer_seconds | f(2)), (.ratio | f(2)), judged(.target; .pass),
             (.cpu | f(2)), (.godwit_cpu | f(2)),
             "\(.cpu_ratio | f(2))\(if .cpu_pass == false then " MISSED" elif .cpu_pass then " ok" else "" end)",
             (if .rss_kib then .rss_kib / 1024 | f(0) else "-" end), (.godwit_rss_kib / 1024 | f(0)),
             (.wire / 1048576 | f(1)), (.godwit_wire / 1048576 | f(1)),
             "\(.noise | f(2))\(if .noisy_rounds > 0 then " (\(.noisy_rounds) of \(.rounds) rounds!)" else "" end)"]
            | map(tostring) | join(",")'
    } | column -t -s,
}
