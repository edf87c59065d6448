#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# T24 to T26 of docs/transit.md: what leaves the service, in clear, wrapped for
# another key, or sealed for this HSM and for another one.
# Of the clouds' features it shows CK13 (T26); FM10 is the form of its backups.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

start_service
cd "$T"
printf 'four score and seven' >data

body() { cut -d: -f3 | base64 -d; }

# -- T24: public halves always --
for type in ecdsa-p256 ecdsa-p384 ecdsa-p521 ed25519 rsa-2048; do
	for level in wrapped hsm; do
		key=$type-$level
		holdfast key create $key --type $type --level $level >/dev/null
		holdfast key export-public $key >pub.pem
		is "T24 public-key of $key" "$(json '.keys[0].public_key' holdfast key show $key)" \
			"$(openssl pkey -pubin -in pub.pem; echo)"
		holdfast key export-public $key --format der >pub.der
		expect "T24 as DER" cmp -s pub.der <(openssl pkey -pubin -in pub.pem -outform DER)
		refuse "T24 nothing private of $key" 2 "private key material is not exportable" \
			holdfast key export-signing $key
		refuse "T24 nor its hmac-key" 2 "private key material is not exportable" \
			holdfast key export-hmac $key
		refuse "T25 nor wrapped" 2 "private key material is not exportable" \
			holdfast key byok-export $key rsa-2048-wrapped
	done
done
is "T24 ed25519 raw" 32 "$(holdfast key export-public ed25519-hsm --format raw | wc -c)"
refuse "T24 nothing raw of others" 2 "format: keys of type rsa-2048 are exported as der or pem" \
	holdfast key export-public rsa-2048-hsm --format raw
refuse "T24 no certificate yet" 2 "has no certificate" holdfast key export-chain ed25519-hsm
holdfast key self-sign ed25519-hsm >/dev/null
is "T24 certificate-chain" "subject=CN = ed25519-hsm" \
	"$(holdfast key export-chain ed25519-hsm | openssl x509 -noout -subject)"
is "T24 certificate-chain as DER" "subject=CN = ed25519-hsm" \
	"$(holdfast key export-chain ed25519-hsm --format der | openssl x509 -inform DER -noout -subject)"
holdfast key create plain >/dev/null
refuse "T24 a symmetric key has no public half" 2 "have no public half" holdfast key export-public plain
refuse "T24 and leaves only when exportable" 2 "private key material is not exportable" \
	holdfast key export-encryption plain
refuse "T24 missing key" 2 "key not found" holdfast key export-public nothing

# -- T24: private material of exportable keys, used by others --
holdfast key create x-aes --exportable >/dev/null
holdfast key export-encryption x-aes >raw
holdfast encrypt x-aes <data | body >c
is "T24 encryption-key opens what the service sealed" "$(cat data)" "$(/usr/bin/python3 -c "
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
c = open('c', 'rb').read()
print(AESGCM(open('raw', 'rb').read()).decrypt(c[:12], c[12:], None).decode())")"
holdfast key export-hmac x-aes >raw
is "T24 hmac-key makes the same MACs" "$(holdfast hmac x-aes <data | body | xxd -p -c99)" \
	"$(openssl dgst -sha256 -mac HMAC -macopt "hexkey:$(xxd -p -c99 raw)" -binary data | xxd -p -c99)"
refuse "T24 a key that does not sign" 2 "do not sign" holdfast key export-signing x-aes
refuse "T24 no PEM of bytes" 2 "are exported as raw" holdfast key export-encryption x-aes --format pem
for type in ecdsa-p256 ecdsa-p521 ed25519 rsa-2048; do
	holdfast key create x-$type --type $type --exportable >/dev/null
	holdfast key export-signing x-$type >priv.pem
	holdfast key export-public x-$type >pub.pem
	expect "T24 signing-key of $type" cmp -s pub.pem <(openssl pkey -in priv.pem -pubout)
	holdfast key export-signing x-$type --format der >priv.der
	expect "T24 as DER" cmp -s priv.der <(openssl pkcs8 -topk8 -nocrypt -in priv.pem -outform DER)
done
is "T24 ed25519 raw" 32 "$(holdfast key export-signing x-ed25519 --format raw | wc -c)"
refuse "T24 a key that does not encrypt" 2 "do not encrypt" holdfast key export-encryption x-ed25519
expect "T24 RSA does both" cmp -s <(holdfast key export-signing x-rsa-2048) \
	<(holdfast key export-encryption x-rsa-2048)
