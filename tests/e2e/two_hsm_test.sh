#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Two HSMs: one is added, either goes away and comes back while the service goes
# on, keyrings that one missed are made up for, master keys rotate, one takes
# the other's place, and kill -9 at each sync of all that.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/two_hsm_lib.sh
. "$(dirname "$0")/two_hsm_lib.sh"

printf data >"$T/data"
make_two_tokens
make_policy

# -- A service of one HSM, as it was before, gets another one --
make_config
holdfast hsm init >/dev/null 2>>"$T/keyd.log" || fail "hsm init"
start_daemon
holdfast key create payments >/dev/null
holdfast key create inside --type ecdsa-p256 --level hsm >/dev/null
holdfast key create resident --type ed25519 --level hsm >/dev/null
holdfast encrypt payments "$T/data" >"$T/sealed"
is "one HSM, and it needs no name" "hsm active" \
	"$(json '.devices[] | "\(.name) \(.role)"' holdfast hsm status)"
stop_daemon
two_config left=holdfast right=right
start_daemon
is "it has a name now, and the other one does not take part" "left active
right not in the hierarchy" "$(json '.devices[] | "\(.name) \(.role)"' holdfast hsm status)"
is "the service is ready" ready "$(json .state holdfast status)"
refuse "an HSM that nobody configured is not added" 2 'keyd.conf' holdfast hsm add third
is "hsm add" "right 1" "$(json '"\(.name) \(.keyrings)"' holdfast hsm add right)"
is "and takes part" "standby 1 0" \
	"$(json '.devices[1] | "\(.role) \(.keyrings) \(.missing)"' holdfast hsm status)"
has "the audit log tells" '"op":"hsm.add"' "$T/audit.log"
is "audit.pub has the keys of both, before the other one signs" 2 "$(grep -c BEGIN "$T/audit.pub")"
is "adding it again changes nothing" 0 "$(json .keyrings holdfast hsm add right)"
is "a key tells where it lives" left "$(json '.keys[0].hsm' holdfast key show inside)"

# -- The first one goes while the service runs --
pid=$DAEMON_PID
take_away holdfast
expect "whoever asks first notices, and is served by the other one" \
	quiet holdfast random --bytes 8
until_role right active
is "the service is degraded, and says why" degraded "$(json .state holdfast status)"
holdfast status -o json | jq -r .reason >"$T/reason"
has "by name" "HSM left is not there" "$T/reason"
is "old data opens" data "$(holdfast decrypt payments "$T/sealed")"
expect "keys are made" quiet holdfast key create meanwhile
expect "keyrings too" quiet holdfast keyring create missed
expect "and keys at level hsm" quiet holdfast key create born-right --type ecdsa-p256 --level hsm
expect "which work" quiet holdfast sign born-right "$T/data"
refuse "a key that lives in the first does not, and the error names it" 2 'HSM left' \
	holdfast sign inside "$T/data"
refuse "nor does one that is resident there" 2 'HSM left' holdfast sign resident "$T/data"
is "the keyring that it missed is counted" 1 "$(of_hsm left missing)"

# -- And comes back --
give_back
until_role left active
until_true 20 state_is ready || fail "still degraded: $(json .reason holdfast status)"
is "it works again, and lacks nothing" 0 "$(of_hsm left missing)"
is "all in one process" "$pid" "$DAEMON_PID"
expect "its keys too" quiet holdfast sign inside "$T/data"
expect "resident ones" quiet holdfast sign resident "$T/data"
expect "and those of the other" quiet holdfast sign born-right "$T/data"
is "each tells where it lives" "left right" \
	"$(json '.keys[0].hsm' holdfast key show resident) $(json '.keys[0].hsm' holdfast key show born-right)"
until_true 10 grep -q '"type":"checkpoint"' "$T/audit.log" || :
expect "the audit log is whole, whoever signed it" quiet holdfast audit verify "$T/audit.log"

