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

echo "1..$checks"
