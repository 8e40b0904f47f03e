#!/bin/bash
# cutover: whatever dies at whatever stage of a cutover (an agent, the orchestrator, a whole host), it ends at 100 %, or the
# source serves and both hosts are as they were; never do two machines answer for the server's address. The table is the
# stages of `godwit cutover stages` that apply, times the events. GODWIT_CUTOVER_METHOD=rejoin moves members of a domain by joining
# anew. GODWIT_CUTOVER_CASES="STAGE@EVENT …" picks (extended regular expressions; "turns": each stage by one event),
# GODWIT_CELLS_DONE=FILE goes on where another run ended, KEEP=1 leaves the lab for that, GODWIT_CUTOVER_SECONDS=N begins no case
# after so long. GODWIT_CUTOVER_TRACKS=N servers, each with an orchestrator of its own, move beside each other and take the next case
# that nobody has begun. tests/run --all does all of it.
# limit: 5400
# slow
# lab
. "$(dirname "$0")/../scenario/lib.sh"
. "$(dirname "$0")/../scenario/cutlib.sh"
. "$(dirname "$0")/cells.sh"
LAB_NAME=kill-$LAB_NAME
export LAB_WAIT=${LAB_WAIT:-180} # many hosts start at the same time

events="source-agent destination-agent source-power destination-power orchestrator"
short="source.close@source-agent source.addresses@destination-agent stop@orchestrator source.addresses@source-power destination.start@destination-power"
pick=${GODWIT_CUTOVER_CASES:-$([ "${GODWIT_ALL:-no}" = yes ] && echo '.*' || echo "$short")}
method=${GODWIT_CUTOVER_METHOD:-transplant}
tracks=${GODWIT_CUTOVER_TRACKS:-3}
seconds=${GODWIT_CUTOVER_SECONDS:-100000}
user=alice
[ $method = transplant ] || user='LAB\alice' users_password=Lab-Passw0rd

# ── the servers: fsN and its successor newN, whose orchestrator is orchN ──

begin_track() { # TRACK
    track=$1 orch=orch$1 src=fs$1 dst=new$1 job=move$1
    [ ! -e "$kept/job-$1" ] || job=$(cat "$kept/job-$1")
}
server() {
    local h
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

# ── as it was ──

# Others use the directory at the same time: what a case has left there goes, and its two hosts join anew.
accounts_made() { # of the source's new name
    on dc1 ldbsearch -H /var/lib/samba/private/sam.ldb "(sAMAccountName=${src^^}-*)" sAMAccountName | sed -n 's/^sAMAccountName: //p'
}
join_again() { # HOST
    on "$1" sh -c 'systemctl stop smbd winbind; echo Lab-Passw0rd | net ads join -U Administrator -S dc1.lab.test >/run/joined 2>&1 || { cat /run/joined; exit 1; }
        net cache flush; systemctl start winbind smbd' || fail "$1 does not join again"
}
beside() { # FUNCTION ARGUMENT…: one for each, at the same time
    local what=$1 each pids=()
    shift
    for each; do
        $what "$each" &
        pids+=($!)
    done
    for each in "${pids[@]}"; do wait "$each" || fail "$what"; done
}
put_back() { host_put_back "$1" etc var/lib/samba var/lib/godwit/agent; } # HOST
restore_track() {
    local a
    godwit job stop "$job" >/dev/null 2>&1 || true
    beside put_back $src $dst
    if [ $method = rejoin ]; then
        for a in $(accounts_made); do on dc1 samba-tool computer delete "$a" >/dev/null || fail "the account $a stays"; done
        beside join_again $src $dst
    fi
    until_true 60 "both agents are there" both_online
    on cl sh -c "truncate -s 0 /run/who-$src.two"
    until_true 60 "the source serves" source_serves
    await_domain
    new_job "move$track-$RANDOM"
    echo "$job" >"$kept/job-$track"
    as_it_is >"$kept/before-$track"
}

# ── one case ──

settings() { echo --method $method --source-address "$(admin_of $src "$track")/24" --new-name "$src-old" --silence 15s; }
state() { cut_job "$job" '.pairs[0].cutover' 2>/dev/null; }
both_online() { godwit agent list -o json 2>/dev/null | jq -e --arg a $src --arg b $dst '[.. | objects | select((.host == $a or .host == $b) and .presence == "online")] | length == 2' >/dev/null; }
# A controller that has just started answers users before it answers computers.
domain_knows() { local h; for h in $src $dst; do on $h sh -c 'wbinfo -t && net ads info' >/dev/null 2>&1 || return 1; done; }
await_domain() { [ $method = transplant ] || until_true 150 "both are members of the domain" domain_knows; }
source_serves() { sleep 0.2; uses cl $src sales "$user" >/dev/null && served_from cl $src sales "$user" $src; }
new_serves() { sleep 0.2; uses cl $src sales "$user" >/dev/null && served_from cl $src sales "$user" $dst; }
# Both hosts, and what the directory has of them: in a rejoin but for keys.
as_it_is() {
    local h
    for h in $src $dst; do if [ $method = rejoin ]; then looks_of $h; else identity_of $h; fi; done
    [ $method = transplant ] || on dc1 ldbsearch -H /var/lib/samba/private/sam.ldb "(|(sAMAccountName=${src^^}*)(sAMAccountName=${dst^^}\$))" \
        sAMAccountName objectSid userAccountControl dNSHostName servicePrincipalName | grep -E '^(dn|sAMAccountName|objectSid|userAccountControl|dNSHostName|servicePrincipalName): ' | sort
}
as_before() { sleep 0.3; [ "$(as_it_is)" = "$(cat "$kept/before-$track")" ]; }

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
# Without a process for each: several tracks wait at the same time.
nap() { read -rt "$1" -u "$never" || true; } # SECONDS
await_note() { # HOST FILE
    local n=0 found never
    exec {never}<> <(:)
    found="$(lab dir "$1")/upper/var/lib/godwit/agent/cutover/*/$2"
    until compgen -G "$found" >/dev/null; do
        n=$((n + 1))
        [ $((n % 100)) -ne 0 ] || ! job_ended "$job" || return 1
        [ $n -lt 18000 ] || return 1
        nap 0.01
    done
}
# Asked in the orchestrator's host, since a stage may be over in a fifth of a second.
await_shown() { # STAGE
    on "$orch" sh -c 'until=$(($(date +%s) + 180)); while [ $(date +%s) -lt $until ]; do
        state=$(godwit cutover stages "$0" -o json 2>/dev/null | tr "{," "\n\n" | awk -v id="\"$1\"" "/\"id\":/ {mine = index(\$0, id)} mine && /\"state\":/ {print; exit}")
        case $state in *begun* | *running* | *done*) exit 0 ;; esac; sleep 0.03; done; exit 1' "$job" "$1"
}
await_stage() { # STAGE
    local note
    note=$(note_of "$1")
    # shellcheck disable=SC2086
    if [ -n "$note" ]; then await_note $note; else await_shown "$1"; fi || fail "stage $1 is not reached: $(state)"
    lap reached
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
    orchestrator) kill_in "$orch" godwitd ;;
    source-power) lab stop $src && lab start $src ;;
    destination-power) lab stop $dst && lab start $dst ;;
    esac
}
is_over() {
    on "$orch" timeout 200 godwit cutover watch "$job" >/dev/null 2>&1 || sleep 0.4
    case $(state) in
    "cut over" | "rolled back" | "" | prepared) job_ended "$job" ;;
    *) return 1 ;;
    esac
}
is_committed() { [ "$(state)" = committed ] || { job_ended "$job" && godwit cutover commit "$job" --wait=no >/dev/null 2>&1; false; }; }
lap() { laps+=" $1 $((SECONDS - began))"; }

