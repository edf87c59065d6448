#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What is done over time (CK5, T5): destructions that are due, and a clock that leaps,
# over restarts. The wall clock of the daemon is $T/clock seconds ahead.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

export CLOCK_OFFSET="$T/clock"
echo 0 >"$T/clock"
PRELOAD=$E2E/clock_shim.so start_service
PRELOAD=$E2E/clock_shim.so

# leap SECONDS: sets the clock forward, and has the daemon look
leap() {
	echo $(($(cat "$T/clock") + $1)) >"$T/clock"
	kill -HUP "$DAEMON_PID"
}
state_is() { [ "$(json ".keys[$2].state" holdfast key show "$1")" = "$3" ]; }
is_due() { [ "$(json .next_due holdfast schedule show)" != 0 ]; }
lag() { json .lag holdfast schedule show; }
lags() { [ "$(lag)" -ge "$1" ]; }

# -- Destruction that is due --
holdfast key create short >/dev/null
holdfast key rotate short >/dev/null
is "nothing is due" 0 "$(json .next_due holdfast schedule show)"
holdfast key destroy short --version 1 --delay 2 >/dev/null
until_true 5 is_due || fail "nothing is due"
ok "a destruction is due"
until_true 10 state_is short 0 destroyed || fail "it was not destroyed"
ok "it is done when it is due"

# -- A clock that leaps --
holdfast key create long >/dev/null
holdfast key rotate long >/dev/null
holdfast key destroy long --version 1 --delay 3600 >/dev/null
is "the clock is believed" 0 "$(lag)"
leap 7200
until_true 10 lags 7000 || fail "the leap was not noticed: $(lag)"
ok "a leap is noticed"
has "and said" "what cannot be undone waits" "$T/keyd.log"
sleep 1
expect "what came due by it is not destroyed" state_is long 0 destroy-scheduled
stop_daemon
start_daemon
lags 7000 || fail "a restart hides it"
ok "a restart does not hide it"
expect "nothing is destroyed then" state_is long 0 destroy-scheduled
stop_daemon -KILL
echo $(($(cat "$T/clock") + 100000)) >"$T/clock"
start_daemon
lags 107000 || fail "a leap between two starts was not noticed: $(lag)"
ok "a leap between two starts is noticed"
expect "again nothing is destroyed" state_is long 0 destroy-scheduled
is "it could still be restored" disabled \
	"$(json '.keys[0].state' holdfast key restore long --version 1)"
holdfast key destroy long --version 1 --delay 1 >/dev/null
sleep 2
expect "what was due since waits too" state_is long 0 destroy-scheduled
is "somebody confirms the clock" 0 "$(json .lag holdfast schedule confirm)"
until_true 10 state_is long 0 destroyed || fail "it was not destroyed after all"
ok "then it is destroyed"
has "the leap is an event of its own in the audit log: somebody confirmed it" \
	'"op":"sys.schedule_confirm"' "$T/audit.log"
# -- Rotation --
quiet holdfast schedule confirm
latest() { json .latest_version holdfast key show "$1"; }
latest_is() { [ "$(latest "$1")" = "$2" ]; }
refuse "less than an hour" 2 "at least an hour" holdfast key create hourly --auto-rotate-period 60
holdfast key create hourly --auto-rotate-period 3600 >/dev/null
holdfast key create inside --auto-rotate-period 3600 --level hsm >/dev/null
holdfast events key.rotated -o json >"$T/events" 2>/dev/null &
EVENTS=$!
more_cleanup() { kill "$EVENTS" 2>/dev/null || true; }
is "it says when" 3600 "$(json '.next_due - .creation_time' holdfast key show hourly)"
stop_daemon
start_daemon
quiet holdfast key create heard
until_true 20 bash -c "holdfast key rotate heard >/dev/null; grep -q heard '$T/events'" ||
	fail "the event feed was not found again"
is "and still does after a restart" 3600 "$(json '.next_due - .creation_time' holdfast key show hourly)"
is "before that nothing happens" 1 "$(latest hourly)"
until_true 20 quiet holdfast status
leap 3601
until_true 10 lags 3000 || fail "the leap was not noticed"
sleep 1
is "a clock that leaps rotates nothing" 1 "$(latest hourly)"
quiet holdfast schedule confirm
until_true 10 latest_is hourly 2 || fail "hourly was not rotated"
until_true 10 latest_is inside 2 || fail "inside was not rotated"
ok "keys are rotated when it is their time"
is "and once" 2 "$(latest hourly)"
expect "the audit log says who it was" \
	grep -q '"type":"scheduled","op":"key.rotate","by":"service","name":"hourly","version":2' \
	"$T/audit.log"
