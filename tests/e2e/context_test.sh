#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# CK2 of docs/transit.md: encryption contexts, bound to a ciphertext and kept
# through everything that is done with it. What they are authenticated as is
# made a second time by context_peer.py, from the page alone.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

start_service
cd "$T"
printf 'four score and seven' >data
peer=$SOURCE_DIR/tests/e2e/context_peer.py
context=(--context tenant=acme --context "größe=µ" --context a=)
pairs=(a= tenant=acme "größe=µ")
head -c 32 /dev/urandom >raw32
head -c 16 /dev/urandom >raw16
"$peer" aad "${pairs[@]}" >forged

# -- Every kind of key that authenticates, at both levels --
for kind in aes256-gcm96:wrapped aes128-gcm96:wrapped chacha20-poly1305:wrapped aes256-gcm96:hsm; do
	type=${kind%:*} key=${kind/:/-} raw=raw32
	[ "$type" = aes128-gcm96 ] && raw=raw16
	holdfast key import "$key" $raw --type "$type" --level "${kind#*:}" >/dev/null
	holdfast encrypt "$key" "${context[@]}" <data >c
	is "CK2 $key: opens with its context" "$(cat data)" "$(holdfast decrypt "$key" "${context[@]}" <c)"
	is "CK2 $key: in whatever order" "$(cat data)" \
		"$(holdfast decrypt "$key" --context a= --context "größe=µ" --context tenant=acme <c)"
	is "CK2 $key: another program opens it" "$(cat data)" \
		"$("$peer" open "$type" $raw "${pairs[@]}" <c)"
	"$peer" seal "$type" $raw "${pairs[@]}" <data >c2
	is "CK2 $key: and we what it sealed" "$(cat data)" "$(holdfast decrypt "$key" "${context[@]}" <c2)"
	holdfast encrypt "$key" "${context[@]}" --associated-data xyz <data >c2
	is "CK2 $key: with associated data" "$(cat data)" \
		"$("$peer" open "$type" $raw --aad xyz "${pairs[@]}" <c2)"
	refuse "CK2 $key: without its context not" 2 "message authentication failed" \
		holdfast decrypt "$key" c
	refuse "CK2 $key: with less of it not" 2 "message authentication failed" \
		holdfast decrypt "$key" --context tenant=acme c
	refuse "CK2 $key: with another value not" 2 "message authentication failed" \
		holdfast decrypt "$key" --context tenant=acmf --context "größe=µ" --context a= c
	refuse "CK2 $key: nor with associated data that says the same" 2 \
		"may not begin as that of a context" \
		holdfast decrypt "$key" --associated-data @forged c
	holdfast encrypt "$key" <data >c3
	refuse "CK2 $key: one without does not open with one" 2 "message authentication failed" \
		holdfast decrypt "$key" --context tenant=acme c3
done

# -- Through everything that is done with a ciphertext --
for key in aes256-gcm96-wrapped aes256-gcm96-hsm; do
	holdfast encrypt $key "${context[@]}" --associated-data x <data >c
	refuse "CK2 $key: rewrap wants the context" 2 "message authentication failed" \
		holdfast rewrap $key --associated-data x c
	holdfast rewrap $key "${context[@]}" --associated-data x <c >c2
	is "CK2 $key: rewrap keeps it" "$(cat data)" \
		"$(holdfast decrypt $key "${context[@]}" --associated-data x <c2)"
	refuse "CK2 $key: and demands it again" 2 "message authentication failed" \
		holdfast decrypt $key --associated-data x c2
	holdfast reencrypt $key --destination chacha20-poly1305-wrapped "${context[@]}" --associated-data x <c >c2
	is "CK2 $key: another key keeps it" "$(cat data)" \
		"$(holdfast decrypt chacha20-poly1305-wrapped "${context[@]}" --associated-data x <c2)"
	holdfast reencrypt $key --destination $key "${context[@]}" --associated-data x --new-context tenant=other <c >c2
	is "CK2 $key: or takes a new one" "$(cat data)" \
		"$(holdfast decrypt $key --context tenant=other --associated-data x <c2)"
	holdfast reencrypt $key --destination $key "${context[@]}" --associated-data x --new-context= <c >c2
	is "CK2 $key: or none" "$(cat data)" "$(holdfast decrypt $key --associated-data x <c2)"
	refuse "CK2 $key: the old one must be right" 2 "message authentication failed" \
		holdfast reencrypt $key --destination $key --associated-data x --new-context a=b c
	json .ciphertext holdfast datakey $key "${context[@]}" >dk
	is "CK2 $key: data keys" 32 "$(holdfast decrypt $key "${context[@]}" <dk | wc -c)"
	refuse "CK2 $key: not without" 2 "message authentication failed" holdfast decrypt $key dk
	json '.key_pairs[0].ciphertext' holdfast datakey-pairs-wrapped $key ed25519 "${context[@]}" >dk
	expect "CK2 $key: data key pairs" quiet holdfast decrypt $key "${context[@]}" dk
	refuse "CK2 $key: not without" 2 "message authentication failed" holdfast decrypt $key dk
