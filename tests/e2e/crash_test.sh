#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What was acknowledged survives. The daemon is killed at each kind of moment of
# its writing (crash_shim.c) while keys are made, rotated and configured and
# while the master key is rotated; each time it must come back
# by itself with everything that it had said yes to, and with a whole audit log.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/acked.sh
. "$(dirname "$0")/acked.sh"

export CRASH_UNDER="$T/state/:$T/audit.log"
export CRASH_LOG="$T/steps" CRASH_WHEN="$T/armed"

# crashing STEP HOW [KIND]: a daemon that dies there, once $T/armed is there
crashing() {
	rm -f "$T/armed" "$T/steps"
	CRASH_AT=$1 CRASH_HOW=$2 CRASH_STEPS=${3:-all} PRELOAD=$E2E/crash_shim.so start_daemon
}

steps() {
	[ ! -e "$T/steps" ] || wc -c <"$T/steps"
}

# ended STEP: the daemon got as far as that step and is dead; or its work was
# done before, and it is ended now.
ended() {
	local got
	got=$(steps)
	if [ "${got:-0}" -lt "$1" ]; then
		rm -f "$T/armed"
		stop_daemon -KILL
		return 1
	fi
	{ wait "$DAEMON_PID" || :; } 2>/dev/null
	DAEMON_PID=
}

# -- Killed at a step of its writing, before, in the middle or after it --
AUDIT='checkpoint_lines = 7'
start_service
stop_daemon
crashing 0 before
touch "$T/armed"
work plain || fail "work"
total=$(steps)
ended $((total + 1000)) && fail "it ended by itself"
start_daemon
check "no crash"
forget
stop_daemon
[ "$total" -ge 40 ] || fail "only $total steps: does the shim see them?"
ok "a round of work takes $total writes and syncs"

hows=(before half after)
count=0 round=0
for at in $(seq 1 $((total / 16 + 1)) "$total"); do
	how=${hows[round % 3]}
	round=$((round + 1))
	crashing "$at" "$how"
	touch "$T/armed"
	work "w$round" || :
	! ended "$at" || count=$((count + 1))
	start_daemon
	check "killed $how step $at"
	forget
	stop_daemon
done
[ "$count" -ge 12 ] || fail "killed only $count times"
ok "killed $count times at writes and syncs: nothing acknowledged was lost"

# -- Rotation of the master key, killed at each of its syncs --
start_daemon
for ring in default one two; do
	[ "$ring" = default ] || quiet holdfast keyring create "$ring"
	quiet holdfast key create "in-$ring" --keyring "$ring"
	printf 'of %s' "$ring" | holdfast encrypt "in-$ring" >"$T/sealed-$ring"
done
stop_daemon
rm -rf "$T/base"
mkdir "$T/base"
cp -a "$T/state" "$T/tokens" "$T/audit.log" "$T/base"

begin_anew() {
	rm -rf "$T/state" "$T/tokens" "$T/audit.log"
	cp -a "$T/base/." "$T"
}

masters() { # the master keys that the token holds, by version
	pkcs11-tool --module "$MODULE" --login --pin 1234 --list-objects --type secrkey 2>/dev/null |
		grep -o 'holdfast-master-v[0-9]*' | sort | tr '\n' ' '
}

# rotated WHAT: whole again, whatever was left of a rotation
rotated() {
	local ring pending
	pending=$(json .rotation_pending holdfast hsm status)
	[ "$pending" = 0 ] || fail "$1: $pending keyrings are pending"
	for ring in default one two; do
		[ "$(holdfast decrypt "in-$ring" "$T/sealed-$ring")" = "of $ring" ] ||
			fail "$1: the key in keyring $ring"
		printf x | quiet holdfast encrypt "in-$ring" || fail "$1: encrypting in $ring"
	done
	is_one_version "$1"
	hangs_together "$T/audit.log" || fail "$1: $(cat "$T/out")"
}

is_one_version() {
	local versions
	versions=$(json '[.keyrings[].master_version] | unique | join(" ")' holdfast keyring list)
	[ "$versions" = "$(json .master_version holdfast hsm status)" ] ||
		fail "$1: keyrings at versions $versions"
}

for destroy in no yes; do
	option=() left='holdfast-master-v1 holdfast-master-v2 '
	[ "$destroy" = no ] || option=(--destroy-old) left='holdfast-master-v2 '
	resumed=0
	for at in $(seq 1 40); do
		begin_anew
		crashing "$at" "${hows[at % 2 * 2]}" sync
		touch "$T/armed"
		quiet holdfast hsm rotate-master "${option[@]}" 2>/dev/null || :
		ended "$at" || break
		start_daemon
		rotated "rotation killed at sync $at"
		if [ "$(json .master_version holdfast hsm status)" = 2 ]; then
			resumed=$((resumed + 1))
			stop_daemon
			[ "$(masters)" = "$left" ] || fail "killed at sync $at: the token holds $(masters)"
		else
			stop_daemon
		fi
	done
	[ "$at" -gt 7 ] || fail "only $((at - 1)) syncs in a rotation"
	[ "$resumed" -ge 5 ] || fail "only $resumed rotations were resumed"
	ok "rotation (destroy-old $destroy) killed at each of $((at - 1)) syncs, $resumed resumed at the start"
done

# Killed again and again while it resumes, one sync further each time. Some
# syncs of a start fall together with the login to the HSM, where SoftHSM writes
# its token in a way that no crash may interrupt: then the token of before.
mend_token() {
	[ -z "$(masters)" ] || return 0
	rm -rf "$T/tokens"
	cp -a "$T/base/tokens" "$T"
}
begin_anew
crashing 4 after sync
touch "$T/armed"
quiet holdfast hsm rotate-master --destroy-old 2>/dev/null || :
ended 4 || fail "it should be dead"
deaths=0
rm -rf "$T/base/tokens"
cp -a "$T/tokens" "$T/base"
for at in $(seq 1 20); do
	mend_token
	rm -f "$T/steps"
	CRASH_AT=$at CRASH_HOW=after CRASH_STEPS=sync PRELOAD=$E2E/crash_shim.so launch_daemon
	until_true 10 eval 'holdfast status || ! kill -0 $DAEMON_PID' || fail "neither dead nor alive"
	ended "$at" || break
	deaths=$((deaths + 1))
done
mend_token
start_daemon
rotated "killed while it resumes"
[ "$deaths" -ge 2 ] || fail "killed only $deaths times while it resumes"
is "killed $deaths times more while it resumes: done" 2 "$(json .master_version holdfast hsm status)"
stop_daemon
is "and the old one is destroyed" 'holdfast-master-v2 ' "$(masters)"
echo "$checks checks"
