#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# nng's own client works unchanged: nngcat, programs on libnng, and beside them
# one on libholdfast.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

start_service 'limits { message = 1048576 }'
holdfast key create payments >/dev/null
URL=ipc://$HOLDFAST_SOCKET

# -- nngcat --
cat_request() { # cat_request REQUEST: the reply, in diagnostic notation
	"$E2E/cbor" encode <<<"$1" >"$T/request"
	nngcat --req0 --dial "$URL" --raw --recv-timeout 10 --file "$T/request" |
		"$E2E/cbor" decode
}
is "nngcat gets a reply" '{"out": {"sum": h'"'$(printf hello | sha256sum | cut -c1-64)'"'}}' \
	"$(cat_request '{"op": "transit.hash", "in": {"input": '"'hello'"'}}')"
reply=$(cat_request '{"op": "transit.encrypt", "in": {"name": "payments", "plaintext": '"'hello'"', "format": "text"}}')
[[ $reply =~ \"ciphertext\":\ h\'([0-9a-f]+)\' ]] || fail "nngcat encrypts: $reply"
xxd -r -p <<<"${BASH_REMATCH[1]}" >"$T/sealed"
is "what nngcat encrypted, holdfast decrypts" hello "$(holdfast decrypt payments "$T/sealed")"
reply=$(cat_request '{"op": "transit.encrpt"}')
[[ $reply == *unknown_operation* ]] || fail "nngcat gets errors: $reply"
ok "nngcat gets errors"

# -- libnng, one request after the other on a connection --
raw '{"op": "sys.whoami"}' '{"op": "nothing"}' '{"op": "key.read", "in": {"name": "payments"}}' \
	'!ff' '{"op": "sys.status"}' >"$T/out" || fail "libnng: $(cat "$T/out")"
is "libnng: each request has its reply" 5 "$(wc -l <"$T/out")"
is "libnng: errors do not end the connection" "out err out err out" \
	"$(sed 's/^{"\([a-z]*\)".*/\1/' "$T/out" | tr '\n' ' ' | sed 's/ $//')"
is "libnng: the same identity" "$(id -u)" \
	"$(head -1 "$T/out" | grep -o '"uid": [0-9]*' | head -1 | cut -d' ' -f2)"

# -- Large messages --
raw_refused "more than the limit is refused" too_large \
	'{"op": "transit.encrypt", "in": {"name": "payments", "plaintext": '"'x'"' * 1048576}}'
raw '{"op": "transit.hash", "in": {"input": '"'x'"' * 3000000}}' \
	'{"op": "transit.hash", "in": {"input": '"'x'"' * 1000000}}' >"$T/out"
is "and the connection goes on" "err out" \
	"$(sed 's/^{"\([a-z]*\)".*/\1/' "$T/out" | tr '\n' ' ' | sed 's/ $//')"

# -- Many under way at once --
{
	echo '{"op": "key.create", "in": {"name": "slow", "type": "rsa-4096"}}'
	for i in $(seq 2 200); do
		echo '{"op": "transit.hash", "in": {"input": '"'$i'"'}}'
	done
} >"$T/requests"
"$E2E/nng_client" --together "$URL" <"$T/requests" >"$T/out" || fail "pipelined"
is "pipelined: all are answered" 200 "$(cut -d' ' -f1 "$T/out" | sort -nu | wc -l)"
while read -r number reply; do
	[ "$number" != 1 ] || continue
	[ "$reply" = '{"out": {"sum": h'"'$(printf %s "$number" | sha256sum | cut -c1-64)'}}" ] ||
		fail "pipelined: request $number got the reply of another: $reply"
done <"$T/out"
ok "pipelined: each gets its own reply"
is "pipelined: the slow one holds up nobody" 1 "$(tail -1 "$T/out" | cut -d' ' -f1)"

# Several processes at once, with wrapped and hsm keys.
holdfast key create inside --type ecdsa-p256 --level hsm >/dev/null
for i in $(seq 8); do
	for _ in $(seq 20); do
		echo '{"op": "transit.sign", "in": {"name": "inside", "input": '"'$i'"'}}'
		echo '{"op": "transit.encrypt", "in": {"name": "payments", "plaintext": '"'$i'"'}}'
	done | "$E2E/nng_client" --together "$URL" >"$T/out.$i" &
	pids[i]=$!
done
for i in $(seq 8); do
	wait "${pids[i]}" || fail "eight at once: client $i"
	[ "$(grep -c '{"out"' "$T/out.$i")" = 40 ] || fail "eight at once: $(grep -v '{"out"' "$T/out.$i" | head -1)"
done
ok "eight clients at once"

# -- The examples of the documentation --
is "docs/example.c on libholdfast" "4111 1111 1111 1111" "$("$E2E/example" "$HOLDFAST_SOCKET")"
"$E2E/example_nng" "$URL" >"$T/out" || fail "docs/example_nng.c"
has "docs/example_nng.c on libnng" vault:v1: "$T/out"

expect "the audit log is whole" quiet holdfast audit verify "$T/audit.log"
echo "$checks checks"
