#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Mechanisms of the module, at both levels of protection, against openssl with
# the same keys.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/pkcs11_lib.sh
. "$(dirname "$0")/pkcs11_lib.sh"

MODULE=$E2E/p11_shim.so
export P11_FAULTS=$T/faults
start_service
cd "$T"
levels="wrapped hsm"
printf 'four score and seven years ago our fathers' >data
head -c 48 /dev/urandom >blocks
iv=000102030405060708090a0b0c0d0e0f

mech() {
	host "$BUILD_DIR/tests/mech_prog" "$module" "$@"
}

hex() {
	xxd -p -c 1000 "$1"
}

# from FILE COMMAND...
from() {
	"${@:2}" <"$1"
}

# der_of FILE: an ECDSA signature of two numbers, as openssl wants it
der_of() {
	local text half
	text=$(xxd -p -c 1000 "$1")
	half=$((${#text} / 2))
	openssl asn1parse -noout -out /dev/stdout -genconf <(
		printf 'asn1=SEQUENCE:s\n[s]\nr=INTEGER:0x%s\ns=INTEGER:0x%s\n' \
			"${text:0:half}" "${text:half}"
	)
}

# transit_cmac KEY: of the data, by the command line
transit_cmac() {
	holdfast cmac "$1" data | cut -d: -f3 | base64 -d | xxd -p -u
}

# denied NAME CKR FILE USE...: the module must answer with that number
denied() {
	refuse "$1" 1 "0x$2" from "$3" mech "${@:4}"
}

# -- AES: the same bytes as openssl, both ways, at once and in parts --

for size in 16 24 32; do
	head -c $size /dev/urandom >raw$size
	bits=$((8 * size))
	for level in $levels; do
		key=aes$bits-$level
		holdfast key import "$key" raw$size --type aes$bits-gcm96 --level "$level" >/dev/null
		for mode in ecb cbc cbc-pad ctr; do
			in=blocks pad=-nopad param=iv=$iv cipher=$mode
			case $mode in
			ecb) param="" ;;
			cbc-pad) in=data pad="" cipher=cbc ;;
			ctr) in=data param=ctr=128:$iv ;;
			esac
			vector=("-aes-$bits-$cipher" -K "$(hex raw$size)")
			[ $mode = ecb ] || vector+=(-iv "$iv")
			openssl enc "${vector[@]}" ${pad:+"$pad"} -in $in -out want
			mech encrypt "$key" aes-$mode ${param:+"$param"} <$in >got
			cmp want got || fail "$key aes-$mode"
			mech decrypt "$key" aes-$mode ${param:+"$param"} <want >got
			cmp $in got || fail "$key aes-$mode back"
		done
		ok "$key: ECB, CBC, CBC-PAD and CTR as openssl has them"
		mech encrypt "$key" aes-gcm gcm=000102030405060708090a0b <data >sealed
		mech decrypt "$key" aes-gcm gcm=000102030405060708090a0b <sealed >got
		expect "$key: GCM" cmp data got
		is "$key: CMAC" "$(openssl mac -cipher AES-$bits-CBC -macopt "hexkey:$(hex raw$size)" \
			-in data CMAC)" "$(mech sign "$key" aes-cmac <data | xxd -p -u)"
		printf 'short' >part
		denied "$key: CBC takes whole blocks" 21 part encrypt "$key" aes-cbc iv=$iv
		# Ends with a zero, as no padding does. (What is random ends with
		# one now and then.)
		head -c 32 /dev/zero | mech encrypt "$key" aes-cbc iv=$iv >unpadded
		denied "$key: what is no padding" 40 unpadded decrypt "$key" aes-cbc-pad iv=$iv
	done
done

# -- Keys for CMAC --

for size in 16 24 32; do
	bits=$((8 * size))
	for level in $levels; do
		key=cmac$bits-$level
		holdfast key import "$key" raw$size --type aes$bits-cmac --level "$level" >/dev/null
		want=$(openssl mac -cipher AES-$bits-CBC -macopt "hexkey:$(hex raw$size)" -in data CMAC)
		mech sign "$key" aes-cmac <data >mac
		is "$key signs" "$want" "$(xxd -p -u mac)"
		expect "$key verifies" mech verify "$key" aes-cmac mac <data
		denied "$key: not another text" c0 blocks verify "$key" aes-cmac mac
		is "$key: eight bytes of it" "${want:0:16}" \
			"$(mech sign "$key" aes-cmac-general bytes=8 <data | xxd -p -u)"
		is "$key: as holdfast cmac" "$want" \
			"$(transit_cmac "$key")"
		is "$key does nothing else" "aes-cmac aes-cmac-general" "$(mech allowed "$key" | sort | xargs)"
	done