done

# -- Derived keys have both kinds of context --
holdfast key create derived --derived >/dev/null
holdfast encrypt derived --derivation-context d --context tenant=acme <data >c
is "CK2 a derived key: both contexts" "$(cat data)" \
	"$(holdfast decrypt derived --derivation-context d --context tenant=acme <c)"
refuse "CK2 a derived key: the bound one counts" 2 "message authentication failed" \
	holdfast decrypt derived --derivation-context d c
holdfast key create same --derived --convergent-encryption >/dev/null
refuse "CK2 convergent encryption takes none" 2 "not safe with it" \
	holdfast encrypt same --derivation-context d --context tenant=acme data
holdfast key create rsa --type rsa-2048 >/dev/null
refuse "CK2 RSA cannot bind" 2 "cannot authenticate data that they do not encrypt" \
	holdfast encrypt rsa --context tenant=acme data
holdfast encrypt "$key" --context tenant=acme <data >c
refuse "CK2 nor is it lost on the way to RSA" 2 "cannot authenticate data" \
	holdfast reencrypt "$key" --destination rsa --context tenant=acme c
expect "CK2 unless that is said" quiet \
	holdfast reencrypt "$key" --destination rsa --context tenant=acme --new-context= c

# -- Batches: each item has its own --
one="{\"plaintext\": h'00', \"encryption_context\": {\"tenant\": \"a\"}}"
two="{\"plaintext\": h'01', \"encryption_context\": {\"tenant\": \"b\"}}"
reply=$(raw "{\"op\": \"transit.encrypt\", \"in\": {\"name\": \"$key\", \"batch_input\": [$one, $two]}}")
mapfile -t sealed < <(grep -oE "\"ciphertext\": h'[0-9a-f]+'" <<<"$reply" | grep -oE "h'.*")
decrypt_two() { # decrypt_two TENANT TENANT
	local first="{\"ciphertext\": ${sealed[0]}, \"encryption_context\": {\"tenant\": \"$1\"}}"
	local second="{\"ciphertext\": ${sealed[1]}, \"encryption_context\": {\"tenant\": \"$2\"}}"
	raw "{\"op\": \"transit.decrypt\", \"in\": {\"name\": \"$key\", \"batch_input\": [$first, $second]}}"
}
both=$(decrypt_two a b)
[[ $both == *"h'00'"*"h'01'"* ]] || fail "CK2 a batch: $both"
ok "CK2 a batch has a context an item"
swapped=$(decrypt_two b b)
[[ $swapped == *authentication_failed*"h'01'"* ]] || fail "CK2 a batch, swapped: $swapped"
ok "CK2 and a wrong one fails that item alone"
raw_refused "CK2 none beside a batch" batch_and_single \
	"{\"op\": \"transit.encrypt\", \"in\": {\"name\": \"$key\", \"encryption_context\": {\"a\": \"b\"}, \"batch_input\": [$one]}}"

