#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What is left of secrets in the daemon's memory. Keys whose bytes are known are
# imported, used, and taken away again in each way there is; the memory of the
# live daemon is searched for them, and once more at its very end. What is there
# must be locked and left out of core dumps; what was taken away must be gone.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

if address_sanitizer; then
	skip "the address sanitizer keeps what was freed, and terabytes besides"
fi

# The PIN is long enough to be found.
make_token
PIN=file:pin
long_pin=$(head -c 12 /dev/urandom | xxd -p)
rm -rf "$T/tokens"
mkdir "$T/tokens"
softhsm2-util --init-token --free --label holdfast --so-pin 5678 --pin "$long_pin" >/dev/null
printf '%s\n' "$long_pin" >"$T/pin"
make_policy
make_config
holdfast-keyd --config "$T/keyd.conf" --init >/dev/null 2>>"$T/keyd.log"
PRELOAD=$E2E/exit_shim.so start_daemon

mkdir "$T/secrets"
secret=$T/secrets
head -c 32 /dev/urandom >"$secret/aes"
head -c 64 /dev/urandom >"$secret/hmac"
openssl genpkey -algorithm ed25519 -out "$T/ed25519.pem"
openssl pkey -in "$T/ed25519.pem" -outform DER | tail -c 32 >"$secret/ed25519"
openssl ecparam -name prime256v1 -genkey -noout -out "$T/p256.pem"
openssl ec -in "$T/p256.pem" -outform DER 2>/dev/null | head -c 39 | tail -c 32 >"$secret/p256"
openssl genrsa -traditional -out "$T/rsa.pem" 2048 2>/dev/null
openssl asn1parse -in "$T/rsa.pem" | awk -F: '/INTEGER/ { print $NF }' |
	sed -n 4p | xxd -r -p >"$secret/rsa-d"
openssl asn1parse -in "$T/rsa.pem" | awk -F: '/INTEGER/ { print $NF }' |
	sed -n 5p | xxd -r -p >"$secret/rsa-p"
openssl asn1parse -in "$T/rsa.pem" | awk -F: '/INTEGER/ { print $NF }' |
	sed -n 7p | xxd -r -p >"$secret/rsa-dp"
head -c 48 /dev/urandom | base64 -w0 >"$secret/plaintext"
printf %s "$long_pin" >"$secret/pin"

# scan: into $T/found
scan() {
	python3 "$SOURCE_DIR/tests/e2e/memory_scan.py" "$DAEMON_PID" "$secret"/* >"$T/found" ||
		fail "the memory cannot be read"
	# shellcheck disable=SC2013
	for open in $(awk '$5 > 0 { print $1 }' "$T/found"); do
		fail "$1: $open is in memory that is not locked: $(grep "^$open " "$T/found")"
	done
	ok "$1: no secret outside of locked memory"
}

# there NAME: some of it is
there() {
	[ "$(awk -v n="$1" '$1 == n { print $3 + $5 }' "$T/found")" -gt 0 ]
}

# gone WHAT NAME...: within some seconds
gone() {
	local what=$1 name
	shift
	for name; do
		until_true 20 eval "scan again && ! there $name" || fail "$what: $name is still there: $(grep "^$name " "$T/found")"
	done
	ok "$what: no longer in memory: $*"
}

use() {
	holdfast encrypt aes "$secret/plaintext" >"$T/sealed"
	holdfast decrypt aes "$T/sealed" >"$T/out"
	for name in ed25519 p256 rsa; do
		quiet holdfast sign "$name" "$secret/plaintext"
	done
	quiet holdfast hmac hmac "$secret/plaintext"
}

scan "before"
for name in ed25519 p256 rsa; do
	quiet holdfast key import "$name" "$T/$name.pem"
done
quiet holdfast key import aes "$secret/aes" --type aes256-gcm96
quiet holdfast key import hmac "$secret/hmac" --type hmac
use
scan "in use"
for name in aes hmac p256 rsa-p; do
	there "$name" || fail "$name is in use and not found: what does this test show?"
done
ok "keys in use are found where they should be"
gone "after the replies" plaintext
there pin || fail "how will it log in again without the PIN?"

# -- Taken away: deleted, destroyed below a rotation, disabled --
for name in aes hmac ed25519 p256 rsa; do
	quiet holdfast key config "$name" --deletion-allowed yes
done
quiet holdfast key delete aes
gone "deleted" aes
quiet holdfast key delete hmac
quiet holdfast key delete p256
quiet holdfast key delete ed25519
quiet holdfast key delete rsa
gone "deleted" hmac p256 ed25519 rsa-d rsa-p rsa-dp

# -- Rotated and trimmed --
head -c 32 /dev/urandom >"$secret/aes"
quiet holdfast key import aes "$secret/aes" --type aes256-gcm96 --allow-rotation
printf x | holdfast encrypt aes >"$T/sealed"
quiet holdfast key rotate aes
quiet holdfast key config aes --min-decryption-version 2 --min-encryption-version 2
quiet holdfast key trim aes --min-available-version 2 --force
gone "rotated and trimmed" aes

# -- A core dump: none, and what would be in it --
is "core dumps are off" 0 "$(awk '/Max core file size/ { print $5 }' "/proc/$DAEMON_PID/limits")"
is "and nobody of the same user may look" root "$(stat -c %U "/proc/$DAEMON_PID/mem")"

# -- At the end --
head -c 32 /dev/urandom >"$secret/hmac"
quiet holdfast key import hmac "$secret/hmac" --type hmac
printf x | quiet holdfast hmac hmac
scan "in use again"
there hmac || fail "the key in use is not found"
kill "$DAEMON_PID"
until_true 20 grep -q '^State:.T' "/proc/$DAEMON_PID/status" || fail "it did not come to its end"
scan "at the end"
for name in "$secret"/*; do
	name=${name##*/}
	! there "$name" || fail "at the end $name is still there: $(grep "^$name " "$T/found")"
done
ok "nothing is left at the end of the process"
kill -CONT "$DAEMON_PID"
wait "$DAEMON_PID" || fail "it ended with $?"
DAEMON_PID=
echo "$checks checks"
