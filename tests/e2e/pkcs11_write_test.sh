#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Keys and certificates that PKCS#11 programs make, bring, change and destroy.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/pkcs11_lib.sh
. "$(dirname "$0")/pkcs11_lib.sh"

start_service
printf 'four score and seven' >"$T/data"

objects() {
	p11 -O "$@"
}

# -- Generation --

for type in EC:secp256r1 EC:secp384r1 rsa:2048; do
	name=made-${type/:/-}
	p11 --keypairgen --key-type "$type" --label "$name" --id 0a0b0c >/dev/null
	holdfast key list | grep -qx "$name" || fail "$name is not in key list"
	objects --type privkey >"$T/objects"
	grep -A1 "label: *$name\$" "$T/objects" | grep -q 'ID: *0a0b0c' || fail "id of $name"
	public_of "$name"
	mech=ECDSA-SHA256
	[ "$type" = rsa:2048 ] && mech=SHA256-RSA-PKCS
	p11 --sign -m "$mech" --label "$name" -i "$T/data" -o "$T/sig" --signature-format openssl
	openssl dgst -sha256 -verify "$T/pub.pem" -signature "$T/sig" "$T/data" >/dev/null ||
		fail "signature of $name"
	ok "keypairgen $type: in key list, with label and id, and signs"
	p11 --delete-object --type privkey --label "$name" >/dev/null
	refuse "$name is gone" 2 key_not_found holdfast key show "$name"
done

p11 --keypairgen --key-type EC:secp256r1 --label twin --id 01 >/dev/null
p11 --keypairgen --key-type EC:secp256r1 --label twin --id 02 >/dev/null
is "a second key of a label has another name" 2 "$(holdfast key list | grep -c '^twin')"
is "and the same label" 2 "$(objects --type privkey | grep -c 'label: *twin$')"
p11 --keypairgen --key-type EC:secp256r1 --label 'My key, v2' --id 03 >/dev/null
expect "a label that is no name makes one" grep -q '^My-key-v2-' <(holdfast key list)
expect "and is kept" grep -q 'label: *My key, v2$' <(objects)

p11 --keygen --key-type AES:32 --label secret --id 04 >/dev/null
expect "keygen AES" grep -q '^aes256-gcm96$' <(holdfast key show secret -o json | jq -r .type)
p11 --keygen --key-type GENERIC:48 --label mac --id 05 >/dev/null
is "keygen GENERIC" 48 "$(json .key_size holdfast key show mac)"

# -- Ciphers: openssl has no key, so both ways and the size --

head -c 32 /dev/zero >"$T/blocks"
iv=000102030405060708090a0b0c0d0e0f
for mech in AES-CBC AES-CBC-PAD AES-ECB; do
	p11 --encrypt -m "$mech" --iv "$iv" --id 04 -i "$T/blocks" -o "$T/enc"
	p11 --decrypt -m "$mech" --iv "$iv" --id 04 -i "$T/enc" -o "$T/plain"
	expect "$mech comes back" cmp "$T/blocks" "$T/plain"
done

# -- Import: what openssl made --

openssl ecparam -name prime256v1 -genkey -noout -out "$T/ec.pem"
openssl genrsa -out "$T/rsa.pem" 2048 2>/dev/null
openssl genpkey -algorithm ed25519 -out "$T/ed.pem"
for kind in ec rsa; do
	p11 --write-object "$T/$kind.pem" --type privkey --label "brought-$kind" \
		--id "1$((${#kind}))" >/dev/null
	openssl pkey -in "$T/$kind.pem" -pubout -out "$T/want.pem"
	public_of "brought-$kind"
	expect "import of a private key: $kind" cmp "$T/want.pem" "$T/pub.pem"
	p11 --write-object "$T/want.pem" --type pubkey --label "brought-$kind" \
		--id "1$((${#kind}))" >/dev/null
	is "its public half is no second key" 1 "$(holdfast key list | grep -c "^brought-$kind")"
done
openssl dgst -sha256 -binary "$T/data" >"$T/hash"
p11 --sign -m ECDSA --id 12 -i "$T/hash" -o "$T/sig" --signature-format openssl
expect "an imported key signs" openssl pkeyutl -verify -inkey "$T/ec.pem" -in "$T/hash" -sigfile "$T/sig"

# -- Certificates --

openssl req -x509 -new -key "$T/ec.pem" -subj /CN=leaf -days 10 -outform DER -out "$T/leaf.der"
openssl req -x509 -new -newkey rsa:2048 -nodes -keyout /dev/null -subj /CN=root -days 10 \
	-outform DER -out "$T/root.der" 2>/dev/null