# -- What is no context --
ask() { # ask MAP
	echo "{\"op\": \"transit.encrypt\", \"in\": {\"name\": \"$key\", \"plaintext\": h'00', \"encryption_context\": $1}}"
}
raw_refused "CK2 a name twice" duplicate_field "$(ask '{"a": "1", "a": "2"}')"
raw_refused "CK2 a number" bad_type "$(ask '{"a": 1}')"
raw_refused "CK2 bytes" bad_type "$(ask "{h'61': \"1\"}")"
raw_refused "CK2 a list" bad_type "$(ask '["a"]')"
raw_refused "CK2 a name of nothing" out_of_bounds "$(ask '{"": "1"}')"
raw_refused "CK2 a long name" out_of_bounds "$(ask "{\"$(printf 'n%.0s' {1..129})\": \"1\"}")"
raw_refused "CK2 a long value" out_of_bounds "$(ask "{\"a\": \"$(printf 'n%.0s' {1..1025})\"}")"
raw_refused "CK2 33 pairs" out_of_bounds "$(ask "{$(for i in {1..33}; do printf '"n%d": "v", ' "$i"; done | sed 's/, $//')}")"
v=$(printf 'n%.0s' {1..1020})
raw_refused "CK2 4096 bytes and more" out_of_bounds "$(ask "{\"a\": \"$v\", \"b\": \"$v\", \"c\": \"$v\", \"d\": \"$v\"}")"
refuse "CK2 what is no pair" 1 "is not NAME=VALUE" holdfast encrypt "$key" --context acme data
# By way of PKCS#11, which has associated data but no contexts.
hex=$(od -An -tx1 -v forged | tr -d ' \n')
raw_refused "CK2 PKCS#11 does not speak for one" bad_value \
	"{\"op\": \"p11.encrypt\", \"in\": {\"name\": \"$key\", \"key_version\": 1, \"mechanism\": \"aes-gcm\", \"tag_bits\": 128, \"associated_data\": h'$hex', \"data\": h'00'}}"
raw_refused "CK2 nor does it when it opens" bad_value \
	"{\"op\": \"p11.decrypt\", \"in\": {\"name\": \"$key\", \"key_version\": 1, \"mechanism\": \"aes-gcm\", \"tag_bits\": 128, \"iv\": h'000000000000000000000000', \"associated_data\": h'$hex', \"data\": h'00'}}"


# -- Policy: whose context --
holdfast key create shop >/dev/null
holdfast key create other >/dev/null
rule='capabilities = ["update"]
	required_context = ["purpose"]
	allowed_context = { tenant = ["t-{{caller.uid}}"], purpose = [] }'
for verb in encrypt decrypt rewrap reencrypt datakey/plaintext datakey/wrapped datakeys/plaintext; do
	printf 'path "transit/%s/shop" { %s }\n' $verb "$rule"
done >policy.d/nobody.hcl
cat >>policy.d/nobody.hcl <<-'END'
	path "transit/encrypt/other" { capabilities = ["update"] denied_context = { tenant = ["t-1*"] } }
	path "transit/sign/shop" { capabilities = ["update"] required_context = ["tenant"] }
	bind { subjects = ["uid:65534"] }
END
holdfast policy reload >/dev/null
mine=(--context tenant=t-65534 --context purpose=x)
nobody holdfast encrypt shop "${mine[@]}" <data >c
is "CK2 policy: the caller's own" "$(cat data)" "$(nobody holdfast decrypt shop "${mine[@]}" <c)"
nobody holdfast rewrap shop "${mine[@]}" <c >c2
json .ciphertext nobody holdfast datakey shop "${mine[@]}" >dk
is "CK2 policy: so do rewrap and data keys" "$(cat data) 32" \
	"$(nobody holdfast decrypt shop "${mine[@]}" <c2) $(nobody holdfast decrypt shop "${mine[@]}" <dk | wc -c)"
