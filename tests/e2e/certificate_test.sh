#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# T27 and T28 of docs/transit.md: certificate requests and certificates of keys,
# judged by plain openssl and seen through the PKCS#11 module.
# Of the clouds' features it shows CK21 and CK22.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/pkcs11_lib.sh
. "$(dirname "$0")/pkcs11_lib.sh"

start_service
cd "$T"

# A root and an intermediate CA, as a company has them.
openssl req -x509 -newkey ed25519 -nodes -keyout root.key -out root.pem -subj /CN=Root -days 30 2>/dev/null
openssl req -newkey ed25519 -nodes -keyout ca.key -out ca.csr -subj /CN=CA 2>/dev/null
printf 'basicConstraints=critical,CA:TRUE\n' >ca.ext
openssl x509 -req -in ca.csr -CA root.pem -CAkey root.key -CAcreateserial -extfile ca.ext \
	-days 30 -out ca.pem 2>/dev/null
printf 'basicConstraints=CA:FALSE\n' >leaf.ext
sign_csr() { # sign_csr FILE: the certificate for it, by the CA
	openssl x509 -req -in "$1" -CA ca.pem -CAkey ca.key -CAcreateserial -extfile leaf.ext \
		-copy_extensions copy -days 30 2>/dev/null
}

for type in ecdsa-p256 ecdsa-p384 ecdsa-p521 ed25519 rsa-2048 rsa-3072 rsa-4096; do
	for level in wrapped hsm; do
		key=$type-$level
		holdfast key create "$key" --type "$type" --level "$level" >/dev/null
		holdfast key csr "$key" --subject 'CN=web.example, O=A\, B und Söhne' \
			--alt-names web.example --alt-names '*.web.example' --alt-names 192.0.2.7 \
			--alt-names 2001:db8::1 >csr.pem
		expect "T27 $key: openssl accepts the request" quiet openssl req -in csr.pem -verify -noout 2>/dev/null
		is "T27 $key: the subject" "subject=CN = web.example, O = \"A, B und Söhne\"" \
			"$(openssl req -in csr.pem -noout -subject -nameopt oneline,utf8,-esc_msb)"
		is "T27 $key: the public key" "$(json '.keys[0].public_key' holdfast key show "$key")" \
			"$(openssl req -in csr.pem -noout -pubkey)"
		openssl req -in csr.pem -noout -text | grep -q \
			'DNS:web.example, DNS:\*.web.example, IP Address:192.0.2.7, IP Address:2001:DB8:0:0:0:0:0:1' ||
			fail "T27 $key: alternative names"
		sign_csr csr.pem >leaf.pem
		cat leaf.pem ca.pem root.pem >chain.pem
		holdfast key set-certificate "$key" chain.pem >/dev/null
		json '.keys[0].certificate_chain' holdfast key show "$key" >shown.pem
		is "T28 $key: the chain is shown" "$(grep -v '^$' chain.pem)" "$(grep -v '^$' shown.pem)"
	done
done

# -- The request --
is "T27 without a subject it is the key's name" "subject=CN = ed25519-hsm" \
	"$(holdfast key csr ed25519-hsm | openssl req -noout -subject)"
openssl req -new -key ca.key -subj '/C=DE/CN=from a template' -addext 'subjectAltName=DNS:t.example' \
	-out template.pem
openssl req -in template.pem -outform DER -out template.der
for form in pem der; do
	holdfast key csr ecdsa-p256-hsm --csr @template.$form >csr.pem
	expect "T27 from a template in $form" quiet openssl req -in csr.pem -verify -noout 2>/dev/null
	is "T27 with its subject" "subject=C = DE, CN = from a template" \
		"$(openssl req -in csr.pem -noout -subject)"
	openssl req -in csr.pem -noout -text | grep -q DNS:t.example || fail "T27 and its extensions"
	is "T27 but the key's public key" \
		"$(json '.keys[0].public_key' holdfast key show ecdsa-p256-hsm)" \
		"$(openssl req -in csr.pem -noout -pubkey)"
done
refuse "T27 a template that is none" 2 "it is not a certificate request" \
	holdfast key csr ed25519-hsm --csr rubbish
refuse "T27 a template and a subject" 2 "subject and alt_names are those in it" \
	holdfast key csr ed25519-hsm --csr @template.pem --subject CN=x
for subject in web =web CN= 'CN=a,' ',' 'NO-SUCH=x' 'CN=a,,O=b' "CN=$(printf 'x%.0s' $(seq 300))" "C=DEU"; do
	refuse "T27 the subject '${subject:0:20}'" 2 "subject" \
		holdfast key csr ed25519-hsm --subject "$subject"