done
denied "encryption least of all" 68 blocks encrypt cmac128-wrapped aes-ecb

mech generate maker aes-gen 24 sign,verify
is "an AES key made for MACs is one of transit" aes192-cmac "$(json .type holdfast key show maker)"
mech sign maker aes-cmac <data >mac
is "one key, two faces" "$(xxd -p -u mac)" "$(transit_cmac maker)"
mech generate ciphers aes-gen 24 encrypt,decrypt
is "one for data is not" aes192-gcm96 "$(json .type holdfast key show ciphers)"
denied "and makes no MACs" 68 data sign ciphers aes-cmac
mech bring brought aes sign,verify,extractable <raw24
is "nor is it another when it is brought" \
	"$(openssl mac -cipher AES-192-CBC -macopt "hexkey:$(hex raw24)" -in data CMAC)" \
	"$(mech sign brought aes-cmac <data | xxd -p -u)"

# -- HMAC; SoftHSM wants a key as long as the hash --

head -c 64 /dev/urandom >raw64
for level in $levels; do
	key=hmac-$level
	holdfast key import "$key" raw64 --type hmac --level "$level" >/dev/null
	for hash in sha1 sha224 sha256 sha384 sha512 sha3-256; do
		[ "$hash-$level" != sha3-256-hsm ] || continue # PKCS#11 2.40 has none
		is "$key: $hash" "$(openssl dgst -"$hash" -mac HMAC -macopt "hexkey:$(hex raw64)" -binary data |
			xxd -p)" "$(mech sign "$key" hmac-$hash <data | xxd -p)"
	done
	is "$key: ten bytes of it" "$(openssl dgst -sha256 -mac HMAC -macopt "hexkey:$(hex raw64)" \
		-binary data | head -c 10 | xxd -p)" \
		"$(mech sign "$key" hmac-sha256-general bytes=10 <data | xxd -p)"
done

denied "no HMAC with SHA-3 in the HSM" 68 data sign hmac-hsm hmac-sha3-256
refuse "which it is not said to do" 1 "" grep -q sha3- <(mech allowed hmac-hsm)
expect "but by others" grep -q sha3- <(mech allowed hmac-wrapped)

# -- RSA --

openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.pem 2>/dev/null
openssl pkey -in rsa.pem -pubout -out rsa.pub
printf 'key' >label
{ printf '\0'; head -c 255 /dev/urandom; } >number
for level in $levels; do
	key=rsa-$level
	holdfast key import "$key" rsa.pem --type rsa-2048 --level "$level" >/dev/null
	openssl rsautl -encrypt -pubin -inkey rsa.pub -in data -out sealed 2>/dev/null
	mech decrypt "$key" rsa-pkcs <sealed >got
	expect "$key: PKCS#1 v1.5" cmp data got
	mech encrypt "$key" rsa-pkcs <data >sealed
	openssl rsautl -decrypt -inkey rsa.pem -in sealed -out got 2>/dev/null
	expect "$key: and back" cmp data got
	for hash in sha1 sha256 sha512; do
		openssl pkeyutl -encrypt -pubin -inkey rsa.pub -in data -out sealed \
			-pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:$hash \
			-pkeyopt "rsa_oaep_label:$(hex label)"
		mech decrypt "$key" oaep oaep=$hash:key <sealed >got
		expect "$key: OAEP with $hash and a label" cmp data got
		denied "$key: and with no other" 40 sealed decrypt "$key" oaep oaep=$hash:lock
		mech encrypt "$key" oaep oaep=$hash:key <data >sealed
		openssl pkeyutl -decrypt -inkey rsa.pem -in sealed -out got \
			-pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:$hash \
			-pkeyopt "rsa_oaep_label:$(hex label)"
		expect "$key: and back" cmp data got
	done
	openssl rsautl -sign -raw -inkey rsa.pem -in number -out want 2>/dev/null
	mech sign "$key" rsa-raw <number >got
	expect "$key: X.509" cmp want got
	mech decrypt "$key" rsa-raw <number >got
	expect "$key: both ways one" cmp want got
	expect "$key: and verified" mech verify "$key" rsa-raw want <number
	openssl dgst -sha3-256 -sign rsa.pem -out want data
	mech sign "$key" sha3-256-rsa <data >got
	expect "$key: PKCS#1 v1.5 with SHA-3" cmp want got
	mech sign "$key" sha3-512-rsa-pss pss=sha3-512 <data >got
	expect "$key: PSS with SHA-3" quiet openssl dgst -sha3-512 -verify rsa.pub -signature got \
		-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32 data
