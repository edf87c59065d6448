# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# For end-to-end tests: a token, a configuration and a daemon in a private
# folder $T, all gone at the end. BUILD_DIR and SOURCE_DIR come from ctest.
set -euo pipefail

: "${BUILD_DIR:?run by ctest}" "${SOURCE_DIR:?run by ctest}"
T=$(mktemp -d "${TMPDIR:-/tmp}/holdfast-e2e.XXXXXX")
chmod 755 "$T" # other users of a test must reach the socket
PATH="$BUILD_DIR/bin:$PATH"
export HOLDFAST_SOCKET="$T/keyd.sock"
export HOLDFAST_CONFIG="$T/keyd.conf"
export HOLDFAST_EVENTS="ipc://$T/events.sock"
export SOFTHSM2_CONF="$T/softhsm2.conf"
E2E="$BUILD_DIR/tests/e2e" # what tests/e2e/*.c became
DAEMON_PID=
AUDIT=
MODULE=/usr/lib/softhsm/libsofthsm2.so
PIN=file:pin
PRELOAD= # a shim that start_daemon loads into the daemon
# STOP_SIGNAL: what a daemon gets at the end of its test, and 10 s. Without it
# there is nothing to wait for; one that is built for coverage writes figures.
checks=0

fail() {
	echo "FAILED: $*" >&2
	if [ -f "$T/keyd.log" ]; then
		echo "--- keyd.log" >&2
		tail -20 "$T/keyd.log" >&2
	fi
	exit 1
}

# skip WHY: ends the test; ctest says that it did not run
skip() {
	echo "skipped: $*"
	exit 77
}

ok() {
	checks=$((checks + 1))
	echo "ok $checks - $*"
}

# expect NAME COMMAND...: the command must succeed
expect() {
	local name=$1
	shift
	"$@" || fail "$name"
	ok "$name"
}

# quiet COMMAND...: without what it prints when all is well
quiet() {
	"$@" >/dev/null
}

# refuse NAME STATUS TEXT COMMAND...: must end with STATUS and say TEXT
refuse() {
	local name=$1 status=$2 text=$3 got=0
	shift 3
	"$@" >"$T/out" 2>"$T/err" </dev/null || got=$?
	[ "$got" = "$status" ] || fail "$name: status $got instead of $status: $(cat "$T/err")"
	[ -z "$text" ] || grep -qF -- "$text" "$T/err" || fail "$name: says '$(cat "$T/err")' instead of '$text'"
	ok "$name"
}

# is NAME EXPECTED GOT
is() {
	[ "$2" = "$3" ] || fail "$1: expected '$2', got '$3'"
	ok "$1"
}

# json FILTER COMMAND...: the value of a field of the answer
json() {
	local filter=$1
	shift
	"$@" -o json | jq -r "$filter"
}

# nobody COMMAND...: by a user who is nobody in particular
nobody() {
	setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
}

# has NAME TEXT FILE: the file has a line with the text
has() {
	grep -qF -- "$2" "$3" || fail "$1: nothing about '$2' in $3"
	ok "$1"
}

# until_true SECONDS COMMAND...: tries until it succeeds
until_true() {
	local end=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$SECONDS" -le "$end" ] || return 1
		sleep 0.05
	done
}

# How often threads of the daemon and of its processes for the HSM went to
# sleep; each must have woken up to do so again.
wakes() {
	local pid
	for pid in "$DAEMON_PID" $(pgrep -P "$DAEMON_PID") \
		$(pgrep -P "$(pgrep -d, -P "$DAEMON_PID")"); do
		cat "/proc/$pid/task/"*/status 2>/dev/null
	done | awk '/^voluntary/ { n += $2 } END { print n }'
}

# asleep SECONDS: none of them woke up meanwhile. The thread sanitizer has a
# thread of its own that never sleeps for long: it hides the others.
asleep() {
	local before
	before=$(wakes)
	sleep "$1"
	[ "$(wakes)" = "$before" ] || grep -q __tsan_init "$BUILD_DIR/bin/holdfast-keyd"
}

# Where memory is not what it is in service.
address_sanitizer() {
	grep -q __asan_init "$BUILD_DIR/bin/holdfast-keyd"
}

