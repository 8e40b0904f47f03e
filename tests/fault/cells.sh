# cells: a table of cases that several servers of one lab work off beside each other. Hosts are put back as they were once set
# up, so that the lab need not be: only what a case has left otherwise. Sourced by fault/cutover after lib.sh; knows no cutover.
#   GODWIT_CELLS_DONE=FILE  a line for each case that ended; what is good there is not run again: a run that was cut short goes on

cells_done=${GODWIT_CELLS_DONE:-}

# ── which, and what became of them ──

# cells_left NAME: of the cases on standard input those that have not passed before.
cells_left() {
    [ -n "$cells_done" ] && [ -s "$cells_done" ] || { cat; return 0; }
    grep -vxFf <(awk -v name="$1" '$1 == name && $3 == "good" {print $2}' "$cells_done") || true
}
cells_passed_before() { # NAME
    [ -z "$cells_done" ] || [ ! -s "$cells_done" ] || awk -v name="$1" '$1 == name && $3 == "good" {print $2}' "$cells_done" | sort -u
}
cells_note() { # NAME CASE good|bad SECONDS WORDS
    echo "$1 $2 $3 $4 s: $5" | tee -a "$kept/results" ${cells_done:+"$cells_done"}
}

# The next one that nobody has begun; empty: there is none.
cells_next() {
    (
        flock 9
        head -1 "$kept/queue"
        sed -i 1d "$kept/queue"
    ) 9>"$kept/queue.lock"
}

# ── hosts as they were ──

# Files of a host while these units of it do not run.
host_keep() { # HOST UNITS FOLDER…
    local host=$1 units=$2 f
    shift 2
    on "$host" sh -c "for u in $units; do systemctl is-active -q \$u && echo \$u; done >/run/kept; xargs -r systemctl stop </run/kept"
    for f; do
        mkdir -p "$kept/$host/$f"
        [ ! -d "$(lab dir "$host")/root/$f" ] || rsync -aHAX --delete "$(lab dir "$host")/root/$f/" "$kept/$host/$f/"
    done
    on "$host" sh -c 'tac /run/kept | xargs -r systemctl start'
}
host_put_back() { # HOST FOLDER…
    local host=$1 f
    shift
    lab stop "$host"
    for f; do
        [ ! -d "$(lab dir "$host")/root/$f" ] || rsync -aHAX --delete "$kept/$host/$f/" "$(lab dir "$host")/root/$f/"
    done
    lab start "$host"
}
