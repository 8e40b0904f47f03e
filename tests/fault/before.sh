#!/bin/bash
# before: what is said before anything moves: inventory, the contract and its losses, checks of the way between two hosts
# (a port that is closed, a check that is overridden), what stands at the destination, what is left out.
# limit: 90
. "$(dirname "$0")/lib.sh"

src=$work/from dst=$work/to
mkdir -p "$src/sub" "$src/scratch"
echo one >"$src/sub/one"
echo two >"$src/Sub"
echo x >"$src/con.txt"
echo y >"$src/scratch/y"
ln -s nowhere "$src/dangling"
mkdir "$dst" "${state[dst]}"
chown nobody: "$dst" "${state[dst]}"
chown daemon: "$src/sub/one"
wrap[dst]="setpriv --reuid=nobody --regid=nogroup --clear-groups"
fleet_up

say "inventory"
godwit job create files --name lossy --pair "src:$src=dst:$dst" --exclude /scratch/ >/dev/null
godwit job inventory lossy --wait >/dev/null || fail "the inventory failed"
godwit inventory show lossy -o json >"$work/inventory"
has() { jq -e "$1" "$work/inventory" >/dev/null || { jq . "$work/inventory"; fail "the inventory lacks: $1"; }; }
class() { has ".pairs[0].contract[] | select(.class == \"$1\" and .verdict == \"$2\" and .count == $3)"; }
class owners lost 1
class smb-names note 1
class case-collisions note 1
class dangling-links note 1
has '.pairs[0].inventory.left_out == 1'
has '[.hosts[].host] | sort == ["dst", "src"]'
has '.hosts[] | select(.host == "src") | .kernel != "" and (.interfaces | length) > 0 and (.volumes | length) > 0'
godwit inventory show lossy >"$work/text"
grep -q "owners .*lost" "$work/text" || { cat "$work/text"; fail "the table lacks the loss"; }
passed "hosts, classes with counts, and names that clients stumble over"

say "a loss"
rc=0
godwit job validate lossy -o json >"$work/checks" || rc=$?
[ $rc = 8 ] || fail "validate of a job that would lose owners ended with $rc"
check() { # ID RESULT
    jq -e ".checks[] | select(.id == \"$1\" and .result == \"$2\" and (.evidence | length) > 0 and .from != \"\")" \
        "$work/checks" >/dev/null || { jq .checks "$work/checks"; fail "$1 is not '$2'"; }
}
check losses-accepted fail
check lane-port pass
check throughput pass
check clock-skew pass
check rights-destination warn
check rights-source pass
check free-space pass
godwit job validate lossy --override losses-accepted >/dev/null || fail "an overridden check stops"
rc=0
godwit job start lossy --phase transfer 2>"$work/err" || rc=$?
[ $rc = 8 ] && grep -q owners "$work/err" || { cat "$work/err"; fail "a start with a loss ended with $rc"; }
godwit job start lossy >/dev/null
job_end lossy 30 failed
[ ! -e "$dst/Sub" ] || fail "something moved before the loss was accepted"
rc=0
godwit job start lossy --accept-loss nonsense 2>"$work/err" || rc=$?
[ $rc = 2 ] && grep -q nonsense "$work/err" || { cat "$work/err"; fail "an unknown class ended with $rc"; }
godwit job start lossy --accept-loss owners >/dev/null
job_end lossy 30 done
[ -e "$dst/Sub" ] && [ ! -e "$dst/scratch" ] || fail "not what was to come"
godwit job journal lossy | grep -q "accepts the loss of owners" || fail "the journal does not know who accepted"
passed "a loss stops the job until it is accepted, and that stands in the journal"

say "the way"
link_cut src dst
rc=0
godwit job validate lossy -o json >"$work/checks" || rc=$?
[ $rc = 8 ] || fail "validate without a way ended with $rc"
jq -e '.checks[] | select(.id == "lane-port") | .result != "pass"' "$work/checks" >/dev/null || fail "the way is not missed"
link_heal
until_true 40 "the way is there again" godwit job validate lossy >/dev/null 2>&1
passed "a closed port is told before the start"

say "what stood there"
mkdir "$work/full" && echo mine >"$work/full/mine" && chown -R nobody: "$work/full"
job_start aside "$src" "$work/full" --accept-loss all --pre-existing aside --delete --full-scan # what only the destination has is no change of the source
job_end aside 30 done
[ "$(cat "$work/full/".pre-existing-*/mine)" = mine ] && [ ! -e "$work/full/mine" ] || fail "not aside"
echo later >"$work/full/later"
job_start mirror "$src" "$work/full" --accept-loss all --pre-existing mirror --dry-run
job_end mirror 30 done
said mirror "would be removed" later
[ -e "$work/full/later" ] || fail "a dry run removed something"
godwit job start aside >/dev/null
job_end aside 30 done
[ ! -e "$work/full/later" ] && [ -e "$work/full/sub/one" ] || fail "the second pass did not mirror"
[ "$(find "$work/full" -maxdepth 1 -name '.pre-existing-*' | wc -l)" = 1 ] || fail "moved aside twice"
passed "what stood there is aside, once, and no pass removes it"
