#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The command line, bad input of every kind, events, metrics, and a stop that
# finishes what is under way.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

start_service 'drain_seconds = 60' 'limits { message = 1048576 }'
printf 'four score\nand seven' >"$T/data"
holdfast key create payments >/dev/null
holdfast encrypt payments "$T/data" >"$T/sealed"

# -- Exit statuses --
refuse "0 is done" 0 "" holdfast status
refuse "1: no verb" 1 "which verb" holdfast
refuse "1: no such verb" 1 "did you mean 'encrypt'" holdfast encrpyt payments
refuse "1: half a verb" 1 "did you mean 'key rotate'" holdfast rotate payments
refuse "1: no such common option" 1 "no option '--sokcet'" holdfast --sokcet /x status
refuse "1: no such option" 1 "no option --nope" holdfast encrypt payments --nope x
refuse "1: an argument is missing" 1 "needs the name" holdfast key rotate
refuse "1: an argument too many" 1 "one argument too many" holdfast key rotate payments now
refuse "1: a file that is not there" 1 "$T/nothing" holdfast encrypt payments "$T/nothing"
refuse "1: not a number" 1 "is not a number" holdfast random --bytes many
refuse "2: refused by the service" 2 "key_not_found" holdfast encrypt nothing "$T/data"
refuse "3: nobody there" 3 "no service listens" holdfast --socket "$T/nobody.sock" status
refuse "3: also by the environment" 3 "" env HOLDFAST_SOCKET="$T/nobody.sock" holdfast status

# -- Output --
is "JSON" payments "$(holdfast key show payments -o json | jq -r .name)"
has "table" "aes256-gcm96" <(holdfast key show payments)
holdfast key list >"$T/out"
is "lists are lines" payments "$(cat "$T/out")"
is "JSON of lists" payments "$(json '.keys | join(" ")' holdfast key list)"

# -- Data: files, -, options, bytes --
is "from a file" "$(cat "$T/data")" "$(holdfast decrypt payments "$T/sealed")"
is "from standard input" "$(cat "$T/data")" "$(holdfast decrypt payments <"$T/sealed")"
is "from -" "$(cat "$T/data")" "$(holdfast decrypt payments - <"$T/sealed")"
head -c 100000 /dev/urandom >"$T/random"
for size in 0 1 15 16 17 4095 4096 65535 65536 100000; do
	head -c $size "$T/random" >"$T/part"
	holdfast encrypt payments --binary <"$T/part" >"$T/part.bin" || fail "$size bytes"
	[ "$(stat -c %s "$T/part.bin")" = $((size + 4 + 28)) ] || fail "$size bytes: a size surprise"
	holdfast decrypt payments <"$T/part.bin" | cmp - "$T/part" || fail "$size bytes"
	holdfast encrypt payments <"$T/part" >"$T/part.text" || fail "$size bytes as text"
	holdfast decrypt payments <"$T/part.text" | cmp - "$T/part" || fail "$size bytes as text"
done
ok "bytes go in and come out as they are, of any size"
expect "--out writes a file" quiet holdfast decrypt payments "$T/sealed" --out "$T/plain"
expect "with the bytes" cmp "$T/plain" "$T/data"
is "for its owner only" 600 "$(stat -c %a "$T/plain")"
refuse "a refused request" 2 "" holdfast decrypt nothing "$T/sealed" --out "$T/plain"
expect "leaves the file as it was" cmp "$T/plain" "$T/data"
mkdir "$T/closed"
refuse "--out into nowhere" 1 "" holdfast decrypt payments "$T/sealed" --out "$T/closed/no/plain"
is "no half files stay" 0 "$(find "$T/closed" -type f | wc -l)"
refuse "a full standard output is an error" 1 "" bash -c "holdfast decrypt payments '$T/sealed' >/dev/full"
refuse "more than the service takes" 2 too_large holdfast encrypt payments <(head -c 2000000 /dev/zero)
expect "encodings" [ "$(holdfast random --bytes 20 --encoding hex | tr -d '\n' | wc -c)" = 40 ]

# -- Help and completion --
holdfast help | sed -n 's/^  \([a-z][a-z -]*[a-z]\)  .*/\1/p' >"$T/verbs"
[ "$(wc -l <"$T/verbs")" -ge 40 ] || fail "help lists $(wc -l <"$T/verbs") verbs"
while read -r verb; do
	# shellcheck disable=SC2086 # words
	holdfast $verb --help >"$T/out" </dev/null || fail "$verb --help"
	head -1 "$T/out" | grep -q "^usage: holdfast $verb" || fail "$verb --help: $(head -1 "$T/out")"