for verb in encrypt decrypt rewrap datakey datakey-wrapped "datakey-pairs shop ed25519" "reencrypt --destination other"; do
	words=("${verb%% *}" shop)
	[[ $verb == datakey-pairs* ]] && words=(datakey-pairs shop ed25519)
	[[ $verb == reencrypt* ]] && words=(reencrypt shop --destination other)
	[[ $verb == *crypt* || $verb == rewrap ]] && words+=(-)
	denied() { # denied NAME CONTEXT...
		local name=$1
		shift
		nobody holdfast "${words[@]}" "$@" <c >"$T/out" 2>"$T/err" && fail "CK2 policy: $verb $name"
		has "CK2 policy: $verb $name" "permission denied" "$T/err"
	}
	denied "without a context"
	denied "without all of it" --context tenant=t-65534
	denied "of another" --context tenant=t-0 --context purpose=x
	denied "with more than is allowed" "${mine[@]}" --context more=x
done
# Whoever may give associated data does not speak for a context with it.
"$peer" aad tenant=t-65534 purpose=x >forged
chmod 644 forged data c
refuse "CK2 policy: not by associated data" 2 "permission denied" \
	nobody holdfast decrypt shop --associated-data @forged c
item() { echo "{\"plaintext\": h'00', \"encryption_context\": {\"tenant\": \"$1\", \"purpose\": \"\"}}"; }
batch() { # batch TENANT TENANT
	printf '%s\n' "{\"op\": \"transit.encrypt\", \"in\": {\"name\": \"shop\", \"batch_input\": [$(item "$1"), $(item "$2")]}}" |
		nobody "$E2E/nng_client" "ipc://$HOLDFAST_SOCKET"
}
[[ $(batch t-65534 t-65534) == *batch_results* ]] || fail "CK2 policy: a batch"
ok "CK2 policy: a batch"
[[ $(batch t-65534 t-1) == *permission_denied* ]] || fail "CK2 policy: a batch with one of another"
ok "CK2 policy: each item of a batch is asked about"
[[ $(batch "*" "t-65534") == *permission_denied* ]] || fail "CK2 policy: an asterisk"
ok "CK2 policy: an asterisk is an asterisk"
[[ $(printf '%s\n' "{\"op\": \"p11.encrypt\", \"in\": {\"name\": \"shop\", \"key_version\": 1, \"mechanism\": \"aes-gcm\", \"tag_bits\": 128, \"data\": h'00'}}" |
	nobody "$E2E/nng_client" "ipc://$HOLDFAST_SOCKET") == *permission_denied* ]] || fail "CK2 policy: PKCS#11"
ok "CK2 policy: PKCS#11, which has none, is refused"
refuse "CK2 policy: so is what has no context at all" 2 "permission denied" \
	nobody holdfast sign shop data
# To re-encrypt is to encrypt with the destination: its rules see the new one.
expect "CK2 policy: re-encrypt asks the destination" quiet \
	nobody holdfast reencrypt shop --destination other "${mine[@]}" --new-context tenant=t-2 c
refuse "CK2 policy: about the new context" 2 "permission denied" \
	nobody holdfast reencrypt shop --destination other "${mine[@]}" --new-context tenant=t-12 c
test_policy() {
	if holdfast policy test --uid 65534 encrypt shop "$@" >out; then return 1; fi
}
test_policy
has "CK2 policy test says what is missing" "a name of the context is missing" out
has "CK2 policy test names the rule" "nobody.hcl:1" out
test_policy --context tenant=t-1 --context purpose=x
has "CK2 policy test says what is not allowed" "a name or value of the context is not allowed" out
expect "CK2 policy test says yes" quiet holdfast policy test --uid 65534 encrypt shop "${mine[@]}"
# The name of the caller's user is looked up when they connect.
holdfast key create byname >/dev/null
cat >policy.d/byname.hcl <<-'END'
	path "transit/encrypt/byname" {
		capabilities = ["update"]
		allowed_context = { user = ["{{caller.user}}"], group = ["g{{caller.gid}}"] }
	}
	bind { subjects = ["uid:65534"] }
