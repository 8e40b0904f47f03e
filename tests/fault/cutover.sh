#!/bin/bash
# cutover: whatever dies at whatever stage of a cutover (an agent, the orchestrator, a whole host), it ends at 100 %, or the
# source serves and both hosts are as they were; never do two machines answer for the server's address. The table is the
# stages of `godwit cutover stages` that apply, times the events. GODWIT_CUTOVER_CASES="STAGE@EVENT …" picks (extended regular
# expressions; "turns": each stage by one event; KEEP=1 leaves the lab for another call with others), GODWIT_CUTOVER_METHOD=rejoin moves members of a domain by joining anew, GODWIT_CUTOVER_TRACKS=N servers move
# beside each other, GODWIT_CUTOVER_SECONDS=N begins no case after so long; tests/run --all does all of it.
# limit: 5400
# slow
# lab
. "$(dirname "$0")/../scenario/lib.sh"
. "$(dirname "$0")/../scenario/cutlib.sh"
LAB_NAME=kill-$LAB_NAME

events="source-agent destination-agent source-power destination-power orchestrator"
short="source.close@source-agent source.addresses@destination-agent stop@orchestrator source.addresses@source-power destination.start@destination-power"
pick=${GODWIT_CUTOVER_CASES:-$([ "${GODWIT_ALL:-no}" = yes ] && echo '.*' || echo "$short")}
method=${GODWIT_CUTOVER_METHOD:-transplant}
tracks=${GODWIT_CUTOVER_TRACKS:-2}
[ $method = transplant ] || tracks=1 # they share a directory
seconds=${GODWIT_CUTOVER_SECONDS:-100000}
user=alice

# ── the servers: fsN and its successor newN ──

both=()
for ((t = 1; t <= tracks; t++)); do both+=("fs$t" "new$t"); done
[ $method = transplant ] || user='LAB\alice' users_password=Lab-Passw0rd
at=$(lab dir orch 2>/dev/null || true)
kept=${at%/*/*}/kept # goes with the lab
if [ -e "$kept/ready" ]; then
    trap finish EXIT
elif packages && [ $method = rejoin ]; then
    DOMAIN_DC=dc1 DOMAIN_MEMBERS="${both[*]}" SAMBA_HOSTS=cl lab_up orch "${both[@]}" cl
    lab user alice
else
    SAMBA_HOSTS="${both[*]} cl" lab_up orch "${both[@]}" cl
fi
if [ ! -e "$kept/ready" ]; then
    at=$(lab dir orch)
    kept=${at%/*/*}/kept
    orchestrator_up
    agents_up "${both[@]}"
fi
declare -A files # of each host, as seen from here
for h in "${both[@]}"; do files[$h]=$(lab dir "$h"); done

server() { # TRACK
    local src=fs$1 dst=new$1 h
    on $src sh -c 'mkdir -p /srv/data/sales; chmod 777 /srv/data/sales'
    if [ $method = rejoin ]; then
        share sales /srv/data/sales | on $src sh -c 'cat >>/etc/samba/smb.conf'
        for h in $src $dst; do
            on "$h" systemctl enable -q --now smbd winbind
            printf 'username = Administrator\npassword = Lab-Passw0rd\n' | on "$h" sh -c 'umask 077; cat >/etc/godwit/cutover.cred'
        done
    else
        users_on $src alice:3001
        share sales /srv/data/sales | standalone $src
        standalone $dst </dev/null
    fi
}
new_job() { # NAME: of the track at hand
    local more=(--accounts rename)
    [ $method = transplant ] || more=()
    job=$1
    godwit job create files --name "$job" "${more[@]}" --shares pair --pair $src:/srv/data=$dst:/srv/data >/dev/null
    godwit job start "$job" --wait >/dev/null || { godwit job report "$job"; fail "the transfer failed"; }
}
watch_track() { # who answers for the server's address, all the time
    on cl systemd-run -q --unit=who-$src python3 /root/who.py host0 "$(lab ip $src)" /run/who-$src
    until_true 10 "somebody answers for $src" on cl grep -qs : /run/who-$src
}
one_at_a_time() { # WHEN
    on cl systemctl -q is-active who-$src || fail "nobody watches the address"
    on cl sh -c "! [ -s /run/who-$src.two ]" || { on cl head -5 /run/who-$src.two; fail "two machines answered for one address: $1"; }
}