# -- Who asks first does not pay for it: deadlines are far away --
stop_daemon
sed -i 's/deadline_ms = 1000/deadline_ms = 60000/' "$T/keyd.conf"
start_daemon
until_role left active
take_away holdfast
expect "who notices that one is gone has random bytes from the other" \
	quiet timeout 20 holdfast random --bytes 8
until_role right active
expect "who comes after it is noticed waits for nothing" \
	quiet timeout 20 holdfast key create after --type ecdsa-p256 --level hsm
give_back
until_role left active
stop_daemon
sed -i 's/deadline_ms = 60000/& \n  keepalive_ms = 200/' "$T/keyd.conf"
start_daemon
until_role left active
take_away holdfast
until_role right active
ok "where there are signs of life it is noticed without a request"
expect "and the first request waits for nothing" \
	quiet timeout 20 holdfast key create first --type ecdsa-p256 --level hsm
give_back
until_role left active
stop_daemon
sed -i '/keepalive_ms/d; s/deadline_ms = 60000/deadline_ms = 1000/' "$T/keyd.conf"
start_daemon
for key in after first; do
	quiet holdfast key config "$key" --deletion-allowed yes
	quiet holdfast key delete "$key"
done

# -- A start with either alone --
stop_daemon
for gone in holdfast right; do
	take_away "$gone"
	start_daemon
	is "it starts without token $gone" data "$(holdfast decrypt payments "$T/sealed")"
	expect "with all keyrings" quiet holdfast key create "in-$gone" --keyring missed
	stop_daemon
done
give_back
start_daemon

# -- Rotation with one away --
take_away right
holdfast hsm rotate-master --destroy-old >/dev/null || fail "rotation"
is "the one that is there has a new master key" 2 "$(of_hsm left master_version)"
is "the other follows" 1 "$(of_hsm right master_version)"
give_back
rotated() { [ "$(of_hsm right master_version)" = 2 ] && [ "$(json .rotation_pending holdfast hsm status)" = 0 ]; }
until_true 30 rotated || fail "the second rotation: $(holdfast hsm status)"
ok "when it is back"

# -- Removing --
refuse "what lives in it alone is not lost by accident" 2 'born-right' holdfast hsm remove right
refuse "and the confirmation is its name" 2 'live only on HSM' holdfast hsm remove right --confirm left
holdfast key config born-right --deletion-allowed yes >/dev/null
holdfast key delete born-right
is "hsm remove" 0 "$(json .lost holdfast hsm remove right --destroy)"
refuse "the last one stays" 2 'no other HSM' holdfast hsm remove left --confirm left
stop_daemon
is "its master key is destroyed" "1 0" "$(master_keys holdfast) $(master_keys right)"

