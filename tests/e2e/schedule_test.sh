#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What is done over time: destructions that are due, and a clock that leaps,
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
expect "the audit log of it all is whole" holdfast audit verify "$T/audit.log"
echo "$checks checks"
