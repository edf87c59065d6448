#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# docs/recipes/nginx.md with the key on another host: a slot over TLS, used by
# a master and by workers of another user, while the service is killed.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/pkcs11_lib.sh
. "$(dirname "$0")/pkcs11_lib.sh"
# shellcheck source=tests/e2e/recipe.sh
. "$(dirname "$0")/recipe.sh"
# shellcheck source=tests/e2e/tls_lib.sh
. "$(dirname "$0")/tls_lib.sh"

authority ca
certificate localhost ca
certificate web1 ca
chmod 600 "$T"/*.key
chgrp www-data "$T/web1.key"
chmod 640 "$T/web1.key"
FAR=$(free_port)
until [ "$FAR" != "$PORT" ] && [ "$FAR" != "$PORT2" ]; do FAR=$(free_port); done
start_service "$(listener far "$FAR" false)"
cat >"$T/policy.d/web1.hcl" <<'END'
path "transit/sign/web" { capabilities = ["update"] }
path "transit/keys/web" { capabilities = ["read"] }
bind { subjects = ["cert:web1"] }
END
quiet holdfast policy reload
cat >"$T/pkcs11.conf" <<END
[first] # which HOLDFAST_SOCKET speaks of
keys = none-of-them
[holdfast]
address = tls+tcp://127.0.0.1:$FAR
tls-ca = $T/ca.pem
tls-certificate = $T/web1.pem
tls-key = $T/web1.key
END
export HOLDFAST_PKCS11_CONFIG=$T/pkcs11.conf

recipe nginx "Key and certificate"
recipe nginx Start
is "answers with TLS 1.3 and 1.2" 2 "$(grep -c '^worker ' "$T/out")"

fetch() { # fetch FILE: a handshake with whichever worker takes it
	curl -sS --cacert "$R/web.pem" "https://localhost:$PORT/" >>"$1"
}
both_answered() {
	fetch "$1"
	[ "$(sort -u "$1" | wc -l)" -ge 2 ]
}
expect "both workers sign" until_true 10 both_answered "$T/workers"
is "each signature is the certificate's" web1 "$(grep '"path":"transit/sign/web"' "$T/audit.log" |
	grep -o '"cert":"[^"]*"' | cut -d'"' -f4 | sort -u)"
for i in $(seq 5); do
	stop_daemon -KILL
	start_daemon
	expect "it goes on after kill $i" fetch "$T/after"
done
# Away while a handshake waits for it.
stop_daemon -KILL
fetch "$T/waited" &
waiting=$!
start_daemon
expect "a handshake waits for a service that comes back" wait "$waiting"
recipe nginx Reload
rm -f "$T/workers"
expect "both workers sign after a reload" until_true 10 both_answered "$T/workers"
stop_server "$R/nginx.pid" -QUIT
is "no word of trouble in its log" "" "$(grep -E '\[(error|crit|alert|emerg)\]' "$R/error.log" || :)"

echo "1..$checks"