done
for name in 'a b' 'a/b' "$(printf 'x%.0s' $(seq 254))" 'ä.example' '300.1.1.1:80' ''; do
	refuse "T27 the alternative name '${name:0:20}'" 2 "alt_names" \
		holdfast key csr ed25519-hsm --alt-names "$name"
done
holdfast key create aes >/dev/null
refuse "T27 a key that does not sign" 2 "keys of type aes256-gcm96 have no certificates" \
	holdfast key csr aes
refuse "T27 missing key" 2 "key not found" holdfast key csr nothing
refuse "T27 a version that is not there" 2 "higher than the latest" \
	holdfast key csr ed25519-hsm --version 9

# -- The checks on a chain --
key=ecdsa-p256-wrapped
holdfast key csr $key >csr.pem
sign_csr csr.pem >leaf.pem
holdfast key csr ecdsa-p256-hsm | sign_csr /dev/stdin >other.pem
bad() { # bad NAME TEXT CHAIN...: refused with TEXT
	local name=$1 text=$2
	shift 2
	cat "$@" >bad.pem
	refuse "T28 $name" 2 "$text" holdfast key set-certificate $key bad.pem
}
bad "the leaf of another key" "does not match the key version selected" other.pem ca.pem root.pem
bad "the CA first" "certificate in the first position is not a leaf certificate" ca.pem leaf.pem
bad "two leaves" "contains more than one leaf certificate" leaf.pem other.pem
bad "CAs out of order" "certificates are not in order" leaf.pem root.pem ca.pem
bad "a CA too few between" "certificates are not in order" leaf.pem root.pem
bad "no certificate" "expected at least one certificate" ca.ext
bad "a private key among them" "there is a 'PRIVATE KEY' in it" leaf.pem ca.key
for ((i = 0; i < 40; i++)); do cat ca.pem; done >many.pem
bad "too many" "certificate" leaf.pem many.pem
sed '5d' leaf.pem >damaged.pem
bad "a damaged one" "certificate" damaged.pem
openssl req -x509 -newkey ed25519 -nodes -keyout x.key -out x.pem -subj /CN=CA 2>/dev/null
bad "a CA of the right name that did not sign" "certificates are not in order" leaf.pem x.pem
refuse "T28 a key without a public half" 2 "keys of type aes256-gcm96 have no certificates" \
	holdfast key set-certificate aes leaf.pem
expect "T28 the leaf alone" quiet holdfast key set-certificate $key leaf.pem
expect "T28 several keys can share a CA, and a chain be replaced" quiet \
	holdfast key set-certificate ecdsa-p256-hsm other.pem
holdfast key rotate $key >/dev/null
is "T28 a new version has no certificate" null "$(json '.keys[1].certificate_chain' holdfast key show $key)"
refuse "T28 the new version, by default, is another key" 2 "does not match the key version" \
	holdfast key set-certificate $key leaf.pem
expect "T28 the old one by its number" quiet holdfast key set-certificate $key --version 1 leaf.pem
refuse "T28 a version that is not there" 2 "has no version 9" \
	holdfast key set-certificate $key --version 9 leaf.pem

# -- Certificates by the key itself --
for key in ecdsa-p{256,384,521}-{wrapped,hsm} ed25519-{wrapped,hsm} rsa-2048-{wrapped,hsm}; do
	json '.keys[-1].certificate_chain' holdfast key self-sign "$key" --subject "CN=$key" \
		--alt-names localhost --days 10 >self.pem
	expect "self-sign $key: openssl trusts it as itself" quiet openssl verify -check_ss_sig \
		-CAfile self.pem self.pem
	openssl x509 -in self.pem -noout -text | grep -q "CA:FALSE" || fail "$key is a CA"
	expect "self-sign $key: for ten days" openssl x509 -in self.pem -noout -checkend 863000 >/dev/null
	refuse "self-sign $key: and no longer" 1 "" quiet openssl x509 -in self.pem -noout -checkend 865000
	openssl x509 -in self.pem -noout -checkhost localhost | grep -q "does match" || fail "$key: name"
done

# -- Through PKCS#11, at once and after a restart --
is "PKCS#11 shows the certificate" "subject=CN = ed25519-hsm" "$(
	host pkcs11-tool --module "$module" -r -y cert --label ed25519-hsm 2>/dev/null |
		openssl x509 -inform DER -noout -subject)"
stop_daemon
start_daemon
is "and so it does after a restart" "subject=CN = rsa-2048-hsm" "$(
	host pkcs11-tool --module "$module" -r -y cert --label rsa-2048-hsm 2>/dev/null |
		openssl x509 -inform DER -noout -subject)"
is "the chain of rsa-4096-hsm too" 3 \
	"$(json '.keys[0].certificate_chain' holdfast key show rsa-4096-hsm | grep -c BEGIN)"
expect "the audit log of it all is whole" holdfast audit verify "$T/audit.log"
echo "$checks checks"
