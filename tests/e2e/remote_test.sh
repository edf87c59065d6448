#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Our own clients over tls+tcp://: the command line and the library. What does
# not serve is refused with its reason, and nothing ever hangs.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/tls_lib.sh
. "$(dirname "$0")/tls_lib.sh"

authority ca
authority other-ca
certificate localhost ca
certificate alice ca
certificate mallory other-ca
certificate late ca 0 # ends the moment it begins
chmod 600 "$T"/*.key
PORT=$(free_port)
OLD=$(free_port)
REMOTE=tls+tcp://127.0.0.1:$PORT

start_service "$(listener new "$PORT" false)" "$(listener old "$OLD" true)"
cat >"$T/policy.d/alice.hcl" <<'END'
path "transit/*" { capabilities = ["create", "read", "update", "list"] }
path "sys/whoami" { capabilities = ["read"] }
bind { subjects = ["cert:alice"] }
END
quiet holdfast policy reload
holdfast key create payments >/dev/null

as() { # as NAME: with the certificate of NAME
	export HOLDFAST_TLS_CA=$T/ca.pem HOLDFAST_TLS_CERTIFICATE=$T/$1.pem \
		HOLDFAST_TLS_KEY=$T/$1.key
}
as alice
far() { timeout 30 holdfast -a "$REMOTE" "$@"; }

# -- It works as over the socket --
is "the certificate says who it is" alice "$(json .certificate far whoami)"
is "... and it is no user, least of all uid 0" null "$(json .uid far whoami)"
printf 'over the net' | far encrypt payments >"$T/sealed"
is "encrypted there, decrypted here" "over the net" "$(holdfast decrypt payments "$T/sealed")"
is "and back" "over the net" "$(far decrypt payments "$T/sealed")"
head -c 5000000 /dev/urandom >"$T/large"
far encrypt payments --binary --out "$T/large.sealed" "$T/large"
expect "5 MB there and back" cmp "$T/large" <(far decrypt payments "$T/large.sealed")
is "by name" alice "$(json .certificate far -a "tls+tcp://localhost:$PORT" whoami)"
is "options instead of variables" alice "$(json .certificate env -u HOLDFAST_TLS_CA \
	-u HOLDFAST_TLS_CERTIFICATE -u HOLDFAST_TLS_KEY holdfast -a "$REMOTE" whoami \
	--tls-ca "$T/ca.pem" --tls-certificate "$T/alice.pem" --tls-key "$T/alice.key")"
is "HOLDFAST_SOCKET takes the address too" alice \
	"$(HOLDFAST_SOCKET=$REMOTE json .certificate holdfast whoami)"

is "docs/example.c, unchanged" "4111 1111 1111 1111" "$("$E2E/example" "$REMOTE")"

is "GnuTLS where it does not start by itself" alice \
	"$(GNUTLS_NO_IMPLICIT_INIT=1 json .certificate far whoami)"

# -- Nobody listens in --
SSLKEYLOGFILE=$T/session.keys far whoami >/dev/null
[ ! -e "$T/session.keys" ] || fail "the keys of the session are in a file"
ok "the environment gets no keys of the session"

# -- Only who uses TLS pays for it --
# libraries PROGRAM...: those that it loads
libraries() {
	LD_DEBUG=files "$@" 2>&1 >/dev/null | sed -n 's/.*file=\([^ ]*\) .*generating link map.*/\1/p'
}
libraries "$E2E/example" "$HOLDFAST_SOCKET" >"$T/near"
libraries "$E2E/example" "$REMOTE" >"$T/far"
has "the library loads libholdfast" libholdfast.so "$T/near"
! grep -E 'gnutls|holdfast-tls|libssl|libcrypto' "$T/near" || fail "the library loads TLS for a socket"
ok "and no TLS for a socket"
has "and GnuTLS for TLS" libgnutls "$T/far"
! grep -E 'libssl|libcrypto' "$T/far" || fail "the library loads OpenSSL"
ok "and never OpenSSL"
if [ -z "${LD_LIBRARY_PATH-}" ]; then
	mkdir -p "$T/fake"
	printf 'not a library' >"$T/fake/holdfast-tls.so"
	is "the environment does not say where TLS is" "4111 1111 1111 1111" \
		"$(LD_LIBRARY_PATH=$T/fake "$E2E/example" "$REMOTE")"