p11 --write-object "$T/leaf.der" --type cert --label whatever --id 99 >/dev/null
p11 --read-object --type cert --label brought-ec -o "$T/back.der"
expect "a certificate goes to its key" cmp "$T/leaf.der" "$T/back.der"
p11 --write-object "$T/root.der" --type cert --label 'Root CA' --id 77 >/dev/null
p11 --read-object --type cert --id 77 -o "$T/back.der"
expect "a certificate of no key stands alone" cmp "$T/root.der" "$T/back.der"
stop_daemon
start_daemon
p11 --read-object --type cert --id 77 -o "$T/back.der"
expect "and outlives a restart" cmp "$T/root.der" "$T/back.der"
p11 --delete-object --type cert --id 77 >/dev/null
expect "until it is deleted" test -z "$(objects --type cert | grep 'Root CA')"
p11 --delete-object --type cert --label brought-ec >/dev/null
expect "a key's certificate goes, the key stays" test -z "$(objects --type cert)"
expect "the key is still there" quiet holdfast key show brought-ec

# -- Derivation: the same secret on both sides --

p11 --keypairgen --key-type EC:secp256r1 --label agree --id 20 >/dev/null
openssl ecparam -name prime256v1 -genkey -noout -out "$T/peer.pem"
openssl pkey -in "$T/peer.pem" -pubout -outform DER -out "$T/peer.der"
public_of agree
p11 --derive -m ECDH1-DERIVE --id 20 -i "$T/peer.der" -o "$T/secret"
openssl pkeyutl -derive -inkey "$T/peer.pem" -peerkey "$T/pub.pem" -out "$T/want"
expect "ECDH agrees with openssl" cmp "$T/want" "$T/secret"

# -- Wrapping --

p11 --keygen --key-type AES:32 --label kek --id 30 --usage-wrap >/dev/null
p11 --keygen --key-type AES:16 --label leaves --id 31 --extractable >/dev/null
p11 --wrap -m AES-KEY-WRAP --id 30 --application-id 31 -o "$T/wrapped"
is "AES-KW of 16 bytes" 24 "$(stat -c %s "$T/wrapped")"
p11 --encrypt -m AES-ECB --id 31 -i "$T/blocks" -o "$T/enc"
p11 --unwrap -m AES-KEY-WRAP --id 30 -i "$T/wrapped" --key-type AES: \
	--application-id 32 --application-label back --extractable >/dev/null
p11 --decrypt -m AES-ECB --id 32 -i "$T/enc" -o "$T/plain"
expect "what was unwrapped is the same key" cmp "$T/blocks" "$T/plain"

# attack NAME CKR ARGUMENTS...: must be refused with that
attack() {
	local name=$1 want=$2
	shift 2
	refuse "$name" 1 "$want" host pkcs11-tool --module "$module" "$@"
}
attack "wrap and decrypt on one key" CKR_TEMPLATE_INCONSISTENT \
	--keygen --key-type AES:32 --label both --usage-wrap --usage-decrypt
attack "a wrapping key decrypts nothing" CKR_KEY_FUNCTION_NOT_PERMITTED \
	--decrypt -m AES-ECB --id 30 -i "$T/wrapped" -o "$T/plain"
attack "a wrapping key encrypts nothing" CKR_KEY_FUNCTION_NOT_PERMITTED \
	--encrypt -m AES-ECB --id 30 -i "$T/blocks" -o "$T/enc"
attack "a data key wraps nothing" CKR_KEY_FUNCTION_NOT_PERMITTED \
	--wrap -m AES-KEY-WRAP --id 04 --application-id 31 -o "$T/out"
attack "what may not leave is not wrapped" CKR_KEY_UNEXTRACTABLE \
	--wrap -m AES-KEY-WRAP --id 30 --application-id 04 -o "$T/out"
attack "a wrapping key is not wrapped" CKR_KEY_UNEXTRACTABLE \
	--wrap -m AES-KEY-WRAP --id 30 --application-id 30 -o "$T/out"
attack "a wrapping key that leaves" CKR_TEMPLATE_INCONSISTENT \
	--keygen --key-type AES:32 --label both --usage-wrap --extractable
refuse "nor do the operations of transit" 2 key_purpose \
	holdfast encrypt kek "$T/data"
printf 'x' >>"$T/wrapped"
attack "a changed wrapped key" CKR_WRAPPED_KEY_INVALID \
	--unwrap -m AES-KEY-WRAP --id 30 -i "$T/wrapped" --key-type AES: --application-id 33

expect "session keys, derivation, and more attacks" quiet \
	"$BUILD_DIR/tests/session_keys_prog" "$module"

# -- p11tool --

host p11tool --provider "$module" --generate-ecc --curve secp256r1 --label gnutls \
	--outfile "$T/gnutls.pem" 'pkcs11:token=holdfast' --login --set-pin=1 >"$T/out" 2>&1 ||
	fail "p11tool --generate: $(cat "$T/out")"
