#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# NSS: modutil, certutil, and a client certificate.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/pkcs11_lib.sh
. "$(dirname "$0")/pkcs11_lib.sh"
# shellcheck source=tests/e2e/recipe.sh
. "$(dirname "$0")/recipe.sh"

start_service
recipe nss "A key with a certificate"
recipe nss "Add the module"
has "modutil lists the token" "Token Name: holdfast" "$T/out"
has "certutil lists the certificate, with its key" "holdfast:alice u,u,u" \
	<(tr -s ' ' <"$T/out")
recipe nss "A certificate request"
has "a request for the key" "subject=O = Example, CN = Alice" "$T/out"
has "signed by it" "Certificate request self-signature verify OK" "$T/err"
is "with one signature" 1 "$(signatures alice certutil)"
recipe nss "A client certificate"
has "a server knows the client" "CN = Alice" "$R/s_server.log"
is "by one signature" 1 "$(signatures alice tstclnt)"
stop_server "$R/s_server.pid"

echo "1..$checks"