until_true 10 grep -q '"subject":"hourly"' "$T/events" || fail "no event: $(cat "$T/events")"
ok "and so does the event feed"
# The machine is off when it is due.
stop_daemon
echo $(($(cat "$T/clock") + 3700)) >"$T/clock"
start_daemon
quiet holdfast schedule confirm
until_true 10 latest_is hourly 3 || fail "hourly was not rotated at the start"
ok "what came due while nobody ran is done at the start"

# -- Many at once: they take turns, and requests are served meanwhile --
HERD=200
mapfile -t herd < <(seq -f '{"op": "key.create", "in": {"name": "herd%g", "auto_rotate_period": 3600}}' $HERD)
quiet raw "${herd[@]}"
mapfile -t requests < <(seq -f '{"op": "transit.encrypt", "in": {"name": "short", "plaintext": h'"'"'%02.0f'"'"'}}' 10 99)
leap 3700
until_true 10 lags 3000 || fail "the leap was not noticed"
quiet holdfast schedule confirm
is "$HERD keys are due, and requests are answered" 90 "$(raw "${requests[@]}" | grep -c ciphertext)"
herd_is_done() {
	[ "$(grep -c '"op":"key.rotate","by":"service","name":"herd.*"result":"ok"' "$T/audit.log")" -ge $HERD ]
}
until_true 60 herd_is_done || fail "not all were rotated"
is "each was rotated" "2 2" "$(latest herd1) $(latest herd$HERD)"

# -- A limit --
printf 'four score and seven' >"$T/data"
for key in few few-inside; do
	level=wrapped
	[ $key = few-inside ] && level=hsm
	holdfast key create $key --level $level >/dev/null
	holdfast key config $key --use-limit 5 >/dev/null
	for _ in $(seq 12); do
		holdfast encrypt $key <"$T/data"
	done >"$T/ciphertexts"
	is "level $level: a key that reaches its limit is rotated" "5 v1 5 v2 2 v3" \
		"$(cut -d: -f2 "$T/ciphertexts" | uniq -c | tr -s '\n ' ' ' | sed 's/^ //;s/ $//')"
	refuse "level $level: of a version at its limit there is no more" 2 key_exhausted \
		holdfast encrypt $key --key-version 1 "$T/data"
	while read -r line; do
		is "level $level: all of it opens" "four score and seven" \
			"$(holdfast decrypt $key <<<"$line")"
	done < <(sort -u -t: -k2,2 "$T/ciphertexts")
done
has "a rotation by limit is in the audit log" '"reason":"use_limit"' "$T/audit.log"
stop_daemon -KILL
start_daemon
for _ in $(seq 12); do
	holdfast encrypt few <"$T/data"
done >"$T/ciphertexts"
[ "$(cut -d: -f2 "$T/ciphertexts" | uniq -c | sort -rn | awk 'NR == 1 { print $1 }')" -le 5 ] ||
	fail "more than the limit after a crash: $(cut -d: -f2 "$T/ciphertexts" | uniq -c)"
ok "a crash lets no version make more than its limit"

# -- Versions that retire --
holdfast key create old >/dev/null
holdfast encrypt old <"$T/data" >"$T/old"
for _ in 1 2 3; do
	holdfast key rotate old >/dev/null
done
holdfast key config old --auto-retire-behind 2 >/dev/null
until_true 10 grep -qF "version 1 is due to retire, but in use" "$T/keyd.log" ||
	fail "nothing is said of a version that was not rewrapped"
is "a version that was not rewrapped stays, and why is said" 1 \
	"$(json .min_decryption_version holdfast key show old)"
quiet holdfast rewrap old "$T/old"
holdfast key config old --auto-retire-behind 2 >/dev/null
retired() { [ "$(json .min_decryption_version holdfast key show old)" = 2 ]; }
until_true 10 retired || fail "version 1 does not retire"
ok "after that it retires"
refuse "what it encrypted does not open any more" 2 "too old" holdfast decrypt old "$T/old"

expect "the audit log of it all is whole" holdfast audit verify "$T/audit.log"
echo "$checks checks"
