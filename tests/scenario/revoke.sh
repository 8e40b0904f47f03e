#!/bin/bash
# revoke: an agent's key is revoked in the middle of a transfer: it is cut off within a second.
# limit: 180
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/trees.sh"

received() { lab counters "$1" | cut -d' ' -f4; }

# Prints the milliseconds from now until data stopped arriving: the last time that a sample grew by
# more than acknowledgements and heartbeats do.
time_to_silence() { # HOST
    local start last value grew=0
    start=$(now_ms)
    last=$(received "$1")
    while [ $(($(now_ms) - start)) -lt 3000 ]; do
        sleep 0.03
        value=$(received "$1")
        [ $((value - last)) -lt 20000 ] || grew=$(($(now_ms) - start))
        last=$value
    done
    echo "$grew"
}

# The rate makes the 400 MiB take over 15 s. Files count when they are whole: many, so that some are before the end.
revoke_case() { # REVOKED SOURCE DESTINATION
    local silence took start
    godwit job create files --name "job-$1" --pair "$2:/srv/data=$3:/srv/data" >/dev/null
    godwit job start "job-$1" >/dev/null
    job_under_way "job-$1" 20000000
    start=$(now_ms)
    (godwit agent revoke "$1" >/dev/null) &
    silence=$(time_to_silence "$3")
    wait $!
    show "$1 revoked: no data arrives after $silence ms"
    [ "$silence" -lt 1000 ] || fail "data arrived for $silence ms after $1 was revoked"
    [ "$(godwit agent show "$1" -o json | jq -r .state)" = revoked ] || fail "$1 is not shown as revoked"
    is_online "$1" && fail "$1 is still online"
    until_true 30 "job-$1 has ended" job_ended "job-$1"
    case $(job_state "job-$1") in failed | stopped | partial) ;; *) fail "job-$1 is $(job_state "job-$1")" ;; esac
    godwit job show "job-$1" -o json | jq -r '.pairs[] | "pair \(.n): \(.state): \(.reason)"'
}

fleet_up fs1 fs2 new1 new2
big_files fs1 /srv/data 20 20
big_files fs2 /srv/data 20 20
lab rate new1 200
lab rate new2 200
revoke_case fs1 fs1 new1
revoke_case new2 fs2 new2
say "done"
