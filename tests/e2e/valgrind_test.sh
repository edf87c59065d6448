#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The module in programs that valgrind watches: nothing that has our code in
# its stack is an invalid access or a leak. What hosts do themselves is theirs.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/pkcs11_lib.sh
. "$(dirname "$0")/pkcs11_lib.sh"
if [ "${#preload[@]}" != 0 ]; then
	echo "skipped: the module is built with a sanitizer"
	exit 0
fi
export PKCS11_MODULE_PATH=$module

# watched PROGRAM...: prints the complaints that have our code in their stack;
# $kinds of leaks count
watched() {
	rm -f "$T"/valgrind.*
	valgrind -q --leak-check=full --show-leak-kinds="$kinds" --num-callers=40 \
		--fullpath-after= --log-file="$T/valgrind.%p" "$@" >"$T/out" 2>"$T/err" ||
		fail "$*: $(cat "$T/err" "$T"/valgrind.*)"
	# A complaint is a paragraph.
	cat "$T"/valgrind.* | sed 's/^==[0-9]*== *//' |
		awk -v ours="$SOURCE_DIR/(pkcs11|lib)/|holdfast-pkcs11" \
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

start_service
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
stop_daemon
said=$(valgrind -q --leak-check=full --num-callers=40 --fullpath-after= \
	pkcs11-tool --module "$module" -O 2>&1 | grep -E "$SOURCE_DIR/(pkcs11|lib)/" || :)
is "valgrind has no complaint when there is no daemon" "" "$said"

echo "1..$checks"
