# phases: adds up costs by phase. First file: the table of rules; second: lines of "COST frame;frame;…",
# innermost frame first. Prints "phase TAB cost"; with -v symbols=1 "phase TAB innermost frame TAB percent".
BEGIN { rules = 0 }
FNR == NR {
    if ($0 ~ /^#/ || NF == 0 || !match($0, /  +/)) next
    phase[rules] = substr($0, 1, RSTART - 1)
    rule[rules++] = substr($0, RSTART + RLENGTH)
    next
}
function of_frame(f,    r) {
    if (f in known) return known[f]
    for (r = 0; r < rules; r++)
        if (f ~ rule[r]) return known[f] = phase[r]
    return known[f] = ""
}
{
    n = split(substr($0, length($1) + 2), frame, ";")
    found = ""
    for (i = 1; i <= n && found == ""; i++) found = of_frame(frame[i])
    if (found == "") found = "other"
    sum[found] += $1
    each[found "\t" frame[1]] += $1
    all += $1
}
END {
    if (symbols)
        for (e in each) printf "%s\t%.3f\n", e, 100 * each[e] / all
    else
        for (p in sum) printf "%s\t%.0f\n", p, sum[p]
}
