#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The audit log proves itself, and where it cannot be written nothing is done.
# Of the clouds' features it shows CK26.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

log=$T/audit.log
AUDIT='checkpoint_lines = 5
  checkpoint_seconds = 1'
export IO_FAULTS=$T/faults
PRELOAD=$E2E/io_shim.so start_service
holdfast key create payments >/dev/null
printf 'the plaintext' >"$T/data"
for _ in $(seq 10); do
	holdfast encrypt payments "$T/data" >"$T/sealed"
done

verify() { # verify [OPTION...] [FILE...]: one field of the report
	holdfast audit verify "$@" -o json 2>/dev/null
}
lines_of() { wc -l <"$1"; }
expect_broken() { # expect_broken NAME LINE FILE REASON [MORE]
	refuse "found: $1" 2 "$3:$2: " holdfast audit verify --key "$T/audit.pub" "${@:5}" "$3"
	has "found: $1, and says what" "$4" "$T/err"
}

# -- What is in it --
# A checkpoint comes within a second or two.
until_true 10 bash -c '[ "$(holdfast audit status -o json | jq .checkpoint)" -ge 2 ]' ||
	fail "no checkpoints"
# While it is read, another line may come.
cp "$log" "$T/now"
report=$(verify --key "$T/audit.pub" "$T/now")
is "it is whole" true "$(jq .whole <<<"$report")"
is "all lines are counted" "$(lines_of "$T/now")" "$(jq .lines <<<"$report")"
is "checkpoints are counted" "$(grep -c '"type":"checkpoint"' "$T/now")" "$(jq .checkpoints <<<"$report")"
[ "$(jq .checkpoints <<<"$report")" -ge 2 ] || fail "fewer than 2 checkpoints"
ok "checkpoints come every few lines"
is "every line is JSON" "$(lines_of "$T/now")" "$(jq -c . "$T/now" | wc -l)"
is "each request has an intent and an outcome" \
	"$(jq -r 'select(.type == "request") | .id' "$T/now" | sort)" \
	"$(jq -r 'select(.type == "response") | .id' "$T/now" | sort)"
! grep -q "the plaintext\|$(base64 <"$T/data")\|$(xxd -p "$T/data")" "$log" || fail "data in the log"
ok "no data is in it"
expect "only its owner reads it" [ "$(stat -c %a "$log")" = 600 ]

# -- Edited copies --
cp "$log" "$T/copy"
middle=$(grep -n '"op":"transit.encrypt","path"' "$T/copy" | sed -n '3s/:.*//p')
sed "${middle}s/payments/paymentz/" "$T/copy" >"$T/edited"
expect_broken "an edited line" $((middle + 1)) "$T/edited" "not the one that was written"
sed "${middle}d" "$T/copy" >"$T/deleted"
expect_broken "a deleted line" "$middle" "$T/deleted" "lines are missing"
sed "${middle}{h;d};$((middle + 1)){G}" "$T/copy" >"$T/swapped"
expect_broken "swapped lines" "$middle" "$T/swapped" "lines are missing"
sed "${middle}p" "$T/copy" >"$T/twice"
expect_broken "a line twice" $((middle + 1)) "$T/twice" "twice or in the wrong place"
head -c -20 "$T/copy" >"$T/torn"
expect_broken "half a line at the end" "$(lines_of "$T/copy")" "$T/torn" "not complete"
sed "$((middle + 1)),\$d" "$T/copy" >"$T/cut"
head=$(json '"\(.sequence):\(.head)"' holdfast audit status)
expect "the head of audit status is in the log" quiet holdfast audit verify --expect "$head" "$log"
head=$(holdfast audit status | awk '$1 == "sequence" { n = $2 } $1 == "head" { print n ":" $2 }')
expect "also as the table shows it" quiet holdfast audit verify --expect "$head" "$log"
expect_broken "a cut tail, by the head that was noted" $((middle + 1)) "$T/cut" "its end was cut off" \
	--expect "$head"

# A forged checkpoint: another signature, and another key.
n=$(grep -n '"type":"checkpoint"' "$T/copy" | head -1 | cut -d: -f1)
sed "${n}s/\"signature\":\"..../\"signature\":\"0000/" "$T/copy" >"$T/forged"
expect_broken "a forged signature" "$n" "$T/forged" "signature is wrong"
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 2>/dev/null |
	openssl pkey -pubout >"$T/other.pub"
refuse "another key" 2 "signed with another key" holdfast audit verify --key "$T/other.pub" "$log"
refuse "no key at all" 1 "not a public key" holdfast audit verify --key "$T/data" "$log"
refuse "no such file" 1 "nothing.log" holdfast audit verify --key "$T/audit.pub" "$T/nothing.log"
is "the key is the one that the service names" "$(cat "$T/audit.pub")" \
	"$(holdfast audit status -o json | jq -r .public_key)"

# -- Rotation of the file: rename and SIGHUP --
mv "$log" "$log.1"
kill -HUP "$DAEMON_PID"
until_true 5 test -s "$log" || fail "no new file"
quiet holdfast encrypt payments "$T/data"
is "the new file goes on with the chain" reopen "$(head -1 "$log" | jq -r .type)"
expect "each file proves itself" quiet holdfast audit verify "$log"
expect "and both are one chain" quiet holdfast audit verify "$log.1" "$log"
refuse "in the wrong order they are not" 2 "" holdfast audit verify --key "$T/audit.pub" "$log" "$log.1"
is "nothing is noted as damage" 0 "$(verify "$log.1" "$log" | jq .notes)"

# -- Renamed without a word, or removed, under the daemon --
mv "$log" "$log.2"
until_true 10 grep -q '"reason":"renamed"' "$log" || fail "nobody noticed the new name"
ok "a file renamed without a signal is noticed within seconds"
expect "and the chain goes on" quiet holdfast audit verify "$log.1" "$log.2" "$log"
rm "$log"
until_true 10 grep -q '"found":"removed"' "$log" || fail "nobody noticed that it was removed"
ok "a file removed under the daemon is noticed within seconds"
expect "the service goes on" quiet holdfast encrypt payments "$T/data"
has "and says so in its log" "audit" "$T/keyd.log"
is "the new file notes the damage" true "$(verify "$log" | jq '.notes > 0')"

# -- A full disk --
echo "write $log ENOSPC" >"$IO_FAULTS"
refuse "a full disk: nothing is done" 2 audit_unavailable holdfast encrypt payments "$T/data"
refuse "not a change either" 2 audit_unavailable holdfast key create unseen
refuse "nor a look at it" 2 audit_unavailable holdfast key show payments
kill -0 "$DAEMON_PID" || fail "the daemon is gone"
rm "$IO_FAULTS"
until_true 10 quiet holdfast encrypt payments "$T/data" || fail "it does not recover"
ok "it recovers without a restart"
refuse "what was refused was not done" 2 "key not found" holdfast key show unseen
refuse "the log is whole after it, with the damage of before" 4 "noted damage" holdfast audit verify "$log"
expect "and says what was written late" grep -q '"type":"recovered"' "$log"

# -- Changed while the daemon was away --
stop_daemon
head -n -2 "$log" >"$T/shorter" && cat "$T/shorter" >"$log"
start_daemon
expect "a tail cut while it was away is noticed" grep -q '"found":"\(shorter\|different\)"' "$log"
refuse "and does not verify" 2 "lines are missing" holdfast audit verify "$log"

echo "$checks checks"
