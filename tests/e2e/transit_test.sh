#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Vault's transit, row by row (docs/transit.md): what each endpoint of theirs
# promises, asked of ours with the command line.
# Of the clouds' features it shows CK1 (T15), CK5 (T6 and the primary version),
# CK6 and CK7 (version states), CK9 (levels), CK12 (aliases), CK15 (T19),
# CK16 (KT5 to KT7), CK20 (T20) and CK23 (T22).
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

start_service
printf 'four score and seven' >"$T/data"
: >"$T/empty"

# -- T1: create --
is "T1 default type" aes256-gcm96 "$(json .type holdfast key create t1)"
is "T1 starts at version 1" 1 "$(json .latest_version holdfast key show t1)"
is "T1 min_decryption_version is 1" 1 "$(json .min_decryption_version holdfast key show t1)"
is "T1 an existing key is a warning, not a change" "key t1 already existed" \
	"$(json .warning holdfast key create t1)"
refuse "T1 an existing key of another type" 2 "exists already" \
	holdfast key create t1 --type ed25519
refuse "T1 unknown type" 2 "must be one of" holdfast key create t1x --type rot13
refuse "T1 key_size is for hmac" 2 "key_size is for keys of type hmac" \
	holdfast key create t1x --key-size 64
refuse "T1 key_size out of bounds" 2 "invalid key_size" \
	holdfast key create t1x --type hmac --key-size 16
refuse "T1 odd names" 2 "starts with a letter" holdfast key create 'a/../b'
declare -A row=([aes256-gcm96]=KT1 [aes128-gcm96]=KT2 [chacha20-poly1305]=KT3
	[ecdsa-p256]=KT5 [ecdsa-p384]=KT5 [ecdsa-p521]=KT5 [ed25519]=KT6
	[rsa-2048]=KT7 [rsa-3072]=KT7 [rsa-4096]=KT7 [hmac]=KT8)
for type in aes256-gcm96 aes128-gcm96 chacha20-poly1305 rsa-2048 rsa-3072 rsa-4096 \
	ecdsa-p256 ecdsa-p384 ecdsa-p521 ed25519 hmac; do
	for level in wrapped hsm; do
		key=$type-$level
		if [ "$key" = chacha20-poly1305-hsm ]; then
			refuse "KT3 at level hsm" 2 "level wrapped only" \
				holdfast key create "$key" --type "$type" --level "$level"
			continue
		fi
		is "${row[$type]} $key" "$level" "$(json '.keys[0].level' \
			holdfast key create "$key" --type "$type" --level "$level")"
	done
done

# -- T2: read --
refuse "T2 missing key" 2 "key not found" holdfast key show nothing
is "T2 symmetric keys show no public key" null "$(json '.keys[0].public_key' holdfast key show t1)"
json '.keys[0].public_key' holdfast key show rsa-2048-hsm >"$T/pub.pem"
expect "T2 asymmetric keys show theirs" openssl pkey -pubin -in "$T/pub.pem" -noout
is "T2 supports_signing" true "$(json .supports_signing holdfast key show ed25519-wrapped)"
is "T2 supports_encryption" false "$(json .supports_encryption holdfast key show ed25519-wrapped)"

# -- T3: list --
is "T3 lists in order" "aes128-gcm96-hsm aes128-gcm96-wrapped" \
	"$(holdfast key list --limit 2 | tr '\n' ' ' | sed 's/ $//')"
is "T3 after" "aes128-gcm96-wrapped" "$(holdfast key list --after aes128-gcm96-hsm --limit 1)"

# -- T12, T13: encrypt and decrypt --
for key in aes256-gcm96-{wrapped,hsm} aes128-gcm96-{wrapped,hsm} chacha20-poly1305-wrapped \
	rsa-{2048,3072,4096}-{wrapped,hsm}; do
	holdfast encrypt "$key" <"$T/data" >"$T/c"
	grep -q '^vault:v1:[A-Za-z0-9+/=]*$' "$T/c" || fail "T12 $key: $(cat "$T/c")"
	holdfast decrypt "$key" <"$T/c" >"$T/p"
	cmp -s "$T/p" "$T/data" || fail "T13 $key"
	holdfast encrypt "$key" --binary <"$T/data" >"$T/b"
	holdfast decrypt "$key" <"$T/b" | cmp -s - "$T/data" || fail "T13 binary $key"
	ok "T12 T13 $key"
