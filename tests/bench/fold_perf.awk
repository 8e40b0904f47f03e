# fold_perf: from `perf script` to a line a sample: "1 function@library;…", innermost first.
function end_sample() {
    if (stack != "") print 1, stack
    stack = ""
}
/^$/ { end_sample(); next }
!/^[ \t]/ { next }
{
    name = $2
    sub(/\+0x[0-9a-f]+$/, "", name)
    library = $NF
    gsub(/[()]/, "", library)
    sub(/.*\//, "", library)
    sub(/\.so.*/, "", library)
    stack = stack (stack == "" ? "" : ";") name "@" library
}
END { end_sample() }
