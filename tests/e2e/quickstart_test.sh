#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tools/quickstart: one command and there is a service; what scripts outside of
# the project rely on.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

unset HOLDFAST_SOCKET HOLDFAST_CONFIG HOLDFAST_EVENTS SOFTHSM2_CONF
DIR="$T/a folder"
quickstart() { "$SOURCE_DIR/tools/quickstart" "$@"; }
more_cleanup() { quickstart --dir "$DIR" --stop >/dev/null 2>&1 || :; }
pid() { cat "$DIR/keyd.pid"; }
# Gone, or a zombie that nobody waits for: such a one has no words.
gone() { [ -z "$({ tr -d '\0' <"/proc/$1/cmdline"; } 2>/dev/null)" ]; }

(cd "$T" && quickstart --dir "a folder") >"$T/tour" 2>&1 </dev/null ||
	fail "quickstart: $(tail -5 "$T/tour")"
ok "it runs, from another folder, into one with a space in its name"
has "each command is shown" '$ holdfast encrypt payments < letter.txt > letter.enc' "$T/tour"
has "OpenSSL checks the signature" "Verified OK" "$T/tour"
has "the audit log is proved" "whole             yes" "$T/tour"
if [ "$(id -u)" = 0 ] && setpriv --reuid=65534 --regid=65534 --clear-groups \
	test -x "$SOURCE_DIR/build/release/bin/holdfast"; then
	has "somebody else is refused" "permission denied" "$T/tour"
fi
! grep -qF "$(cat "$DIR/pin")" "$T/tour" "$DIR/keyd.log" "$DIR/env" || fail "the PIN is shown"
ok "the PIN is shown nowhere"

# -- The contract --
expect "DIR/keyd.sock" test -S "$DIR/keyd.sock"
expect "DIR/audit.log" test -s "$DIR/audit.log"
with_env() { # with_env COMMAND...: in a shell with DIR/env
	env -u HOLDFAST_SOCKET bash -c '. "$1/env" && shift && "$@"' - "$DIR" "$@"
}
is "env: HOLDFAST_SOCKET" "$DIR/keyd.sock" "$(with_env printenv HOLDFAST_SOCKET)"
is "env: HOLDFAST_CONFIG" "$DIR/keyd.conf" "$(with_env printenv HOLDFAST_CONFIG)"
is "env: HOLDFAST_TOKEN" holdfast "$(with_env printenv HOLDFAST_TOKEN)"
if [ -e "$SOURCE_DIR/build/release/pkcs11/holdfast-pkcs11.so" ]; then
	expect "env: HOLDFAST_MODULE" test -e "$(with_env printenv HOLDFAST_MODULE)"
fi
is "env: holdfast is in PATH" "$SOURCE_DIR/build/release/bin/holdfast" \
	"$(with_env bash -c 'command -v holdfast')"
is "env: can be read by a plain shell" "$DIR/keyd.sock" \
	"$(sh -c '. "$1/env"; echo "$HOLDFAST_SOCKET"' - "$DIR")"
expect "holdfast status" quiet with_env holdfast status
for level in wrapped hsm; do
	expect "key create --level $level" quiet with_env holdfast key create "k-$level" \
		--type aes256-gcm96 --level "$level"
	printf 'some data' | with_env holdfast encrypt "k-$level" | with_env holdfast decrypt "k-$level" >"$T/out"
	is "encrypt and decrypt read and write the standard streams" "some data" "$(cat "$T/out")"
done
is "key show -o json" hsm "$(with_env holdfast key show k-hsm -o json | jq -r '.keys[0].level')"
expect "key rotate" quiet with_env holdfast key rotate k-hsm
expect "audit verify" quiet with_env holdfast audit verify "$DIR/audit.log"
if [ "$(id -u)" = 0 ]; then
	refuse "other users may do nothing" 2 "permission denied" with_env setpriv --reuid=61001 \
		--regid=61001 --clear-groups holdfast key show k-hsm
fi
expect "the key files are for the owner only" [ -z "$(find "$DIR/pin" "$DIR/so-pin" \
	"$DIR/state" "$DIR/softhsm" -perm /077)" ]

# -- A second run, a stop, a third --
# Other keys that sign, before the tour's by name: it must not take them for its.
expect "a key of one's own" quiet with_env holdfast key create a-first --type rsa-2048
first=$(pid)
quickstart --dir "$DIR" >"$T/tour" 2>&1 </dev/null || fail "second run: $(tail -5 "$T/tour")"
is "a second run finds the service" "$first" "$(pid)"
expect "and the keys" quiet with_env holdfast key show k-hsm
quickstart --dir "$DIR" --stop >"$T/out" 2>&1 || fail "stop: $(cat "$T/out")"
gone "$first" || fail "it still runs"
ok "--stop ends it"
refuse "nobody is there then" 3 "" with_env holdfast status
expect "--stop again is fine" quiet quickstart --dir "$DIR" --stop
quickstart --dir="$DIR" >"$T/tour" 2>&1 </dev/null || fail "third run: $(tail -5 "$T/tour")"
expect "after a stop it goes on with what is there" quiet with_env holdfast key show k-hsm
expect "and with the same audit chain" quiet with_env holdfast audit verify "$DIR/audit.log"

# -- Killed, it starts again --
first=$(pid)
kill -9 "$first"
until_true 5 gone "$first" || fail "it cannot be killed"
quickstart --dir "$DIR" >"$T/tour" 2>&1 </dev/null || fail "after a kill: $(tail -5 "$T/tour")"
expect "after a kill it starts again" quiet with_env holdfast key show k-hsm
refuse "usage" 1 "usage:" quickstart --nope
echo "$checks checks"
