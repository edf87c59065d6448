#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# KT4, KT11, FM11, FM12, T31 and CK4 of docs/transit.md: derived keys, convergent
# encryption, keys that lead to keys, and what Vault Enterprise has more. What
# Vault would have made is made here with another implementation of HKDF, and
# must open once the key is imported; and the other way round.
# Of the clouds' features it shows CK1 (T16), CK15 (T31) and CK17 (T18).
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

start_service 'upsert = true'
cd "$T"
printf 'four score and seven' >data
printf 'user4711' >context

cat >kdf.py <<-'END'
	# kdf.py TYPE KEYFILE CONTEXT seal|open|converge FILE...
	import base64, hmac, os, sys
	from cryptography.hazmat.primitives import hashes
	from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
	from cryptography.hazmat.primitives.kdf.hkdf import HKDF
	kind, key, context, what = sys.argv[1], open(sys.argv[2], "rb").read(), open(sys.argv[3], "rb").read(), sys.argv[4]
	size = int(kind[3:6]) // 8 if "gcm" in kind else 32
	def kdf(n):
	    return HKDF(hashes.SHA256(), n, None, context).derive(key)
	aead = ChaCha20Poly1305 if "chacha" in kind else AESGCM
	data = open(sys.argv[5], "rb").read()
	if what == "seal":
	    nonce = os.urandom(12)
	    print("vault:v1:" + base64.b64encode(nonce + aead(kdf(size)).encrypt(nonce, data, None)).decode(), end="")
	elif what == "open":
	    body = base64.b64decode(data.split(b":")[2])
	    sys.stdout.buffer.write(aead(kdf(size)).decrypt(body[:12], body[12:], None))
	else:
	    both = kdf(size + 32)
	    nonce = hmac.digest(both[size:], data, "sha256")[:12]
	    print("vault:v1:" + base64.b64encode(nonce + aead(both[:size]).encrypt(nonce, data, None)).decode(), end="")
END
kdf() {
	/usr/bin/python3 kdf.py "$@"
}

# -- FM11: symmetric keys --
head -c 32 /dev/urandom >raw32
head -c 16 /dev/urandom >raw16
head -c 24 /dev/urandom >raw24
for type in aes256-gcm96 aes192-gcm96 aes128-gcm96 chacha20-poly1305; do
	raw=raw32
	[ $type = aes192-gcm96 ] && raw=raw24
	[ $type = aes128-gcm96 ] && raw=raw16
	holdfast key import d-$type $raw --type $type --derived >/dev/null
	kdf $type $raw context seal data >c
	is "FM11 $type: Vault's ciphertext opens" "$(cat data)" \
		"$(holdfast decrypt d-$type --derivation-context @context <c)"
	holdfast encrypt d-$type --derivation-context @context <data >c
	is "FM11 $type: and ours does there" "$(cat data)" "$(kdf $type $raw context open c)"
	refuse "FM11 $type: under another context not" 2 "message authentication failed" \
		holdfast decrypt d-$type --derivation-context other c
	refuse "FM11 $type: without one not" 2 "missing 'context' for key derivation" \
		holdfast decrypt d-$type c
	refuse "FM11 $type: nor does it encrypt" 2 "missing 'context' for key derivation" \
		holdfast encrypt d-$type data
	holdfast encrypt d-$type --derivation-context @context --associated-data x <data >c
	is "FM11 $type: associated data too" "$(cat data)" \
		"$(holdfast decrypt d-$type --derivation-context @context --associated-data x <c)"
	[ "$(holdfast encrypt d-$type --derivation-context x <data)" != "$(holdfast encrypt d-$type --derivation-context x <data)" ] ||
		fail "FM11 $type: nonces repeat"
done
holdfast key create d2 --derived >/dev/null
is "FM11 key show says so" "true true null" \
	"$(json '"\(.derived) \(.supports_derivation) \(.convergent_encryption)"' holdfast key show d2)"
