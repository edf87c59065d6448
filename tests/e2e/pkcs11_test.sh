#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The PKCS#11 module under the programs that come with Debian.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/pkcs11_lib.sh
. "$(dirname "$0")/pkcs11_lib.sh"

# -- The daemon is not there --

expect "a token without a daemon" grep -q 'token label *: holdfast' <(p11 -L)
expect "-T, too" grep -q 'token label *: holdfast' <(p11 -T)
expect "mechanisms without a daemon" grep -q ECDSA <(p11 -M)
start=$EPOCHREALTIME
refuse "no objects without a daemon" 1 CKR_DEVICE_ERROR \
	host pkcs11-tool --module "$module" -O
took=$(((${EPOCHREALTIME/./} - ${start/./}) / 1000))
[ "$took" -lt 1000 ] || fail "failing took $took ms"
ok "it fails in $took ms"

start_service
for type in ecdsa-p256 ecdsa-p384 ecdsa-p521 rsa-2048 rsa-3072 ed25519 aes256-gcm96 hmac; do
	holdfast key create "$type" --type "$type" >/dev/null
done
holdfast key create hsm-ec --type ecdsa-p256 --level hsm >/dev/null
holdfast key create hsm-rsa --type rsa-2048 --level hsm >/dev/null
printf 'four score and seven' >"$T/data"

# -- What is there --

p11 -O >"$T/objects"
for key in ecdsa-p256 rsa-2048 ed25519 hsm-ec hsm-rsa; do
	[ "$(grep -c "label: *$key\$" "$T/objects")" = 2 ] || fail "objects of $key"
	[ "$(grep -A1 "label: *$key\$" "$T/objects" | grep ID: | sort -u | wc -l)" = 1 ] ||
		fail "the halves of $key have different ids"
done
ok "a private and a public key of each pair, with one id"
expect "secret keys" grep -q 'AES length 32' "$T/objects"
p11 --read-object --type pubkey --id "$(id_of rsa-2048)" -o "$T/pub.der"
public_of rsa-2048
expect "pkcs11-tool reads the public key that the service shows" cmp \
	<(openssl pkey -pubin -inform DER -in "$T/pub.der") "$T/pub.pem"
expect "keys are never extractable" test "$(grep -c 'never extractable' "$T/objects")" = 10
before=$(id_of ecdsa-p256)
holdfast key rotate ecdsa-p256 >/dev/null
p11 -O >"$T/objects"
expect "a new version is another object" test "$(id_of ecdsa-p256)" != "$before"
expect "the old one stays, under another label" \
	test "$(id_of ecdsa-p256:1)" = "$before"

# -- Signatures that openssl verifies --

for key in ecdsa-p256 ecdsa-p384 ecdsa-p521 hsm-ec ecdsa-p256:1; do
	id=$(id_of "$key")
	public_of "$key"
	for hash in SHA1 SHA224 SHA256 SHA384 SHA512; do
		p11 --sign -m "ECDSA-$hash" --id "$id" -i "$T/data" -o "$T/sig" \
			--signature-format openssl
		openssl dgst "-${hash,,}" -verify "$T/pub.pem" -signature "$T/sig" \
			"$T/data" >/dev/null || fail "$key ECDSA-$hash"
	done
	openssl dgst -sha256 -binary "$T/data" >"$T/hash"
	p11 --sign -m ECDSA --id "$id" -i "$T/hash" -o "$T/sig"
	p11 --verify -m ECDSA --id "$id" -i "$T/hash" --signature-file "$T/sig" >"$T/out"
	grep -q 'Signature is valid' "$T/out" || fail "$key: C_Verify"
	ok "$key signs with all hashes"
