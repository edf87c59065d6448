#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# convert.sh FOLDER: makes the files beside it from testvectors_v1 of Wycheproof.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# convert FILE FIELD...: those of a group, then those of a test
convert() {
	local file=$1
	shift
	jq -r --arg fields "$*" '
		($fields | split(" ")) as $names |
		"# \(.algorithm // .type // ""), \(.numberOfTests) tests of Wycheproof",
		(.testGroups[] | . as $g |
			"",
			([$names[] | select($g[.] != null) | "\(.) = \($g[.])"] | .[]),
			($g.tests[] | . as $t |
				"", "# \(.tcId) \(.comment) \(.flags | join(" "))",
				([$names[] | select($t[.] != null) | "\(.) = \($t[.])"] | .[]),
				"result = \(.result)"))' \
		"$folder/${file}_test.json" >"$here/$file.txt"
}

folder=$1
for aead in aes_gcm chacha20_poly1305 xchacha20_poly1305; do
	convert $aead key iv aad msg ct tag
done
convert aes_cmac key msg tag
convert hmac_sha256 key msg tag
convert hkdf_sha256 ikm salt info size okm
convert aes_kwp key msg ct
for curve in 256r1_sha256 256r1_sha256_p1363 384r1_sha384 521r1_sha512; do
	convert ecdsa_secp$curve publicKeyDer msg sig
done
for curve in 256 384 521; do
	convert ecdh_secp${curve}r1_ecpoint public private shared
done
convert ed25519 publicKeyDer msg sig
convert rsa_signature_2048_sha256 publicKeyDer msg sig
convert rsa_pss_2048_sha256_mgf1_32 publicKeyDer msg sig
convert rsa_oaep_2048_sha256_mgf1sha256 privateKeyPkcs8 label msg ct