on_the_way() { # STAGE EVENT
    # shellcheck disable=SC2046
    godwit cutover run "$job" $(settings) --wait=no >/dev/null || fail "it does not begin: $(state)"
    await_stage "$1"
    strike "$2"
    until_true 200 "the cutover is over, it is '$(state)'" is_over
    end=$(state)
    lap over
    if [ "$end" = "cut over" ]; then
        until_true 60 "the destination serves" new_serves
        until_true 60 "both agents are back" both_online
        godwit cutover rollback "$job" >/dev/null || fail "the rollback failed: $(state)"
        lap back
    fi
    until_true 60 "the source serves" source_serves
    until_true 60 "both agents are back" both_online
    (until_true 60 "all is as before" as_before) || { diff "$kept/before-$track" <(as_it_is); fail "the hosts are not as before"; }
}

at_commit() { # STAGE EVENT
    # shellcheck disable=SC2046
    godwit cutover run "$job" $(settings) >/dev/null || fail "the cutover failed: $(state)"
    godwit cutover commit "$job" --wait=no >/dev/null || fail "the commit does not begin"
    await_stage "$1"
    strike "$2"
    until_true 120 "it is committed" is_committed
    end=$(state)
    lap over
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
    local way=on_the_way laps="" began=$SECONDS
    [[ $commit_stages != *" $1 "* ]] || way=at_commit
    until_true 60 "both agents are there" both_online
    $way "$1" "$2"
    one_at_a_time "$2 at $1"
    nothing_is_left
    lap end
    echo "$end ($laps )" >"$kept/end-$track"
}

# ── the table ──

