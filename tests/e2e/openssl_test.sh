#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# OpenSSL through its engine, and curl, which uses that.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/pkcs11_lib.sh
. "$(dirname "$0")/pkcs11_lib.sh"
# shellcheck source=tests/e2e/recipe.sh
. "$(dirname "$0")/recipe.sh"

listens() {
	(: <"/dev/tcp/127.0.0.1/$PORT") 2>/dev/null
}

start_service
recipe openssl "A certificate authority"
has "a certificate by the authority's key" "tls.pem: OK" "$T/out"
public_of tls
expect "for the key in the service" cmp "$T/pub.pem" \
	<(openssl x509 -in "$R/tls.pem" -noout -pubkey)

recipe openssl "A TLS server"
until_true 10 listens || fail "no server: $(cat "$R/s_server.log")"
recipe openssl "Its clients"
for version in 1.2 1.3; do
	has "a handshake of TLS $version" "Protocol version: TLSv$version" "$T/err"
done
is "each with one signature" 3 "$(signatures tls openssl)" # one for the request
stop_server "$R/s_server.pid"

recipe openssl "Signed and encrypted mail"
has "a message signed with the key verifies" "CMS Verification successful" "$T/err"
is "that and the decrypted one are what went in" 2 \
	"$(grep -c 'four score and seven' "$T/out")"

recipe curl "Key and certificate"
recipe curl "A server that asks for it"
until_true 10 listens || fail "no server: $(cat "$R/s_server.log")"
refuse "curl without a certificate gets nothing" 56 "" \
	curl -sS --cacert "$R/server.pem" "https://localhost:$PORT/"
recipe curl "Ask it"
has "with it, the page" "s_server" "$T/out"
is "signed with the key in the service" 1 "$(signatures client curl)"
stop_server "$R/s_server.pid"

echo "1..$checks"
