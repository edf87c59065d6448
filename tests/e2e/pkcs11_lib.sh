# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# For end-to-end tests of the module; they source it after lib.sh.
module=$BUILD_DIR/pkcs11/holdfast-pkcs11.so
export HOLDFAST_PKCS11_CONFIG=/dev/null

# A module built with AddressSanitizer needs its run time in the host. Not all
# of what hosts leak is ours to mend. Other sanitizers cannot be brought in.
preload=()
if asan=$(ldd "$module" | awk '/libasan/ { print $3; exit }') && [ -n "$asan" ]; then
	preload=(env "LD_PRELOAD=$asan" ASAN_OPTIONS=detect_leaks=0)
elif nm -D "$module" | grep '__[at]san_' >/dev/null; then
	skip "hosts lack the run time of this sanitizer"
fi

# host PROGRAM...: a program that loads the module
host() {
	"${preload[@]}" "$@"
}

p11() {
	host pkcs11-tool --module "$module" "$@" 2>"$T/err" ||
		fail "pkcs11-tool $*: $(cat "$T/err")"
}

# The CKA_ID of a key, in hexadecimal: pkcs11-tool uses keys by it alone.
id_of() {
	p11 -O --type pubkey | awk -v label="$1" '
		$1 == "label:" { found = $2 == label }
		$1 == "ID:" && found { print $2; exit }'
}

# The public key of KEY[:VERSION] in $T/pub.pem. (OpenSC 0.23 reads only P-256
# and RSA keys from a token.)
public_of() {
	local name=${1%%:*} version=-1
	[ "$name" = "$1" ] || version=$((${1##*:} - 1))
	holdfast key show "$name" -o json | jq -rj ".keys[$version].public_key" >"$T/pub.pem"
}

# operations NAME: how often the daemon was asked for that
operations() {
	holdfast metrics | awk -v op="operation=\"$1\",outcome=\"ok\"" '
		index($1, op) { n = $2 } END { print n + 0 }'
}

nobody() {
	host setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
}

# Programs that sign until they are told to stop. begin_signing COMMAND...: one
# of load_prog's, "threads" and the most seconds being the last
begin_signing() {
	"$@" >"$T/load" &
	signing=$!
	until_true 60 grep -q begun "$T/load" || fail "it does not sign: $(cat "$T/load")"
}

# Sets $good, $bad and $gap.
end_signing() {
	kill -TERM "$(awk '/^begun/ { print $2 }' "$T/load")" || fail "it has ended before its time"
	wait "$signing" || fail "the program under load ended with $?"
	# shellcheck disable=SC2034 # they are for the caller
	read -r _ good _ bad _ gap < <(tail -1 "$T/load")
}