done
expect "FM1 the prefix, the version, base64 with its padding" \
	grep -qE '^vault:v1:([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$' \
	<(holdfast encrypt t1 <"$T/data")
is "FM2 the body is nonce, ciphertext, tag" $((12 + 20 + 16)) \
	"$(holdfast encrypt t1 <"$T/data" | cut -d: -f3 | base64 -d | wc -c)"
is "FM3 the body of RSA is a block" 256 \
	"$(holdfast encrypt rsa-2048-wrapped <"$T/data" | cut -d: -f3 | base64 -d | wc -c)"
holdfast encrypt t1 <"$T/empty" >"$T/c"
is "FM4 the empty plaintext" 0 "$(holdfast decrypt t1 <"$T/c" | wc -c)"
holdfast encrypt t1 <"$T/data" >"$T/c"
is "FM5 version 0 is version 1" "four score and seven" \
	"$(sed 's/:v1:/:v0:/' "$T/c" | holdfast decrypt t1)"
head -c 13000000 /dev/zero >"$T/large"
refuse "T12 what could not come back as text" 2 "ask for the binary form" \
	holdfast encrypt t1 "$T/large"
expect "T12 goes in binary" cmp -s "$T/large" <(holdfast encrypt t1 --binary <"$T/large" |
	holdfast decrypt t1)
refuse "T12 missing key" 2 "encryption key not found" holdfast encrypt nothing
refuse "T12 a key that cannot" 2 "message encryption not supported for key type ed25519" \
	holdfast encrypt ed25519-wrapped
refuse "T12 a version that is not there" 2 \
	"requested version for encryption is higher than the latest key version" \
	holdfast encrypt t1 --key-version 9
bad() { # bad NAME TEXT SENTENCE
	printf '%s' "$2" >"$T/bad"
	refuse "T13 $1" 2 "$3" holdfast decrypt t1 "$T/bad"
}
bad "no prefix" "hello" "invalid ciphertext: no prefix"
bad "fields" "vault:v1" "invalid ciphertext: wrong number of fields"
bad "version" "vault:vx:AAAA" "invalid ciphertext: version number could not be decoded"
bad "base64" "vault:v1:###" "invalid ciphertext: could not decode base64"
bad "too new" "vault:v7:$(cut -d: -f3 "$T/c")" "invalid ciphertext: version is too new"
bad "cut" "vault:v1:AAAA" "invalid ciphertext"
bad "changed" "vault:v1:$(cut -d: -f3 "$T/c" | base64 -d | tr '\000-\377' '\001-\377\000' | base64 -w0)" \
	"message authentication failed"
printf 'x' >"$T/aad"
holdfast encrypt t1 --associated-data @"$T/aad" <"$T/data" >"$T/ca"
refuse "T13 without its associated data" 2 "message authentication failed" holdfast decrypt t1 "$T/ca"
head -c 256 /dev/zero | tr '\0' 'A' | base64 -w0 | sed 's/^/vault:v1:/' >"$T/bad"
refuse "T13 RSA failures are 400 too, with one text" 2 "message authentication failed" \
	holdfast decrypt rsa-2048-wrapped "$T/bad"
refuse "T13 and at level hsm" 2 "message authentication failed" \
	holdfast decrypt rsa-2048-hsm "$T/bad"

# -- T6, T14: rotate and rewrap --
for key in aes256-gcm96-wrapped aes256-gcm96-hsm rsa-2048-wrapped rsa-2048-hsm chacha20-poly1305-wrapped; do
	holdfast encrypt "$key" <"$T/data" >"$T/c1"
	is "T6 $key" 2 "$(json .latest_version holdfast key rotate "$key")"
	holdfast rewrap "$key" <"$T/c1" >"$T/c2"
	grep -q '^vault:v2:' "$T/c2" || fail "T14 $key"
	is "T14 $key" "four score and seven" "$(holdfast decrypt "$key" <"$T/c2")"
	is "T14 the old one still opens" "four score and seven" "$(holdfast decrypt "$key" <"$T/c1")"
done
holdfast key rotate t1 >/dev/null
holdfast rewrap t1 --associated-data x <"$T/ca" >"$T/ca2"
grep -q '^vault:v2:' "$T/ca2" || fail "T14 with associated data: version"
is "T14 with associated data, which Vault cannot" "four score and seven" \
	"$(holdfast decrypt t1 --associated-data x <"$T/ca2")"