expect "p11tool generates" quiet holdfast key show gnutls
host p11tool --provider "$module" --write --load-privkey "$T/rsa.pem" --label gnutls-rsa \
	'pkcs11:token=holdfast' --login --set-pin=1 >"$T/out" 2>&1 ||
	fail "p11tool --write: $(cat "$T/out")"
expect "p11tool imports" quiet holdfast key show gnutls-rsa

p11 --test >"$T/out"
expect "pkcs11-tool --test" grep -q "No errors" "$T/out"

# -- Policy --

cat >"$T/policy.d/nobody.hcl" <<-END
path "transit/keys/app-*" { capabilities = ["create", "read", "update"] }
path "transit/sign/app-*" { capabilities = ["update"] }
path "transit/session-keys" { capabilities = ["update"] }
path "certificates/app-*" { capabilities = ["read", "update", "delete"] }
bind { subjects = ["uid:65534"] }
END
holdfast policy reload >/dev/null
chmod 666 "$T/err"
nobody pkcs11-tool --module "$module" --keypairgen --key-type EC:secp256r1 \
	--label app-one --id 41 >/dev/null 2>&1 || fail "app-one"
ok "who may create app-* does"
refuse "and nothing else" 1 CKR_KEY_FUNCTION_NOT_PERMITTED \
	nobody pkcs11-tool --module "$module" --keypairgen --key-type EC:secp256r1 --label other
refuse "nor deletes" 1 0x1b \
	nobody pkcs11-tool --module "$module" --delete-object --type privkey --id 41

# -- PIN --

printf '[pin]\nlogin = pin\nsocket = %s\n' "$HOLDFAST_SOCKET" >"$T/pkcs11.conf"
chmod 644 "$T/pkcs11.conf"
pinned() {
	HOLDFAST_PKCS11_CONFIG=$T/pkcs11.conf nobody pkcs11-tool --module "$module" "$@"
}
printf '4321\n' >"$T/user.pin"
holdfast pin set 65534 "$T/user.pin" >/dev/null
refuse "a PIN is needed now" 1 "" \
	nobody pkcs11-tool --module "$module" --sign -m ECDSA --id 41 -i "$T/hash" -o /dev/null
nobody_p11() {
	nobody pkcs11-tool --module "$module" "$@"
}
chmod 644 "$T"/*.der
openssl pkey -in "$T/ec.pem" -out "$T/nobody.pem" && chmod 644 "$T/nobody.pem"
refuse "a PIN guards certificates" 1 CKR_USER_NOT_LOGGED_IN \
	nobody_p11 --write-object "$T/root.der" --type cert --label app-root --id 42
refuse "generation" 1 CKR_USER_NOT_LOGGED_IN \
	nobody_p11 --keypairgen --key-type EC:secp256r1 --label app-two --id 43
refuse "import" 1 CKR_USER_NOT_LOGGED_IN \
	nobody_p11 --write-object "$T/nobody.pem" --type privkey --label app-two --id 43
refuse "names" 1 CKR_USER_NOT_LOGGED_IN \
	nobody_p11 --set-id 44 --type privkey --id 41
refuse "session keys" 1 0x101 \
	nobody "$BUILD_DIR/tests/session_keys_prog" "$module"
is "and what is there can be seen" 1 "$(nobody_p11 -O --type pubkey 2>/dev/null | grep -c 'label: *app-one$')"
expect "a login opens certificates" quiet pinned --login --pin 4321 \
	--write-object "$T/root.der" --type cert --label app-root --id 42
expect "they are there" quiet pinned --login --pin 4321 --read-object --type cert --id 42 -o /dev/null
refuse "a PIN guards their end" 1 CKR_USER_NOT_LOGGED_IN \
	nobody_p11 --delete-object --type cert --id 42
expect "and opens it" quiet pinned --login --pin 4321 --delete-object --type cert --id 42
expect "and opens" pinned --login --pin 4321 --sign -m ECDSA --id 41 -i "$T/hash" -o /dev/null
refuse "a wrong one does not" 1 CKR_PIN_INCORRECT pinned --login --pin 1111 -O
for i in 1 2 3 4 5 6 7 8; do
	pinned --login --pin 1111 -O >/dev/null 2>&1 || true
	[ "$i" != 4 ] || { stop_daemon -KILL; start_daemon; }
done
pinned --login --pin 1111 -O >/dev/null 2>&1 || true
refuse "attempts are limited over a restart" 1 CKR_PIN_LOCKED pinned --login --pin 4321 -O
holdfast pin set 65534 "$T/user.pin" >/dev/null
expect "set anew it opens again" pinned --login --pin 4321 -O
holdfast pin remove 65534 >/dev/null
expect "removed it is not asked for" \
	nobody pkcs11-tool --module "$module" --sign -m ECDSA --id 41 -i "$T/hash" -o /dev/null

echo "1..$checks"
