# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# For end-to-end tests of what the HSM may do: between the daemon and SoftHSM
# stands p11_shim.c, which fails as it is told.

# shellcheck disable=SC2034
MODULE=$E2E/p11_shim.so
export P11_FAULTS="$T/faults" P11_LOG="$T/p11.log"
# shellcheck disable=SC2034
# The service signs nothing of its own accord, which would take a fault that is
# meant for a request.
AUDIT='checkpoint_lines = 100000
  checkpoint_seconds = 86400'
printf data >"$T/data"

# hsm_service LINE...: a whole service with these lines in its block hsm
hsm_service() {
	make_token
	make_policy
	make_config
	hsm_setting "$@"
	holdfast-keyd --config "$T/keyd.conf" --init >/dev/null 2>>"$T/keyd.log" ||
		fail "holdfast-keyd --init"
	start_daemon
}

# The process that the library lives in; the host is between.
worker() { pgrep -P "$(pgrep -P "$DAEMON_PID")"; }

hsm_setting() {
	local line
	for line; do
		sed -i "s/^hsm {/&\n  $line/" "$T/keyd.conf"
	done
}

status() { json ".$1" holdfast hsm status; }
is_state() { [ "$(status state)" = "$1" ]; }

# faults LINE...: from now on, all at once
faults() {
	printf '%s\n' "$@" >"$T/faults.new"
	: >"$P11_LOG"
	mv "$T/faults.new" "$P11_FAULTS"
}

# Without faults, and the HSM is well again.
calm() {
	rm -f "$P11_FAULTS"
	until_true 20 is_state ready || fail "$1: the HSM stays $(status state): $(status reason)"
}

# how COMMAND...: "ok", or the name of the error
how() {
	if "$@" >"$T/out" 2>"$T/err"; then
		echo ok
	else
		sed -nE 's/.*\b([a-z0-9_]+)\)?$/\1/p' "$T/err" | head -1
	fi
}

called() { grep -c " $1 = " "$P11_LOG" || true; }

