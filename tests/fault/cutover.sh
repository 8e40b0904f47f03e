#!/bin/bash
# cutover: whatever dies at whatever stage of a cutover (an agent, the orchestrator, a whole host), it ends at 100 % or the
# source serves as before; never do two machines answer for the server's address. The stages are those of `godwit cutover
# stages`, the table is stages x events; GODWIT_CUTOVER_CASES="STAGE@EVENT …" picks (extended regular expressions),
# tests/run --all does all of it.
# limit: 7200
# slow
. "$(dirname "$0")/../scenario/lib.sh"
. "$(dirname "$0")/../scenario/cutlib.sh"
LAB_NAME=kill-$LAB_NAME
passed() { echo "CASE: $*"; }

events="kill:fs1:godwit-agent kill:new1:godwit-agent kill:orch:godwitd power:fs1 power:new1"
short="bundle@kill:fs1:godwit-agent source.addresses@kill:new1:godwit-agent stop@kill:orch:godwitd source.addresses@power:fs1 destination.start@power:new1 destination.commit@power:new1"
pick=${GODWIT_CUTOVER_CASES:-$([ "${GODWIT_ALL:-no}" = yes ] && echo '.*' || echo "$short")}

packages
SAMBA_HOSTS="fs1 new1 cl" lab_up orch fs1 new1 cl
orchestrator_up
agents_up fs1 new1
users_on fs1 alice:3001
on fs1 sh -c 'mkdir -p /srv/data/sales; chmod 777 /srv/data/sales'
share sales /srv/data/sales | standalone fs1
standalone new1 </dev/null
address=$(lab ip fs1)
job=move
new_job() { # NAME
    job=$1
    godwit job create files --name "$job" --accounts rename --shares pair --pair fs1:/srv/data=new1:/srv/data >/dev/null
    godwit job start "$job" --wait >/dev/null || { godwit job report "$job"; fail "the transfer failed"; }
}
new_job move

# ── a commit cannot be taken back: the hosts are put back as they were before it ──

kept=$(dirname "$(lab dir orch)")/../kept # goes with the lab
mkdir -p "$kept"
folders="etc var/lib/samba var/lib/godwit/agent"
keep_hosts() {
    local h f
    for h in fs1 new1; do
        on "$h" systemctl stop godwit-agent smbd
        for f in $folders; do
            mkdir -p "$kept/$h/$f"
            rsync -aHAX --delete "$(lab dir $h)/root/$f/" "$kept/$h/$f/"
        done
        on "$h" systemctl start godwit-agent smbd
    done
}
restore_hosts() {
    local h f
    for h in fs1 new1; do
        lab stop $h
        for f in $folders; do rsync -aHAX --delete "$kept/$h/$f/" "$(lab dir $h)/root/$f/"; done
        lab start $h
    done
    for h in fs1 new1; do until_true 30 "$h online" is_online $h; done
}

# ── one case ──

begin() { godwit cutover run "$job" --source-address "$(admin_of fs1)/24" --silence 15s --wait=no >/dev/null; }
state() { cut_job "$job" '.pairs[0].cutover' 2>/dev/null; }
# Asked in the orchestrator's host, since a stage may be over in a fifth of a second.
await_stage() { # STAGE
    on orch sh -c 'n=0; while [ $n -lt 400 ]; do n=$((n + 1))
        state=$(godwit cutover stages "$0" -o json 2>/dev/null | tr "{," "\n\n" | awk -v id="\"$1\"" "/\"id\":/ {mine = index(\$0, id)} mine && /\"state\":/ {print; exit}")
        case $state in *begun* | *running* | *done*) exit 0 ;; esac; done; exit 1' "$job" "$1" || fail "stage $1 is not reached: $(state)"
}
strike() { # EVENT
    local what host process
    IFS=: read -r what host process <<<"$1"
    case $what in
    kill) lab kill "$host" "$process" ;;
    power) lab stop "$host" && lab start "$host" ;;
    esac
}
# Once more, when it ended on its way.
is_over() {
    case $(state) in
    "cut over" | "rolled back" | "" | prepared) job_ended "$job" ;;
    *) job_ended "$job" && { godwit cutover rollback "$job" --wait=no >/dev/null 2>&1; false; } ;;
    esac
}
is_committed() { [ "$(state)" = committed ] || { job_ended "$job" && godwit cutover commit "$job" --wait=no >/dev/null 2>&1; false; }; }
both_online() { is_online fs1 && is_online new1; }
source_serves() { uses cl fs1 sales alice >/dev/null && served_from cl fs1 sales alice fs1; }
new_serves() { uses cl fs1 sales alice >/dev/null && served_from cl fs1 sales alice new1; }