# -- T5: config --
is "T5 min_decryption_version" 2 \
	"$(json .min_decryption_version holdfast key config t1 --min-decryption-version 2)"
refuse "T5 too old is refused" 2 "disallowed by policy (too old)" holdfast decrypt t1 "$T/c"
is "T5 zero means one" 1 \
	"$(json .min_decryption_version holdfast key config t1 --min-decryption-version 0)"
refuse "T5 above the latest" 2 "cannot set min decryption version of 9" \
	holdfast key config t1 --min-decryption-version 9
holdfast key config t1 --min-decryption-version 2 >/dev/null
refuse "T5 encryption below decryption" 2 "less than min decryption version" \
	holdfast key config t1 --min-encryption-version 1
holdfast key config t1 --min-encryption-version 2 >/dev/null
refuse "T5 the old version no longer encrypts" 2 "less than the minimum encryption key version" \
	holdfast encrypt t1 --key-version 1
holdfast key config t1 --exportable yes >/dev/null
refuse "T5 exportable is one-way" 2 "cannot be taken back" holdfast key config t1 --exportable no
refuse "T5 a key of level hsm is never exportable" 2 "never leaves the HSM" \
	holdfast key config aes256-gcm96-hsm --exportable yes

# -- T7: trim --
refuse "T7 above min_decryption" 2 "minimum available version cannot be greater than" \
	holdfast key trim t1 --min-available-version 3
refuse "T7 not what is in use" 2 "version 1 of key t1 is in use: last " \
	holdfast key trim t1 --min-available-version 2
is "T7 destroys what is older" "2" \
	"$(json '[.keys[].version] | join(",")' holdfast key trim t1 --min-available-version 2 --force)"
refuse "T7 cannot go back" 2 "cannot be decremented" holdfast key trim t1 --min-available-version 1
refuse "T7 the trimmed version is gone" 2 "too old" holdfast decrypt t1 "$T/c"

# -- T4: delete --
refuse "T4 needs deletion_allowed" 2 "deletion is not allowed for this key" holdfast key delete t1
refuse "T4 missing key" 2 "could not delete key; not found" holdfast key delete nothing
holdfast key config t1 --deletion-allowed yes >/dev/null
expect "T4 deletes" holdfast key delete t1
refuse "T4 and it is gone" 2 "key not found" holdfast key show t1

# -- T8: soft delete --
holdfast key create t8 >/dev/null
holdfast encrypt t8 <"$T/data" >"$T/c8"
holdfast key soft-delete t8 >/dev/null
refuse "T8 refuses all use" 2 "refusing to use soft-deleted key" holdfast decrypt t8 "$T/c8"
refuse "T8 encrypting too" 2 "refusing to use soft-deleted key" holdfast encrypt t8 "$T/data"
holdfast key undelete t8 >/dev/null
is "T8 restored" "four score and seven" "$(holdfast decrypt t8 <"$T/c8")"

# -- T15: data keys --
for bits in 128 256 512; do
	json '.plaintext' holdfast datakey t8 --bits $bits >"$T/dk" || fail "T15 $bits"
	is "T15 $bits bits" $((bits / 8)) "$(base64 -d "$T/dk" | wc -c)"
done
holdfast datakey aes256-gcm96-hsm -o json >"$T/dk.json"
jq -j .ciphertext "$T/dk.json" >"$T/dkc"
is "T15 decrypt opens it" "$(jq -r .plaintext "$T/dk.json")" \
	"$(holdfast decrypt aes256-gcm96-hsm <"$T/dkc" | base64 -w0)"
is "T15 wrapped has no plaintext" null "$(json .plaintext holdfast datakey-wrapped t8)"
refuse "T15 odd sizes" 2 "must be 128, 256 or 512" holdfast datakey t8 --bits 200

# -- T19: HMAC --
for key in hmac-wrapped hmac-hsm aes256-gcm96-wrapped ed25519-hsm rsa-2048-wrapped; do
	holdfast hmac "$key" <"$T/data" >"$T/m"
	expect "T19 T21 $key" quiet holdfast verify "$key" --hmac "$(cat "$T/m")" "$T/data"
	refuse "T21 $key other data" 2 "" quiet holdfast verify "$key" --hmac "$(cat "$T/m")" "$T/aad"