END
holdfast policy reload >/dev/null
expect "CK2 policy: a user's name" quiet nobody holdfast encrypt byname \
	--context "user=$(id -nu 65534)" --context group=g65534 data
refuse "CK2 policy: not another's" 2 "permission denied" nobody holdfast encrypt byname \
	--context user=root --context group=g65534 data
# The example of docs/policy.md.
sed -n '/^path "transit.+.tenants"/,/^```/p' "$SOURCE_DIR/docs/policy.md" | grep -v '^```' >policy.d/tenants.hcl
holdfast policy reload >/dev/null
tenants() { quiet holdfast policy test --unit "$1" encrypt tenants --context "tenant=$2"; }
expect "CK2 docs: a unit for itself" tenants acme.service acme.service
refuse "CK2 docs: not for the other" 2 "" tenants acme.service beta.service
refuse "CK2 docs: nobody for an asterisk" 2 "" tenants acme.service "*"

# -- What a key asks for, and what the audit log tells --
line() { # line FILTER: of the last request in the log
	grep '"type":"request"' audit.log | tail -1 | jq -r "$1"
}
holdfast encrypt shop "${mine[@]}" <data >c
is "CK2 audit: pairs are hashed" "2 hmac-sha256: hmac-sha256:" \
	"$(line '.in.encryption_context | "\(length) \(keys[0][:12]) \(.[keys[0]][:12])"')"
is "CK2 audit: and nowhere in clear" 0 "$(line . | grep -c 't-65534' || true)"
hashed=$(line .in.encryption_context)
holdfast decrypt shop "${mine[@]}" c >/dev/null
is "CK2 audit: the same pairs have the same hashes" "$hashed" "$(line .in.encryption_context)"
holdfast key config shop --audit-context tenant >/dev/null
holdfast encrypt shop "${mine[@]}" <data >c
is "CK2 audit: in clear what the key says" "t-65534 2" \
	"$(line '.in.encryption_context | "\(.tenant) \(length)"')"
is "CK2 audit: the others are still hashed" null "$(line .in.encryption_context.purpose)"
# A context, not a line of its own: what stands in it is text.
odd=$'"},\n{"type":"\t\\.'
holdfast encrypt shop --context "tenant=$odd" <data >/dev/null
is "CK2 audit: quotes and line ends are escaped" "$odd" \
	"$(line .in.encryption_context.tenant)"
holdfast key config shop --audit-context '*' >/dev/null
holdfast encrypt shop "${mine[@]}" <data >c
is "CK2 audit: all of it" '{"purpose":"x","tenant":"t-65534"}' "$(line '.in.encryption_context | tojson' | jq -cS .)"
big=$(printf '\001%.0s' {1..1000})
holdfast encrypt shop --context a="$big" --context b="$big" --context c="$big" --context d="$big" <data >c
is "CK2 audit: the longest one that there can be" 4000 "$(line '.in.encryption_context | add | length')"
holdfast key config shop --audit-context tenant >/dev/null
admin_batch() { # admin_batch TENANT...
	local items="" t
	for t in "$@"; do items+="${items:+, }$(item "$t")"; done
	raw "{\"op\": \"transit.encrypt\", \"in\": {\"name\": \"shop\", \"batch_input\": [$items]}}"
}
quiet admin_batch a b a
is "CK2 audit: the different ones of a batch" 'a b 3' \
	"$(line '.in.batch_context | "\(.[0].tenant) \(.[1].tenant) \(length)"')"
mapfile -t many < <(seq 65)
[[ $(admin_batch "${many[@]}") == *too_large* ]] || fail "CK2 audit: more than a line holds"
ok "CK2 audit: a batch with more of them than a line holds is refused"
expect "CK2 audit: 64 are fine" quiet admin_batch "${many[@]:1}"
is "CK2 audit: all 64" 64 "$(line '[.in.batch_context[].tenant | values] | length')"
holdfast key config shop --audit-context= >/dev/null
expect "CK2 audit: nor is it refused where they are hashed" quiet admin_batch "${many[@]}"
is "CK2 audit: but cut" "32 true" "$(line '.in | "\(.batch_context | length) \(.batch_context_cut)"')"
refuse "CK2 audit: refusals tell it, too" 2 "permission denied" \
	nobody holdfast encrypt shop --context tenant=t-0 data