holdfast key rotate x-aes >/dev/null
is "T24 all versions" "1,2" "$(json '[.keys[].version] | join(",")' holdfast key export-encryption x-aes --all)"
is "T24 one of them" 1 "$(json .key_version holdfast key export-encryption x-aes --version 1)"
holdfast key disable x-aes --version 1 >/dev/null
refuse "T24 not a disabled one" 2 "is not enabled" holdfast key export-encryption x-aes --version 1
holdfast key enable x-aes --version 1 >/dev/null
holdfast key config x-aes --min-decryption-version 2 >/dev/null
refuse "T24 not below the minimum" 2 "below minimum decryption version" \
	holdfast key export-encryption x-aes --version 1
is "T24 all but those" "2" "$(json '[.keys[].version] | join(",")' holdfast key export-encryption x-aes --all)"
refuse "T24 a version that is not there" 2 "has no version 9" holdfast key export-encryption x-aes --version 9
refuse "T24 either version or all" 2 "give either" holdfast key export-public x-ed25519 --all --version 1
holdfast key soft-delete x-ed25519 >/dev/null
refuse "T24 not of a soft-deleted key" 2 "soft-deleted" holdfast key export-signing x-ed25519
refuse "T25 nor wrapped" 2 "soft-deleted" holdfast key byok-export x-ed25519 rsa-2048-hsm
holdfast key undelete x-ed25519 >/dev/null

# -- T25: wrapped, opened by others, and imported again --
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072 -out dest.pem 2>/dev/null
openssl pkey -in dest.pem -pubout -out dest.pub
holdfast key import dest dest.pub --type rsa-3072 >/dev/null
for key in x-aes x-ed25519 x-rsa-2048; do
	holdfast key byok-export $key dest >blob
	head -c 384 blob >blob.rsa
	tail -c +385 blob >blob.aes
	openssl pkeyutl -decrypt -inkey dest.pem -in blob.rsa -out kek -pkeyopt rsa_padding_mode:oaep \
		-pkeyopt rsa_oaep_md:sha256
	/usr/bin/python3 -c "
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap_with_padding as u
open('got', 'wb').write(u(open('kek', 'rb').read(), open('blob.aes', 'rb').read()))"
	verb=export-signing
	format=der
	[ $key = x-aes ] && verb=export-encryption && format=raw
	expect "T25 $key, opened by openssl" cmp -s got <(holdfast key $verb $key --format $format)
done
refuse "T25 the destination must be an RSA key" 2 "must be an RSA key" \
	holdfast key byok-export x-aes x-ed25519
refuse "T25 and there" 2 "there is no destination key" holdfast key byok-export x-aes nothing

# -- T26: backup and restore --
refuse "T26 needs allow_plaintext_backup" 2 "does not allow a backup" holdfast key backup plain
for type in aes256-gcm96 ed25519 rsa-2048 hmac; do
	key=b-$type
	holdfast key create $key --type $type --allow-plaintext-backup --exportable \
		--deletion-allowed >/dev/null
	holdfast key rotate $key >/dev/null
	holdfast hmac $key <data >mac
	holdfast key backup $key >$key.backup
	before=$(holdfast key show $key -o json)
	refuse "T26 a name that is taken" 2 "force replaces it" holdfast key restore-backup $key $key.backup
	holdfast key rotate $key >/dev/null
	expect "T26 but with force" quiet holdfast key restore-backup $key --force $key.backup
	is "T26 $key is what it was" "$before" "$(holdfast key show $key -o json)"
	holdfast key delete $key
	expect "T26 a deleted key comes back" quiet holdfast key restore-backup $key $key.backup
	is "T26 $key is what it was" "$before" "$(holdfast key show $key -o json)"
	expect "T26 and its MACs verify" quiet holdfast verify $key --hmac "$(cat mac)" data
	expect "T26 under another name too" quiet holdfast key restore-backup copy-$key $key.backup
	expect "T26 beside the first" quiet holdfast verify copy-$key --hmac "$(cat mac)" data
	expect "T26 which still is there" quiet holdfast verify $key --hmac "$(cat mac)" data
