#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tls+tcp://: the certificate says who it is. nng's own TLS client works, with
# TLS 1.2 where the listener allows it.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/tls_lib.sh
. "$(dirname "$0")/tls_lib.sh"

# -- An authority, and certificates of it --
authority ca
authority other-ca
certificate localhost ca
certificate alice ca
certificate mallory other-ca
certificate carol ca
certificate late ca 0 # ends the moment it begins
chmod 600 "$T"/*.key
NEW=$(free_port)
OLD=$(free_port)

start_service "$(listener new "$NEW" false)" "$(listener old "$OLD" true)"
cat >"$T/policy.d/alice.hcl" <<'END'
path "transit/encrypt/payments" { capabilities = ["update"] }
path "sys/whoami" { capabilities = ["read"] }
bind { subjects = ["cert:alice"] }
END
quiet holdfast policy reload
holdfast key create payments >/dev/null
encrypt='{"op": "transit.encrypt", "in": {"name": "payments", "plaintext": '"'over the net'"'}}'

# over NAME REQUEST...: nng's client, with the certificate of NAME
over() {
	local name=$1
	shift
	printf '%s\n' "$@" | "$E2E/nng_client" --tls "$T/ca.pem" "$T/$name.pem" \
		"$T/$name.key" "tls+tcp://127.0.0.1:$OLD"
}

# -- nng's own client --
over alice "$encrypt" '{"op": "sys.whoami"}' '{"op": "key.read", "in": {"name": "payments"}}' \
	>"$T/out" 2>"$T/err" || fail "nng: $(cat "$T/err")"
is "nng over TLS gets its replies" "out out err" \
	"$(sed 's/^{"\([a-z]*\)".*/\1/' "$T/out" | tr '\n' ' ' | sed 's/ $//')"
has "the certificate is who it is" '"cert:alice"' "$T/out"
[[ $(head -1 "$T/out") =~ \"ciphertext\":\ h\'([0-9a-f]+)\' ]] || fail "nng over TLS encrypts"
xxd -r -p <<<"${BASH_REMATCH[1]}" >"$T/sealed"
is "what was encrypted over TLS is decrypted here" "over the net" \
	"$(holdfast decrypt payments "$T/sealed")"
is "and may do what policy lets it, no more" permission_denied \
	"$(tail -1 "$T/out" | grep -o permission_denied)"
[[ $(over carol "$encrypt") == *permission_denied* ]] || fail "another certificate"
ok "another certificate may not"
line=$(grep '"type":"refused"' "$T/audit.log" | tail -1)
is "the audit has the certificate" "carol" "$(jq -r .cert <<<"$line")"
is "and its hash" "$(openssl x509 -in "$T/carol.pem" -outform DER | sha256sum | cut -d' ' -f1)" \
	"$(jq -r .cert_sha256 <<<"$line")"

# -- Who has no certificate of the authority gets no answer --
echo "$encrypt" | timeout 20 "$E2E/nng_client" --tls "$T/ca.pem" \
	"tls+tcp://127.0.0.1:$OLD" >"$T/out" 2>&1 && fail "without a certificate"
ok "nng without a certificate is refused"
over mallory "$encrypt" >"$T/out" 2>&1 && fail "a certificate of another authority"
ok "nng with a certificate of another authority is refused"

# s_client NAME PORT [OPTION...]: what openssl says about the connection; the
# hello of the protocol comes only after the handshake of both sides
s_client() {
	local name=$1 port=$2 cert=()
	shift 2
	[ -z "$name" ] || cert=(-cert "$T/$name.pem" -key "$T/$name.key")
	{ printf '\0SP\0\0\060\0\0' && sleep 1; } | timeout 10 openssl s_client \
		-connect "127.0.0.1:$port" -CAfile "$T/ca.pem" "${cert[@]}" "$@" 2>&1 | tr -d '\0' || :
}
s_client alice "$NEW" >"$T/out"
has "TLS 1.3" "TLSv1.3" "$T/out"
has "the daemon's certificate is good" "Verify return code: 0" "$T/out"
has "it says hello" SP1 "$T/out"
s_client alice "$NEW" -tls1_2 >"$T/out"
has "TLS 1.2 is refused where it is not allowed" "alert protocol version" "$T/out"
s_client alice "$OLD" -tls1_2 >"$T/out"
has "and spoken where it is" SP1 "$T/out"
s_client "" "$NEW" >"$T/out"
has "no certificate, no connection" "certificate required" "$T/out"
! grep -q SP1 "$T/out" || fail "it says hello without a certificate"
s_client mallory "$NEW" >"$T/out"
has "a certificate of another authority" "unknown ca" "$T/out"
s_client late "$NEW" >"$T/out"
has "a certificate past its time" "certificate expired" "$T/out"
s_client alice "$OLD" -tls1_1 -cipher ALL:@SECLEVEL=0 >"$T/out"
! grep -q SP1 "$T/out" || fail "TLS 1.1"
ok "TLS 1.1 is refused"

# -- Both faces at once; and plain TCP is no way in --
expect "the Unix socket works beside it" quiet holdfast status
(
	exec 3<>"/dev/tcp/127.0.0.1/$NEW"
	printf '\0SP\0\0\060\0\0' >&3
	timeout 3 cat <&3 2>/dev/null | tr -d '\0' >"$T/out"
) || :
! grep -q SP "$T/out" || fail "plain TCP gets an answer"
ok "plain TCP gets no answer"

# -- Settings that cannot serve are refused at the start --
stop_daemon
chmod 644 "$T/localhost.key"
refuse "a key that others may read" 1 "localhost.key" holdfast-keyd --config "$T/keyd.conf"
chmod 600 "$T/localhost.key"
sed -i 's/localhost.pem/nothing.pem/' "$T/keyd.conf"
refuse "a certificate that is not there" 1 "nothing.pem" holdfast-keyd --config "$T/keyd.conf"
sed -i 's/nothing.pem/alice.pem/' "$T/keyd.conf"
refuse "a certificate of another key" 1 "localhost.key" holdfast-keyd --config "$T/keyd.conf"

expect "the audit log is whole" quiet holdfast audit verify "$T/audit.log"
echo "$checks checks"