done
for key in rsa-2048 rsa-3072 hsm-rsa; do
	id=$(id_of "$key")
	public_of "$key"
	for hash in SHA1 SHA224 SHA256 SHA384 SHA512; do
		p11 --sign -m "$hash-RSA-PKCS" --id "$id" -i "$T/data" -o "$T/sig"
		openssl dgst "-${hash,,}" -verify "$T/pub.pem" -signature "$T/sig" \
			"$T/data" >/dev/null || fail "$key $hash-RSA-PKCS"
		p11 --sign -m "$hash-RSA-PKCS-PSS" --id "$id" -i "$T/data" -o "$T/sig"
		openssl dgst "-${hash,,}" -sigopt rsa_padding_mode:pss \
			-sigopt rsa_pss_saltlen:digest -verify "$T/pub.pem" \
			-signature "$T/sig" "$T/data" >/dev/null ||
			fail "$key $hash-RSA-PKCS-PSS"
		p11 --verify -m "$hash-RSA-PKCS-PSS" --id "$id" -i "$T/data" \
			--signature-file "$T/sig" >"$T/out"
		grep -q 'Signature is valid' "$T/out" || fail "$key: C_Verify"
	done
	ok "$key signs with PKCS#1 v1.5 and PSS and all hashes"
done
id=$(id_of ed25519)
public_of ed25519
p11 --sign -m EDDSA --id "$id" -i "$T/data" -o "$T/sig"
expect "Ed25519" openssl pkeyutl -verify -pubin -inkey "$T/pub.pem" -rawin \
	-in "$T/data" -sigfile "$T/sig"
printf 'four score and eight' >"$T/other"
host pkcs11-tool --module "$module" --verify -m EDDSA --id "$id" -i "$T/other" \
	--signature-file "$T/sig" >"$T/out" 2>&1 || :
expect "a wrong signature is invalid" grep -qi 'invalid' "$T/out"

# -- Decryption of what openssl encrypted --

for key in rsa-2048 hsm-rsa; do
	id=$(id_of "$key")
	public_of "$key"
	openssl pkeyutl -encrypt -pubin -inkey "$T/pub.pem" -in "$T/data" -out "$T/enc" \
		-pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256
	p11 --decrypt -m RSA-PKCS-OAEP --hash-algorithm SHA256 --id "$id" -i "$T/enc" -o "$T/plain"
	expect "$key decrypts OAEP" cmp "$T/data" "$T/plain"
done

# -- Others --

p11 --test >"$T/out"
expect "pkcs11-tool --test" grep -q "No errors" "$T/out"
# Each begins, asks and looks at the token, all at once; SoftHSM crashes.
expect "pkcs11-tool --test-threads" quiet p11 --test-threads ILGISLT0 --test-threads INGISLT0 \
	--test-threads ILGISLT0 --test-threads INSLT0GI
expect "pkcs11-tool --test-fork" quiet p11 --test-fork
expect "ssh-keygen -D" test "$(host ssh-keygen -D "$module" 2>/dev/null | grep -cE '^(ssh-rsa|ecdsa-sha2)')" -ge 5
start=$(operations p11.find)
expect "p11tool lists it" grep -q 'Label: hsm-ec' <(host p11tool --provider "$module" --list-all)
asked=$(($(operations p11.find) - start))
[[ $asked -ge 1 && $asked -lt 10 ]] || fail "p11tool asked $asked times"
ok "p11tool asks $asked times"

# OpenSSL's engine, which gives a token up that lists an Ed25519 key.
cat >"$T/openssl.cnf" <<-END
openssl_conf = init
[init]
engines = engines
[engines]
pkcs11 = pkcs11
[pkcs11]
engine_id = pkcs11
MODULE_PATH = $module
init = 0
[req]
distinguished_name = req
END
for key in hsm-ec hsm-rsa rsa-2048; do
	OPENSSL_CONF=$T/openssl.cnf host openssl req -engine pkcs11 -keyform engine \
		-key "pkcs11:token=holdfast;object=$key;type=private" \
		-new -x509 -subj "/CN=$key" -out "$T/cert.pem" 2>"$T/err" ||
		fail "openssl req: $(cat "$T/err")"
	public_of "$key"
	expect "openssl req with $key" cmp "$T/pub.pem" \
		<(openssl x509 -in "$T/cert.pem" -noout -pubkey)
	openssl verify -CAfile "$T/cert.pem" "$T/cert.pem" >/dev/null || fail "openssl verify"
