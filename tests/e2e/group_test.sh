#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Many who make keys at the same time wait for the same sync of the disk; what
# they wait for is done when the daemon is stopped meanwhile, and nobody was
# told that it is when the daemon is killed.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

MANY=40
export IO_FAULTS="$T/faults"

# metric NAME: its value
metric() {
	holdfast metrics | sed -n "s/^holdfast_$1 //p"
}

# hold PATH: no sync of these files comes back until `release`
hold() {
	echo "sync $1 HOLD" >"$T/faults.new"
	mv "$T/faults.new" "$T/faults"
}

release() {
	rm -f "$T/faults"
}

workers() {
	cat "/proc/$DAEMON_PID/task/"*/comm | grep -c '^worker$'
}

workers_at_least() {
	[ "$(workers)" -ge "$1" ]
}

workers_exactly() {
	[ "$(workers)" = "$1" ]
}

waiting_are() {
	[ "$(metric store_commits_waiting)" -ge "$1" ]
}

# make_many NAME: starts clients that make NAME-1, NAME-2, ...
make_many() {
	local i
	pids=()
	for i in $(seq $MANY); do
		holdfast key create "$1-$i" >"$T/$1-$i.out" 2>&1 &
		pids+=($!)
	done
}

# Waits for them; $told is how many were told that it is done.
await_many() {
	local pid
	told=0
	for pid in "${pids[@]}"; do
		! wait "$pid" || told=$((told + 1))
	done
}

# many_exist NAME: how many keys of that name there are
many_exist() {
	holdfast key list | grep -c "^$1-" || true
}

PRELOAD="$E2E/io_shim.so"
start_service
before_workers=$(workers)

# -- One sync for many --
# First all wait for the line of their intent; then, when the log goes on and
# the store does not, for their commit.
hold "$T/audit.log"
make_many grouped
until_true 60 workers_at_least $MANY || fail "only $(workers) workers wait for the log"
ok "as many wait for the log as there are clients"
commits=$(metric store_commits_total) syncs=$(metric store_syncs_total)
audit=$(metric audit_syncs_total)
hold "$T/state"
until_true 60 waiting_are $MANY ||
	fail "$(metric store_commits_waiting) commits wait"
ok "all of them wait for a sync of the store"
[ $(($(metric audit_syncs_total) - audit)) -le 4 ] ||
	fail "$(($(metric audit_syncs_total) - audit)) syncs for $MANY intents"
ok "few syncs of the log for as many intents"
release
await_many
is "all keys are made" $MANY "$told"
is "all keys are there" $MANY "$(many_exist grouped)"
commits=$(($(metric store_commits_total) - commits))
syncs=$(($(metric store_syncs_total) - syncs))
[ "$commits" -ge $MANY ] || fail "$commits commits for $MANY keys"
[ "$syncs" -le 6 ] || fail "$syncs syncs for $commits commits"
ok "few syncs of the store for as many commits"
until_true 20 workers_exactly "$before_workers" || fail "$(workers) workers are left"
ok "afterwards there are as many workers as before"

# -- Stopped while they wait: what was begun is done --
hold "$T/state"
make_many stopped
until_true 60 waiting_are $MANY || fail "they do not wait"
kill -TERM "$DAEMON_PID"
sleep 0.5
release
await_many
is "whoever waited is answered" $MANY "$told"
stop_daemon
start_daemon
is "what was answered is there" $MANY "$(many_exist stopped)"

# -- Killed while they wait: nobody was told anything --
hold "$T/state"
make_many killed
until_true 60 waiting_are $MANY || fail "they do not wait"
stop_daemon -KILL
release
await_many
is "nobody was told that a key is made" 0 "$told"
start_daemon
expect "a key can be made afterwards" quiet holdfast key create afterwards
expect "the log hangs together" hangs_together "$T/audit.log"

echo "$checks checks"
