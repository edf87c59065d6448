#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Knot DNS makes its keys in the service and signs a zone with them.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/pkcs11_lib.sh
. "$(dirname "$0")/pkcs11_lib.sh"
# shellcheck source=tests/e2e/recipe.sh
. "$(dirname "$0")/recipe.sh"

start_service
recipe knot Configuration
recipe knot Keys
is "keymgr made two keys in the service" 2 "$(holdfast key list | grep -c '^key-')"
has "one of them signs the other" "KSK ECDSAP256SHA256" "$T/out"
recipe knot Sign
is "the zone is signed" 6 "$(awk '$3 == "RRSIG"' "$R/signed/example.zone" | wc -l)"
is "each record by a key of the service" 6 "$(signatures 'key-[^"]*' kzonesign)"
sed -i 's/192\.0\.2\.1/192.0.2.2/' "$R/signed/example.zone"
refuse "a changed zone does not verify" 1 "" \
	kzonecheck -d on -o example.org "$R/signed/example.zone"

id=$(keymgr -c "$R/knot.conf" example.org list | awk '/ ZSK / { print $1 }')
keymgr -c "$R/knot.conf" example.org delete "$id" >/dev/null
is "a key that keymgr deletes is gone" 1 "$(holdfast key list | grep -c '^key-')"

# -- Keys that openssl made, as BIND has them and as PEM --
cd "$R" || fail "$R"
for name in ksk old-zsk; do
	openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out $name.pem
	openssl pkey -in $name.pem -pubout -out "$T/$name.pub"
done
bits() { # of a private key in PEM: "priv" or "pub", in base64
	openssl pkey -in "$1" -text -noout | awk -v want="$2:" '
		/^[a-z]/ { inside = $1 == want; next }
		inside && /^ / { gsub(/[ :]/, ""); printf "%s", $0 }' |
		sed 's/^04\(.\{128\}\)$/\1/' | xxd -r -p | base64 -w0
}
cat >Kexample.org.+013+12345.key <<-END
example.org. 3600 IN DNSKEY 257 3 13 $(bits ksk.pem pub)
END
cat >Kexample.org.+013+12345.private <<-END
Private-key-format: v1.3
Algorithm: 13 (ECDSAP256SHA256)
PrivateKey: $(bits ksk.pem priv)
Created: 20250101000000
Publish: 20250101000000
Activate: 20250101000000
END
before=$(holdfast key list | grep '^key-')
cd "$OLDPWD" || fail "$OLDPWD"
recipe knot "Keys from elsewhere"
mapfile -t new < <(holdfast key list | grep '^key-' | grep -vxF "$before")
is "keymgr brought two keys" 2 "${#new[@]}"
bodies() { grep -hv -- '^-----' "$@" | sort; }
is "and they are those" "$(bodies "$T/ksk.pub" "$T/old-zsk.pub")" "$(
	for key in "${new[@]}"; do
		public_of "$key"
		bodies "$T/pub.pem"
	done | sort
)"
recipe knot Sign
for key in "${new[@]}"; do
	expect "$key signs the zone, which is valid" test "$(signatures "$key" kzonesign)" -ge 1
done

echo "1..$checks"