done

# -- Messages, of PKCS#11 3.0 --

for level in $levels; do
	expect "messages with a key of level $level" quiet host \
		"$BUILD_DIR/tests/messages_prog" "$module" "aes256-$level"
done

# -- Agreement and derivation: what openssl gets --

for curve in 256 384 521; do
	openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-$curve -out own$curve.pem
	openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-$curve -out peer$curve.pem
	openssl pkey -in peer$curve.pem -pubout -out peer$curve.pub
	bytes=$(((curve + 7) / 8))
	point=$(openssl pkey -in peer$curve.pem -pubout -outform DER | tail -c $((2 * bytes + 1)) | xxd -p -c 1000)
	off=00
	[ "${point: -2}" != 00 ] || off=01
	openssl pkeyutl -derive -inkey own$curve.pem -peerkey peer$curve.pub -out want
	openssl kdf -keylen 40 -binary -kdfopt digest:SHA2-256 -kdfopt "hexkey:$(hex want)" \
		-out want.kdf X963KDF
	for level in $levels; do
		key=p$curve-$level
		holdfast key import "$key" own$curve.pem --type ecdsa-p$curve --level "$level" >/dev/null
		mech derive "$key" ecdh $bytes "peer=$point" >got
		expect "$key: ECDH" cmp want got
		mech derive "$key" ecdh 16 "peer=$point" >got
		is "$key: a shorter secret loses its beginning" "$(tail -c 16 want | xxd -p)" "$(xxd -p got)"
		mech derive "$key" ecdh 40 "peer=$point:sha256" >got
		expect "$key: and the KDF of X9.63" cmp want.kdf got
		for hash in sha3-256 sha3-512; do
			openssl pkey -in own$curve.pem -pubout -out own.pub
			mech sign "$key" ecdsa-$hash <data >got
			expect "$key: ECDSA with $hash" quiet openssl dgst -$hash -verify own.pub \
				-signature <(der_of got) data
		done
		denied "$key: a point that is none" 20 data derive "$key" ecdh 16 "peer=${point%??}$off"
		refuse "$key: nor one of another curve" 1 "C_DeriveKey" \
			mech derive "$key" ecdh 16 "peer=04${point:2:40}"
		quiet holdfast key derive "agreed-$key" "$key" @peer$curve.pub --derived-key-type hmac
	done
	is "P-$curve: transit agrees on the same at both levels" \
		"$(holdfast hmac agreed-p$curve-wrapped <data)" "$(holdfast hmac agreed-p$curve-hsm <data)"
done

for level in $levels; do
	key=okm-$level
	holdfast key import "$key" raw32 --type hmac --level "$level" >/dev/null
	openssl kdf -keylen 80 -binary -kdfopt mode:EXPAND_ONLY -kdfopt digest:SHA2-256 \
		-kdfopt "hexkey:$(hex raw32)" -kdfopt hexinfo:696e666f -out want HKDF
	mech derive "$key" hkdf 80 hkdf=expand:sha256:696e666f >got
	expect "$key: HKDF expands" cmp want got
done
openssl kdf -keylen 80 -binary -kdfopt digest:SHA2-256 -kdfopt "hexkey:$(hex raw32)" \
	-kdfopt hexinfo:696e666f -out want HKDF
mech derive okm-wrapped hkdf 80 hkdf=both:sha256:696e666f >got
expect "and extracts at level wrapped" cmp want got
denied "at level hsm it cannot" 70 data derive okm-hsm hkdf 80 hkdf=both:sha256:696e666f