done
for hash in sha1 sha2-224 sha2-256 sha2-384 sha2-512 sha3-224 sha3-256 sha3-384 sha3-512; do
	holdfast hmac hmac-wrapped --algorithm $hash <"$T/data" >"$T/m"
	expect "T19 $hash" quiet holdfast verify hmac-wrapped --hash-algorithm $hash \
		--hmac "$(cat "$T/m")" "$T/data"
done

# -- T20, T21: sign and verify, checked by plain openssl --
body() { cut -d: -f3 "$1" | base64 -d; }
public() { json ".keys[-1].public_key" holdfast key show "$1" >"$T/pub.pem"; }
for key in ecdsa-p{256,384,521}-{wrapped,hsm}; do
	public "$key"
	for hash in sha2-256 sha2-384 sha2-512; do
		holdfast sign "$key" --hash-algorithm $hash <"$T/data" >"$T/s"
		body "$T/s" >"$T/s.der"
		expect "T20 $key $hash" quiet openssl dgst "-sha${hash#sha2-}" -verify "$T/pub.pem" \
			-signature "$T/s.der" "$T/data"
		expect "T21 $key $hash" quiet holdfast verify "$key" --hash-algorithm $hash \
			--signature "$(cat "$T/s")" "$T/data"
	done
done
for key in ed25519-{wrapped,hsm}; do
	public "$key"
	holdfast sign "$key" <"$T/data" >"$T/s"
	body "$T/s" >"$T/s.raw"
	expect "T20 $key" quiet openssl pkeyutl -verify -pubin -inkey "$T/pub.pem" -rawin \
		-in "$T/data" -sigfile "$T/s.raw"
	refuse "T20 $key is never prehashed" 2 "only Pure Ed25519 signatures supported" \
		holdfast sign "$key" --prehashed "$T/data"
done
for key in rsa-{2048,3072,4096}-{wrapped,hsm}; do
	public "$key"
	for hash in sha2-256 sha2-512; do
		holdfast sign "$key" --hash-algorithm $hash <"$T/data" >"$T/s"
		body "$T/s" >"$T/s.raw"
		expect "T20 $key pss $hash" quiet openssl dgst "-sha${hash#sha2-}" -verify "$T/pub.pem" \
			-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:-2 \
			-signature "$T/s.raw" "$T/data"
		holdfast sign "$key" --hash-algorithm $hash --salt-length hash <"$T/data" >"$T/s"
		body "$T/s" >"$T/s.raw"
		expect "T20 $key pss $hash salt_length hash" quiet openssl dgst "-sha${hash#sha2-}" \
			-verify "$T/pub.pem" -sigopt rsa_padding_mode:pss \
			-sigopt rsa_pss_saltlen:-1 -signature "$T/s.raw" "$T/data"
		holdfast sign "$key" --hash-algorithm $hash --signature-algorithm pkcs1v15 \
			<"$T/data" >"$T/s"
		body "$T/s" >"$T/s.raw"
		expect "T20 $key pkcs1v15 $hash" quiet openssl dgst "-sha${hash#sha2-}" \
			-verify "$T/pub.pem" -signature "$T/s.raw" "$T/data"
		openssl dgst "-sha${hash#sha2-}" -binary "$T/data" >"$T/digest"
		holdfast sign "$key" --prehashed --hash-algorithm $hash \
			--signature-algorithm pkcs1v15 "$T/digest" >"$T/s"
		expect "T20 $key prehashed $hash" quiet holdfast verify "$key" --hash-algorithm $hash \
			--signature-algorithm pkcs1v15 --signature "$(cat "$T/s")" "$T/data"
	done
	holdfast sign "$key" --prehashed --hash-algorithm none --signature-algorithm pkcs1v15 \
		"$T/data" >"$T/s"
	body "$T/s" >"$T/s.raw"
	openssl pkeyutl -verifyrecover -pubin -inkey "$T/pub.pem" -in "$T/s.raw" \
		-pkeyopt rsa_padding_mode:pkcs1 >"$T/recovered"
	expect "T20 $key hash none" cmp -s "$T/recovered" "$T/data"
	refuse "T20 $key hash none wants both" 2 "requires both prehashed=true" \
		holdfast sign "$key" --hash-algorithm none "$T/data"
