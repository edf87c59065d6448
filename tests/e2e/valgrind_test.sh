#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The module in programs that valgrind watches: nothing that has our code in
# its stack is an invalid access or a leak. What hosts do themselves is theirs.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/pkcs11_lib.sh
. "$(dirname "$0")/pkcs11_lib.sh"
# shellcheck source=tests/e2e/tls_lib.sh
. "$(dirname "$0")/tls_lib.sh"
if [ "${#preload[@]}" != 0 ]; then
	skip "the module is built with a sanitizer"
fi
export PKCS11_MODULE_PATH=$module

# Our sources, as a compiler cache may name them too: seen from the build.
ours="$SOURCE_DIR/(build/[^/]*/[.][.]/[.][.]/)?(pkcs11|lib)/"

# watched PROGRAM...: prints the complaints that have our code in their stack;
# $kinds of leaks count
watched() {
	rm -f "$T"/valgrind.*
	valgrind -q --leak-check=full --show-leak-kinds="$kinds" --num-callers=40 \
		--fullpath-after= --log-file="$T/valgrind.%p" "$@" >"$T/out" 2>"$T/err" ||
		fail "$*: $(cat "$T/err" "$T"/valgrind.*)"
	# A complaint is a paragraph.
	cat "$T"/valgrind.* | sed 's/^==[0-9]*== *//' |
		awk -v ours="$ours|holdfast-pkcs11|holdfast-tls" \
			'BEGIN { RS = "" } $0 ~ ours'
}

# clean NAME PROGRAM...
clean() {
	local name=$1 said
	shift
	said=$(watched "$@")
	[ -z "$said" ] || fail "$name: $said"
	ok "valgrind has no complaint in $name"
}

authority ca
certificate localhost ca
certificate web ca
chmod 600 "$T"/*.key
PORT=$(free_port)
start_service "$(listener far "$PORT" false)"
for key in ecdsa-p256 rsa-2048 ed25519 aes256-gcm96; do
	holdfast key create "$key" --type "$key" >/dev/null
done
holdfast key self-sign rsa-2048 --subject 'CN=Alice' >/dev/null
printf data >"$T/data"
holdfast key show rsa-2048 -o json | jq -r '.keys[-1].certificate_chain' >"$T/alice.pem"

kinds=all
expect "valgrind sees what the module holds at an end without C_Finalize" \
	grep -q 'still reachable' <(watched "$BUILD_DIR/tests/load_prog" "$module" ecdsa-p256 exit)
kinds=definite,indirect,possible
clean "a program that loads and unloads" "$BUILD_DIR/tests/load_prog" "$module" ecdsa-p256 unload
clean "a program with threads" "$BUILD_DIR/tests/load_prog" "$module" ecdsa-p256 threads 2
clean "pkcs11-tool, listing" pkcs11-tool --module "$module" -O
clean "pkcs11-tool, signing" pkcs11-tool --module "$module" --sign -m SHA256-RSA-PKCS \
	--id "$(id_of rsa-2048)" -i "$T/data" -o "$T/sig"
clean "p11tool" p11tool --provider "$module" --list-all
clean "ssh-keygen" ssh-keygen -D "$module"
clean "openssl" openssl cms -sign -engine pkcs11 -keyform engine \
	-inkey 'pkcs11:token=holdfast;object=rsa-2048;type=private' \
	-signer "$T/alice.pem" -in "$T/data" -out "$T/signed"

# The same over TLS, with GnuTLS below us.
cat >"$T/policy.d/web.hcl" <<'END'
path "transit/*" { capabilities = ["read", "update"] }
bind { subjects = ["cert:web"] }
END
quiet holdfast policy reload
near=$HOLDFAST_SOCKET
export HOLDFAST_TLS_CA=$T/ca.pem HOLDFAST_TLS_CERTIFICATE=$T/web.pem \
	HOLDFAST_TLS_KEY=$T/web.key HOLDFAST_SOCKET=tls+tcp://127.0.0.1:$PORT
clean "a program that loads and unloads, over TLS" "$BUILD_DIR/tests/load_prog" "$module" ecdsa-p256 unload
clean "a program with threads, over TLS" "$BUILD_DIR/tests/load_prog" "$module" ecdsa-p256 threads 2
clean "p11tool, over TLS" p11tool --provider "$module" --list-all
clean "the command line, over TLS" holdfast key show ecdsa-p256

# failing NAME: the listing that cannot succeed
failing() {
	local said
	said=$(valgrind -q --leak-check=full --num-callers=40 --fullpath-after= \
		pkcs11-tool --module "$module" -O 2>&1 | tee "$T/out" | grep -E "$ours" || :)
	grep -q 'C_FindObjectsInit failed' "$T/out" || fail "$1: $(cat "$T/out")"
	is "valgrind has no complaint when $1" "" "$said"
}
HOLDFAST_TLS_CA=$T/web.pem failing "the daemon is not trusted"
HOLDFAST_SOCKET=$near
stop_daemon
failing "there is no daemon"

echo "1..$checks"
