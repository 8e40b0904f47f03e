# fold_callgrind: from a callgrind file made with --separate-callers to "INSTRUCTIONS function@library;…",
# innermost first: what each function spent itself, with who called it.
function named(text, book,    id, name) { # "(7) name" gives 7 a name, "(7)" repeats it
    match(text, /^\([0-9]+\)/)
    if (RSTART == 0) return text
    id = substr(text, 1, RLENGTH)
    name = substr(text, RLENGTH + 2)
    if (name != "") known[book, id] = name
    return known[book, id]
}
function end_function(    n, i, part, stack) {
    if (cost > 0) {
        n = split(fn, part, "'")
        stack = part[1] "@" library
        for (i = 2; i <= n; i++) stack = stack ";" part[i] "@"
        print cost, stack
    }
    cost = 0
}
/^ob=/ { end_function(); library = named(substr($0, 4), "ob"); sub(/.*\//, "", library); sub(/\.so.*/, "", library); next }
/^cob=/ { named(substr($0, 5), "ob"); next }
/^fn=/ { end_function(); fn = named(substr($0, 4), "fn"); next }
/^cfn=/ { named(substr($0, 5), "fn"); next }
/^calls=/ { getline; next } # the next line is what the called ones spent
/^[0-9+*-]/ && NF == 2 && fn != "" { cost += $2 }
END { end_function() }