# raw REQUEST...: each is a message in diagnostic notation (diag.h), sent with
# plain nng; the replies come in the same notation, a line each
raw() {
	printf '%s\n' "$@" | "$E2E/nng_client" "ipc://$HOLDFAST_SOCKET"
}

# raw_refused NAME ERROR REQUEST
raw_refused() {
	local reply
	reply=$(raw "$3") || fail "$1: $reply"
	[[ $reply == *"\"name\": \"$2\""* ]] || fail "$1: $reply instead of $2"
	ok "$1"
}

# hangs_together FILE...: the audit log is whole; a daemon that was killed may
# have noted a line that it found in part (status 4)
hangs_together() {
	local status=0
	holdfast audit verify "$@" >"$T/out" 2>&1 || status=$?
	[ "$status" = 0 ] || [ "$status" = 4 ]
}

make_token() {
	mkdir -p "$T/tokens"
	printf 'directories.tokendir = %s/tokens\nobjectstore.backend = file\nlog.level = ERROR\n' \
		"$T" >"$SOFTHSM2_CONF"
	printf '1234\n' >"$T/pin"
	chmod 600 "$T/pin"
	softhsm2-util --init-token --free --label holdfast --so-pin 5678 --pin 1234 >/dev/null
}

# Everything for the one who runs the test, nothing for others.
make_policy() {
	mkdir -p "$T/policy.d"
	cat >"$T/policy.d/admin.hcl" <<-END
	path "*" { capabilities = ["create", "read", "update", "delete", "list", "sudo"] }
	bind { subjects = ["uid:$(id -u)"] }
	END
}

# make_config [MORE...]: lines to add to keyd.conf; $AUDIT has some for its
# block audit, $MODULE and $PIN say where the HSM's library and PIN are
make_config() {
	cat >"$T/keyd.conf" <<-END
	socket = "keyd.sock"
	state_dir = "state"
	policy_dir = "policy.d"
	events = "ipc://events.sock"
	hsm {
	  uri = "pkcs11:token=holdfast?module-path=$MODULE"
	  pin = "$PIN"
	}
	audit {
	  file = "audit.log"
	  public_key = "audit.pub"
	  $AUDIT
	}
	END
	local line
	for line in "$@"; do
		printf '%s\n' "$line" >>"$T/keyd.conf"
	done
}

# Without waiting for it.
launch_daemon() {
	# Sanitizers want to be loaded first, which a shim is instead.
	ASAN_OPTIONS="${PRELOAD:+verify_asan_link_order=0:}${ASAN_OPTIONS:-}" \
		LD_PRELOAD="$PRELOAD" holdfast-keyd --config "$T/keyd.conf" \
		>>"$T/keyd.log" 2>&1 &
	DAEMON_PID=$!
}

start_daemon() {
	launch_daemon
	local i
	for i in $(seq 500); do
		holdfast status >/dev/null 2>&1 && return 0
		kill -0 "$DAEMON_PID" 2>/dev/null || fail "the daemon ended at its start ($i)"
		sleep 0.02
	done
	fail "the daemon does not answer"
}

# stop_daemon [SIGNAL]
stop_daemon() {
	[ -n "$DAEMON_PID" ] || return 0
	kill "${1:--TERM}" "$DAEMON_PID" 2>/dev/null || true
	{ wait "$DAEMON_PID" || true; } 2>/dev/null
	DAEMON_PID=
}

# A whole service, ready; arguments as for make_config.
# shellcheck disable=SC2120 # some tests give none
start_service() {
	make_token
	make_policy
	make_config "$@"
	holdfast-keyd --config "$T/keyd.conf" --init >/dev/null 2>>"$T/keyd.log" ||
		fail "holdfast-keyd --init"
	start_daemon
}

cleanup() {
	local status=$?
	if [ -n "${STOP_SIGNAL:-}" ] && kill "$STOP_SIGNAL" "${DAEMON_PID:-none}" 2>/dev/null; then
		until_true 10 eval '! kill -0 "$DAEMON_PID"' || :
	fi
	stop_daemon -KILL
	[ -z "${KEEP:-}" ] || cp -r "$T" "$KEEP" # to look into by hand
	if declare -F more_cleanup >/dev/null; then more_cleanup; fi
	rm -rf "$T"
	exit "$status"
}
trap cleanup EXIT