# -- Killed at each sync: add, migrate, remove --
start_daemon
quiet holdfast key config inside --deletion-allowed yes
quiet holdfast key config resident --deletion-allowed yes
holdfast key delete inside
holdfast key delete resident
stop_daemon
keep() {
	rm -rf "$T/base"
	mkdir "$T/base"
	cp -a "$T/state" "$T/tokens" "$T/audit.log" "$T/base"
}
begin_anew() {
	rm -rf "$T/state" "$T/tokens" "$T/audit.log"
	cp -a "$T/base/." "$T"
}
# Starts the daemon so that it dies at the n-th sync after $T/armed is there.
crashing() {
	rm -f "$T/armed" "$T/steps"
	CRASH_AT=$1 CRASH_HOW=$2 CRASH_STEPS=sync CRASH_UNDER="$T/state:$T/audit.log" \
		CRASH_WHEN="$T/armed" CRASH_LOG="$T/steps" PRELOAD="$E2E/crash_shim.so" start_daemon
}
# ended STEP: it got as far as that; where there are fewer steps it is alive
ended() {
	[ "$(wc -c <"$T/steps")" -ge "$1" ] || return 1
	{ wait "$DAEMON_PID" || :; } 2>/dev/null
	DAEMON_PID=
}
idle() { [ "$(json '[.devices[].role] | map(select(. != "active" and . != "standby" and . != "not in the hierarchy")) | length' holdfast hsm status)" = 0 ]; }
# kill_each NAME VERB...: at each sync of the verb, then a start without it and
# the verb once more
kill_each() {
	local name=$1 at how
	shift
	for at in $(seq 1 40); do
		begin_anew
		how=before
		[ $((at % 2)) = 0 ] || how=after
		crashing "$at" "$how"
		touch "$T/armed"
		"$@" >"$T/verb" 2>&1 || :
		if ! ended "$at"; then
			stop_daemon
			break
		fi
		start_daemon
		[ "$(holdfast decrypt payments "$T/sealed")" = data ] || fail "$name killed at sync $at"
		until_true 20 idle || fail "$name killed at sync $at: $(holdfast hsm status)"
		# Killed before it began, or so late that only the reply is missing.
		holdfast "${@:2}" >"$T/out" 2>&1 || grep -qE 'not in the hierarchy|no other HSM' "$T/out" ||
			fail "$name once more after sync $at: $(cat "$T/out")"
		until_true 20 idle || fail "$name resumed after sync $at: $(holdfast hsm status)"
		[ "$(holdfast decrypt payments "$T/sealed")" = data ] || fail "$name resumed after sync $at"
		quiet holdfast audit verify "$T/audit.log" 2>/dev/null || fail "$name: audit log"
		stop_daemon
	done
	[ "$at" -gt 4 ] || fail "$name has only $((at - 1)) syncs: $(cat "$T/verb")"
	ok "$name killed at each of $((at - 1)) syncs and resumed"
}
keep
kill_each "hsm add" holdfast hsm add right
kill_each "hsm migrate" holdfast hsm migrate left --to right --destroy
begin_anew
start_daemon
quiet holdfast hsm add right
stop_daemon
keep
kill_each "hsm remove" holdfast hsm remove left --destroy

# -- A key is made while its HSM is taken out --
begin_anew
start_daemon
removed=0
name=left
for round in $(seq 12); do
	(sleep "0.0$(printf %02d $((round * 4)))"
	for n in 1 2 3; do
		holdfast key create "race-$round-$n" --type ecdsa-p256 --level hsm >/dev/null 2>&1 &&
			echo "race-$round-$n"
	done >"$T/made") &
	! holdfast hsm remove "$name" >/dev/null 2>&1 || removed=$((removed + 1))
	wait $!
	while read -r key; do
		quiet holdfast sign "$key" "$T/data" || fail "round $round: $key was lost with its HSM"
		quiet holdfast key config "$key" --deletion-allowed yes
		holdfast key delete "$key"
	done <"$T/made"
	quiet holdfast hsm add left
	quiet holdfast hsm add right
	until_true 20 idle || fail "round $round: $(holdfast hsm status)"
	name=right
	! role_is left active || name=left
done
ok "in 12 rounds, $removed of them with a removal, no key was lost with its HSM"
stop_daemon

# -- Migration --
begin_anew
start_daemon
quiet holdfast hsm remove right
is "hsm migrate" "2 0" "$(json '"\(.keyrings) \(.lost)"' holdfast hsm migrate left --to right --destroy)"
is "the new one works" "active" "$(of_hsm right role)"
is "the old one is out" "not in the hierarchy" "$(of_hsm left role)"
is "old data opens" data "$(holdfast decrypt payments "$T/sealed")"
stop_daemon
is "the old master key is destroyed" 0 "$(master_keys holdfast)"
two_config right=right
start_daemon
is "and the old token is not needed any more" data "$(holdfast decrypt payments "$T/sealed")"
expect "the audit log is whole from the first HSM to the last" quiet holdfast audit verify "$T/audit.log"
echo "$checks checks"
