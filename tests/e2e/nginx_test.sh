#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# nginx: two workers of another user sign, before and after a reload.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/pkcs11_lib.sh
. "$(dirname "$0")/pkcs11_lib.sh"
# shellcheck source=tests/e2e/recipe.sh
. "$(dirname "$0")/recipe.sh"

start_service
recipe nginx "Key and certificate"
recipe nginx Start
is "answers with TLS 1.3 and 1.2" 2 "$(grep -c '^worker ' "$T/out")"

# fetch FILE: a handshake with whichever worker takes it
fetch() {
	curl -sS --cacert "$R/web.pem" "https://localhost:$PORT/" >>"$1"
}

both_answered() {
	fetch "$T/workers"
	[ "$(sort -u "$T/workers" | wc -l)" -ge 2 ]
}
expect "both workers sign" until_true 10 both_answered
is "as www-data" "$(id -u www-data)" "$(grep '"op":"p11.sign"' "$T/audit.log" |
	grep 'exe.*nginx' | grep -o '"uid":[0-9]*' | cut -d: -f2 | sort -u)"
for i in $(seq 20); do fetch "$T/more"; done
is "a handshake costs one request" "$(($(cat "$T/workers" "$T/more" | wc -l) + 2))" \
	"$(signatures web nginx)"

serial() {
	openssl s_client -connect "127.0.0.1:$PORT" </dev/null 2>/dev/null |
		openssl x509 -noout -serial
}
old=$(serial)
recipe nginx Reload
changed() {
	[ "$(serial)" != "$old" ] && fetch "$T/after"
}
expect "a reload takes the new version of the key" until_true 10 changed
holdfast key disable web --version 1 >/dev/null
expect "which is the one in use" fetch "$T/after"

stop_server "$R/nginx.pid" -QUIT
is "no word of trouble in its log" "" "$(grep -E '\[(error|crit|alert|emerg)\]' "$R/error.log" || :)"

echo "1..$checks"
