#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The rotation drill of docs/recipes/rotation.md: 10,000 ciphertexts over 14
# versions, encrypted anew in batches that are killed and go on; the report says
# that nothing is left; the old versions go; and what a backup may bring back.
# It shows CK25 of docs/transit.md.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/pkcs11_lib.sh
. "$(dirname "$0")/pkcs11_lib.sh"

VERSIONS=14
start_service 'usage {' '  flush_seconds = 1' '}'

# make_many KEY VERSION FROM TO: one request with an item for each number, whose
# plaintext it is; prints the ciphertexts in text form, a tab and the number
make_many() {
	raw "$(python3 -c '
import sys
key, version, first, last = sys.argv[1:]
items = ", ".join("{\"plaintext\": h\x27%s\x27}" % ("row %d" % n).encode().hex()
                  for n in range(int(first), int(last) + 1))
print("{\"op\": \"transit.encrypt\", \"in\": {\"name\": \"%s\", \"key_version\": %s, "
      "\"format\": \"text\", \"batch_input\": [%s]}}" % (key, version, items))' "$@")" |
		python3 -c '
import re, sys
found = re.findall("\"ciphertext\": h\x27([0-9a-f]*)\x27", sys.stdin.read())
for n, sealed in enumerate(found, int(sys.argv[1])):
    print("%s\t%d" % (bytes.fromhex(sealed).decode(), n))' "$3"
}
# report KEY VERSION MEMBER
report() {
	holdfast key retire-report "$1" -o json | jq -r ".versions[] | select(.version == $2) | .$3"
}
verdicts() { holdfast key retire-report "$@" -o json | jq -r '[.versions[].retire] | join(" ")'; }
repeat() {
	local i
	for i in $(seq "$1"); do printf '%s%s' "$([ "$i" = 1 ] || echo ' ')" "$2"; done
}

# -- 10,000 ciphertexts over 14 versions --
holdfast key create drill --exportable --allow-plaintext-backup >/dev/null
: >"$T/data"
for v in $(seq $VERSIONS); do
	[ "$v" = 1 ] || holdfast key rotate drill >/dev/null
	make_many drill "$v" $(((v - 1) * 715 + 1)) $((v == VERSIONS ? 10000 : v * 715)) >>"$T/data"
done
is "there are 10,000 of them" 10000 "$(wc -l <"$T/data")"
is "over 14 versions" 14 "$(cut -d: -f2 "$T/data" | sort -u | wc -l)"
is "CK25 the service counted them" 715 "$(report drill 3 encrypted)"
is "none is rewrapped" 715 "$(report drill 3 left)"
is "all are in use" "$(repeat 14 no)" "$(verdicts drill)"
is "by their age alone they might be done with" "$(repeat 13 check) no" \
	"$(verdicts drill --older-than 0)"
is "nothing can be retired" 1 "$(holdfast key retire-report drill -o json | jq .retire_below)"
holdfast key config drill --min-encryption-version 14 >/dev/null
holdfast key backup drill >"$T/backup"

# -- Encrypted anew, killed and killed again --
rewrap() { holdfast rewrap-file drill "$T/data" --out "$T/new" --batch 250; }
done_lines() { cat "$T"/new.*.partial 2>/dev/null | wc -l; }
more_than() { [ "$(done_lines)" -gt "$1" ]; }
# kill_rewrap LINES: when it has written more than LINES
kill_rewrap() {
	holdfast rewrap-file drill "$T/data" --out "$T/new" --batch 1 2>/dev/null &
	local pid=$!
	until_true 30 more_than "$1" || fail "it does not go on after $1 lines"
	kill -9 "$pid" 2>/dev/null || true
	{ wait "$pid" || true; } 2>/dev/null
	[ ! -e "$T/new" ] || fail "half of it looks like all of it"
}
kill_rewrap 0
ok "killed, it leaves no result"
partial=$(echo "$T"/new.*.partial)
first=$(done_lines)
printf 'vault:v14:half a line' >>"$partial"
mv "$partial" "$T/kept"
ln -s "$T/kept" "$partial"
refuse "a link in its place is not followed" 1 "partial: " rewrap
[ ! -e "$T/new" ] || fail "what somebody else made was taken for done"
mv "$T/kept" "$partial"
kill_rewrap "$first"
ok "it goes on where it was"
[ "$(report drill 1 left)" -lt 715 ] || fail "the report does not know of it"
ok "the report knows how far it is"
is "the newest of the old is not done" no "$(report drill 13 retire)"
stop_daemon
start_daemon
expect "to the end, over a restart of the service" rewrap
is "all lines are there" 10000 "$(wc -l <"$T/new")"
is "under the newest version" v14 "$(cut -d: -f2 "$T/new" | sort -u)"
expect "in their order, with what was beside them" cmp -s <(cut -f2 "$T/data") <(cut -f2 "$T/new")
[ ! -e "$partial" ] || fail "the partial file stays"
refuse "a result is not overwritten" 1 "exists already" rewrap
for n in 1 716 5000 9999 10000; do
	is "row $n opens" "row $n" "$(sed -n "${n}p" "$T/new" | cut -f1 | holdfast decrypt drill)"
