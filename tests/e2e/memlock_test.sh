#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Little memory may be locked: the daemon says so and does not start, or does its
# work within what there is.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/tls_lib.sh
. "$(dirname "$0")/tls_lib.sh"

# Root may lock as much as it likes unless it gives up the right to.
mkdir "$T/bin"
may_give_up=
[ "$(id -u)" != 0 ] || may_give_up="setpriv --bounding-set=-ipc_lock"
cat >"$T/bin/holdfast-keyd" <<END
#!/bin/sh
exec $may_give_up prlimit --memlock="\$(cat "$T/limit")" "$BUILD_DIR/bin/holdfast-keyd" "\$@"
END
chmod +x "$T/bin/holdfast-keyd"
PATH="$T/bin:$PATH"
locked() { awk '/^VmLck/ { print $2 * 1024 }' "/proc/$DAEMON_PID/status"; }

echo $((8 << 20)) >"$T/limit"
start_service
at_rest=$(locked)
[ "$at_rest" -gt 0 ] || fail "nothing is locked"
stop_daemon

for limit in 0 65536 $((at_rest / 2)); do
	echo "$limit" >"$T/limit"
	refuse "$limit bytes: it does not start, and says what to raise" 1 RLIMIT_MEMLOCK \
		holdfast-keyd --config "$T/keyd.conf"
done

# As much as it took, and a little: an RSA key's private numbers have 2 KiB.
echo $((at_rest + (192 << 10))) >"$T/limit"
start_daemon
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$T/rsa.pem" 2>/dev/null
quiet holdfast key create field
for n in $(seq 120); do
	quiet holdfast key import "rsa$n" "$T/rsa.pem"
done
for n in $(seq 120); do
	printf %s "$n" | quiet holdfast sign "rsa$n" || fail "rsa$n"
done
ok "more keys are used than the memory could hold at once"
head -c 3000000 /dev/urandom >"$T/large"
several() {
	local n pids=()
	for n in 1 2 3 4; do
		holdfast encrypt field "$T/large" >"$T/sealed.$n" &
		pids+=($!)
	done
	for n in "${pids[@]}"; do
		wait "$n" || return 1
	done
}
expect "large requests beside each other are served" several
for n in 1 2 3 4; do
	holdfast decrypt field "$T/sealed.$n" | cmp - "$T/large" || fail "decrypt $n"
done
ok "and right"
refuse "a PIN wants more when it is hashed, and says what to raise" 2 "16 MiB of locked memory" \
	holdfast pin set 4242 "$T/pin"
[ "$(locked)" -le "$(cat "$T/limit")" ] || fail "more is locked than may be"
ok "within the limit"
stop_daemon

# Who has not shown a certificate yet takes memory all the same, but not all of it.
authority ca
certificate localhost ca
chmod 600 "$T"/*.key
port=$(free_port)
listener new "$port" false >>"$T/keyd.conf"
echo $((8 << 20)) >"$T/limit"
start_daemon
crowd() { # a byte each, and no more until it is told to go
	local n fds=()
	for n in $(seq 300); do
		exec {n}<>"/dev/tcp/127.0.0.1/$port" || continue
		printf '\x16' >&"$n" || :
		fds+=("$n")
	done
	touch "$T/there"
	until_true 20 test -e "$T/go"
}
crowd 2>/dev/null &
strangers=$!
more_cleanup() { kill "$strangers" 2>/dev/null || :; }
until_true 20 test -e "$T/there" || fail "no crowd"
quiet holdfast key create beside
expect "keys are made beside a crowd of strangers" quiet holdfast key import beside.rsa "$T/rsa.pem"
printf x >"$T/x"
expect "and used" quiet holdfast sign beside.rsa "$T/x"
touch "$T/go"
wait "$strangers" || :
stop_daemon
echo "$checks checks"