tell_failure() {
    local h
    cat "$kept/case-$track"
    godwit cutover stages "$job" | grep -vE 'skipped|open' || true
    for h in $src $dst "$orch"; do on $h journalctl -q --no-pager -o short-precise -u godwitd -u godwit-agent -u godwit-boot --since=-150s | tail -40 | sed "s/^/$h: /" || true; done
}
play() { # CASE
    local began=$SECONDS
    if [ -e "$kept/used-$track" ]; then
        (restore_track) >"$kept/case-$track" 2>&1 || {
            cells_note $method "$1" bad $((SECONDS - began)) "the hosts are not put back: $(grep FAIL: "$kept/case-$track")"
            tell_failure
            return 0
        }
        begin_track "$track"
    fi
    touch "$kept/used-$track" # until it is known to be as before
    if (one_case "${1%%@*}" "${1#*@}") >"$kept/case-$track" 2>&1; then
        cells_note $method "$1" good $((SECONDS - began)) "$(cat "$kept/end-$track")"
        [[ $commit_stages = *" ${1%%@*} "* ]] || rm "$kept/used-$track"
    else
        cells_note $method "$1" bad $((SECONDS - began)) "$(grep FAIL: "$kept/case-$track")"
        tell_failure
    fi
}
work() { # TRACK
    local c
    begin_track "$1"
    while [ $SECONDS -lt "$seconds" ] && c=$(cells_next) && [ -n "$c" ]; do play "$c"; done
}

set_up_track() { # TRACK
    local h
    begin_track "$1"
    orchestrator_up
    agents_up $src $dst
    server
    new_job "$job"
    for h in $src $dst; do host_keep $h "godwit-agent smbd nmbd winbind samba-ad-dc" etc var/lib/samba var/lib/godwit/agent; done
    until_true 60 "both agents are there" both_online
    until_true 60 "the source serves" source_serves
    await_domain
    as_it_is >"$kept/before-$1"
    watch_track
    [ "$1" = 1 ] || return 0
    # shellcheck disable=SC2046
    godwit cutover validate "$job" $(settings) >/dev/null || { godwit cutover report "$job"; fail "there is something in the way"; }
    cut_job "$job" '.pairs[0].stages[] | select(.state != "skipped" and .commit == false and .id != "verify" and .on != "witness") | .id' >"$kept/stages"
    cut_job "$job" '.pairs[0].stages[] | select(.state != "skipped" and .commit) | .id' >"$kept/final"
}
set_up() {
    local t hosts=()
    for ((t = 1; t <= tracks; t++)); do hosts+=("fs$t" "new$t"); done
    packages
    # shellcheck disable=SC2046
    if [ $method = rejoin ]; then
        DOMAIN_DC=dc1 DOMAIN_MEMBERS="${hosts[*]}" SAMBA_HOSTS=cl lab_up $(seq -f 'orch%g' "$tracks") "${hosts[@]}" cl
        lab user alice
    else
        SAMBA_HOSTS="${hosts[*]} cl" lab_up $(seq -f 'orch%g' "$tracks") "${hosts[@]}" cl
    fi
    kept=$(lab dir cl)/../../kept
    mkdir -p "$kept"
    lab push cl "$top/tests/lab/who.py" /root
    # shellcheck disable=SC2046
    beside set_up_track $(seq "$tracks")
    echo "$tracks" >"$kept/ready"
}

at=$(lab dir cl 2>/dev/null || true)
kept=$at/../../kept # goes with the lab
if [ -n "$at" ] && [ -e "$kept/ready" ]; then
    trap finish EXIT
    tracks=$(cat "$kept/ready")
else
    set_up
fi
say "$tracks server(s) beside each other are set up"
: >"$kept/results"
stages=$(cat "$kept/stages") final=$(cat "$kept/final")
commit_stages=" $(echo $final) "
# What cannot be taken back comes last.
cases=$(for s in $stages $final; do for e in $events; do echo "$s@$e"; done; done)
turns=$(i=0; for s in $stages $final; do set -- $events; shift $((i++ % 5)); echo "$s@$1"; done)
[ "$pick" = turns ] && wanted=$turns || wanted=$(for p in $pick; do grep -xE -- "$p" <<<"$cases" || echo "NONE:$p"; done)
[[ $wanted != *NONE:* ]] || fail "no such case: $(grep NONE: <<<"$wanted")"
all=$(wc -l <<<"$cases")
cells_left $method <<<"$wanted" >"$kept/queue"
say "$(wc -l <"$kept/queue") of $all cases, $method"

workers=()
trap 'kill "${workers[@]}" 2>/dev/null; exit 130' INT TERM
for ((t = 1; t <= tracks; t++)); do
    work $t &
    workers+=($!)
done
for w in "${workers[@]}"; do
    wait "$w" || { kill "${workers[@]}" 2>/dev/null || true; fail "a track ended"; }
done

n=$(wc -l <"$kept/results") good=$(grep -c " good " "$kept/results" || true)
sed -n 's/^[a-z]* \(.*\) good /CASE: \1 /p' "$kept/results"
before=$(cells_passed_before $method | wc -l)
[ -z "$cells_done" ] || say "with earlier runs $before of $all have passed"
show "$method: $n of $all cases run, $good passed: each ended at 100 %, or with the source serving as before, never with two servers ($(grep -cE 's: (cut over|committed)' "$kept/results" || true) at 100 %)"
[ "$n" = "$good" ] || fail "$(awk '$3 == "bad" {print $2}' "$kept/results" | paste -sd' ')"