# -- Wrapping: keys out and in again, and what openssl wraps --

cat >policy.d/levels.hcl <<-END
path "transit/keys/inside-*" {
  capabilities = ["create", "read", "update", "delete", "list"]
  min_level = "hsm"
}
bind { subjects = ["uid:$(id -u)"] }
END
holdfast policy reload >/dev/null
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out leaf.pem
mech bring leaf aes sign,verify,extractable <raw16
p11 --write-object leaf.pem --type privkey --label leaf-ec --id 1ea0 --usage-sign --extractable >/dev/null
want=$(openssl mac -cipher AES-128-CBC -macopt "hexkey:$(hex raw16)" -in data CMAC)
for kek in outside-kek inside-kek; do
	mech generate $kek aes-gen 32 wrap,unwrap
	level=wrapped
	[ $kek = outside-kek ] || level=hsm
	is "$kek: its level" $level "$(json '.keys[0].level' holdfast key show $kek)"
	for mechanism in aes-kw aes-kwp aes-kw-pad; do
		mech wrap $kek $mechanism leaf >blob
		is "$kek: $mechanism of 16 bytes" 24 "$(stat -c %s blob)"
		mech unwrap $kek $mechanism "$kek-$mechanism" secret aes sign,verify <blob
		is "$kek: $mechanism and back" "$want" "$(mech sign "$kek-$mechanism" aes-cmac <data | xxd -p -u)"
		printf '\1' | dd of=blob bs=1 seek=5 conv=notrunc status=none
		denied "$kek: $mechanism notices a change" 110 blob \
			unwrap $kek $mechanism bad secret aes sign
	done
	mech wrap $kek aes-kwp leaf-ec >blob
	mech unwrap $kek aes-kwp "$kek-ec" private ec sign <blob
	public_of "$kek-ec"
	expect "$kek: a private key and back" cmp <(openssl pkey -in leaf.pem -pubout) pub.pem
	denied "$kek: encrypts nothing" 68 blocks encrypt $kek aes-ecb
	denied "$kek: decrypts nothing" 68 blocks decrypt $kek aes-ecb
	denied "$kek: signs nothing" 68 blocks sign $kek aes-cmac
done
denied "a key of level hsm is not wrapped" 6a data wrap outside-kek aes-kwp aes128-hsm

for key in outside-rsa inside-rsa; do
	mech generate $key rsa-gen 2048 unwrap
	public_of $key
	for hash in sha1 sha256; do
		openssl pkeyutl -encrypt -pubin -inkey pub.pem -in raw16 -out blob \
			-pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:$hash
		mech unwrap $key oaep "$key-$hash" secret aes sign,verify oaep=$hash <blob
		is "$key: OAEP with $hash that openssl wrapped" "$want" \
			"$(mech sign "$key-$hash" aes-cmac <data | xxd -p -u)"
		mech wrap $key oaep leaf oaep=$hash >blob
		mech unwrap $key oaep "$key-$hash-back" secret aes sign,verify oaep=$hash <blob
		is "$key: and that the module wrapped" "$want" \
			"$(mech sign "$key-$hash-back" aes-cmac <data | xxd -p -u)"
	done
	head -c 32 /dev/urandom >kek
	openssl pkeyutl -encrypt -pubin -inkey pub.pem -in kek -out blob \
		-pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256
	openssl pkcs8 -topk8 -nocrypt -in leaf.pem -outform DER -out leaf.der
	# The openssl program does not do RFC 5649; its library does.
	/usr/bin/python3 - >>blob <<-'END'
		import sys
		from cryptography.hazmat.primitives.keywrap import aes_key_wrap_with_padding as wrap
		sys.stdout.buffer.write(wrap(open("kek", "rb").read(), open("leaf.der", "rb").read()))
	END
	mech unwrap $key rsa-aes-kwp "$key-ec" private ec sign rsa-aes=256:sha256 <blob
	public_of "$key-ec"
	expect "$key: RSA_AES_KEY_WRAP of a private key" cmp <(openssl pkey -in leaf.pem -pubout) pub.pem
	mech wrap $key rsa-aes-kwp leaf-ec rsa-aes=192:sha1 >blob
	mech unwrap $key rsa-aes-kwp "$key-ec-back" private ec sign rsa-aes=192:sha1 <blob
	public_of "$key-ec-back"
	expect "$key: and back" cmp <(openssl pkey -in leaf.pem -pubout) pub.pem
	denied "$key: of a private key OAEP has no room for" 69 data wrap $key oaep leaf-ec oaep=sha1
	denied "$key: decrypts nothing" 68 blob decrypt $key oaep oaep=sha1