on_the_way() { # STAGE EVENT
    begin || fail "it does not begin: $(state)"
    await_stage "$1"
    strike "$2" || fail "cannot strike $2"
    until_true 240 "the cutover is over ($2 at $1)" is_over
    end=$(state)
    if [ "$end" = "cut over" ]; then
        until_true 60 "the destination serves ($2 at $1)" new_serves
        until_true 60 "both agents are back" both_online
        godwit cutover rollback "$job" >/dev/null || fail "$2 at $1: the rollback failed: $(state)"
    fi
    until_true 60 "the source serves as before ($2 at $1)" source_serves
}

at_commit() { # STAGE EVENT
    godwit cutover run "$job" --source-address "$(admin_of fs1)/24" --silence 15s >/dev/null || fail "the cutover failed: $(state)"
    godwit cutover commit "$job" --wait=no >/dev/null || fail "the commit does not begin"
    await_stage "$1"
    strike "$2" || fail "cannot strike $2"
    until_true 120 "it is committed ($2 at $1)" is_committed
    end=$(state)
    until_true 60 "the destination serves ($2 at $1)" new_serves
}

# ── the table ──

godwit cutover prepare move --source-address "$(admin_of fs1)/24" >/dev/null || { godwit cutover report move; fail "prepare failed"; }
stages=$(cut_job move '.pairs[0].stages[] | select(.state != "skipped" and .commit == false and .id != "verify") | .id')
final=$(cut_job move '.pairs[0].stages[] | select(.state != "skipped" and .commit) | .id')
cases=$(for s in $stages $final; do for e in $events; do echo "$s@$e"; done; done)
wanted=$(for p in $pick; do grep -xE -- "$p" <<<"$cases" || echo "NONE:$p"; done)
[[ $wanted != *NONE:* ]] || fail "no such case: $(grep NONE: <<<"$wanted")"
all=$(wc -l <<<"$cases")
keep_hosts
watch_address cl "$address"
commit_stages=" $(echo $final) "
fresh=yes n=0 good=0 bad=()
for c in $wanted; do
    stage=${c%%@*} event=${c#*@} way=on_the_way
    say "$event at $stage"
    [[ $commit_stages != *" $stage "* ]] || way=at_commit
    n=$((n + 1))
    if [ $fresh = no ]; then # after a commit, or a case that failed
        restore_hosts
        new_job "move$n"
    fi
    fresh=yes
    if (until_true 60 "both agents are there" both_online; $way "$stage" "$event"; never_two cl "$event at $stage"; echo "$end" >"$kept/end"); then
        good=$((good + 1))
        passed "$event at $stage: $(cat "$kept/end")"
        [ $way = on_the_way ] || fresh=no
    else
        bad+=("$c")
        godwit cutover stages "$job" | grep -vE 'skipped|open' || true
        on cl sh -c 'truncate -s 0 /run/who.two'
        fresh=no
    fi
done
show "$n of $all cases run, $good passed: each ended at 100 %, or with the source serving, never with two servers"
[ ${#bad[@]} -eq 0 ] || fail "${bad[*]}"
