#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# p11-kit and GnuTLS, as an ordinary user: to root p11-kit shows less.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/pkcs11_lib.sh
. "$(dirname "$0")/pkcs11_lib.sh"
# shellcheck source=tests/e2e/recipe.sh
. "$(dirname "$0")/recipe.sh"

p11-kit() { nobody p11-kit "$@"; }
p11tool() { nobody p11tool "$@"; }
export HOME=$T/p11-kit
start_service
recipe p11-kit "One user's modules"
has "p11-kit lists the module" "holdfast: $module" "$T/out"
has "with its token" "manufacturer: Holdfast" "$T/out"
recipe p11-kit GnuTLS
has "GnuTLS lists the token" "URL: pkcs11:model=keyd;manufacturer=Holdfast" "$T/out"
is "the certificate and both halves of the key" "cert private public" \
	"$(grep -o 'object=mail;type=.*' "$T/out" | cut -d= -f3 | sort | xargs)"
has "and signs" "Signing using RSA-SHA256... ok" <(cat "$T/out" "$T/err")
is "as the user to whom policy allows it" 65534 "$(grep '"path":"transit/sign/mail"' "$T/audit.log" |
	grep -o '"uid":[0-9]*' | cut -d: -f2 | sort -u)"

echo "1..$checks"