done

# -- Login, where a host wants one; what the environment may say; the log --

printf 'login = protected\n' >"$T/pkcs11.conf"
protected() {
	HOLDFAST_PKCS11_CONFIG=$T/pkcs11.conf host "$@" 2>"$T/err"
}
expect "login=protected says so" grep -q 'login required.*PIN pad present' \
	<(protected pkcs11-tool --module "$module" -L)
is "shows no private key before" 0 "$(protected pkcs11-tool --module "$module" -O --type privkey |
	grep -c 'Private Key')"
expect "and all of them after a login without a PIN" grep -q 'label: *hsm-ec$' \
	<(protected pkcs11-tool --module "$module" --login -O --type privkey)

HOLDFAST_PKCS11_DEBUG=$T/debug p11 -O >/dev/null
expect "a line for each call" grep -qE \
	'^holdfast-pkcs11\[[0-9]+\]: C_FindObjectsInit CKR_OK \(0x0\) [0-9]+ us$' "$T/debug"
HOLDFAST_PKCS11_DEBUG=$T/debug host pkcs11-tool --module "$module" --sign -m ECDSA \
	--id "$(id_of rsa-2048)" -i "$T/hash" -o "$T/sig" >/dev/null 2>&1 || :
expect "and the number of a failure" grep -q 'C_SignInit CKR_KEY_TYPE_INCONSISTENT' "$T/debug"

# A program that runs with more rights than who runs it: the same one does take
# both when it does not.
if [ "$(id -u)" = 0 ] && [ "${#preload[@]}" = 0 ] &&
	! findmnt -no OPTIONS --target "$T" | grep -q nosuid; then
	install -m 755 "$BUILD_DIR/tests/mech_prog" "$T/plain"
	install -m 4755 -o 65534 "$BUILD_DIR/tests/mech_prog" "$T/raised"
	install -d -m 777 "$T/lines"
	export HOLDFAST_PKCS11_DEBUG=$T/lines/log
	refuse "a program finds its socket in the environment" 2 "no key hsm-ec" \
		nobody "$T/plain" "$module" allowed hsm-ec
	expect "and the log" grep -q C_FindObjects "$T/lines/log"
	rm "$T/lines/log"
	refuse "a set-uid program does not" 1 "C_FindObjectsInit: 0x30" \
		"$T/raised" "$module" allowed hsm-ec
	expect "nor the log" test ! -e "$T/lines/log"
	unset HOLDFAST_PKCS11_DEBUG
fi

# -- Policy decides for each process --

expect "a stranger sees nothing" test -z "$(
	nobody pkcs11-tool --module "$module" -O 2>/dev/null
)"
cat >"$T/policy.d/nobody.hcl" <<-END
path "transit/sign/hsm-ec" { capabilities = ["update"] }
path "transit/keys/rsa-2048" { capabilities = ["read"] }
bind { subjects = ["uid:65534"] }
END
holdfast policy reload >/dev/null
nobody pkcs11-tool --module "$module" -O >"$T/objects" 2>/dev/null
expect "who may sign sees the private key" grep -q 'Private Key Object; EC' "$T/objects"
expect "who may read sees only the public key" test \
	"$(grep -A1 'Private Key Object; RSA' "$T/objects" | wc -l)" = 0
expect "and it is there" grep -q 'Public Key Object; RSA' "$T/objects"
expect "other keys are invisible" test "$(grep -c 'label: ' "$T/objects")" = 3
expect "every use stands in the audit log" grep -q '"op":"p11.sign"' "$T/audit.log"

echo "1..$checks"
