#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# T9 to T11 of docs/transit.md: keys from outside. What Vault would have made
# with a key is made here with plain openssl, and must open and verify once
# the key is imported; and the other way round.
# Of the clouds' features it shows CK8.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

start_service
cd "$T"
printf 'four score and seven' >data

vault() { # vault FILE: the text form of version 1
	printf 'vault:v1:%s' "$(base64 -w0 "$1")"
}

# -- T9: the wrapping key --
holdfast key wrapping-key >wrapping.pem
is "T9 it is RSA-4096" "Public-Key: (4096 bit)" "$(openssl pkey -pubin -in wrapping.pem -text -noout | head -1)"
holdfast key wrapping-key >again.pem
expect "T9 and stays the same" cmp wrapping.pem again.pem

# -- T10: every type and level, by the command line --
head -c 32 /dev/urandom >raw32
head -c 16 /dev/urandom >raw16
head -c 24 /dev/urandom >raw24
head -c 100 /dev/urandom >raw100
for bits in 2048 3072 4096; do
	openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:$bits -out rsa-$bits.pem 2>/dev/null
done
for bits in 256 384 521; do
	openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-$bits -out ecdsa-p$bits.pem
done
openssl genpkey -algorithm ED25519 -out ed25519.pem
openssl rsa -in rsa-2048.pem -traditional -out rsa-2048.pkcs1 2>/dev/null
openssl ec -in ecdsa-p256.pem -out ecdsa-p256.sec1 2>/dev/null
openssl pkcs8 -topk8 -nocrypt -in ecdsa-p384.pem -outform DER -out ecdsa-p384.der

import() { # import TYPE FILE
	local level
	for level in wrapped hsm; do
		[ "$1-$level" = chacha20-poly1305-hsm ] && continue
		is "T10 $2 as $1 at level $level" "true $level" \
			"$(json '"\(.imported_key) \(.keys[0].level)"' \
				holdfast key import "$2-$level" "$2" --type "$1" --level "$level")"
	done
}
import aes256-gcm96 raw32
import aes192-gcm96 raw24
import aes128-gcm96 raw16
holdfast key import chacha raw32 --type chacha20-poly1305 >/dev/null
import hmac raw100
import rsa-2048 rsa-2048.pem
import rsa-2048 rsa-2048.pkcs1
import rsa-3072 rsa-3072.pem
import rsa-4096 rsa-4096.pem
import ecdsa-p256 ecdsa-p256.pem
import ecdsa-p256 ecdsa-p256.sec1
import ecdsa-p384 ecdsa-p384.der
import ecdsa-p521 ecdsa-p521.pem
import ed25519 ed25519.pem

# A key that is not raw says itself of what type it is.
while read -r type file; do
	is "T10 $file without a type" "$type" "$(json .type holdfast key import "told-$file" "$file")"
done <<-END
	rsa-3072 rsa-3072.pem
	rsa-2048 rsa-2048.pkcs1
	ecdsa-p256 ecdsa-p256.sec1
	ecdsa-p384 ecdsa-p384.der
	ecdsa-p521 ecdsa-p521.pem
	ed25519 ed25519.pem
END
openssl pkey -in ecdsa-p384.der -inform DER -pubout -out told.pub
is "T10 a public key without a type" ecdsa-p384 "$(json .type holdfast key import told-public told.pub)"

# -- What an imported key is good for --
# FM2 with AES-256-GCM, which the openssl program has not: by its library.
/usr/bin/python3 - raw32 data gcm chacha <<-'END'
	import os, sys
	from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
	key, data = open(sys.argv[1], "rb").read(), open(sys.argv[2], "rb").read()
	nonce = os.urandom(12)
	open(sys.argv[3], "wb").write(nonce + AESGCM(key).encrypt(nonce, data, None))
	open(sys.argv[4], "wb").write(nonce + ChaCha20Poly1305(key).encrypt(nonce, data, None))
END
vault gcm >c
for level in wrapped hsm; do
	is "FM2 Vault's ciphertext opens at level $level" "$(cat data)" \
		"$(holdfast decrypt raw32-$level <c)"
done
vault chacha >c
is "FM2 ChaCha20-Poly1305" "$(cat data)" "$(holdfast decrypt chacha <c)"
openssl dgst -sha256 -mac HMAC -macopt "hexkey:$(xxd -p -c200 raw100)" -binary data >mac
for level in wrapped hsm; do
	expect "FM8 Vault's HMAC verifies at level $level" quiet holdfast verify raw100-$level \
		--hmac "$(vault mac)" data
	is "FM8 and the same comes out" "$(vault mac)" "$(holdfast hmac raw100-$level <data)"
