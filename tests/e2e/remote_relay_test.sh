#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Somebody between client and service who delays, cuts and changes bytes: a
# request is answered rightly or not at all, and nothing hangs.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/tls_lib.sh
. "$(dirname "$0")/tls_lib.sh"

authority ca
certificate localhost ca
certificate alice ca
chmod 600 "$T"/*.key
SERVICE=$(free_port)
start_service "$(listener far "$SERVICE" false)"
cat >"$T/policy.d/alice.hcl" <<'END'
path "transit/*" { capabilities = ["read", "update"] }
bind { subjects = ["cert:alice"] }
END
quiet holdfast policy reload
holdfast key create payments >/dev/null
export HOLDFAST_TLS_CA=$T/ca.pem HOLDFAST_TLS_CERTIFICATE=$T/alice.pem \
	HOLDFAST_TLS_KEY=$T/alice.key

RELAY=
end_relay() {
	[ -n "$RELAY" ] || return 0
	kill "$RELAY"
	{ wait "$RELAY" || :; } 2>/dev/null
	RELAY=
}
more_cleanup() { end_relay; }
# through MODE[ NUMBER] WHAT: remote_prog WHAT with such a relay between
through() {
	local port words
	read -ra words <<<"$1"
	port=$(free_port)
	end_relay
	rm -f "$T/relay.log"
	python3 "$SOURCE_DIR/tests/e2e/relay.py" "$port" "$SERVICE" "$T/relay.log" "${words[@]}" &
	RELAY=$!
	until_true 10 listening "$port" || fail "no relay"
	timeout 60 "$BUILD_DIR/tests/remote_prog" "tls+tcp://127.0.0.1:$port" "$2" >"$T/out" 2>&1
}
connections() { grep -c connection "$T/relay.log"; }

expect "a relay" through pass ask
expect "a few bytes at a time" through trickle ask
expect "many requests under way" through pass pipeline
expect "and those a few bytes at a time" through trickle pipeline

expect "a large request that does not get through, and the next that does" \
	through "stall-up 200000" large
is "on a new connection" 2 "$(connections)"
expect "small ones, until no more get through" through "stall-up 200000" small
through "pause-up 200000" small || fail "after a pause: $(cat "$T/out")"
ok "nor is half a request continued when they get through again"
expect "replies that do not come" through "stall-down 30000" small

# The hello of TLS up to the replies: whatever ends there is asked again.
for at in 0 100 900 1500 1700 1800 2000; do
	through "cut-down $at" ask && continue
	grep -qE 'unreachable|disconnected' "$T/out" || fail "cut at $at: $(cat "$T/out")"
done
ok "cut anywhere it is answered by another connection, or the loss is told"

# One bit of any byte: TLS notices, so there is no answer, or one of another
# connection; a wrong one would end with another status.
for way in up down; do
	for at in 0 3 5 9 20 60 90 130 200 400 700 1000 1300 1500 1600 1650 1700 1750 1800; do
		through "flip-$way $at" ask && continue
		grep -qE ': (untrusted|unreachable|disconnected|client_refused|timeout): ' "$T/out" ||
			fail "flip-$way $at: $(cat "$T/out")"
	done
done
ok "a bit that is changed anywhere changes no answer"

expect "a child asks, another only closes, and the parent goes on" through pass fork
is "on its own connection: the children's ends are none of it" 2 "$(connections)"

echo "1..$checks"
