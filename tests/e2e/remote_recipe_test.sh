#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# docs/recipes/remote.md, from the certificates to programs.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/pkcs11_lib.sh
. "$(dirname "$0")/pkcs11_lib.sh"
# shellcheck source=tests/e2e/recipe.sh
. "$(dirname "$0")/recipe.sh"

start_service
recipe remote Certificates
stop_daemon
blocks "$SOURCE_DIR/docs/recipes/remote.md" conf | sed "s|/etc/holdfast/tls/|$R/|" >>"$T/keyd.conf"
start_daemon
recipe remote Keys
recipe remote "The command line"
has "the certificate says who it is" web1 "$T/out"
recipe remote "Programs that speak PKCS#11"
is "two tokens" "fleet local" "$(grep -o 'token=[a-z]*$' "$T/out" | cut -d= -f2 | sort | xargs)"
has "the key on the other host" "Label: web1-tls" "$T/out"
has "its request verifies" "Certificate request self-signature verify OK" <(cat "$T/out" "$T/err")
is "asked for by the certificate" web1 "$(grep '"path":"transit/sign/web1-tls"' "$T/audit.log" |
	grep -o '"cert":"[^"]*"' | cut -d'"' -f4 | sort -u)"
cd "$R" || fail "$R"
is "docs/example_tls.c" web1 "$("$E2E/example_tls" 127.0.0.1 "$PORT" keys.example)"
"$E2E/example_tls" 127.0.0.1 "$PORT" >"$T/out" 2>&1 && fail "without the name"
has "which needs the name" "untrusted: " "$T/out"
cp web1.pem keys.pem && mv keys.example.pem web1.pem && mv keys.example.key web1.key
"$E2E/example_tls" 127.0.0.1 "$PORT" keys.example >"$T/out" 2>&1 &&
	fail "the service's certificate serves as a client's"
has "the service's certificate is none of a client" "client_refused: " "$T/out"

echo "1..$checks"
