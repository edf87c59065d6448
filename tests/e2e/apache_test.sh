#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Apache httpd: children of another user sign, before and after a graceful
# restart, in which httpd unloads what it had loaded.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/pkcs11_lib.sh
. "$(dirname "$0")/pkcs11_lib.sh"
# shellcheck source=tests/e2e/recipe.sh
. "$(dirname "$0")/recipe.sh"

start_service
recipe apache "Key and certificate"
recipe apache Start
recipe apache "Ask it"
is "answers with TLS 1.3 and 1.2" 2 "$(grep -c '^it works$' "$T/out")"
is "by signatures of www-data" "$(id -u www-data)" "$(
	grep '"op":"p11.sign"' "$T/audit.log" | grep 'exe.*apache2' |
		grep -o '"uid":[0-9]*' | cut -d: -f2 | sort -u
)"
is "one for each handshake" 2 "$(signatures web apache2)"

serial() {
	openssl s_client -connect "127.0.0.1:$PORT" </dev/null 2>/dev/null |
		openssl x509 -noout -serial
}
fetch() {
	curl -sS --cacert "$R/web.pem" "https://localhost:$PORT/index.txt" >"$T/page"
}
old=$(serial)
recipe apache Reload
changed() {
	[ "$(serial)" != "$old" ] && fetch
}
expect "a graceful restart takes the new version of the key" until_true 10 changed
holdfast key disable web --version 1 >/dev/null
expect "which is the one in use" fetch
for i in 1 2 3; do
	apache2 -f "$R/apache.conf" -k graceful
	expect "it answers after graceful restart $i" until_true 10 fetch
done

stop_server "$R/apache.pid"
is "no word of trouble in its log" "" \
	"$(grep -E ':(error|crit|alert|emerg)\]' "$R/error.log" || :)"

echo "1..$checks"