fi

# -- Certificates of other kinds, and with a chain --
# issue NAME AUTHORITY EXTENSIONS ALGORITHM...
issue() {
	local name=$1 authority=$2 extensions=$3
	shift 3
	openssl req -new -nodes -subj "/O=Holdfast tests/CN=$name" -newkey "$@" \
		-keyout "$T/$name.key" -out "$T/$name.csr" 2>/dev/null
	openssl x509 -req -in "$T/$name.csr" -CA "$T/$authority.pem" -CAkey "$T/$authority.key" \
		-CAcreateserial -days 2 -out "$T/$name.pem" -extfile <(printf '%s\n' "$extensions") 2>/dev/null
	chmod 600 "$T/$name.key"
}
for kind in rsa:2048 ed25519 "ec -pkeyopt ec_paramgen_curve:P-384"; do
	name=client-${kind##*[-:]}
	read -ra words <<<"$kind"
	issue "$name" ca extendedKeyUsage=clientAuth "${words[@]}"
	as "$name"
	is "a client's certificate of ${kind%% *}" permission_denied \
		"$(far whoami 2>&1 | grep -o permission_denied)"
done
issue middle ca basicConstraints=critical,CA:true rsa:3072
issue chained middle extendedKeyUsage=clientAuth rsa:2048
as chained
refuse "a certificate without its chain" 2 "CA is unknown" far whoami
cat "$T/middle.pem" >>"$T/chained.pem"
is "and with it" permission_denied "$(far whoami 2>&1 | grep -o permission_denied)"
as alice

# -- Sealed files, of which only the data key goes over --
far seal payments --out "$T/large.hf" "$T/large" || fail "seal"
expect "a file sealed and opened" cmp "$T/large" <(far open "$T/large.hf")

# -- What does not serve is told --
# refused_fast NAME STATUS TEXT COMMAND...
refused_fast() {
	local start=$SECONDS
	refuse "$@"
	[ $((SECONDS - start)) -lt 10 ] || fail "$1: took $((SECONDS - start)) s"
}
refused_fast "a name that is not the certificate's" 3 "it is not for the name keys.example" \
	far --tls-server-name keys.example whoami
refused_fast "another authority" 3 "it is not from a CA in $T/other-ca.pem" \
	far --tls-ca "$T/other-ca.pem" whoami
as mallory
refused_fast "a client's certificate of another authority" 2 \
	"does not accept the client certificate in $T/mallory.pem: CA is unknown" far whoami
as late
refused_fast "a client's certificate past its time" 2 "Certificate is expired" far whoami
as alice
refused_fast "no certificate" 1 "HOLDFAST_TLS_CA, _CERTIFICATE and _KEY" \
	env -u HOLDFAST_TLS_CERTIFICATE holdfast -a "$REMOTE" whoami
refused_fast "no file" 1 "$T/none.pem: No such file" far --tls-ca "$T/none.pem" whoami
refused_fast "a file without a certificate" 1 "$T/alice.key: no CA certificates" \
	far --tls-ca "$T/alice.key" whoami
refused_fast "the key of another certificate" 1 "$T/late.key: not the key of the certificate" \
	far --tls-key "$T/late.key" whoami
refused_fast "a key in a module" 1 "are files" far --tls-key 'pkcs11:object=alice' whoami
openssl pkcs8 -topk8 -in "$T/alice.key" -passout pass:x -out "$T/sealed.key"
refused_fast "an encrypted key" 1 "not encrypted" far --tls-key "$T/sealed.key" whoami
chmod 604 "$T/alice.key"
refused_fast "a key that others may read" 1 "others may use this private key" far whoami
chmod 600 "$T/alice.key"
mkfifo -m 600 "$T/fifo"
refused_fast "a key that is a FIFO" 1 "not a file" far --tls-key "$T/fifo" whoami
refused_fast "an address without a port" 1 "takes HOST:PORT" holdfast -a tls+tcp://localhost whoami
refused_fast "another scheme" 1 "an address is a path" holdfast -a "tcp://127.0.0.1:$PORT" whoami
refused_fast "nobody there" 3 "no service listens" holdfast -a "tls+tcp://127.0.0.1:$(free_port)" whoami
refused_fast "a name of nobody" 3 "no address of this name" \
	holdfast -a tls+tcp://nobody.invalid:7655 whoami

# -- Servers that are not ours --
# peer COMMAND...: one that listens at $OTHER
peer() {
	"$@" <&8 >"$T/peer.log" 2>&1 &
	PEER=$!
	until_true 10 listening "$OTHER" || fail "$1 does not listen: $(cat "$T/peer.log")"
}
end_peer() {
	kill "$PEER" 2>/dev/null || :
	{ wait "$PEER" || :; } 2>/dev/null
}
more_cleanup() { end_peer; }
PEER=
# tcp_peer BYTES: says that to everybody, and then nothing more
tcp_peer() {
	peer python3 -c '
import socket, sys
s = socket.create_server(("127.0.0.1", int(sys.argv[1])))
kept = []
while True:
    kept.append(s.accept()[0])
    kept[-1].sendall(sys.argv[2].encode())
' "$OTHER" "$1"
}
# full_peer: takes no connection, and its queue is full: packets go unanswered
full_peer() {
	peer python3 -c '
import socket, sys, time
address = ("127.0.0.1", int(sys.argv[1]))
s = socket.socket()
s.bind(address)
s.listen(0)
kept = [socket.socket() for _ in range(4)]
for k in kept:
    k.setblocking(False)
    k.connect_ex(address)
print("full", flush=True)
time.sleep(100)
' "$OTHER"
	until_true 10 grep -q full "$T/peer.log" || fail "the queue does not fill"
}
tls_peer() { # tls_peer CERTIFICATE [OPTION...]
	local cert=$1
	shift
	peer openssl s_server -accept "127.0.0.1:$OTHER" -cert "$T/$cert.pem" -key "$T/$cert.key" \
		-quiet "$@"
}
mkfifo "$T/silence" # s_server ends with its input
exec 8<>"$T/silence"
OTHER=$(free_port)
other() { timeout 30 holdfast -a "tls+tcp://127.0.0.1:$OTHER" --timeout 2 whoami; }
tcp_peer ""
refused_fast "one that never says a word" 3 "does not answer" other
end_peer
full_peer
refused_fast "a host that swallows what it is sent" 3 "cannot connect to tls+tcp://127.0.0.1:$OTHER: Connection timed out" other
refused_fast "within seconds, however long a request may take" 3 "Connection timed out" \
	timeout 30 holdfast -a "tls+tcp://127.0.0.1:$OTHER" --timeout 60 whoami
end_peer
tcp_peer "HTTP/1.1 400 Bad Request"
refused_fast "one without TLS" 3 "no TLS with tls+tcp://127.0.0.1:$OTHER" other
end_peer
tls_peer late
refused_fast "a certificate past its time" 3 "it has expired" other
end_peer
tls_peer localhost
refused_fast "one that shakes hands and then says nothing" 3 "does not answer" other
end_peer
tls_peer localhost -tls1_2
refused_fast "one with TLS 1.2" 3 "ended TLS" other
HOLDFAST_TLS_VERSION=1.2 refused_fast "which is allowed by a setting only" 3 "does not answer" other
end_peer
openssl x509 -req -in "$T/localhost.csr" -CA "$T/ca.pem" -CAkey "$T/ca.key" -days 2 \
	-out "$T/client.pem" -extfile <(printf 'subjectAltName=IP:127.0.0.1\nextendedKeyUsage=clientAuth\n') 2>/dev/null
cp "$T/localhost.key" "$T/client.key"
tls_peer client
refused_fast "a client's certificate as a server" 3 "it is not for a server" other
end_peer
is "TLS 1.2 with our own service" alice "$(HOLDFAST_TLS_VERSION=1.2 json .certificate \
	holdfast -a "tls+tcp://127.0.0.1:$OLD" whoami)"

expect "the audit log is whole" quiet holdfast audit verify "$T/audit.log"
echo "1..$checks"
