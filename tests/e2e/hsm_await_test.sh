#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Requests of one connection that are in the HSM at the same time, and no thread
# waits for them: each gets the answer to its own question, from its own key, and
# its own lines in the audit log, also when the HSM's library dies under them.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/hsm_lib.sh
. "$(dirname "$0")/hsm_lib.sh"

ROUNDS=60 KEYS=3
hsm_service 'deadline_ms = 8000'
URL=ipc://$HOLDFAST_SOCKET

for k in $(seq $KEYS); do
	holdfast key create "mac-$k" --type hmac --level hsm >/dev/null
	holdfast key create "aes-$k" --level hsm >/dev/null
done
holdfast key create outside >/dev/null

hmac() { printf '{"op": "transit.hmac", "in": {"name": "mac-%s", "input": '"'%s'"'}}\n' "$1" "$2"; }
encrypt() { printf '{"op": "transit.encrypt", "in": {"name": "%s", "plaintext": '"'%s'"'}}\n' "$1" "$2"; }

# One line each: what is asked first stands in the order of the questions.
for i in $(seq $ROUNDS); do
	for k in $(seq $KEYS); do
		hmac "$k" "text $i"
	done
	encrypt "aes-$((i % KEYS + 1))" "text $i"
	encrypt outside "text $i"
done >"$T/requests"
grep transit.hmac "$T/requests" >"$T/macs"

# One after the other, on a connection: what they should be.
raw_lines() { "$E2E/nng_client" "$URL"; }
raw_lines <"$T/macs" >"$T/expected" || fail "one after the other"
is "each key has answers of its own" "$((ROUNDS * KEYS))" "$(sort -u "$T/expected" | wc -l)"

# together WHAT: all at once, and each is right
together() {
	"$E2E/nng_client" --together "$URL" <"$T/requests" >"$T/out" || fail "$1: $(tail -3 "$T/out")"
	is "$1: all are answered" "$(wc -l <"$T/requests")" \
		"$(cut -d' ' -f1 "$T/out" | sort -nu | wc -l)"
	# Numbered by request, from 1.
	sort -n "$T/out" | paste -d'|' "$T/requests" - | grep transit.hmac |
		sed 's/^.*|[0-9]* //' >"$T/got"
	cmp -s "$T/expected" "$T/got" || fail "$1: $(diff "$T/expected" "$T/got" | head -4)"
	ok "$1: each HMAC is the one of its key and its input"
	! grep -q '"err"' "$T/out" || fail "$1: $(grep -m1 '"err"' "$T/out")"
	# What was encrypted opens, with the key that was asked for.
	sort -n "$T/out" | paste -d'|' "$T/requests" - | grep transit.encrypt | tail -12 |
		while IFS='|' read -r asked got; do
			name=$(cut -d'"' -f10 <<<"$asked") text=$(cut -d"'" -f2 <<<"$asked")
			cut -d"'" -f2 <<<"$got" | xxd -r -p >"$T/sealed"
			[ "$(holdfast decrypt "$name" "$T/sealed")" = "$text" ] ||
				fail "$1: $asked does not open"
		done
	ok "$1: each ciphertext opens with its key"
}
together "at once"

# Some of them are in a library that dies.
for i in 1 2 3; do
	(
		sleep "0.0$i"
		kill -KILL "$(worker)"
	) &
	killer=$!
	together "killed, $i"
	wait "$killer" || true
	until_true 20 is_state ready || fail "killed: $(status state)"
done
faults 'C_Sign 40 crash'
together "crashed"
rm "$P11_FAULTS"
until_true 20 is_state ready || fail "crashed: $(status state)"

# -- The same with the library inside: there is nothing to kill, but who hangs
# holds up nobody else, and who waits for it is told --
stop_daemon
sed -i 's/deadline_ms = 8000/deadline_ms = 1500/; s/^hsm {/&\n  process = "inside"/' "$T/keyd.conf"
start_daemon
together "inside"
faults 'C_Sign 1 hang'
hmac 1 hangs >"$T/hanging"
raw_lines <"$T/hanging" >"$T/hung" &
hung=$!
until_true 10 grep -q ' C_Sign hang ' "$P11_LOG" || fail "nothing hangs"
together "beside one that hangs"
wait "$hung" || fail "the one that hangs has no answer"
has "the one that hangs is told" hsm_stuck "$T/hung"
has "and the operator" "did not come back from hsm_key_hmac" "$T/keyd.log"
rm "$P11_FAULTS"
together "after one that hangs"
stop_daemon

# Each request has one outcome, which is its own.
expect "the audit log is whole" quiet holdfast audit verify "$T/audit.log"
python3 - "$T/audit.log" <<'PY' || fail "the audit log mixes requests"
import json, sys
asked, ended = {}, 0
for line in open(sys.argv[1]):
    e = json.loads(line)
    if e.get("op") not in ("transit.hmac", "transit.encrypt"):
        continue
    if e["type"] == "request":
        assert e["id"] not in asked, line
        assert e["path"].endswith("/" + e["in"]["name"]), line
        asked[e["id"]] = e["op"]
    else:
        assert e["type"] == "response" and e["result"] in ("ok", "hsm_stuck"), line
        assert asked.pop(e["id"]) == e["op"], line
        ended += 1
assert ended > 1000 and not asked, (ended, asked)
PY
ok "each request has its outcome, once"

echo "1..$checks"