# ── a commit cannot be taken back, and a case that failed leaves what it leaves: hosts are put back as they were ──

mkdir -p "$kept"
folders="etc var/lib/samba var/lib/godwit/agent"
units="godwit-agent smbd nmbd winbind samba-ad-dc"
keep_host() { # HOST
    local f
    on "$1" sh -c "for u in $units; do systemctl is-active -q \$u && echo \$u; done >/run/kept; xargs -r systemctl stop </run/kept"
    for f in $folders; do
        mkdir -p "$kept/$1/$f"
        [ ! -d "$(lab dir "$1")/root/$f" ] || rsync -aHAX --delete "$(lab dir "$1")/root/$f/" "$kept/$1/$f/"
    done
    on "$1" sh -c 'tac /run/kept | xargs -r systemctl start'
}
restore_host() { # HOST
    local f
    lab stop "$1"
    for f in $folders; do
        [ ! -d "$(lab dir "$1")/root/$f" ] || rsync -aHAX --delete "$kept/$1/$f/" "$(lab dir "$1")/root/$f/"
    done
    lab start "$1"
}
restore_track() {
    local h
    godwit job stop "$job" >/dev/null 2>&1 || true
    # Who starts before its controller does not ask for it again for a while.
    [ $method = transplant ] || { restore_host dc1 && until_true 60 "the controller gives tickets" on dc1 sh -c 'echo Lab-Passw0rd | kinit -c /run/ticket Administrator >/dev/null 2>&1'; }
    for h in $src $dst; do restore_host $h; done
    until_true 60 "both agents are there" both_online
    on cl sh -c "truncate -s 0 /run/who-$src.two"
    until_true 60 "the source serves" source_serves
    await_domain
}

# ── one case ──

settings() { echo --method $method --source-address "$(admin_of $src "$track")/24" --silence 15s; }
state() { cut_job "$job" '.pairs[0].cutover' 2>/dev/null; }
both_online() { godwit agent list -o json 2>/dev/null | jq -e --arg a $src --arg b $dst '[.. | objects | select((.host == $a or .host == $b) and .presence == "online")] | length == 2' >/dev/null; }
# A controller that has just started answers users before it answers computers.
domain_knows() { local h; for h in $src $dst; do on $h sh -c 'wbinfo -t && net ads info' >/dev/null 2>&1 || return 1; done; }
await_domain() { [ $method = transplant ] || until_true 150 "both are members of the domain" domain_knows; }
source_serves() { sleep 0.2; uses cl $src sales "$user" >/dev/null && served_from cl $src sales "$user" $src; }
new_serves() { sleep 0.2; uses cl $src sales "$user" >/dev/null && served_from cl $src sales "$user" $dst; }
identities() { local h; for h in $src $dst; do if [ $method = rejoin ]; then looks_of $h; else identity_of $h; fi; done; }
as_before() { [ "$(identities)" = "$(cat "$kept/before-$track")" ]; }