holdfast encrypt d2 --derivation-context a <data >c
holdfast key rotate d2 >/dev/null
holdfast rewrap d2 --derivation-context a <c >c2
is "FM11 rewrap keeps the context" "vault:v2 four score and seven" \
	"$(cut -d: -f1,2 c2) $(holdfast decrypt d2 --derivation-context a <c2)"
refuse "FM11 rewrap needs it" 2 "missing 'context'" holdfast rewrap d2 c
refuse "FM11 and the right one" 2 "message authentication failed" holdfast rewrap d2 --derivation-context b c
json .ciphertext holdfast datakey d2 --derivation-context a >dk
is "FM11 data keys" 32 "$(holdfast decrypt d2 --derivation-context a <dk | wc -c)"
refuse "FM11 data keys need a context" 2 "missing 'context'" holdfast datakey d2
is "FM11 hmac takes none, as in Vault" "$(holdfast hmac d2 <data)" "$(holdfast hmac d2 <data)"
holdfast key create plain >/dev/null
refuse "FM11 a key that is not derived takes none" 2 "is not a derived key" \
	holdfast encrypt plain --derivation-context a data
holdfast encrypt plain <data >c
refuse "FM11 nor when it opens" 2 "is not a derived key" holdfast decrypt plain --derivation-context a c
stop_daemon
start_daemon
is "FM11 a restart keeps it derived" "$(cat data)" "$(holdfast decrypt d2 --derivation-context a <c2)"
is "T12 an upsert with a context makes a derived key" true \
	"$(holdfast encrypt upserted --derivation-context a <data >/dev/null && json .derived holdfast key show upserted)"
is "T12 and without one does not" false \
	"$(holdfast encrypt upserted2 <data >/dev/null && json .derived holdfast key show upserted2)"

# -- FM12: convergent encryption --
for type in aes256-gcm96 aes192-gcm96 aes128-gcm96 chacha20-poly1305; do
	raw=raw32
	[ $type = aes192-gcm96 ] && raw=raw24
	[ $type = aes128-gcm96 ] && raw=raw16
	holdfast key create cv-$type --type $type --derived --convergent-encryption --exportable >/dev/null
	holdfast key export-encryption cv-$type >raw
	holdfast encrypt cv-$type --derivation-context @context <data >c
	is "FM12 $type: as Vault makes it" "$(kdf $type raw context converge data)" "$(cat c)"
	is "FM12 $type: the same again" "$(cat c)" "$(holdfast encrypt cv-$type --derivation-context @context <data)"
	is "FM12 $type: opens" "$(cat data)" "$(holdfast decrypt cv-$type --derivation-context @context <c)"
	[ "$(cat c)" != "$(holdfast encrypt cv-$type --derivation-context other <data)" ] ||
		fail "FM12 $type: another context gives the same"
	refuse "FM12 $type: no associated data" 2 "put it into the context" \
		holdfast encrypt cv-$type --derivation-context a --associated-data x data
done
is "FM12 key show says so" "true 3" \
	"$(json '"\(.convergent_encryption) \(.convergent_encryption_version)"' holdfast key show cv-aes256-gcm96)"

# -- T17: numbered keys --
head -c 48 /dev/urandom >parts.key
holdfast key import parts parts.key --type hmac >/dev/null
python3 - >want <<-'END'
	import base64, hashlib, hmac
	key, salt, info = open("parts.key", "rb").read(), b"pepper", b"disk"
	prk = hmac.new(salt, key, hashlib.sha256).digest()
	for i in range(7, 10):
	    full = b"holdfast-derived-keys-v1\0" + i.to_bytes(4, "big") + info
	    one = hmac.new(prk, full + b"\1", hashlib.sha256).digest()
	    two = hmac.new(prk, one + full + b"\2", hashlib.sha256).digest()
	    print(i, base64.b64encode(one + two).decode())
END
derived() { holdfast derived-keys "$@" -o json | jq -r '.derived_keys[] | "\(.index) \(.key)"'; }
is "T17 keys as HKDF gives them" "$(cat want)" \
	"$(derived parts --salt pepper --info disk --key-index-from 7 --key-index-to 9 --bits 512)"
