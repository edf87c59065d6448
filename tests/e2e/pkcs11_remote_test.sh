#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The module with a slot on another host, beside one on this: the same programs
# do the same, forks and restarts included; what does not serve is an error
# with its reason, never an empty token and never a hang.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/pkcs11_lib.sh
. "$(dirname "$0")/pkcs11_lib.sh"
# shellcheck source=tests/e2e/tls_lib.sh
. "$(dirname "$0")/tls_lib.sh"

authority ca
authority other-ca
certificate localhost ca
certificate web1 ca
certificate stranger ca
certificate mallory other-ca
certificate late ca 0 # ends the moment it begins
chmod 600 "$T"/*.key
PORT=$(free_port)
REMOTE=tls+tcp://127.0.0.1:$PORT
start_service "$(listener far "$PORT" false)"
for key in near far; do
	holdfast key create "$key" --type ecdsa-p256 >/dev/null
done
holdfast key create far-rsa --type rsa-2048 >/dev/null
# Our own user may do all; web1 has what a PKCS#11 user needs.
cat >"$T/policy.d/web1.hcl" <<'END'
path "transit/sign/far*" { capabilities = ["update"] }
path "transit/keys/far*" { capabilities = ["read"] }
bind { subjects = ["cert:web1"] }
END
quiet holdfast policy reload

# config [SETTING...]: two slots; what is given stands in the one over TLS
config() {
	cat >"$T/pkcs11.conf" <<-END
	timeout = 4
	patience = 4
	tls-ca = $T/ca.pem
	tls-certificate = $T/web1.pem
	tls-key = $T/web1.key
	[there]
	address = $REMOTE
	$(printf '%s\n' "$@")
	[here]
	socket = $HOLDFAST_SOCKET
	END
}
config
near=$HOLDFAST_SOCKET
export HOLDFAST_PKCS11_CONFIG=$T/pkcs11.conf
# What speaks of the first slot for the module names the daemon for the tools.
run() { env -u HOLDFAST_SOCKET "$@"; }
there() { run "${preload[@]}" pkcs11-tool --module "$module" --token-label there "$@" 2>"$T/err" ||
	fail "pkcs11-tool $*: $(cat "$T/err")"; }

# -- Programs --
run "${preload[@]}" pkcs11-tool --module "$module" -L >"$T/out"
is "two tokens with labels of their own" "there here" \
	"$(sed -n 's/.*token label *: //p' "$T/out" | xargs)"
there -O --type privkey >"$T/out"
is "what policy shows to the certificate" "far far-rsa" \
	"$(sed -n 's/.*label: *//p' "$T/out" | sort | xargs)"
run "${preload[@]}" pkcs11-tool --module "$module" --token-label here -O --type privkey >"$T/out"
is "and here to the user" "far far-rsa near" "$(sed -n 's/.*label: *//p' "$T/out" | sort | xargs)"

printf 'data to sign' >"$T/data"
id=$(there -O --type pubkey | awk '$1 == "label:" { f = $2 == "far" } $1 == "ID:" && f { print $2; exit }')
there --sign -m ECDSA-SHA256 --signature-format openssl --id "$id" -i "$T/data" -o "$T/sig"
public_of far
expect "openssl verifies what pkcs11-tool signed there" quiet \
	openssl dgst -sha256 -verify "$T/pub.pem" -signature "$T/sig" "$T/data"