# The stages of one order are all begun for the orchestrator: which one a host has come to, its notes tell.
note_of() { # STAGE: HOST FILE
    case $1 in
    source.close | source.fence | source.addresses | source.names | source.leave | source.join) echo "$src ${1#*.}.note" ;;
    stop) echo "$src stop.note" ;;
    destination.stop | destination.addresses | destination.names | destination.join | destination.start | destination.leave)
        echo "$dst ${1#*.}.note" ;;
    bundle) echo "$dst bundle" ;;
    source.guard) echo "$src guard" ;;
    destination.guard) echo "$dst guard" ;;
    esac
}
await_note() { # HOST FILE
    local n=0 found="${files[$1]}/upper/var/lib/godwit/agent/cutover/*/$2"
    until compgen -G "$found" >/dev/null; do
        n=$((n + 1))
        [ $((n % 100)) -ne 0 ] || ! job_ended "$job" || return 1
        [ $n -lt 6000 ] || return 1
        sleep 0.01
    done
}
# Asked in the orchestrator's host, since a stage may be over in a fifth of a second.
await_shown() { # STAGE
    on orch sh -c 'until=$(($(date +%s) + 60)); while [ $(date +%s) -lt $until ]; do
        state=$(godwit cutover stages "$0" -o json 2>/dev/null | tr "{," "\n\n" | awk -v id="\"$1\"" "/\"id\":/ {mine = index(\$0, id)} mine && /\"state\":/ {print; exit}")
        case $state in *begun* | *running* | *done*) exit 0 ;; esac; done; exit 1' "$job" "$1"
}
await_stage() { # STAGE
    local note
    note=$(note_of "$1")
    # shellcheck disable=SC2086
    if [ -n "$note" ]; then await_note $note; else await_shown "$1"; fi || fail "stage $1 is not reached: $(state)"
}
kill_in() { # HOST PROCESS: it may be on its way up
    local n
    for n in $(seq 30); do
        ! on "$1" pkill -KILL -x "$2" || return 0
        sleep 0.1
    done
    fail "no $2 runs in $1"
}
strike() { # EVENT
    case $1 in
    source-agent) kill_in $src godwit-agent ;;
    destination-agent) kill_in $dst godwit-agent ;;
    orchestrator) kill_in orch godwitd ;;
    source-power) lab stop $src && lab start $src ;;
    destination-power) lab stop $dst && lab start $dst ;;
    esac
}
is_over() {
    sleep 0.4 # asking costs more than waiting does
    case $(state) in
    "cut over" | "rolled back" | "" | prepared) job_ended "$job" ;;
    *) return 1 ;;
    esac
}
is_committed() { [ "$(state)" = committed ] || { job_ended "$job" && godwit cutover commit "$job" --wait=no >/dev/null 2>&1; false; }; }

on_the_way() { # STAGE EVENT
    # shellcheck disable=SC2046
    godwit cutover run "$job" $(settings) --wait=no >/dev/null || fail "it does not begin: $(state)"
    await_stage "$1"
    strike "$2"
    until_true 200 "the cutover is over, it is '$(state)'" is_over
    end=$(state)
    if [ "$end" = "cut over" ]; then
        until_true 60 "the destination serves" new_serves
        until_true 60 "both agents are back" both_online
        godwit cutover rollback "$job" >/dev/null || fail "the rollback failed: $(state)"
    fi
    until_true 60 "the source serves" source_serves
    until_true 60 "both agents are back" both_online
    for _ in $(seq 100); do ! as_before || return 0; done
    diff "$kept/before-$track" <(identities) || fail "the hosts are not as before"
}

at_commit() { # STAGE EVENT
    # shellcheck disable=SC2046
    godwit cutover run "$job" $(settings) >/dev/null || fail "the cutover failed: $(state)"
    godwit cutover commit "$job" --wait=no >/dev/null || fail "the commit does not begin"
    await_stage "$1"
    strike "$2"
    until_true 120 "it is committed" is_committed
    end=$(state)
    until_true 60 "the destination serves" new_serves
}

# Of orders to helpers, which hold secrets, whoever died meanwhile.
nothing_is_left() {
    local h
    for h in $src $dst; do
        until_true 20 "$h has no order left" on $h sh -c '! ls -A /var/lib/godwit/agent/cutover/run 2>/dev/null | grep -q .'
    done
}
one_case() { # STAGE EVENT
    local way=on_the_way
    [[ $commit_stages != *" $1 "* ]] || way=at_commit
    until_true 60 "both agents are there" both_online
    $way "$1" "$2"
    one_at_a_time "$2 at $1"
    nothing_is_left
    echo "$end" >"$kept/end-$track"
}

# ── the table ──