is "CK2 audit: of them" 1 "$(grep '"type":"refused"' audit.log | tail -1 | jq '.in.encryption_context | length')"

# -- Sealed files: their data key is bound to their context --
holdfast key config shop --audit-context tenant >/dev/null
nobody holdfast seal shop data "${mine[@]}" --out - >sealed
is "CK2 a file is sealed for the caller's own tenant, and the log says so" '"transit.datakey_plaintext t-65534"' \
	"$(line '"\(.op) \(.in.encryption_context.tenant)" | tojson')"
chmod 644 sealed
is "CK2 it opens for them" "$(cat data)" "$(nobody holdfast open sealed)"
is "CK2 and the log says so" '"transit.decrypt t-65534"' \
	"$(line '"\(.op) \(.in.encryption_context.tenant)" | tojson')"
refuse "CK2 not for another" 2 "permission denied" \
	nobody holdfast seal shop data --context tenant=t-0 --context purpose=x --out -
refuse "CK2 nor without" 2 "permission denied" nobody holdfast seal shop data --out -
holdfast seal shop data --context tenant=t-0 --context purpose=x --out theirs
chmod 644 theirs
refuse "CK2 what is another's does not open" 2 "permission denied" nobody holdfast open theirs
holdfast seal --rewrap sealed
is "CK2 a rewrapped one is still bound" "$(cat data)" "$(nobody holdfast open sealed)"

holdfast encrypt shop <data >c0
holdfast key config shop --required-context tenant --required-context purpose >/dev/null
is "CK2 a key says what it asks for" "tenant purpose" \
	"$(json '.required_context | join(" ")' holdfast key show shop)"
holdfast encrypt other <data >c1
for verb in encrypt decrypt rewrap datakey datakey-wrapped datakey-pairs reencrypt; do
	words=("$verb" shop)
	[ $verb = datakey-pairs ] && words+=(ed25519)
	[ $verb = reencrypt ] && words+=(--destination other)
	[[ $verb == *crypt || $verb == rewrap ]] && words+=(c0)
	refuse "CK2 a key asks whoever is asking: $verb" 2 "asks for 'tenant'" holdfast "${words[@]}"
	refuse "CK2 a key asks for all names: $verb" 2 "asks for 'purpose'" \
		holdfast "${words[@]}" --context tenant=
done
refuse "CK2 a key asks when it is a destination" 2 "asks for 'tenant'" \
	holdfast reencrypt other --destination shop c1
raw_refused "CK2 a key asks PKCS#11" context_required \
	"{\"op\": \"p11.encrypt\", \"in\": {\"name\": \"shop\", \"key_version\": 1, \"mechanism\": \"aes-gcm\", \"tag_bits\": 128, \"data\": h'00'}}"
raw_refused "CK2 nor do modes that authenticate nothing" permission_denied \
	"{\"op\": \"p11.decrypt\", \"in\": {\"name\": \"shop\", \"key_version\": 1, \"mechanism\": \"aes-ctr\", \"tag_bits\": 32, \"iv\": h'00000000000000000000000000000000', \"data\": h'00'}}"
is "CK2 with it, it works" "$(cat data)" \
	"$(holdfast encrypt shop "${mine[@]}" <data | holdfast decrypt shop "${mine[@]}")"
stop_daemon
start_daemon
refuse "CK2 a restart keeps it" 2 "asks for 'tenant'" holdfast encrypt shop data
holdfast key config shop --required-context= >/dev/null
is "CK2 and it can be taken back" null "$(json .required_context holdfast key show shop)"
is "CK2 what has no context opens again" "$(cat data)" "$(holdfast decrypt shop <c0)"
quiet holdfast key create asks --required-context tenant --audit-context tenant
refuse "CK2 a key can be made so" 2 "asks for 'tenant'" holdfast encrypt asks data
refuse "CK2 made again it must be the same" 2 "with another required_context" \
	holdfast key create asks --required-context purpose