done
tail -5 "$T/data" >"$T/few"
printf 'vault:v2:AAAA\n' >>"$T/few"
refuse "a line that does not open is named" 2 "few:6: " \
	holdfast rewrap-file drill "$T/few" --out "$T/few.new"
[ ! -e "$T/few.new" ] || fail "a result without all lines"
ok "and there is no result"

# -- The report says that nothing is left --
is "CK25 nothing is left" "$(repeat 13 yes) no" "$(verdicts drill)"
is "all but the newest can be retired" 14 "$(holdfast key retire-report drill -o json | jq .retire_below)"
has "the table says why" "nothing is left that needs it" \
	<(holdfast key retire-report drill)
is "a report on all keys has it" drill \
	"$(holdfast key retire-report --all -o json | jq -r '.keys[].name')"
refuse "which key?" 1 "NAME, or --all" holdfast key retire-report

# -- They go --
holdfast key config drill --min-decryption-version 14 >/dev/null
refuse "an old ciphertext is refused" 2 "too old" holdfast decrypt drill <(head -1 "$T/data" | cut -f1)
is "trim destroys them" 14 \
	"$(json '[.keys[].version] | join(" ")' holdfast key trim drill --min-available-version 14)"
is "rewrapped ones still open" "row 77" "$(sed -n 77p "$T/new" | cut -f1 | holdfast decrypt drill)"
refuse "trimmed versions cannot be allowed again" 2 "trimmed" \
	holdfast key config drill --min-decryption-version 1

# -- What the backup brings back --
refuse "a backup does not replace a key" 2 "already exists" \
	holdfast key restore-backup drill "$T/backup"
holdfast key restore-backup drill-of-old "$T/backup" >/dev/null
is "under another name it has the old versions" "row 1" \
	"$(head -1 "$T/data" | cut -f1 | holdfast decrypt drill-of-old)"
is "and the key itself has not" 1 "$(json '.keys | length' holdfast key show drill)"
cut_off() { head -c 2000 "$T/backup"; }
refuse "a part of a backup is none" 2 "" holdfast key restore-backup drill-part <(cut_off)
holdfast key restore-backup drill "$T/backup" --force >/dev/null
is "by force the old versions are back" "row 1" \
	"$(head -1 "$T/data" | cut -f1 | holdfast decrypt drill)"
is "and are in use again" no "$(report drill 1 retire)"
holdfast key config drill --min-decryption-version 14 >/dev/null
refuse "so that they are not trimmed" 2 "version 1 of key drill is in use: last decrypt at " \
	holdfast key trim drill --min-available-version 14
has "by how many callers" "by 1 caller;" "$T/err"
expect "unless forced" quiet holdfast key trim drill --min-available-version 14 --force

# -- A straggler, with the key in the HSM --
holdfast key create inside --level hsm >/dev/null
make_many inside 1 1 20 >"$T/inside"
holdfast key rotate inside >/dev/null
quiet holdfast rewrap-file inside "$T/inside" --out "$T/inside.new" --quiet
is "level hsm: nothing is left" "yes no" "$(verdicts inside)"
quiet holdfast decrypt inside <(head -1 "$T/inside" | cut -f1)
is "somebody had a copy" "no no" "$(verdicts inside)"
has "the report says so" "decrypt N ago, by 1 caller" \
	<(holdfast key retire-report inside | sed -E "s/[0-9]+[ms] ago/N ago/")
refuse "and its version is not destroyed" 2 version_in_use holdfast key destroy inside --version 1

# -- As the recipe has it --
# shellcheck source=tests/e2e/recipe.sh
. "$(dirname "$0")/recipe.sh"
recipe rotation "The data"
recipe rotation "By itself"
recipe rotation "Encrypt anew"
is "the recipe: all is anew" "v2 v2 v2" "$(cut -d: -f2 "$T/rotation/fresh.tsv" | xargs)"
recipe rotation "Is anything left?"
has "the recipe: nothing is left" "nothing is left that needs it" "$T/out"
recipe rotation "Retire"
is "the recipe: the old version is gone" 2 "$(json '.keys[].version' holdfast key show rows)"
is "the recipe: the new ciphertexts open" "row 3" \
	"$(sed -n 3p "$T/rotation/fresh.tsv" | cut -f1 | holdfast decrypt rows)"

expect "the audit log of it all is whole" quiet holdfast audit verify "$T/audit.log"
echo "$checks checks"
