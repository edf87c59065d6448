#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Programs that hold a handle for ever: the daemon is killed under them, they
# fork, they unload the module.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/pkcs11_lib.sh
. "$(dirname "$0")/pkcs11_lib.sh"

load() { "$BUILD_DIR/tests/load_prog" "$module" ec "$@"; }

# A program that begins before there is a daemon.
load early 30 >"$T/early" &
early=$!
until_true 10 grep -q begun "$T/early" || fail "it does not begin: $(cat "$T/early")"
ok "begins without a daemon, at once, with a token and without a list of keys"

MODULE=$E2E/p11_shim.so
export P11_FAULTS=$T/faults
start_service
holdfast key create ec --type ecdsa-p256 >/dev/null
wait "$early" || fail "with a daemon it ended with $?"
ok "and finds and uses its key when there is one"

expect "a hundred children sign, however they begin" load children
# Not with AddressSanitizer: its allocator (GCC 12) hangs in a child when another
# thread was allocating in the moment of the fork.
if [ "${#preload[@]}" = 0 ]; then
	expect "children of a busy process sign" load busy
fi
expect "loaded and unloaded again and again" load unload
expect "ends without C_Finalize" load exit
expect "C_Finalize while threads sign, and all over again" quiet load finalize
expect "no descriptor outlives exec" test -z "$(load fds | grep socket || :)"

# The daemon dies 20 times while four threads sign. It is away for a moment
# only, and the module waits that out: no signature fails.
begin_signing load threads 300
for i in $(seq 20); do
	stop_daemon -KILL
	start_daemon
	sleep 0.2
done
end_signing
[ "$good" -gt 500 ] || fail "only $good signatures"
[ "$bad" = 0 ] || fail "$bad signatures failed, for up to $gap ms"
ok "$good signatures over 20 kills, none failed"

# Away for longer than the module waits: errors, and then it goes on by itself.
export HOLDFAST_PKCS11_CONFIG=$T/pkcs11.conf
echo 'patience = 1' >"$HOLDFAST_PKCS11_CONFIG"
begin_signing load threads 300
stop_daemon -KILL
sleep 3
start_daemon
sleep 3
end_signing
[ "$bad" -gt 0 ] || fail "nothing failed without a daemon"
[ "$gap" -lt 4500 ] || fail "it took $gap ms to recover"
ok "$bad failures while the daemon was away, $gap ms long, then $good signatures"

# The same while the HSM is away, with a key that is in there.
holdfast key create inside --type ecdsa-p256 --level hsm >/dev/null
hsm_is() { [ "$(json .hsm_state holdfast status)" = "$1" ]; }
hsm_away() { ! hsm_is ready; }
begin_signing "${preload[@]}" "$BUILD_DIR/tests/load_prog" "$module" inside threads 300
echo no-token >"$P11_FAULTS"
until_true 10 hsm_away || fail "the HSM is gone, and nobody noticed"
sleep 1
rm "$P11_FAULTS"
until_true 20 hsm_is ready || fail "the HSM is back, and nobody noticed"
sleep 2
end_signing
[ "$good" -gt 100 ] || fail "only $good signatures"
ok "the HSM away: $bad failures, for up to $gap ms, and $good signatures with the old handle"

echo "1..$checks"