refuse "CK2 RSA cannot ask" 2 "keys that can bind a context" \
	holdfast key create rsa2 --type rsa-2048 --required-context tenant
refuse "CK2 nor later" 2 "keys that can bind a context" holdfast key config rsa --required-context tenant
refuse "CK2 nor convergent encryption" 2 "keys that can bind a context" \
	holdfast key create conv --derived --convergent-encryption --required-context tenant
refuse "CK2 a name twice" 2 "is given twice" \
	holdfast key config shop --required-context a --required-context a
refuse "CK2 a name of nothing" 2 "1 to 128 bytes" \
	holdfast key config shop --required-context a --required-context=
quiet holdfast key create backed --required-context tenant --exportable --allow-plaintext-backup --deletion-allowed
holdfast key backup backed --out backup
holdfast key delete backed
quiet holdfast key restore-backup backed backup
refuse "CK2 a backup keeps it" 2 "asks for 'tenant'" holdfast encrypt backed data

# -- Keys that commit: a ciphertext opens under one of them only --
head -c 32 /dev/urandom >other32
for kind in aes256-gcm96:wrapped aes128-gcm96:wrapped chacha20-poly1305:wrapped aes256-gcm96:hsm; do
	type=${kind%:*} key=commit-${kind/:/-} raw=raw32 format=derived
	[ "$type" = aes128-gcm96 ] && raw=raw16
	[ "$kind" = aes256-gcm96:hsm ] && format=padded
	holdfast key import "$key" $raw --type "$type" --level "${kind#*:}" --committing >/dev/null
	holdfast encrypt "$key" "${context[@]}" --associated-data xyz <data >c
	is "CK2 $key: opens" "$(cat data)" "$(holdfast decrypt "$key" "${context[@]}" --associated-data xyz <c)"
	is "CK2 $key: another program opens it" "$(cat data)" \
		"$("$peer" open --format $format "$type" $raw --aad xyz "${pairs[@]}" <c)"
	"$peer" seal --format $format "$type" $raw --aad xyz "${pairs[@]}" <data >c2
	is "CK2 $key: and we what it sealed" "$(cat data)" \
		"$(holdfast decrypt "$key" "${context[@]}" --associated-data xyz <c2)"
	refuse "CK2 $key: its context counts" 2 "message authentication failed" \
		holdfast decrypt "$key" --associated-data xyz c
	refuse "CK2 $key: its associated data too" 2 "message authentication failed" \
		holdfast decrypt "$key" "${context[@]}" c
	"$peer" seal "$type" $raw <data >c2
	refuse "CK2 $key: what does not commit does not open" 2 "" holdfast decrypt "$key" c2
	[[ $(cat "$T/err") == *"message authentication failed"* || $(cat "$T/err") == *"invalid ciphertext"* ]] ||
		fail "CK2 $key: $(cat "$T/err")"
	holdfast rewrap "$key" "${context[@]}" --associated-data xyz <c >c2
	is "CK2 $key: rewrap" "$(cat data)" "$(holdfast decrypt "$key" "${context[@]}" --associated-data xyz <c2)"
	json .ciphertext holdfast datakey "$key" >dk
	is "CK2 $key: data keys" 32 "$(holdfast decrypt "$key" <dk | wc -c)"
	: >nothing
	is "CK2 $key: nothing" "" "$(holdfast encrypt "$key" <nothing | holdfast decrypt "$key")"
	is "CK2 $key: says so" true "$(json .committing holdfast key show "$key")"
	raw_refused "CK2 $key: none of PKCS#11's" key_purpose \
		"{\"op\": \"p11.encrypt\", \"in\": {\"name\": \"$key\", \"key_version\": 1, \"mechanism\": \"aes-gcm\", \"tag_bits\": 128, \"data\": h'00'}}"
