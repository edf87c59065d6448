#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# OpenVPN and strongSwan.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/pkcs11_lib.sh
. "$(dirname "$0")/pkcs11_lib.sh"
# shellcheck source=tests/e2e/recipe.sh
. "$(dirname "$0")/recipe.sh"

start_service
# Theirs is not the only one, and neither the first nor the last.
for name in another zulu; do
	holdfast key create "$name" --type rsa-2048 >/dev/null
	holdfast key self-sign "$name" --subject "CN=$name" >/dev/null
done
recipe vpn "A key with a certificate"
recipe vpn OpenVPN
connected() { grep -q 'Initialization Sequence Completed' "$R/client.log"; }
until_true 15 connected || fail "no connection: $(tail "$R/client.log" "$R/server.log")"
has "the server knows the client" "[client] Peer Connection Initiated" "$R/server.log"
is "by one signature" 1 "$(signatures vpn openvpn)"
stop_server "$R/client.pid"
stop_server "$R/server.pid"

recipe vpn strongSwan
expect "pki makes a request" quiet openssl req -in "$R/client.csr" -noout -verify
expect "and a certificate" quiet openssl verify -CAfile "$R/self.pem" "$R/self.pem"
public_of vpn
expect "for the key in the service" cmp "$T/pub.pem" <(openssl x509 -in "$R/self.pem" -noout -pubkey)
is "with a signature each" 2 "$(signatures vpn pki)"

echo "1..$checks"