done
for bits in 2048 3072 4096; do
	openssl pkeyutl -encrypt -inkey rsa-$bits.pem -in data -out block \
		-pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256
	vault block >c
	openssl dgst -sha256 -sign rsa-$bits.pem -out sig data
	openssl dgst -sha256 -sign rsa-$bits.pem -sigopt rsa_padding_mode:pss \
		-sigopt rsa_pss_saltlen:max -out pss data
	for level in wrapped hsm; do
		key=rsa-$bits.pem-$level
		is "FM3 $key" "$(cat data)" "$(holdfast decrypt "$key" <c)"
		expect "FM6 $key pkcs1v15" quiet holdfast verify "$key" --signature-algorithm pkcs1v15 \
			--signature "$(vault sig)" data
		expect "FM6 $key pss" quiet holdfast verify "$key" --signature "$(vault pss)" data
		is "FM6 $key signs the same" "$(vault sig)" \
			"$(holdfast sign "$key" --signature-algorithm pkcs1v15 <data)"
	done
done
for key in ecdsa-p256.pem ecdsa-p256.sec1 ecdsa-p384.der ecdsa-p521.pem; do
	openssl dgst -sha256 -sign $key -out sig data
	openssl pkey -in $key -pubout -out pub.pem
	for level in wrapped hsm; do
		expect "FM6 $key at level $level verifies" quiet holdfast verify $key-$level \
			--signature "$(vault sig)" data
		holdfast sign $key-$level <data | cut -d: -f3 | base64 -d >ours
		expect "FM6 $key at level $level signs" quiet openssl dgst -sha256 -verify pub.pem \
			-signature ours data
	done
done
openssl pkeyutl -sign -inkey ed25519.pem -rawin -in data -out sig
for level in wrapped hsm; do
	is "FM6 ed25519 at level $level is deterministic" "$(vault sig)" \
		"$(holdfast sign ed25519.pem-$level <data)"
	expect "FM6 ed25519 at level $level verifies" quiet holdfast verify ed25519.pem-$level \
		--signature "$(vault sig)" data
done
stop_daemon
start_daemon
vault gcm >c
for level in wrapped hsm; do
	is "a restart keeps them, level $level" "$(cat data)" "$(holdfast decrypt raw32-$level <c)"
	is "and the resident ones, level $level" "$(vault sig)" "$(holdfast sign ed25519.pem-$level <data)"
done

# -- FM9: the blob as others make it, with every hash of OAEP --
/usr/bin/python3 - "$SOURCE_DIR" <<-'END'
	import os, sys
	from cryptography.hazmat.primitives import hashes, serialization
	from cryptography.hazmat.primitives.asymmetric import padding
	from cryptography.hazmat.primitives.keywrap import aes_key_wrap_with_padding
	wrapping = serialization.load_pem_public_key(open("wrapping.pem", "rb").read())
	target = open("raw32", "rb").read()
	def blob(name, h, kek, target):
	    pad = padding.OAEP(padding.MGF1(h), h, None)
	    open(name, "wb").write(wrapping.encrypt(kek, pad) + aes_key_wrap_with_padding(kek, target))
	for h in (hashes.SHA1, hashes.SHA224, hashes.SHA256, hashes.SHA384, hashes.SHA512):
	    blob("blob." + h.__name__, h(), os.urandom(32), target)
	blob("blob.kek16", hashes.SHA256(), os.urandom(16), target)
	blob("blob.short", hashes.SHA256(), os.urandom(32), target[:31])
	blob("blob.empty", hashes.SHA256(), os.urandom(32), b"\0")
	blob("blob.der", hashes.SHA256(), os.urandom(32), open("ecdsa-p384.der", "rb").read())