done

# -- Brought keys: what the module may send, and what becomes of it --

openssl genpkey -algorithm ed25519 -out ed.pem
openssl pkey -in ed.pem -outform DER | tail -c 32 >seed
openssl pkeyutl -sign -inkey ed.pem -rawin -in data -out want
for name in brought-ed inside-ed; do
	mech bring $name ed25519 sign <seed
	public_of $name
	expect "$name: the public key follows from the private one" cmp \
		<(openssl pkey -in ed.pem -pubout) pub.pem
	mech sign $name eddsa <data >got
	expect "$name signs what openssl signs" cmp want got
	expect "$name verifies" mech verify $name eddsa want <data
done
is "policy says at which level" hsm "$(json '.keys[0].level' holdfast key show inside-ed)"
printf 'too short' >part
refuse "a generic secret that is too short to stay" 1 "0x62" from part \
	mech bring short generic sign,verify
refuse "a seed that is none" 1 "0x13" from part mech bring bad ed25519 sign
denied "an AES key that is none" 13 part bring bad aes encrypt,decrypt

# Over the network no key is sent in clear: nobody listens there, and that is
# not what the module complains of.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=x \
	-keyout far.key -out far.pem 2>/dev/null
chmod 600 far.key
cat >far.conf <<-END
address = tls+tcp://127.0.0.1:1
tls-ca = $T/far.pem
tls-certificate = $T/far.pem
tls-key = $T/far.key
END
far() (
	unset HOLDFAST_SOCKET
	export HOLDFAST_PKCS11_CONFIG=$T/far.conf
	"$@"
)
refuse "a secret key to a far service" 1 0xe2 from raw16 far mech bring sent aes sign
refuse "a private key to a far service" 1 0xe2 from seed far mech bring sent ed25519 sign
refuse "what brings none fails for want of it" 1 0x30 far mech generate made aes-gen 16 sign

# -- Policy tells the two kinds of MAC apart --

holdfast key create hmac --type hmac >/dev/null
cat >policy.d/nobody.hcl <<-END
path "transit/hmac/*" { capabilities = ["update"] }
bind { subjects = ["uid:65534"] }
END
holdfast policy reload >/dev/null
mac_as_nobody() {
	nobody "$BUILD_DIR/tests/mech_prog" "$module" sign "$@"
}
expect "who may make HMACs does" quiet mac_as_nobody hmac hmac-sha256 <data
refuse "and no CMACs" 2 "no key maker" from data mac_as_nobody maker aes-cmac

# -- An HSM that lacks some of it: not said, and refused --

stop_daemon
printf 'without %s\n' 0x1086 0x108a 0x1050 >faults # AES-CTR, CMAC, ECDH
start_daemon
is "a key in it does what is left" "aes-gcm" "$(mech allowed aes256-hsm | xargs)"
is "others all as before" "aes-cbc aes-cbc-pad aes-cmac aes-cmac-general aes-ctr aes-ecb aes-gcm" \
	"$(mech allowed aes256-wrapped | sort | xargs)"
is "nor does one agree on keys" "" "$(mech allowed p256-hsm | grep ecdh || :)"
denied "CBC goes with CTR" 68 blocks encrypt aes256-hsm aes-cbc iv=$iv
denied "no CMAC" 68 data sign aes256-hsm aes-cmac
denied "no ECDH" 68 data derive p256-hsm ecdh 16 "peer=$point"
refuse "transit says it, too" 2 "does no key agreement" \
	holdfast key derive refused p256-hsm @peer256.pub
mech wrap inside-kek aes-kwp leaf >blob
mech unwrap inside-kek aes-kwp still-wraps secret aes sign,verify <blob
is "wrapping needs none of it" "$want" "$(mech sign still-wraps aes-cmac <data | xxd -p -u)"

echo "1..$checks"