done
quiet holdfast key create asks-only --required-context tenant
objects=$(raw '{"op": "p11.find"}' | tr '{' '\n')
offered() { # offered KEY: what PKCS#11 may do with it, encryption and decryption of that
	echo $(($(grep "\"name\": \"$1\"" <<<"$objects" | grep -oE '"uses": [0-9]+' | head -1 | grep -oE '[0-9]+') & 12))
}
is "CK2 PKCS#11 is offered encryption" 12 "$(offered aes256-gcm96-wrapped)"
is "CK2 but not with what it could not open" "0 0 0" \
	"$(offered commit-aes256-gcm96-wrapped) $(offered commit-aes256-gcm96-hsm) $(offered asks-only)"
# The attack (Dodis, Grubbs, Ristenpart, Woodage: invisible salamanders, CRYPTO
# 2018): one ciphertext for two keys, as made by whoever knows both.
for level in wrapped hsm; do
	format=derived
	[ $level = hsm ] && format=padded
	for of in "" other-; do
		raw=raw32
		[ $of ] && raw=other32
		[ $of ] && holdfast key import other-aes256-gcm96-$level $raw --level $level >/dev/null
		[ $of ] && holdfast key import other-commit-$level $raw --level $level --committing >/dev/null
	done
	"$peer" attack plain raw32 other32 >c 2>err
	is "CK2 $level: without commitment both keys open it" "$(sed 's/opens to //; s/ and / /' err)" \
		"$(holdfast decrypt aes256-gcm96-$level <c | od -An -tx1 -v | tr -d ' \n') $(
			holdfast decrypt other-aes256-gcm96-$level <c | od -An -tx1 -v | tr -d ' \n')"
	"$peer" attack $format raw32 other32 >c 2>err
	plain=$(sed 's/opens to //; s/ and .*//' err)
	is "CK2 $level: with it the first one does" "${plain#"$([ $level = hsm ] && printf '0%.0s' {1..64})"}" \
		"$(holdfast decrypt commit-aes256-gcm96-$level <c | od -An -tx1 -v | tr -d ' \n')"
	refuse "CK2 $level: and the second does not" 2 "message authentication failed" \
		holdfast decrypt other-commit-$level c
done
holdfast key create commit-derived --derived --committing >/dev/null
is "CK2 a derived key that commits" "$(cat data)" "$(holdfast encrypt commit-derived --derivation-context a <data |
	holdfast decrypt commit-derived --derivation-context a)"
holdfast encrypt commit-derived --derivation-context a <data >c
refuse "CK2 and each of its keys is one" 2 "message authentication failed" \
	holdfast decrypt commit-derived --derivation-context b c
holdfast key create commit-x --type xchacha20-poly1305 --committing >/dev/null
is "CK2 XChaCha20 commits" "$(cat data)" "$(holdfast encrypt commit-x <data | holdfast decrypt commit-x)"
refuse "CK2 RSA does not" 2 "committing is for keys of AEAD types" \
	holdfast key create no --type rsa-2048 --committing
refuse "CK2 nor does convergent encryption" 2 "committing is for keys of AEAD types" \
	holdfast key create no --derived --convergent-encryption --committing
refuse "CK2 a key that is there does not start to" 2 "does not commit" \
	holdfast key create shop --committing
for key in commit-aes256-gcm96-hsm commit-aes256-gcm96-wrapped; do
	holdfast reencrypt aes256-gcm96-wrapped --destination $key --context tenant=acme \
		<(holdfast encrypt aes256-gcm96-wrapped --context tenant=acme <data) >c
	is "CK2 $key: from a key that does not commit" "$(cat data)" \
		"$(holdfast decrypt $key --context tenant=acme <c)"
done
stop_daemon
start_daemon
is "CK2 a restart keeps it" "$(cat data)" "$(holdfast decrypt commit-aes256-gcm96-wrapped --context tenant=acme <c)"

expect "the audit log of it all is whole" holdfast audit verify audit.log
echo "$checks checks"