done <"$T/verbs"
ok "each of $(wc -l <"$T/verbs") verbs has its help"
holdfast completion bash >"$T/completion"
complete_words() { # complete_words WORD...: what completion offers for the last
	bash -c '. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"
		COMP_POINT=${#COMP_LINE}; f=$(complete -p holdfast | grep -o -- "-F [^ ]*" | cut -c4-)
		"$f" holdfast "${!#}" "${@: -2:1}"; printf "%s\n" "${COMPREPLY[@]}"' - "$T/completion" "$@"
}
has "completion: verbs" "encrypt" <(complete_words holdfast enc)
has "completion: second words" "rotate" <(complete_words holdfast key rot)
has "completion: options" "--type" <(complete_words holdfast key create k --ty)

# -- Bad input, past what the command line would send --
raw_refused "not CBOR" bad_message '!ff'
raw_refused "nothing" bad_message '!'
raw_refused "half a message" bad_message '!a2626f70'
raw_refused "more after it" bad_message '!a1626f706a7379732e73746174757300'
raw_refused "indefinite length" bad_message '!bf626f706a7379732e737461747573ff'
raw_refused "a tag" bad_message '!c0a1626f706a7379732e737461747573'
raw_refused "a length not in its shortest form" bad_message '!b801626f706a7379732e737461747573'
raw_refused "a length that is not there" bad_message '!a1626f707bffffffffffffffff'
raw_refused "nested without end" bad_message "!$(printf '81%.0s' $(seq 5000))"
raw_refused "no map" bad_message '[1, 2]'
raw_refused "no operation" bad_message '{"in": {}}'
raw_refused "an operation that is not there" unknown_operation '{"op": "transit.encrpt"}'
raw_refused "a wrong type" bad_type '{"op": "key.read", "in": {"name": 7}}'
raw_refused "text for bytes" bad_type \
	'{"op": "transit.encrypt", "in": {"name": "payments", "plaintext": "text"}}'
raw_refused "a negative number" bad_type '{"op": "transit.random", "in": {"bytes": -1}}'
raw_refused "null" bad_type '{"op": "key.read", "in": {"name": null}}'
raw_refused "a list for a map" bad_type '{"op": "key.read", "in": ["payments"]}'
raw_refused "a missing field" missing_field '{"op": "key.read", "in": {}}'
raw_refused "an unknown field" unknown_field '{"op": "key.read", "in": {"name": "payments", "nme": "x"}}'
raw_refused "a field twice" duplicate_field '{"op": "key.read", "in": {"name": "payments", "name": "x"}}'
raw_refused "a number out of bounds" out_of_bounds '{"op": "transit.random", "in": {"bytes": 1000000}}'
for name in "../payments" "a/b" "A b" ".a" "payments/rotate" "pay*" "pÿ" "a\\\"b"; do
	raw_refused "the name '$name'" bad_name '{"op": "key.create", "in": {"name": "'"$name"'"}}'
done
for name in "" "$(printf 'x%.0s' $(seq 129))"; do
	raw_refused "a name of ${#name} bytes" out_of_bounds '{"op": "key.create", "in": {"name": "'"$name"'"}}'
done
raw_refused "text that is not UTF-8" bad_type '!a2626f70686b65792e7265616462696ea1646e616d6562c328'
raw_refused "a truncated ciphertext" invalid_ciphertext \
	'{"op": "transit.decrypt", "in": {"name": "payments", "ciphertext": h'"'00000001aabb'}}"
raw_refused "a wrong version" invalid_ciphertext \
	'{"op": "transit.decrypt", "in": {"name": "payments", "ciphertext": h'"'00000063$(printf 'aa%.0s' $(seq 40))'}}"
is "the service is as it was" "$(cat "$T/data")" "$(holdfast decrypt payments "$T/sealed")"
is "no key was made" payments "$(holdfast key list)"

# -- Batches --
items="{\"plaintext\": 'one', \"reference\": \"r1\"}, {\"plaintext\": 'two', \"key_version\": 9}"
items="$items, {\"plaintext\": 'three', \"reference\": \"r3\"}"
reply=$(raw '{"op": "transit.encrypt", "in": {"name": "payments", "batch_input": ['"$items"']}}')
is "batch: a result for each item" 2 "$(grep -o '"ciphertext"' <<<"$reply" | wc -l)"
is "batch: what is wrong with one stands in it" 1 "$(grep -o '"error_name"' <<<"$reply" | wc -l)"
is "batch: in order, with their references" "r1 r3" \
	"$(grep -o '"reference": "[^"]*"' <<<"$reply" | cut -d'"' -f4 | tr '\n' ' ' | sed 's/ $//')"
raw_refused "batch: an empty one" empty_batch '{"op": "transit.encrypt", "in": {"name": "payments", "batch_input": []}}'
raw_refused "batch: and single" batch_and_single \
	'{"op": "transit.encrypt", "in": {"name": "payments", "plaintext": '"'x'"', "batch_input": [{"plaintext": '"'y'"'}]}}'
raw_refused "batch: an unknown field in an item" unknown_field \
	'{"op": "transit.encrypt", "in": {"name": "payments", "batch_input": [{"plantext": '"'y'"'}]}}'

# -- Events --
holdfast events >"$T/events" 2>"$T/events.err" &
events=$!
more_cleanup() { kill "$events" 2>/dev/null || :; }
until_true 10 bash -c "holdfast policy reload >/dev/null; grep -q policy.reloaded '$T/events'" ||
	fail "events: nothing: $(cat "$T/events.err")"
holdfast key create watched >/dev/null
holdfast key rotate watched >/dev/null
until_true 5 grep -q 'key.rotated.*watched' "$T/events" || fail "events: $(cat "$T/events")"
has "events: a key was made" "key.created  watched" "$T/events"
has "events: a key was rotated" "key.rotated  watched" "$T/events"
has "events: the policies were reloaded" "policy.reloaded" "$T/events"
kill "$events"
wait "$events" 2>/dev/null || :

# -- What fails writes nothing: GHSA-444v-8vxr-p36h --
holdfast key create shown >/dev/null
printf secret | holdfast encrypt shown | sed 's/...$/AAA/' >"$T/changed"
refuse "GHSA-444v-8vxr-p36h a changed ciphertext" 2 "" holdfast decrypt shown "$T/changed" --out "$T/unseen"
is "GHSA-444v-8vxr-p36h ... makes no file" "" "$(ls "$T/unseen" 2>/dev/null)"
is "GHSA-444v-8vxr-p36h ... and nothing on the standard output" "" "$(holdfast decrypt shown "$T/changed" 2>/dev/null)"

# -- Metrics, in the Prometheus text format --
holdfast metrics >"$T/metrics"
grep -vE '^(# HELP [a-zA-Z_:][a-zA-Z0-9_:]* .+|# TYPE [a-zA-Z_:][a-zA-Z0-9_:]* (counter|gauge|histogram|summary|untyped)|[a-zA-Z_:][a-zA-Z0-9_:]*(\{[a-zA-Z_][a-zA-Z0-9_]*="[^"\\]*"(,[a-zA-Z_][a-zA-Z0-9_]*="[^"\\]*")*\})? -?[0-9]+(\.[0-9]+)?)$' \
	"$T/metrics" >"$T/out" && fail "metrics: $(head -3 "$T/out")"
ok "metrics: $(wc -l <"$T/metrics") lines of the format"
awk '/^# TYPE/ { if (seen[$3]++) exit 1; type[$3] = $4; next }
	/^#/ { next }
	{ sub(/[{ ].*/, ""); base = $0; sub(/_(bucket|sum|count)$/, "", base)
	  if (!($0 in type) && !(base in type)) exit 1 }' "$T/metrics" || fail "metrics: a sample without its type"
ok "metrics: each sample has its type, once"
expect "metrics: operations are counted" grep -q '^holdfast_operations_total{operation="transit.encrypt",outcome="ok"} [1-9]' "$T/metrics"

# -- A stop finishes what is under way --
for i in 1 2 3; do
	holdfast key create "slow-$i" --type rsa-4096 >"$T/slow.$i" 2>&1 &
	pids[i]=$!
done
until_true 5 bash -c "[ \"\$(grep -c '\"path\":\"transit/keys/slow-' '$T/audit.log')\" = 3 ]" || fail "not under way"
kill -TERM "$DAEMON_PID"
done=0
for i in 1 2 3; do
	if wait "${pids[i]}"; then done=$((done + 1)); fi
done
status=0
wait "$DAEMON_PID" || status=$?
DAEMON_PID=
is "a stop ends with status 0" 0 "$status"
[ "$done" -ge 1 ] || fail "nothing under way was finished: $(cat "$T"/slow.*)"
start_daemon
for i in 1 2 3; do
	if grep -q "slow-$i" "$T/slow.$i" && ! grep -q '^holdfast:' "$T/slow.$i"; then
		quiet holdfast sign "slow-$i" "$T/data" || fail "slow-$i was acknowledged"
	fi
done
ok "what was under way was finished ($done of 3) and is there"
expect "the audit log is whole" quiet holdfast audit verify "$T/audit.log"
echo "$checks checks"