is "T17 one, and of 256 bits" "8 $(sed -n 2p want | cut -d' ' -f2 | base64 -d | head -c 32 | base64)" \
	"$(derived parts --salt pepper --info disk --key-index-from 8)"
[ "$(derived parts --info disk)" != "$(derived parts --info disc)" ] || fail "T17 other info, the same key"
ok "T17 other info, another key"
holdfast key create parts2 --type hmac >/dev/null
before=$(derived parts2)
holdfast key rotate parts2 >/dev/null
is "T17 an older version gives its keys again" "$before" "$(derived parts2 --key-version 1)"
[ "$(derived parts2)" != "$before" ] || fail "T17 a new version gives the old keys"
ok "T17 a new version gives new keys"
is "T17 many" 256 "$(derived parts --key-index-to 255 | sort -u | wc -l)"
refuse "T17 too many" 2 "256 keys at most" holdfast derived-keys parts --key-index-to 256
refuse "T17 none" 2 "256 keys at most" holdfast derived-keys parts --key-index-from 2 --key-index-to 1
refuse "T17 an odd size" 2 "invalid bit length" holdfast derived-keys parts --bits 100
refuse "T17 a key of another type" 2 "not aes256-gcm96" holdfast derived-keys cv-aes256-gcm96

# -- FM11: ed25519 --
openssl genpkey -algorithm ED25519 -out ed.pem
holdfast key import ed ed.pem --type ed25519 --derived >/dev/null
/usr/bin/python3 - <<-'END'
	from cryptography.hazmat.primitives import hashes, serialization as s
	from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
	from cryptography.hazmat.primitives.kdf.hkdf import HKDF
	key = s.load_pem_private_key(open("ed.pem", "rb").read(), None)
	pair = key.private_bytes_raw() if hasattr(key, "private_bytes_raw") else \
	    key.private_bytes(s.Encoding.Raw, s.PrivateFormat.Raw, s.NoEncryption())
	public = key.public_key().public_bytes(s.Encoding.Raw, s.PublicFormat.Raw)
	seed = HKDF(hashes.SHA256(), 32, None, open("context", "rb").read()).derive(pair + public)
	derived = Ed25519PrivateKey.from_private_bytes(seed)
	open("sig", "wb").write(derived.sign(open("data", "rb").read()))
	open("pub", "wb").write(derived.public_key().public_bytes(s.Encoding.Raw, s.PublicFormat.Raw))
END
is "FM11 ed25519 signs as Vault does" "vault:v1:$(base64 -w0 sig)" \
	"$(json .signature holdfast sign ed --derivation-context @context data)"
is "FM11 ed25519 shows the public key" "$(base64 -w0 pub)" \
	"$(json .public_key holdfast sign ed --derivation-context @context data)"
expect "FM11 ed25519 verifies" quiet holdfast verify ed --derivation-context @context \
	--signature "vault:v1:$(base64 -w0 sig)" data
refuse "FM11 ed25519 not under another context" 2 "" quiet holdfast verify ed --derivation-context other \
	--signature "vault:v1:$(base64 -w0 sig)" data
json '.keys[0].public_key' holdfast key show ed --derivation-context @context >shown.pem
is "T2 a derived key shows the public key of a context" "$(base64 -w0 pub)" \
	"$(openssl pkey -pubin -in shown.pem -pubout -outform DER | tail -c 32 | base64 -w0)"
refuse "T2 which others take not" 2 "not a derived key" holdfast key show plain --derivation-context x
refuse "T2 nor those without a public half" 2 "no public half" holdfast key show cv-aes256-gcm96 --derivation-context x
refuse "FM11 ed25519 needs a context" 2 "missing 'context'" holdfast sign ed data
refuse "FM11 ed25519 needs it to verify" 2 "missing 'context'" holdfast verify ed \
	--signature "vault:v1:$(base64 -w0 sig)" data
refuse "T27 a derived key has no certificates" 2 "derived keys have no certificates" holdfast key csr ed
holdfast key create ed2 --type ed25519 >/dev/null
refuse "FM11 a key that is not derived takes none" 2 "is not a derived key" \
	holdfast sign ed2 --derivation-context a data