begin_track() { # TRACK
    track=$1 src=fs$1 dst=new$1 job=move$1
    [ ! -e "$kept/job-$1" ] || job=$(cat "$kept/job-$1")
}
cases_of() { # TRACK CASE…: one line of $kept/results for each
    local c began
    begin_track "$1"
    shift
    for c; do
        began=$SECONDS
        [ $SECONDS -lt "$seconds" ] || break
        if [ -e "$kept/used-$track" ]; then
            restore_track
            new_job "move$track-$RANDOM"
            echo "$job" >"$kept/job-$track"
        fi
        touch "$kept/used-$track" # until it is known to be as before
        if (one_case "${c%%@*}" "${c#*@}") >"$kept/case-$track" 2>&1; then
            echo "good $c $((SECONDS - began)) s: $(cat "$kept/end-$track")" | tee -a "$kept/results"
            [[ $commit_stages = *" ${c%%@*} "* ]] || rm "$kept/used-$track"
        else
            echo "bad $c $((SECONDS - began)) s: $(grep FAIL: "$kept/case-$track")" | tee -a "$kept/results"
            cat "$kept/case-$track"
            godwit cutover stages "$job" | grep -vE 'skipped|open' || true
            for h in $src $dst orch; do on $h journalctl -q --no-pager -o short-precise -u godwitd -u godwit-agent -u godwit-boot --since=-150s | tail -25 | sed "s/^/$h: /" || true; done
        fi
    done
}

set_up() {
    local h t

    lab push cl "$top/tests/lab/who.py" /root
    for ((t = 1; t <= tracks; t++)); do
        begin_track $t
        server $t
        new_job move$t
        for h in $src $dst; do keep_host $h; done
    done
    [ $method = transplant ] || keep_host dc1
    for ((t = 1; t <= tracks; t++)); do
        begin_track $t
        until_true 60 "both agents are there" both_online
        until_true 60 "the source serves" source_serves
        await_domain
        identities >"$kept/before-$t"
        watch_track
    done
    begin_track 1
    # shellcheck disable=SC2046
    godwit cutover prepare move1 $(settings) >/dev/null || { godwit cutover report move1; fail "prepare failed"; }
    cut_job move1 '.pairs[0].stages[] | select(.state != "skipped" and .commit == false and .id != "verify" and .on != "witness") | .id' >"$kept/stages"
    cut_job move1 '.pairs[0].stages[] | select(.state != "skipped" and .commit) | .id' >"$kept/final"
    touch "$kept/ready"
}

[ -e "$kept/ready" ] || set_up
rm -f "$kept/results"
stages=$(cat "$kept/stages") final=$(cat "$kept/final")
commit_stages=" $(echo $final) "
cases=$(for e in $events; do for s in $stages $final; do echo "$s@$e"; done; done)
turns=$(i=0; for s in $stages $final; do set -- $events; shift $((i++ % 5)); echo "$s@$1"; done)
[ "$pick" = turns ] && wanted=$turns || wanted=$(for p in $pick; do grep -xE -- "$p" <<<"$cases" || echo "NONE:$p"; done)
[[ $wanted != *NONE:* ]] || fail "no such case: $(grep NONE: <<<"$wanted")"
all=$(wc -l <<<"$cases")
say "$(wc -l <<<"$wanted") of $all cases: $tracks server(s) at a time, $method"

# The orchestrator is everybody's: what kills it goes alone.
own=$(grep -v @orchestrator <<<"$wanted" || true)
workers=()
trap 'kill "${workers[@]}" 2>/dev/null; exit 130' INT TERM
for ((t = 1; t <= tracks; t++)); do
    # shellcheck disable=SC2046
    cases_of $t $(awk -v t=$t -v n=$tracks 'NR % n == t % n' <<<"$own") &
    workers+=($!)
done
for w in "${workers[@]}"; do wait "$w" || fail "a track ended"; done
# shellcheck disable=SC2046
cases_of 1 $(grep @orchestrator <<<"$wanted" || true)

n=$(wc -l <"$kept/results") good=$(grep -c ^good "$kept/results" || true)
grep ^good "$kept/results" | sed 's/^good /CASE: /'
show "$method: $n of $all cases run, $good passed: each ended at 100 %, or with the source serving as before, never with two servers ($(grep -c 's: cut over$' "$kept/results" || true) at 100 %)"
[ "$n" = "$good" ] || fail "$(grep ^bad "$kept/results" | cut -d' ' -f2 | paste -sd' ')"