done
holdfast encrypt b-aes256-gcm96 <data >c
holdfast key create h --level hsm --deletion-allowed >/dev/null
holdfast encrypt h <data >hc
holdfast key backup h >h.backup
holdfast key delete h
expect "T26 a key of level hsm, for the same HSM" quiet holdfast key restore-backup h h.backup
is "T26 opens its ciphertexts" "$(cat data)" "$(holdfast decrypt h <hc)"
refuse "T26 but not a resident one" 2 "is resident in the HSM" holdfast key backup ed25519-hsm
holdfast key create timed --allow-plaintext-backup >/dev/null
holdfast key rotate timed >/dev/null
holdfast key destroy timed --version 1 >/dev/null
holdfast key backup timed >timed.backup
is "T26 what was scheduled for destruction is disabled" disabled \
	"$(json '.keys[0].state' holdfast key restore-backup timed --force timed.backup)"
holdfast alias set other --target h >/dev/null
refuse "T26 not under the name of an alias" 2 "that of an alias" holdfast key restore-backup other h.backup
stop_daemon
start_daemon
is "T26 a restart keeps it" "$(cat data)" "$(holdfast decrypt b-aes256-gcm96 <c)"

# A key of the backup is nowhere in it.
holdfast key export-encryption b-aes256-gcm96 --version 1 >raw
expect "T26 nothing in clear" /usr/bin/python3 -c "
import sys
sys.exit(open('raw', 'rb').read() in open('b-aes256-gcm96.backup', 'rb').read())"
size=$(stat -c %s h.backup)
for at in 0 4 5 6 21 22 40 100 $((size - 1)); do
	cp h.backup bad
	printf '%b' "\\x$(printf '%02x' $((0x$(xxd -p -s "$at" -l 1 h.backup) ^ 1)))" |
		dd of=bad bs=1 seek="$at" conv=notrunc status=none
	refuse "T26 changed at $at" 2 "" holdfast key restore-backup bad bad
done
for cut in 0 1 6 80 98 99 $((size - 1)); do
	head -c "$cut" h.backup >bad
	refuse "T26 cut after $cut" 2 "" holdfast key restore-backup bad bad
done
refuse "T26 and nothing came of it" 2 "key not found" holdfast key show bad

# -- T26: to another service, with an HSM of its own --
holdfast key create kept --allow-plaintext-backup >/dev/null
refuse "T26 for another HSM the key must be exportable" 2 "is not exportable" \
	holdfast key backup kept --recipient "$(holdfast key wrapping-key)"
refuse "T26 level hsm never" 2 "does not allow a backup" \
	holdfast key backup h --recipient "$(holdfast key wrapping-key)"
refuse "T26 only for a wrapping key" 2 "it is not the wrapping key" \
	holdfast key backup b-aes256-gcm96 --recipient "$(cat dest.pub)"
refuse "T26 or any at all" 2 "it is not the PEM of a public key" \
	holdfast key backup b-aes256-gcm96 --recipient rubbish
stop_daemon
mkdir first
mv tokens state audit.log audit.pub first/
sed -i "s|$T/tokens|$T/second-tokens|" softhsm2.conf
mkdir second-tokens
softhsm2-util --init-token --free --label holdfast --so-pin 5678 --pin 1234 >/dev/null
holdfast-keyd --config keyd.conf --init >/dev/null 2>&1
start_daemon
holdfast key wrapping-key >second.pem
refuse "T26 a backup of another HSM" 2 "that this HSM does not have" \
	holdfast key restore-backup x b-aes256-gcm96.backup
stop_daemon
mkdir second
mv state audit.log audit.pub second/
sed -i "s|$T/second-tokens|$T/first/tokens|" softhsm2.conf
mv first/state first/audit.log first/audit.pub .
start_daemon
holdfast key backup b-aes256-gcm96 --recipient "$(cat second.pem)" >travels
refuse "T26 the first service cannot open it" 2 "not sealed for this service's wrapping key" \
	holdfast key restore-backup x travels
expect "the audit log of it all is whole" holdfast audit verify audit.log
stop_daemon
rm -rf state audit.log audit.pub
sed -i "s|$T/first/tokens|$T/second-tokens|" softhsm2.conf
mv second/state second/audit.log second/audit.pub .
start_daemon
expect "T26 the other one can" quiet holdfast key restore-backup arrived travels
is "T26 and opens what the first sealed" "$(cat data)" "$(holdfast decrypt arrived <c)"
echo "$checks checks"
