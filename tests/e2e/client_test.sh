#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The client library and what the command line does besides operations, over
# the real daemon.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

start_service
quiet holdfast key create payments

# -- The example of the documents, against the shared library --
cc -Wall -Werror -I"$SOURCE_DIR/include" "$SOURCE_DIR/docs/example.c" \
	-L"$BUILD_DIR/lib" -lholdfast -o "$T/example" 2>"$T/err" ||
	fail "the example does not compile: $(cat "$T/err")"
if ldd "$BUILD_DIR/lib/libholdfast.so" | grep -q 'asan\|tsan\|ubsan'; then
	echo "not run: a sanitizer's library needs a sanitizer's program"
else
	[ "$(LD_LIBRARY_PATH="$BUILD_DIR/lib" "$T/example")" = "4111 1111 1111 1111" ] ||
		fail "the example does not get its plaintext back"
	ok "the example gets its plaintext back"
fi
if nm -D --defined-only "$BUILD_DIR/lib/libholdfast.so" |
	awk '$2 != "A" { print $3 }' | grep -qv '^hf_'; then
	fail "libholdfast.so shows more than hf_*"
fi
ok "libholdfast.so shows hf_* only"

# -- Events --
holdfast events key >"$T/events" 2>&1 &
follower=$!
for _ in $(seq 50); do
	quiet holdfast key rotate payments
	[ -s "$T/events" ] && break
	sleep 0.1
done
kill "$follower"
grep -q '  key\.[a-z]*  payments$' "$T/events" ||
	fail "no event of a rotation: $(cat "$T/events")"
ok "events tells a rotation"

# -- Policy in words --
expect "policy test allows" quiet holdfast policy test --uid "$(id -u)" 'key rotate' payments
refuse "policy test denies a stranger" 2 "" \
	holdfast policy test --uid 4242 transit.sign payments
expect "policy check" quiet holdfast policy check "$T/policy.d"
has "... and what is built in" "root: everything (built in), for nobody" <(holdfast policy check "$T/policy.d")

# -- The audit log, with the key beside it --
expect "audit verify" quiet holdfast audit verify "$T/audit.log"
sed '3s/[0-9]T[0-9]/0T0/' "$T/audit.log" >"$T/forged.log"
refuse "audit verify finds a forgery" 2 "(audit_broken)" \
	holdfast audit verify "$T/forged.log"

# -- Modes of the daemon's program --
expect "hsm probe asks the service" quiet holdfast hsm probe
expect "backup" quiet holdfast backup "$T/copy"
[ -s "$T/copy" ] || fail "the backup is empty"

# -- Without a service --
printf x >"$T/data"
stop_daemon -KILL
refuse "says that nobody is there" 3 "(unreachable)" holdfast encrypt payments "$T/data"
expect "hsm probe works without a service" quiet holdfast hsm probe
start_daemon
expect "and with it again" quiet holdfast encrypt payments "$T/data"

echo "$checks checks"