is "the audit has the certificate" web1 \
	"$(grep '"path":"transit/sign/far"' "$T/audit.log" | grep -o '"cert":"[^"]*"' | head -1 | cut -d'"' -f4)"

# GnuTLS is host and library at once here. (Not with AddressSanitizer: below its
# run time p11tool, by itself already, leaves a lock of glibc's in a state in
# which its exit may hang.)
if [ "${#preload[@]}" = 0 ]; then
	gnutls() { run p11tool --provider "$module" "$@"; }
	gnutls --list-tokens >"$T/out" 2>"$T/err" || fail "p11tool: $(cat "$T/err")"
	is "p11tool lists both tokens" 2 "$(grep -c '^.*URL: .*manufacturer=Holdfast' "$T/out")"
	gnutls --list-all 'pkcs11:token=there' >"$T/out" 2>"$T/err" || fail "p11tool: $(cat "$T/err")"
	is "and what is on the one over TLS" "far far far-rsa far-rsa" \
		"$(sed -n 's/.*Label: //p' "$T/out" | sort | xargs)"
	gnutls --test-sign 'pkcs11:token=there;object=far-rsa;type=private' >"$T/out" 2>&1 || fail "p11tool: $(cat "$T/out")"
	has "and signs there" "Signing using RSA-SHA256... ok" "$T/out"
fi

export PKCS11_MODULE_PATH=$module
run "${preload[@]}" openssl req -new -engine pkcs11 -keyform engine \
	-key 'pkcs11:token=there;object=far;type=private' -subj /CN=far -out "$T/far.csr" \
	>"$T/out" 2>&1 || fail "openssl req: $(cat "$T/out")"
expect "a request by OpenSSL's engine verifies" quiet openssl req -in "$T/far.csr" -verify -noout

# -- A PIN of the certificate --
sum=$(openssl x509 -in "$T/web1.pem" -outform DER | sha256sum | cut -d' ' -f1)
printf '4321\n' >"$T/user.pin"
holdfast pin set "$sum" "$T/user.pin" >/dev/null
config "login = pin"
pinned() {
	run "${preload[@]}" pkcs11-tool --module "$module" --token-label there --login "$@" \
		--sign -m ECDSA-SHA256 --id "$id" -i "$T/data" -o "$T/sig"
}
refuse "a wrong PIN" 1 CKR_PIN_INCORRECT pinned --pin 1111
expect "the PIN of the certificate" quiet pinned --pin 4321
holdfast pin remove "$sum" >/dev/null
config

# -- Only who uses TLS loads it --
if [ "${#preload[@]}" = 0 ]; then
	libraries() { # libraries PROGRAM...: those that it loads
		env -u HOLDFAST_SOCKET LD_DEBUG=files "$@" 2>&1 >/dev/null |
			sed -n 's/.*file=\([^ ]*\) .*generating link map.*/\1/p'
	}
	! ldd "$module" | grep -E 'gnutls|libssl|libcrypto' || fail "the module links a TLS library"
	ok "the module links no TLS library"
	libraries "$BUILD_DIR/tests/load_prog" "$module" far exit >"$T/out"
	has "a slot that is used over TLS loads it" holdfast-tls.so "$T/out"
	! grep -E 'libssl|libcrypto' "$T/out" || fail "it loads OpenSSL"
	ok "and no OpenSSL"
	libraries pkcs11-tool --module "$module" -L >"$T/out"
	! grep -E 'gnutls|holdfast-tls' "$T/out" || fail "loads TLS for a list of tokens"
	libraries pkcs11-tool --module "$module" --token-label here -O >"$T/out"
	! grep -E 'gnutls|holdfast-tls' "$T/out" || fail "loads TLS for the other slot"
	ok "one that is not used does not"
	# GnuTLS, used by us, must not go and load modules: we may be one of them.
	mkdir -p "$T/home/.config/pkcs11/modules"
	echo "module: $module" >"$T/home/.config/pkcs11/modules/holdfast.module"
	chown -R 65534:65534 "$T/home"
	cp "$T/web1.key" "$T/home/web1.key"
	chown 65534 "$T/home/web1.key"
	nobody env HOME="$T/home" LD_DEBUG=files HOLDFAST_TLS_CA="$T/ca.pem" \
		HOLDFAST_TLS_CERTIFICATE="$T/web1.pem" HOLDFAST_TLS_KEY="$T/home/web1.key" \
		"$E2E/example" "$REMOTE" >"$T/out" 2>&1 || :
	has "the service answered (no to this one)" "permission denied" "$T/out"
	has "by GnuTLS" "libgnutls" "$T/out"
	! grep -q holdfast-pkcs11.so "$T/out" || fail "GnuTLS below us loads our module"
	ok "which loads no modules"
	has "though p11-kit knows ours" "holdfast: $module" <(nobody env HOME="$T/home" p11-kit list-modules)
fi

# -- What does not serve --
# told NAME TEXT [SETTING...]: looking for a key fails, and the log says why
told() {
	local name=$1 text=$2 start=$SECONDS
	shift 2
	config "$@"
	HOLDFAST_PKCS11_DEBUG=$T/debug run "${preload[@]}" "$BUILD_DIR/tests/load_prog" \
		"$module" far exit >"$T/out" 2>&1 && fail "$name: it works"
	grep -q "no key far" "$T/out" || fail "$name: $(cat "$T/out")"
	grep 'C_FindObjectsInit' "$T/debug" | grep -F "$text" >/dev/null ||
		fail "$name: no '$text' in $(cat "$T/debug")"
	grep 'C_FindObjectsInit' "$T/debug" | grep -q CKR_DEVICE_ERROR || fail "$name: $(cat "$T/debug")"
	[ $((SECONDS - start)) -lt 9 ] || fail "$name: took $((SECONDS - start)) s"
	rm -f "$T/debug"
	ok "$name"
}
told "another authority" "not from a CA in" "tls-ca = $T/other-ca.pem"
told "another name" "it is not for the name keys.example" "tls-server-name = keys.example"
told "a certificate that the daemon does not know" "does not accept the client certificate" \
	"tls-certificate = $T/mallory.pem" "tls-key = $T/mallory.key"
told "a certificate past its time" "Certificate is expired" \
	"tls-certificate = $T/late.pem" "tls-key = $T/late.key"
told "nobody there" "no service listens" "address = tls+tcp://127.0.0.1:$(free_port)"
python3 -c '
import socket, sys, time
s = socket.create_server(("127.0.0.1", 0))
print(s.getsockname()[1], flush=True)
time.sleep(60)' >"$T/silent" &
silent=$!
more_cleanup() { kill "$silent" 2>/dev/null || :; }
until_true 10 test -s "$T/silent" || fail "no silent peer"
told "one that never answers" "does not answer" "address = tls+tcp://127.0.0.1:$(cat "$T/silent")"
config "address = tls+tcp://127.0.0.1"
refuse "an address without a port is no configuration" 1 C_Initialize \
	run "${preload[@]}" "$BUILD_DIR/tests/load_prog" "$module" far exit
config "tls-certificate = $T/stranger.pem" "tls-key = $T/stranger.key"
there -O >"$T/out"
is "whom policy does not name sees nothing" "" "$(grep -o 'label:.*' "$T/out" || :)"
config

# -- Programs that hold a handle for ever --
load() { run "$BUILD_DIR/tests/load_prog" "$module" far "$@"; }
expect "a hundred children sign, however they begin" load children
if [ "${#preload[@]}" = 0 ]; then # see pkcs11_restart_test.sh
	expect "children of a busy process sign" load busy
fi
expect "loaded and unloaded again and again" load unload
expect "ends without C_Finalize" load exit
expect "no descriptor outlives exec" test -z "$(load fds | grep socket || :)"
begin_signing load threads 300
mkdir "$T/renewed"
cp "$T"/ca.* "$T/renewed"
renewed=$T/renewed
T=$renewed certificate web1 ca
chmod 600 "$renewed/web1.key"
for i in $(seq 12); do
	stop_daemon -KILL
	# While there is nobody to connect to, both files at once.
	[ "$i" != 6 ] || mv "$renewed"/web1.{pem,key} "$T"
	start_daemon
	sleep 0.2
done
end_signing
[ "$good" -gt 300 ] || fail "only $good signatures"
[ "$bad" = 0 ] || fail "$bad signatures failed, for up to $gap ms"
ok "$good signatures over 12 kills, none failed"
is "a renewed certificate is in use" \
	"$(openssl x509 -in "$T/web1.pem" -outform DER | sha256sum | cut -d' ' -f1)" \
	"$(grep '"path":"transit/sign/far"' "$T/audit.log" | tail -1 | jq -r .cert_sha256)"

HOLDFAST_SOCKET=$near
expect "the audit log hangs together" hangs_together "$T/audit.log"
echo "1..$checks"
