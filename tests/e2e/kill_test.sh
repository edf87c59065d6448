#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# kill -9 at any moment under load: three clients make, use, rotate and configure
# keys at both levels, a fourth signs and a fifth encrypts without a pause. Each
# time the daemon must come back by itself with everything that it had said yes
# to, nothing by half, and an audit log that verifies.
# KILL_ROUNDS says how often.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/acked.sh
. "$(dirname "$0")/acked.sh"

rounds=${KILL_ROUNDS:-50}
AUDIT='checkpoint_lines = 7'

start_service
quiet holdfast key create other-signer --type ecdsa-p256
quiet holdfast key create field
stop_daemon

# At most eight times: it would outlive the daemon's slow start otherwise.
makes() { # makes CLIENT ROUND
	local n
	for n in 1 2 3 4 5 6 7 8; do
		work "k$2-$1-$n" "$([ "$1" = 3 ] && echo hsm || echo wrapped)" || return 0
	done
}

signs() {
	while printf %s "$RANDOM" | quiet holdfast sign other-signer; do :; done 2>/dev/null
}

encrypts() {
	while head -c 3000 /dev/zero | quiet holdfast encrypt field; do :; done 2>/dev/null
}

acknowledged=0
for round in $(seq "$rounds"); do
	start_daemon
	pids=()
	for client in 1 2 3; do
		makes "$client" "$round" &
		pids+=($!)
	done
	signs &
	pids+=($!)
	encrypts &
	pids+=($!)
	until_true 20 test -s "$T/acked" || fail "nothing was done in round $round"
	sleep "0.$((RANDOM % 4))$((RANDOM % 10))"
	kill -9 "$DAEMON_PID"
	{ wait "$DAEMON_PID" "${pids[@]}" || :; } 2>/dev/null
	DAEMON_PID=
	acknowledged=$((acknowledged + $(cat "$T"/{acked,configured,aliased} 2>/dev/null | wc -l || :)))
	start_daemon
	check "kill -9 under load, round $round"
	forget
	# A store that only grows would make the rounds ever slower.
	for name in $(holdfast key list --limit 1000); do
		case $name in k*)
			quiet holdfast key config "$name" --deletion-allowed yes
			quiet holdfast key delete "$name"
			;;
		esac
	done
	stop_daemon
done
ok "kill -9 $rounds times under load: all of $acknowledged acknowledged changes were there"
echo "$checks checks"