done
holdfast sign ecdsa-p521-wrapped --marshaling-algorithm jws <"$T/data" >"$T/s"
grep -q '^vault:v1:[A-Za-z0-9_-]*$' "$T/s" || fail "FM7 $(cat "$T/s")"
is "FM7 r and s of P-521 take 66 bytes each" 176 "$(cut -d: -f3 "$T/s" | tr -d '\n' | wc -c)"
expect "FM7 verifies" quiet holdfast verify ecdsa-p521-wrapped --marshaling-algorithm jws \
	--signature "$(cat "$T/s")" "$T/data"
refuse "T20 missing key" 2 "signing key not found" holdfast sign nothing "$T/data"
refuse "T20 a bad version is 400" 2 "requested version for signing is higher" \
	holdfast sign ed25519-wrapped --key-version 5 "$T/data"
refuse "T21 neither signature nor hmac" 2 "neither a 'signature' nor an 'hmac'" \
	quiet holdfast verify ed25519-wrapped "$T/data"
refuse "T21 malformed signature" 2 "invalid signature" \
	quiet holdfast verify ed25519-wrapped --signature "vault:v1:####" "$T/data"
holdfast sign ed25519-wrapped <"$T/data" >"$T/s"
refuse "T21 a wrong one is not valid" 2 "" \
	quiet holdfast verify ed25519-wrapped --signature "$(cat "$T/s")" "$T/aad"

# -- T22, T23: random and hash --
is "T22 default 32 bytes" 32 "$(holdfast random | wc -c)"
for source in hsm platform all; do
	is "T22 $source" 131072 "$(holdfast random --bytes 131072 --source $source | wc -c)"
done
refuse "T22 more than 128 KiB" 2 "must be 0 to 131072" holdfast random --bytes 131073
is "T23" "$(openssl dgst -sha3-384 -binary "$T/data" | xxd -p -c99)" \
	"$(holdfast hash --algorithm sha3-384 <"$T/data" | xxd -p -c99)"

# -- Version states and aliases, which Vault's transit does not have --
holdfast encrypt t8 <"$T/data" >"$T/c1"
holdfast key rotate t8 >/dev/null
holdfast key disable t8 --version 1 >/dev/null
refuse "a disabled version" 2 "is disabled" holdfast decrypt t8 "$T/c1"
holdfast key enable t8 --version 1 >/dev/null
is "enabled again" "four score and seven" "$(holdfast decrypt t8 <"$T/c1")"
refuse "a version in use is not destroyed" 2 "version 1 of key t8 is in use" \
	holdfast key destroy t8 --version 1 --delay 3600
is "destroy schedules" destroy-scheduled \
	"$(json '.keys[0].state' holdfast key destroy t8 --version 1 --delay 3600 --force)"
refuse "a scheduled version" 2 "is scheduled for destruction" holdfast decrypt t8 "$T/c1"
is "restore leaves it disabled" disabled "$(json '.keys[0].state' holdfast key restore t8 --version 1)"
holdfast key destroy t8 --version 1 --delay 0 --force >/dev/null
for _ in $(seq 100); do
	[ "$(json '.keys[0].state' holdfast key show t8)" = destroyed ] && break
	sleep 0.1
done
is "destroyed when its time has come" destroyed "$(json '.keys[0].state' holdfast key show t8)"
refuse "and for good" 2 "is destroyed and cannot be restored" holdfast key restore t8 --version 1
holdfast alias set current --target t8 >/dev/null
is "an alias is a name of its key" "four score and seven" \
	"$(holdfast encrypt current <"$T/data" | holdfast decrypt t8)"
is "a key knows its aliases" current "$(json '.aliases[0]' holdfast key show t8)"
refuse "an alias points to a key" 2 "an alias points to a key" holdfast alias set second --target current
refuse "a key's name is no alias" 2 "is the name of a key" holdfast alias set t8 --target ed25519-wrapped
refuse "no key under an alias's name" 2 "" holdfast key create current --type ed25519
holdfast alias set current --target aes256-gcm96-wrapped >/dev/null
is "an alias can be pointed elsewhere" null "$(json '.aliases' holdfast key show t8)"
expect "an alias can go" holdfast alias delete current
refuse "and is gone" 2 "encryption key not found" holdfast encrypt current "$T/data"

expect "the audit log of it all is whole" holdfast audit verify "$T/audit.log"
echo "$checks checks"