# -- KT4: XChaCha20-Poly1305 --
/usr/bin/python3 -c "
open('xkey', 'wb').write(bytes(range(0x80, 0xa0)))
open('xaad', 'wb').write(bytes.fromhex('50515253c0c1c2c3c4c5c6c7'))
open('xbody', 'wb').write(bytes(range(0x40, 0x58)) + bytes.fromhex(
	'bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb'
	'731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452'
	'2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9'
	'21f9664c97637da9768812f615c68b13b52ec0875924c1c7987947deafd8780acf49'))"
holdfast key import x xkey --type xchacha20-poly1305 >/dev/null
printf 'vault:v1:%s' "$(base64 -w0 xbody)" >c
is "KT4 opens the example of the draft" "Ladies and Gentlemen" \
	"$(holdfast decrypt x --associated-data @xaad <c | head -c 20)"
is "KT4 and what it sealed itself" "$(cat data)" "$(holdfast encrypt x <data | holdfast decrypt x)"
is "FM2 its nonce has 24 bytes" $((24 + 20 + 16)) \
	"$(holdfast encrypt x <data | cut -d: -f3 | base64 -d | wc -c)"
refuse "KT4 at level wrapped only" 2 "level wrapped only" \
	holdfast key create m --type xchacha20-poly1305 --level hsm
holdfast key create xcv --type xchacha20-poly1305 --derived --convergent-encryption >/dev/null
is "KT4 convergent" "$(holdfast encrypt xcv --derivation-context a <data)" "$(holdfast encrypt xcv --derivation-context a <data)"

# -- T31: CMAC, checked by openssl --
for bits in 128 192 256; do
	head -c $((bits / 8)) /dev/urandom >raw
	mac=$(openssl mac -cipher AES-$bits-CBC -macopt "hexkey:$(xxd -p -c99 raw)" -in data CMAC | tr A-F a-f)
	for level in wrapped hsm; do
		key=cmac$bits-$level
		holdfast key import $key raw --type aes$bits-cmac --level $level >/dev/null
		holdfast cmac $key <data >m
		is "T31 $key" "$mac" "$(cut -d: -f3 m | base64 -d | xxd -p -c99)"
		expect "T31 $key verifies" quiet holdfast verify $key --cmac "$(cat m)" data
		refuse "T31 $key other data" 2 "" quiet holdfast verify $key --cmac "$(cat m)" context
		holdfast cmac $key --mac-length 8 <data >m8
		is "T31 $key eight bytes" "${mac:0:16}" "$(cut -d: -f3 m8 | base64 -d | xxd -p -c99)"
		refuse "T31 $key a short one is not a long one" 2 "" quiet holdfast verify $key \
			--cmac "$(cat m8)" data
		expect "T31 $key but when it is asked for" quiet holdfast verify $key --mac-length 8 \
			--cmac "$(cat m8)" data
	done
	holdfast key create born$bits --type aes$bits-cmac --level hsm >/dev/null
	expect "T31 made in the HSM" quiet holdfast verify born$bits --cmac "$(holdfast cmac born$bits data)" data
done
refuse "T31 less than eight bytes" 2 "must be 8 to 16" holdfast cmac cmac128-hsm --mac-length 7 data
refuse "T31 another type" 2 "CMAC not supported for key type aes256-gcm96" holdfast cmac plain data
refuse "T31 nor to verify" 2 "CMAC not supported for key type aes256-gcm96" \
	quiet holdfast verify plain --cmac "$(cat m)" data
refuse "T31 does not encrypt" 2 "not supported for key type aes128-cmac" holdfast encrypt cmac128-hsm data
refuse "T31 two kinds at once" 2 "provide one of" quiet holdfast verify cmac128-hsm \
	--cmac "$(cat m)" --hmac "$(cat m)" data