END
cat >call.py <<-'END'
	# One request by its CBOR, with nothing of ours: key.import of a blob.
	import subprocess, sys
	def head(major, n):
	    for info, size in ((24, 1), (25, 2), (26, 4)):
	        if n < 24: return bytes([major << 5 | n])
	        if n < 1 << 8 * size: return bytes([major << 5 | info]) + n.to_bytes(size, "big")
	def enc(v):
	    if isinstance(v, bool): return b"\xf5" if v else b"\xf4"
	    if isinstance(v, int): return head(0, v)
	    if isinstance(v, bytes): return head(2, len(v)) + v
	    if isinstance(v, str): return head(3, len(v.encode())) + v.encode()
	    return head(5, len(v)) + b"".join(enc(k) + enc(x) for k, x in v.items())
	op, path, fields = sys.argv[1], sys.argv[2], dict(a.split("=", 1) for a in sys.argv[3:])
	fields = {k: int(v) if v.isdigit() else open(v[1:], "rb").read() if v[:1] == "@" else v
	          for k, v in fields.items()}
	if path != "-":
	    fields["ciphertext"] = open(path, "rb").read()
	import socket
	s = socket.socket(socket.AF_UNIX)
	import os
	s.connect(os.environ["HOLDFAST_SOCKET"])
	s.sendall(b"\0SP\0\0\x30\0\0")
	body = b"\x80\0\0\1" + enc({"op": op, "in": fields})
	s.sendall(b"\1" + len(body).to_bytes(8, "big") + body)
	data = b""
	def need(n):
	    global data
	    while len(data) < n:
	        more = s.recv(65536)
	        if not more: sys.exit("closed")
	        data += more
	need(17)
	size = int.from_bytes(data[9:17], "big")
	need(17 + size)
	reply = data[21:17 + size]
	ok = reply.startswith(b"\xa1\x63out")
	sys.stderr.write("".join(chr(c) if 32 <= c < 127 else "." for c in reply) + "\n")
	sys.exit(0 if ok else 2)
END
call() {
	/usr/bin/python3 call.py "$@"
}
for hash in SHA1 SHA224 SHA256 SHA384 SHA512; do
	expect "FM9 $hash" quiet call key.import blob.$hash name=b-$hash type=aes256-gcm96 \
		hash_function=$hash 2>/dev/null
	is "FM9 $hash opens" "$(cat data)" "$(holdfast decrypt b-$hash <c)"
done
expect "FM9 PKCS#8" quiet call key.import blob.der name=b-der type=ecdsa-p384 2>/dev/null
refuse "FM9 another hash than was said" 2 "not wrapped for this service" \
	call key.import blob.SHA1 name=x type=aes256-gcm96
refuse "FM9 an AES-128 key between" 2 "not wrapped for this service" \
	call key.import blob.kek16 name=x type=aes256-gcm96
refuse "FM9 a key of another size" 2 "has 32 bytes, this one has 31" \
	call key.import blob.short name=x type=aes256-gcm96
refuse "FM9 a key of another type" 2 "is not the PKCS#8 DER of a key of type ecdsa-p256" \
	call key.import blob.der name=x type=ecdsa-p256
refuse "FM9 a byte for an hmac key" 2 "has 32 to 512 bytes, this one has 1" \
	call key.import blob.empty name=x type=hmac
for cut in 0 1 511 512 520 551; do
	head -c $cut blob.SHA256 >blob.cut
	refuse "FM9 cut after $cut bytes" 2 "" call key.import blob.cut name=x type=aes256-gcm96
done
for at in 3 511 512 551; do
	cp blob.SHA256 blob.bad
	dd if=/dev/urandom of=blob.bad bs=1 count=1 seek=$at conv=notrunc status=none
	cmp -s blob.SHA256 blob.bad && continue # one time in 256
	refuse "FM9 changed at $at" 2 "not wrapped for this service" \
		call key.import blob.bad name=x type=aes256-gcm96
done
refuse "T10 neither key" 2 "provide one of 'ciphertext' or 'public_key'" \
	call key.import - name=x type=aes256-gcm96
refuse "T10 both keys" 2 "provide one of 'ciphertext' or 'public_key'" \
	call key.import blob.SHA256 name=x type=aes256-gcm96 public_key=x
refuse "T10 a name that is taken" 2 "cannot be used with an existing key" \
	call key.import blob.SHA256 name=b-SHA1 type=aes256-gcm96
refuse "T10 unknown hash" 2 "must be one of" \
	call key.import blob.SHA256 name=x hash_function=MD5
refuse "T10 an encrypted file" 1 "not encrypted" holdfast key import x \
	<(openssl pkcs8 -topk8 -in ed25519.pem -passout pass:x) --type ed25519
refuse "T10 level hsm of what no HSM has" 2 "level wrapped only" \
	holdfast key import x raw32 --type chacha20-poly1305 --level hsm
refuse "T10 exportable at level hsm" 2 "never leaves the HSM" \
	holdfast key import x raw32 --level hsm --exportable
refuse "nothing was made of all that" 2 "key not found" holdfast key show x

