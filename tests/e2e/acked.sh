# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# For tests that take a daemon away in the middle of its work: work, a record of
# what of it was acknowledged, and a check that all of this is there again.
# Each line of a record begins with how far position() was at the answer.

position() {
	echo 0
}

# $T/acked has lines of: position, name, a ciphertext of it whose plaintext is
# the name. It takes the newest version, so that it shows a rotation too.
acknowledge() { # acknowledge NAME
	local sealed
	sealed=$(printf %s "$1" | holdfast encrypt "$1" 2>/dev/null) || return
	echo "$(position) $1 $sealed" >>"$T/acked"
}

# work NAME [LEVEL]: until the daemon is gone
work() {
	quiet holdfast key create "$1" --level "${2:-wrapped}" || return
	acknowledge "$1" || return
	quiet holdfast key rotate "$1" || return
	acknowledge "$1" || return
	quiet holdfast key config "$1" --deletion-allowed yes || return
	echo "$(position) $1" >>"$T/configured"
	quiet holdfast alias set "also-$1" --target "$1" || return
	echo "$(position) $1" >>"$T/aliased"
} 2>/dev/null

# upto POSITION FILE: what was acknowledged by then
upto() {
	[ ! -e "$2" ] || awk -v upto="$1" '$1 <= upto { print substr($0, length($1) + 2) }' "$2"
}

# want TEXT REQUEST: what the answer must have in it
want() {
	printf '%s\n' "$1" >>"$T/wanted"
	printf '%s\n' "$2" >>"$T/asked"
}

# check WHAT [POSITION]: everything acknowledged by then is there, and nothing
# is half there
check() {
	local name sealed
	rm -f "$T/wanted" "$T/asked"
	want ready '{"op": "sys.status"}'
	while read -r name sealed; do
		want "\"plaintext\": h'$(printf %s "$name" | xxd -p -c256)'" \
			'{"op": "transit.decrypt", "in": {"name": "'"$name"'", "ciphertext": '"'$sealed'}}"
		grep -q "\"path\":\"transit/keys/${name}[/\"]" "$T/audit.log" ||
			fail "$1: $name is not in the audit log"
	done < <(upto "${2:-0}" "$T/acked")
	while read -r name; do
		want '"deletion_allowed": true' '{"op": "key.read", "in": {"name": "'"$name"'"}}'
	done < <(upto "${2:-0}" "$T/configured")
	while read -r name; do
		want '"out"' '{"op": "transit.hmac", "in": {"name": "also-'"$name"'", "input": '"'x'}}"
	done < <(upto "${2:-0}" "$T/aliased")
	# What was not acknowledged is there or it is not, but never in part; keys
	# of a test's own, of which this knows nothing, are called other-*.
	for name in $(holdfast key list --limit 1000 2>/dev/null | grep -v ^other-); do
		want '"out"' '{"op": "transit.encrypt", "in": {"name": "'"$name"'", "plaintext": '"'x'}}"
	done
	"$E2E/nng_client" "ipc://$HOLDFAST_SOCKET" <"$T/asked" >"$T/answers" || fail "$1: no answers"
	paste -d'\t' "$T/wanted" "$T/answers" "$T/asked" |
		awk -F'\t' 'index($2, $1) == 0' >"$T/out"
	[ ! -s "$T/out" ] || fail "$1: lost or in part: $(head -3 "$T/out")"
	hangs_together "$T/audit.log" || fail "$1: $(cat "$T/out")"
}

forget() {
	rm -f "$T/acked" "$T/configured" "$T/aliased"
}
