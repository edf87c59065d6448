#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Dry runs and idempotency keys as callers meet them: over the socket, from many
# programs at once, and with a daemon that is killed between the change and the
# reply. CK19 is the row of docs/transit.md.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

start_service

latest() { # latest KEY: its newest version
	json .latest_version holdfast key show "$1"
}

like() { # like NAME REGEX FILE
	grep -q "$2" "$3" || fail "$1: no '$2' in: $(cat "$3")"
	ok "$1"
}

# -- Dry runs --
holdfast events >"$T/events" 2>"$T/events.err" &
events=$!
more_cleanup() { kill "$events" 2>/dev/null || :; }
until_true 10 bash -c "holdfast policy reload >/dev/null; grep -q policy.reloaded '$T/events'" ||
	fail "events: nothing: $(cat "$T/events.err")"

holdfast key create tried --dry-run >"$T/out" 2>"$T/err"
like "CK19 a dry run tells what would be made" 'create.*key.*tried' "$T/out"
has "CK19 ... and that it was none" 'nothing was changed' "$T/err"
refuse "CK19 ... and makes nothing" 2 key_not_found holdfast key show tried
quiet holdfast key create tried --deletion-allowed
is "CK19 what would be done, as JSON" '["update key tried","create version 2"]' \
	"$(holdfast key rotate tried --dry-run -o json 2>/dev/null |
		jq -c '[.changes[] | "\(.action) \(.kind) \(.name)"]')"
is "CK19 ... is not done" 1 "$(latest tried)"
refuse "CK19 a dry run is refused as the real thing is" 2 bad_config \
	holdfast key trim tried --min-available-version 7 --dry-run
holdfast key delete tried --dry-run >"$T/out" 2>/dev/null
like "CK19 a key that would be deleted" 'delete.*key.*tried' "$T/out"
is "CK19 ... is there" 1 "$(latest tried)"
head -c 32 /dev/urandom >"$T/secret"
holdfast key import carried "$T/secret" --dry-run >"$T/out" 2>/dev/null
like "CK19 an import" 'create.*key.*carried' "$T/out"
refuse "CK19 ... is none" 2 key_not_found holdfast key show carried
holdfast hsm rotate-master --dry-run >"$T/out" 2>/dev/null
is "CK19 no new master key" 1 "$(json .master_version holdfast hsm status)"
for verb in "encrypt tried" "key show tried" "random" "status"; do
	# shellcheck disable=SC2086
	refuse "CK19 $verb has no dry run" 1 dry-run holdfast $verb --dry-run
done
raw_refused "CK19 what changes nothing is refused by name" option_not_offered \
	'{"op": "sys.status", "dry_run": true}'
raw_refused "CK19 so is the login, whose attempts count" option_not_offered \
	'{"op": "p11.login", "dry_run": true, "in": {"pin": '"h'31323334'}}"

# An event of the real thing comes after all that the dry runs could have sent.
quiet holdfast key rotate tried
until_true 5 grep -q 'key.rotated.*tried' "$T/events" || fail "events: $(cat "$T/events")"
is "CK19 dry runs publish nothing" 1 "$(grep -c 'key.rotated' "$T/events")"
is "CK19 ... of any kind" 0 "$(grep -c 'key.deleted\|key.imported\|master.rotated' "$T/events")"
kill "$events"
wait "$events" 2>/dev/null || :

# -- Idempotency keys --
quiet holdfast key create again
for _ in 1 2 3; do quiet holdfast key rotate again --idempotency-key r-1; done
is "the same request is carried out once" 2 "$(latest again)"
refuse "another one with its key is refused" 2 idempotency_conflict \
	holdfast key create other --idempotency-key r-1
for i in $(seq 12); do
	holdfast key rotate again --idempotency-key r-2 >"$T/r.$i" 2>&1 &
	pids[i]=$!
done
done=0
for i in $(seq 12); do
	if wait "${pids[i]}"; then done=$((done + 1)); fi
done
is "twelve at once: one change" 3 "$(latest again)"
[ "$done" -ge 1 ] || fail "twelve at once: nobody was told: $(cat "$T"/r.*)"
ok "twelve at once: $done heard of it, $((12 - done)) are to try again"
for i in $(seq 12); do
	quiet holdfast key rotate again --idempotency-key r-2
done
is "and it stays one" 3 "$(latest again)"
stop_daemon
start_daemon
quiet holdfast key rotate again --idempotency-key r-2
is "it is known after a restart" 3 "$(latest again)"

# -- Killed at each step of its writing --
export CRASH_UNDER="$T/state/:$T/audit.log"
export CRASH_LOG="$T/steps" CRASH_WHEN="$T/armed"
hows=(before half after)
killed=0 late=0
stop_daemon
for at in $(seq 40); do
	rm -f "$T/armed" "$T/steps"
	CRASH_AT=$at CRASH_HOW=${hows[at % 3]} CRASH_STEPS=all PRELOAD=$E2E/crash_shim.so start_daemon
	before=$(latest again)
	touch "$T/armed"
	status=0
	{ holdfast key rotate again --idempotency-key "k-$at" >"$T/out" 2>&1 || status=$?; } 2>/dev/null
	if [ "$status" = 0 ]; then
		stop_daemon -KILL
		start_daemon
	else
		{ wait "$DAEMON_PID" || :; } 2>/dev/null
		DAEMON_PID=
		killed=$((killed + 1))
		rm -f "$T/armed"
		start_daemon
		[ "$(latest again)" = "$before" ] || late=$((late + 1))
	fi
	given=$(holdfast key rotate again --idempotency-key "k-$at" -o json | jq .latest_version)
	[ "$given/$(latest again)" = "$((before + 1))/$((before + 1))" ] ||
		fail "killed ${hows[at % 3]} step $at: from version $before to $(latest again), told $given"
	stop_daemon
	[ "$status" != 0 ] || [ "$at" -lt 6 ] || break
done
[ "$killed" -ge 5 ] || fail "killed only $killed times"
[ "$late" -ge 1 ] || fail "never killed between the change and the reply"
ok "killed $killed times, $late of them after the change: one change each, and its result"
start_daemon
expect "the audit log is whole" hangs_together "$T/audit.log"
echo "$checks checks"