# -- Public halves alone --
openssl pkey -in ecdsa-p256.pem -pubout -out ec.pub
openssl pkey -in rsa-2048.pem -pubout -out rsa.pub
holdfast key import pub-ec ec.pub --type ecdsa-p256 >/dev/null
holdfast key import pub-rsa rsa.pub --type rsa-2048 >/dev/null
openssl dgst -sha256 -sign ecdsa-p256.pem -out sig data
expect "T10 a public key verifies" quiet holdfast verify pub-ec --signature "$(vault sig)" data
refuse "T10 but does not sign" 2 "does not contain a private part" holdfast sign pub-ec data
is "T10 a public RSA key encrypts" "$(cat data)" \
	"$(holdfast encrypt pub-rsa <data | holdfast decrypt rsa-2048.pem-hsm)"
holdfast encrypt pub-rsa <data >c
refuse "T10 but does not decrypt" 2 "does not contain a private part" holdfast decrypt pub-rsa c
refuse "T10 no public half of symmetric keys" 2 "have no public half" \
	holdfast key import x ec.pub --type aes256-gcm96
refuse "T10 a public key of another type" 2 "is not the PEM of a key of type ecdsa-p384" \
	holdfast key import x ec.pub --type ecdsa-p384

# -- T11: versions --
refuse "T11 the wrong private half" 2 "does not belong to the public key of version 1" \
	holdfast key import-version pub-rsa <(openssl genpkey -algorithm RSA 2>/dev/null) --version 1
is "T11 the private half completes a version" 1 \
	"$(json .latest_version holdfast key import-version pub-rsa rsa-2048.pem --version 1)"
is "T11 and now it decrypts" "$(cat data)" "$(holdfast decrypt pub-rsa <c)"
refuse "T11 once" 2 "has its private half already" \
	holdfast key import-version pub-rsa rsa-2048.pem --version 1
refuse "T11 a version that is not there" 2 "has no version 7" \
	holdfast key import-version pub-rsa rsa-2048.pem --version 7
head -c 32 /dev/urandom >raw32b
for level in wrapped hsm; do
	is "T11 a new version, level $level" 2 \
		"$(json .latest_version holdfast key import-version raw32-$level raw32b)"
	vault gcm >c
	is "T11 the old one still opens" "$(cat data)" "$(holdfast decrypt raw32-$level <c)"
	holdfast encrypt raw32-$level <data >c2
	is "T11 the new one is in use" vault:v2 "$(cut -d: -f1,2 c2)"
	cut -d: -f3 c2 | base64 -d >body
	is "T11 and is what was brought" "$(cat data)" "$(/usr/bin/python3 -c "
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
b = open('body', 'rb').read()
print(AESGCM(open('raw32b', 'rb').read()).decrypt(b[:12], b[12:], None).decode())")"
done
holdfast alias set raw32-alias raw32-wrapped >/dev/null
is "T11 through an alias" 3 \
	"$(json .latest_version holdfast key import-version raw32-alias raw32)"
refuse "T11 a version of another size" 2 "has 32 bytes, this one has 16" \
	holdfast key import-version raw32-wrapped raw16
holdfast key create born >/dev/null
refuse "T11 only of imported keys" 2 "can only be used with an imported key" \
	holdfast key import-version born raw32
refuse "T6 no rotation unless allowed" 2 "does not allow rotation" holdfast key rotate raw32-wrapped
is "T6 allowed" 2 "$(holdfast key import turns raw32 --allow-rotation >/dev/null &&
	json .latest_version holdfast key rotate turns)"
refuse "T11 not after a rotation" 2 "can only be used with an imported key" \
	holdfast key import-version turns raw32

# -- The key for hmac of other types: Vault exports it as hmac-key --
openssl dgst -sha256 -mac HMAC -macopt "hexkey:$(xxd -p -c200 raw32)" -binary data >mac
for level in wrapped hsm; do
	expect "FM8 hmac_ciphertext at level $level" quiet call key.import blob.der name=mac-$level \
		type=ecdsa-p384 level=$level hmac_ciphertext=@blob.SHA256 2>/dev/null
	is "FM8 the MAC of an ecdsa key at level $level" "$(vault mac)" "$(holdfast hmac mac-$level <data)"
done
refuse "FM8 an hmac key has no other" 2 "a key of type hmac has no other" \
	call key.import blob.SHA256 name=x type=hmac hmac_ciphertext=@blob.SHA256
refuse "FM8 of another size" 2 "the key for hmac has 32 bytes, this one has 31" \
	call key.import blob.SHA256 name=x hmac_ciphertext=@blob.short

expect "no key in clear in the store or the logs" test -z \
	"$(grep -rlF "$(xxd -p -c200 raw32 | head -c 40)" "$T/audit.log" "$T/keyd.log" || true)"
expect "the audit log of it all is whole" holdfast audit verify "$T/audit.log"
echo "$checks checks"