# -- T18: a key by agreement, done by openssl on the other side --
for curve in 256 384 521; do
	holdfast key create base$curve --type ecdsa-p$curve >/dev/null
	json '.keys[0].public_key' holdfast key show base$curve >base.pub
	openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-$curve -out peer.pem
	openssl pkey -in peer.pem -pubout -out peer.pub
	openssl pkeyutl -derive -inkey peer.pem -peerkey base.pub -out shared
	openssl kdf -binary -keylen 32 -kdfopt digest:SHA256 -kdfopt "hexkey:$(xxd -p -c200 shared)" \
		-out raw HKDF
	holdfast key derive agreed$curve base$curve @peer.pub --exportable >/dev/null
	expect "T18 P-$curve: both sides have the same key" cmp -s raw \
		<(holdfast key export-encryption agreed$curve)
done
holdfast key derive agreed-hsm base521 @peer.pub --level hsm >/dev/null
holdfast key import same raw >/dev/null
is "T18 into the HSM" "$(cat data)" "$(holdfast encrypt same <data | holdfast decrypt agreed-hsm)"
refuse "T18 a key that is there" 2 "exists already" holdfast key derive same base521 @peer.pub
refuse "T18 another curve" 2 "not the PEM of a public key of type ecdsa-p256" \
	holdfast key derive m base256 @peer.pub
refuse "T18 no point at all" 2 "not the PEM of a public key" holdfast key derive m base256 rubbish
refuse "T18 a base that cannot" 2 "key agreement not supported for key type ed25519" \
	holdfast key derive m ed2 @peer.pub
refuse "T18 a base that is not there" 2 "there is no key nothing" \
	holdfast key derive m nothing @peer.pub
holdfast key create base-hsm --type ecdsa-p521 --level hsm >/dev/null
json '.keys[0].public_key' holdfast key show base-hsm >base.pub
openssl pkeyutl -derive -inkey peer.pem -peerkey base.pub -out shared
openssl kdf -binary -keylen 32 -kdfopt digest:SHA256 -kdfopt "hexkey:$(xxd -p -c200 shared)" \
	-out raw HKDF
holdfast key derive agreed-in-hsm base-hsm @peer.pub --exportable >/dev/null
expect "T18 with a base of level hsm" cmp -s raw <(holdfast key export-encryption agreed-in-hsm)
refuse "T18 only symmetric keys come of it" 2 "cannot be derived" \
	holdfast key derive m base521 @peer.pub --derived-key-type rsa-2048

# -- T16: data key pairs --
for type in ecdsa-p256 ecdsa-p384 ecdsa-p521 ed25519 rsa-2048; do
	holdfast datakey-pairs plain $type -o json >pair.json
	jq -r '.key_pairs[0].private_key' pair.json | base64 -d >priv.der
	jq -rj '.key_pairs[0].public_key' pair.json >pub.pem
	expect "T16 $type: the halves belong together" cmp -s pub.pem \
		<(openssl pkey -inform DER -in priv.der -pubout)
	jq -rj '.key_pairs[0].ciphertext' pair.json >c
	expect "T16 $type: decrypt opens the private half" cmp -s priv.der <(holdfast decrypt plain <c)
done
is "T16 wrapped shows no private half" null \
	"$(json '.key_pairs[0].private_key' holdfast datakey-pairs-wrapped plain ed25519)"
is "T16 several" 5 "$(json '.key_pairs | length' holdfast datakey-pairs plain ed25519 --count 5)"
refuse "T16 too many" 2 "must be 0 to 32" holdfast datakey-pairs plain ed25519 --count 33
refuse "T16 another type" 2 "must be one of" holdfast datakey-pairs plain hmac
refuse "T16 a derived key needs a context" 2 "missing 'context'" holdfast datakey-pairs d2 ed25519
holdfast key create short --type rsa-2048 >/dev/null
refuse "T16 not under RSA" 2 "too long to be encrypted" holdfast datakey-pairs short ed25519

# -- CK4: from key to key --
for to in rsa hsm chacha d2 cv-aes256-gcm96; do
	case $to in
	rsa) holdfast key create rsa --type rsa-2048 >/dev/null ;;
	hsm) holdfast key create hsm --level hsm >/dev/null ;;
	chacha) holdfast key create chacha --type chacha20-poly1305 >/dev/null ;;
	esac
	context=()
	case $to in d2 | cv-*) context=(--derivation-context a) ;; esac
	holdfast encrypt plain <data >c
	holdfast reencrypt plain --destination $to ${context:+--new-derivation-context a} <c >c2
	is "CK4 plain to $to" "$(cat data)" "$(holdfast decrypt $to "${context[@]}" <c2)"
	holdfast reencrypt $to --destination plain "${context[@]}" <c2 >c3
	is "CK4 $to to plain" "$(cat data)" "$(holdfast decrypt plain <c3)"
done
holdfast encrypt d2 --derivation-context a --associated-data x <data >c
is "CK4 to another context of the same key" "$(cat data)" \
	"$(holdfast reencrypt d2 --destination d2 --derivation-context a --associated-data x --new-derivation-context b <c |
		holdfast decrypt d2 --derivation-context b --associated-data x)"
is "CK4 to other associated data" "$(cat data)" \
	"$(holdfast reencrypt d2 --destination d2 --derivation-context a --associated-data x \
		--new-associated-data y <c | holdfast decrypt d2 --derivation-context a --associated-data y)"
refuse "CK4 the old context must be right" 2 "message authentication failed" \
	holdfast reencrypt d2 --destination plain --derivation-context z --associated-data x c
refuse "CK4 a key that does not encrypt" 2 "not supported for key type ed25519" \
	holdfast reencrypt d2 --destination ed2 --derivation-context a --associated-data x c
refuse "CK4 a destination that is not there" 2 "there is no key nothing" \
	holdfast reencrypt d2 --destination nothing --derivation-context a --associated-data x c
cat >>policy.d/other.hcl <<-'END'
	path "transit/reencrypt/plain" { capabilities = ["update"] }
	path "transit/encrypt/rsa" { capabilities = ["update"] }
	bind { subjects = ["uid:65534"] }
END
holdfast policy reload >/dev/null
holdfast encrypt plain <data >c
chmod 644 c
expect "CK4 who may both does" quiet nobody holdfast reencrypt plain --destination rsa c
refuse "CK4 who may not encrypt there does not" 2 "permission denied" \
	nobody holdfast reencrypt plain --destination hsm c
refuse "CK4 nor learns whether it is there" 2 "permission denied" \
	nobody holdfast reencrypt plain --destination nothing c
refuse "CK4 nor who may not re-encrypt from here" 2 "permission denied" \
	nobody holdfast reencrypt rsa --destination rsa c

# -- T1: every type, level and combination has an answer of its own --
# (GHSA-8w8f-r2xv-4q4j: an RSA key with derived=true brought a service down.)
for type in aes256-gcm96 aes192-gcm96 aes128-gcm96 chacha20-poly1305 ecdsa-p256 ecdsa-p384 ecdsa-p521 ed25519 \
	rsa-2048 rsa-3072 rsa-4096 hmac xchacha20-poly1305 aes128-cmac aes192-cmac aes256-cmac; do
	case $type in
	*gcm96 | *poly1305) derives=yes converges=yes ;;
	ed25519) derives=yes converges=no ;;
	*) derives=no converges=no ;;
	esac
	refuse "T1 $type convergent but not derived" 2 "requires derivation to be enabled" \
		holdfast key create m --type $type --convergent-encryption
	if [ $derives = no ]; then
		refuse "T1 $type derived" 2 "not supported for keys of type $type" \
			holdfast key create m --type $type --derived
		continue
	fi
	expect "T1 $type derived" quiet holdfast key create m-$type --type $type --derived
	if [ $converges = no ]; then
		refuse "T1 $type convergent" 2 "not supported for keys of type $type" \
			holdfast key create m --type $type --derived --convergent-encryption
	fi
	case $type in *chacha20*) continue ;; esac
	refuse "T1 $type derived at level hsm" 2 "derived keys exist at level wrapped only" \
		holdfast key create m --type $type --derived --level hsm
done
refuse "T1 an existing key that is derived" 2 "exists already" holdfast key create m-aes256-gcm96
expect "the audit log of it all is whole" holdfast audit verify audit.log
echo "$checks checks"
